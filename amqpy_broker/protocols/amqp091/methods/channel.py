"""The class `channel`, but for open and close, which are the connection's."""

from typing import Final

from pamqp import commands

from amqpy_broker.core.errors import NotImplementedByBroker
from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.codec import Method
from amqpy_broker.protocols.amqp091.methods.fields import fields


def flow(channel: Channel, method: Method) -> None:
    """Agree to go on; stopping is not done by RabbitMQ either [channel.flow]."""
    if not fields(method, commands.Channel.Flow).active:
        raise NotImplementedByBroker("active=false")
    channel.reply(commands.Channel.FlowOk, True)


HANDLERS: Final = {commands.Channel.Flow.index: flow}
