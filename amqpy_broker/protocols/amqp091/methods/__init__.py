"""One file an AMQP class: what each of its methods does. A new method is a function and a row in its file's table."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.codec import Method
from amqpy_broker.protocols.amqp091.methods import access, basic, channel, confirm, exchange, queue, tx

Handler: TypeAlias = Callable[[Channel, Method], None]

# By class and method number. Those of `connection`, and the opening and closing of channels, are the connection's own.
HANDLERS: Final[Mapping[int, Handler]] = {
    **access.HANDLERS,
    **channel.HANDLERS,
    **exchange.HANDLERS,
    **queue.HANDLERS,
    **basic.HANDLERS,
    **confirm.HANDLERS,
    **tx.HANDLERS,
}
