"""The class `access`, long gone from the specification: old clients ask for a ticket, and get one."""

from typing import Final

from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.codec import ACCESS_REQUEST, ACCESS_REQUEST_OK, Method, ids_frame

_TICKET: Final = b"\x00\x01"


def request(channel: Channel, method: Method) -> None:
    """Hand out the ticket that RabbitMQ hands out, which nobody looks at."""
    channel.session.output.write(ids_frame(channel.number, ACCESS_REQUEST_OK, _TICKET))


HANDLERS: Final = {ACCESS_REQUEST: request}
