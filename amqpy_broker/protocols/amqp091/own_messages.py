"""Messages that the broker itself writes, as if a client had published them."""

from struct import pack

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.message import Message
from amqpy_broker.protocols.amqp091.content import PERSISTENT, ContentHeader, FramedMessage
from amqpy_broker.protocols.amqp091.frames import BODY, HEADER, pack_frame
from amqpy_broker.protocols.amqp091.publishes import Publish
from amqpy_broker.protocols.amqp091.tables import write_table

_BASIC = 60
# Flags of the properties headers, delivery-mode and timestamp.
_HEADERS, _DELIVERY_MODE, _TIMESTAMP = 0x2000, 0x1000, 0x0040
# Whoever gets it on another channel gets it rewritten.
_CHANNEL = 1


def make_message(
    exchange: str,
    routing_key: str,
    headers: Arguments,
    *,
    body: bytes = b"",
    persistent: bool = False,
    timestamp_s: int | None = None,
) -> Message:
    """Write a message."""
    flags, properties = _HEADERS, [write_table(headers)]
    if persistent:
        flags |= _DELIVERY_MODE
        properties.append(bytes((PERSISTENT,)))
    if timestamp_s is not None:
        flags |= _TIMESTAMP
        properties.append(timestamp_s.to_bytes(8, "big"))
    payload = pack(">HHQH", _BASIC, 0, len(body), flags) + b"".join(properties)
    frames = pack_frame(HEADER, _CHANNEL, payload) + (pack_frame(BODY, _CHANNEL, body) if body else b"")
    publish = Publish(exchange, routing_key, mandatory=False, immediate=False)
    return FramedMessage(publish, ContentHeader(payload), frames, _CHANNEL)
