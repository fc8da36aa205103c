"""The class `confirm` (https://www.rabbitmq.com/docs/confirms)."""

from typing import Final

from pamqp import commands

from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.codec import Method
from amqpy_broker.protocols.amqp091.confirms import Confirms
from amqpy_broker.protocols.amqp091.methods.fields import fields


def select(channel: Channel, method: Method) -> None:
    """Confirm publishes from now on."""
    if channel.transaction is not None:
        raise PreconditionFailed("cannot switch from tx to confirm mode")
    if channel.confirms is None:
        channel.confirms = Confirms(channel.number)
    if not fields(method, commands.Confirm.Select).nowait:
        channel.reply(commands.Confirm.SelectOk)


HANDLERS: Final = {commands.Confirm.Select.index: select}
