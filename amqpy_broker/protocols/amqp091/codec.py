"""Methods, to and from the wire. pamqp knows the fields of each method; tables are read by `tables`, which keeps types.

Why not pamqp's own `marshal` and `unmarshal`: they refuse names that RabbitMQ allows, lose the types of integers in
tables, and take a truncated method for a complete one.
"""

from dataclasses import dataclass
from struct import Struct, error
from typing import Final

from pamqp import base, commands, common, encode

from amqpy_broker.core.arguments import NO_ARGUMENTS, Arguments
from amqpy_broker.core.erlang_terms import format_w
from amqpy_broker.core.errors import CannotDecode, FrameError
from amqpy_broker.core.limits import SHORT_STRING_MAX_BYTES
from amqpy_broker.protocols.amqp091.frames import METHOD, pack_frame
from amqpy_broker.protocols.amqp091.tables import MalformedTable, read_fields, write_table

# class and method, as one number: pamqp's index.
_INDEX: Final = Struct(">I")
# Sizes on the wire of the integers, all of them unsigned; pamqp reads and writes a longlong as signed.
_FIXED_SIZES: Final = {"octet": 1, "short": 2, "long": 4, "longlong": 8}

# The one short string that need not be text.
_ANY_OCTETS: Final = "routing_key"

# pamqp lacks the class 30; RabbitMQ still answers old clients that ask for tickets.
ACCESS_REQUEST: Final = 0x001E000A
ACCESS_REQUEST_OK: Final = 0x001E000B


@dataclass(frozen=True, slots=True)
class Method:
    """A decoded method. `frame` has the fields; its table, if it has one, is `arguments`, with types."""

    index: int
    frame: base.Frame
    arguments: Arguments


class Undecodable(Exception):
    """RabbitMQ's reader dies of it: the socket closes without a word."""


def method_index(payload: bytes) -> int:
    """Read which method a payload holds; 0 if it is too short to say."""
    return int.from_bytes(payload[:4], "big") if len(payload) >= _INDEX.size else 0


def decode_method(payload: bytes) -> Method:
    """Read a method.

    Raises:
        Undecodable: no such method, or a table with something in it that is none.
        FrameError: it is not what its numbers say.
    """
    index = method_index(payload)
    if index == ACCESS_REQUEST:
        return Method(index, base.Frame(), NO_ARGUMENTS)
    shape: type[base.Frame] | None = commands.INDEX_MAPPING.get(index)
    if shape is None:
        raise Undecodable(f"unknown method {index >> 16}.{index & 0xFFFF}")
    frame = shape.__new__(shape)
    try:
        arguments = _read_fields(payload, frame)
    except (_Truncated, IndexError, error):
        raise CannotDecode(f"cannot decode {format_w(payload[_INDEX.size :])}") from None
    except MalformedTable as malformed:
        raise Undecodable(f"{shape.name}: {malformed}") from None
    return Method(index, frame, arguments)


class _Truncated(Exception):
    """The fields are not as long as the payload."""


def _read_fields(payload: bytes, frame: base.Frame) -> Arguments:
    at, bit = _INDEX.size, -1
    arguments = NO_ARGUMENTS
    for name in frame.attributes():
        kind = frame.amqp_type(name)
        if kind == "bit":
            bit += 1
            setattr(frame, name, bool(payload[at] & (1 << bit)))
            continue
        if bit >= 0:
            at, bit = at + 1, -1
        start, at = _field(payload, at, kind)
        if kind == "table":
            arguments = read_fields(payload, start, at)
        else:
            setattr(frame, name, _field_value(payload[start:at], kind, name))
    if bit >= 0:
        at += 1
    if at != len(payload):
        raise _Truncated
    return arguments


def _field(payload: bytes, at: int, kind: str) -> tuple[int, int]:
    """Find where a field's value begins and ends."""
    if kind == "shortstr":
        start = at + 1
        stop = start + payload[at]
    elif kind in ("longstr", "table"):
        start = at + 4
        stop = start + int(_INDEX.unpack_from(payload, at)[0])
    else:
        start, stop = at, at + _FIXED_SIZES[kind]
    if stop > len(payload):
        raise _Truncated
    return start, stop


def _field_value(octets: bytes, kind: str, name: str) -> common.FieldValue:
    if kind == "longstr":
        return octets
    if kind != "shortstr":
        return int.from_bytes(octets, "big")
    if name != _ANY_OCTETS and not _is_text(octets):
        raise FrameError("Malformed UTF-8 in shortstr")
    return octets.decode("utf-8", "surrogateescape")


def _is_text(octets: bytes) -> bool:
    """Say whether this is UTF-8 as RabbitMQ sees it, which takes encoded surrogates for characters."""
    try:
        octets.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def encode_method(shape: type[base.Frame], *values: object) -> bytes:
    """Write a method with the values of its fields, in the specification's order.

    Tables are `Arguments`; octets are long strings.
    """
    octets = [_INDEX.pack(shape.index)]
    bits, bit_count = 0, 0
    for name, value in zip(shape.attributes(), values, strict=True):
        kind = shape.amqp_type(name)
        if kind == "bit":
            bits |= bool(value) << bit_count
            bit_count += 1
            continue
        if bit_count:
            octets.append(bytes((bits,)))
            bits = bit_count = 0
        octets.append(_write_field(kind, value))
    if bit_count:
        octets.append(bytes((bits,)))
    return b"".join(octets)


def _write_field(kind: str, value: object) -> bytes:
    if isinstance(value, str):
        return short_string(value) if kind == "shortstr" else encode.long_string(value)
    if isinstance(value, bytes):
        return _INDEX.pack(len(value)) + value
    if isinstance(value, dict):
        return write_table(value)
    assert isinstance(value, int), f"{kind} cannot be {value!r}"
    return value.to_bytes(_FIXED_SIZES[kind], "big")


def short_string(text: str) -> bytes:
    """Write a short string. A longer text is cut as RabbitMQ cuts it, with three dots."""
    octets = text.encode("utf-8", "surrogateescape")
    if len(octets) > SHORT_STRING_MAX_BYTES:
        octets = octets[: SHORT_STRING_MAX_BYTES - 3] + b"..."
    return bytes((len(octets),)) + octets


def method_frame(channel: int, shape: type[base.Frame], *values: object) -> bytes:
    """Write a method frame."""
    return pack_frame(METHOD, channel, encode_method(shape, *values))


def ids_frame(channel: int, index: int, rest: bytes = b"") -> bytes:
    """Write a method frame of a method that pamqp does not know."""
    return pack_frame(METHOD, channel, _INDEX.pack(index) + rest)
