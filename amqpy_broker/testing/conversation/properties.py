"""The properties of a message, read from and written into the payload of a header frame [AMQP 0-9-1 4.2.6.1]."""

from collections.abc import Mapping
from struct import Struct, error
from typing import Final, NamedTuple, TypeAlias

from amqpy_broker.core.arguments import Argument
from amqpy_broker.core.limits import SHORT_STRING_MAX_BYTES
from amqpy_broker.protocols.amqp091.codec import short_string
from amqpy_broker.protocols.amqp091.tables import MalformedTable, read_table, write_table

PropertyValue: TypeAlias = "int | str | Mapping[str, Argument]"
Properties: TypeAlias = "Mapping[str, PropertyValue]"

# class, weight, body size, property flags
_HEAD: Final = Struct(">HHQH")
_BASIC: Final = 60
# In the order of their flags, from the highest bit; numbers with their sizes on the wire.
_KINDS: Final[Mapping[str, str | int]] = {
    "content_type": "text",
    "content_encoding": "text",
    "headers": "table",
    "delivery_mode": 1,
    "priority": 1,
    "correlation_id": "text",
    "reply_to": "text",
    "expiration": "text",
    "message_id": "text",
    "timestamp": 8,
    "type": "text",
    "user_id": "text",
    "app_id": "text",
    "cluster_id": "text",
}
_FLAGS: Final = {name: 0x8000 >> at for at, name in enumerate(_KINDS)}


class MalformedHeader(ValueError):
    """The payload of a header frame is none."""


class ContentHead(NamedTuple):
    """What a header frame says."""

    body_size: int
    properties: Properties


def read_header(payload: bytes) -> ContentHead:
    """Read the payload of a header frame.

    Raises:
        MalformedHeader: it is not a content header.
    """
    try:
        _, _, body_size, flags = _HEAD.unpack_from(payload)
        properties: dict[str, PropertyValue] = {}
        at: int = _HEAD.size
        for name, kind in _KINDS.items():
            if flags & _FLAGS[name]:
                properties[name], at = _read(payload, at, kind)
    except (error, IndexError, MalformedTable) as failure:
        raise MalformedHeader(f"the content header cannot be read: {failure}") from None
    if at != len(payload):
        raise MalformedHeader("the content header is not as long as it says")
    return ContentHead(body_size, properties)


def _read(payload: bytes, at: int, kind: str | int) -> tuple[PropertyValue, int]:
    if kind == "table":
        return read_table(payload, at)
    if isinstance(kind, int):
        stop = at + kind
        value: PropertyValue = int.from_bytes(payload[at:stop], "big")
    else:
        stop = at + 1 + payload[at]
        value = payload[at + 1 : stop].decode("utf-8", "surrogateescape")
    if stop > len(payload):
        raise IndexError("it ends within a property")
    return value, stop


def write_header(head: ContentHead) -> bytes:
    """Write the payload of a header frame.

    Raises:
        ValueError: there is no such property, or it cannot have this value.
    """
    flags, values = 0, []
    if unknown := head.properties.keys() - _KINDS.keys():
        raise ValueError(f"messages have no property {', '.join(sorted(unknown))}; they have {', '.join(_KINDS)}")
    for name, kind in _KINDS.items():
        if name in head.properties:
            flags |= _FLAGS[name]
            values.append(_written(name, kind, head.properties[name]))
    return _HEAD.pack(_BASIC, 0, head.body_size, flags) + b"".join(values)


def _written(name: str, kind: str | int, value: PropertyValue) -> bytes:
    if isinstance(kind, int) and isinstance(value, int) and 0 <= value < 1 << (8 * kind):
        return value.to_bytes(kind, "big")
    if (
        kind == "text"
        and isinstance(value, str)
        and len(value.encode("utf-8", "surrogateescape")) <= SHORT_STRING_MAX_BYTES
    ):
        return short_string(value)
    if kind == "table" and isinstance(value, Mapping):
        return write_table(value)
    raise ValueError(f"the property {name} cannot be {value!r}")
