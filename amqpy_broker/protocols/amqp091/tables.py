"""Field tables with the types they had on the wire [AMQP 0-9-1 4.2.5.5, with RabbitMQ's errata].

A table is ``length:32 (name:shortstr type:8 value)*`` and an array ``length:32 (type:8 value)*``. pamqp would give
plain Python values and so lose the types, which reply texts tell and equivalence and headers exchanges need.
RabbitMQ's types, where they differ from the specification's (https://www.rabbitmq.com/amqp-0-9-1-errata.html):

===  =============  ===================================================================
b B  byte           signed, unsigned
s u  short          signed, unsigned
I i  int            signed, unsigned
l L  long           both signed
x    binary         octets
===  =============  ===================================================================

Names and strings are octets to RabbitMQ: whatever is not UTF-8 survives (``surrogateescape``).
"""

import math
from collections.abc import Callable
from struct import Struct, error
from typing import Final, TypeAlias

from amqpy_broker.core.arguments import TABLE_DEPTH_MAX, Argument, Arguments, ArgumentValue, Kind, octets_of


class MalformedTable(ValueError):
    """The octets are not a field table."""


_Read: TypeAlias = tuple[Argument, int]

# One object for all of them: an array of nothing else would need 64 times its octets.
_VOID: Final = Argument("void", None)
_TRUE: Final = Argument("bool", True)
_FALSE: Final = Argument("bool", False)

# The constructor of a named tuple without its checks of parameters takes half the time.
_argument: Final = tuple.__new__

_LENGTH: Final = Struct(">I")
_length_at: Final = _LENGTH.unpack_from
_DECIMAL: Final = Struct(">BI")
_LONGSTR: Final = ord("S")
_TABLE: Final = ord("F")
_NESTED: Final = frozenset(b"FA")
# Types whose values begin with their length.
_SIZED: Final = frozenset(b"SxFA")

_INTEGERS: Final[dict[str, tuple[Kind, str]]] = {
    "b": ("byte", ">b"),
    "B": ("unsignedbyte", ">B"),
    "s": ("short", ">h"),
    "u": ("unsignedshort", ">H"),
    "I": ("signedint", ">i"),
    "i": ("unsignedint", ">I"),
    # Of two letters for one kind the later one is written.
    "L": ("long", ">q"),
    "l": ("long", ">q"),
    "T": ("timestamp", ">Q"),
}
_FLOATS: Final[dict[str, tuple[Kind, str]]] = {"f": ("float", ">f"), "d": ("double", ">d")}


# How long a type and its value are, where the type tells it; but for floats, which may not be finite.
_VALUE_SIZES: Final[dict[int, int]] = {
    ord("t"): 2,
    ord("V"): 1,
    ord("D"): 6,
    **{ord(code): 1 + Struct(layout).size for code, (_, layout) in _INTEGERS.items()},
}
_unpack_length: Final = _LENGTH.unpack_from


# Reading --------------------------------------------------------------------------------------------------------------


def read_table(data: bytes, offset: int = 0) -> tuple[dict[str, Argument], int]:
    """Read the table whose length stands at ``offset``; return it and the offset after it.

    Raises:
        MalformedTable: whatever is wrong with it.
    """
    try:
        start, stop = _span(data, offset, len(data))
    except error:
        raise MalformedTable("the table has no length") from None
    return read_fields(data, start, stop), stop


def read_fields(data: bytes, start: int, stop: int) -> dict[str, Argument]:
    """Read the fields of a table, which are ``data[start:stop]``.

    Raises:
        MalformedTable: whatever is wrong with them.
    """
    if stop > len(data):
        raise MalformedTable("the table is longer than the data")
    try:
        return _fields(data, start, stop, 1)
    except (error, IndexError):
        raise MalformedTable("the table ends within a field") from None


def check_table(data: bytes, offset: int) -> int:
    """Check the table whose length stands at ``offset`` without reading its values; return the offset after it.

    Raises:
        MalformedTable: whatever is wrong with it.
    """
    try:
        start = offset + 4
        stop = start + int(_unpack_length(data, offset)[0])
        if stop > len(data):
            raise MalformedTable("the table is longer than the data")
        _check_fields(data, start, stop, 1)
    except (error, IndexError):
        raise MalformedTable("the table ends within a field") from None
    return stop


def without_field(table: bytes, name: str) -> bytes:
    """Return a table, its length first, that was checked, without its first field of this name."""
    octets = octets_of(name)
    at, stop = _LENGTH.size, len(table)
    while at < stop:
        name_stop = at + 1 + table[at]
        field_stop = _check_value(table, name_stop, stop, 1)
        if table[at + 1 : name_stop] == octets:
            fields = table[_LENGTH.size : at] + table[field_stop:]
            return _LENGTH.pack(len(fields)) + fields
        at = field_stop
    return table


def _check_fields(data: bytes, at: int, stop: int, depth: int) -> None:
    while at < stop:
        at = _check_value(data, at + 1 + data[at], stop, depth)
    if at > stop:
        raise MalformedTable("a field is longer than its table")


def _check_items(data: bytes, at: int, stop: int, depth: int) -> None:
    while at < stop:
        at = _check_value(data, at, stop, depth)
    if at > stop:
        raise MalformedTable("an item is longer than its array")


def _check_value(data: bytes, at: int, stop: int, depth: int) -> int:
    """Step over a type and its value."""
    code = data[at]
    size = _VALUE_SIZES.get(code)
    if size is not None:
        return at + size
    if code not in _SIZED:
        # Numbers that may not be finite, and what is no type at all.
        return _value(data, at, stop, depth)[1]
    start = at + 5
    end = start + int(_unpack_length(data, at + 1)[0])
    if end > stop:
        raise MalformedTable("a value is longer than its table")
    if code in _NESTED:
        if depth >= TABLE_DEPTH_MAX:
            raise MalformedTable(f"tables are nested deeper than {TABLE_DEPTH_MAX}")
        (_check_fields if code == _TABLE else _check_items)(data, start, end, depth + 1)
    return end


# Everything below may read past `stop`, but not go on there: each loop ends exactly at its stop or with an error.


def _fields(data: bytes, at: int, stop: int, depth: int) -> dict[str, Argument]:
    if depth > TABLE_DEPTH_MAX:
        raise MalformedTable(f"tables are nested deeper than {TABLE_DEPTH_MAX}")
    fields: dict[str, Argument] = {}
    while at < stop:
        name_stop = at + 1 + data[at]
        name = data[at + 1 : name_stop].decode("utf-8", "surrogateescape")
        value, at = _value(data, name_stop, stop, depth)
        # RabbitMQ keeps both of two fields of one name, and looks the first one up.
        fields.setdefault(name, value)
    if at > stop:
        raise MalformedTable("a field is longer than its table")
    return fields


def _items(data: bytes, at: int, stop: int, depth: int) -> list[Argument]:
    if depth > TABLE_DEPTH_MAX:
        raise MalformedTable(f"tables are nested deeper than {TABLE_DEPTH_MAX}")
    items: list[Argument] = []
    while at < stop:
        item, at = _value(data, at, stop, depth)
        items.append(item)
    if at > stop:
        raise MalformedTable("an item is longer than its array")
    return items


def _value(data: bytes, at: int, stop: int, depth: int) -> _Read:
    """Read a type and a value; return the value and the offset after it."""
    code = data[at]
    at += 1
    if code == _LONGSTR:
        start, end = _span(data, at, stop)
        return _argument(Argument, ("longstr", data[start:end].decode("utf-8", "surrogateescape"))), end
    integer = _INTEGER_READERS.get(code)
    if integer is not None:
        kind, unpack, size = integer
        return _argument(Argument, (kind, unpack(data, at)[0])), at + size
    reader = _READERS.get(code)
    if reader is None:
        raise MalformedTable(f"{code} is not the type of a field")
    return reader(data, at, stop, depth)


def _span(data: bytes, at: int, stop: int) -> tuple[int, int]:
    start = at + 4
    end: int = start + _length_at(data, at)[0]
    if end > stop:
        raise MalformedTable("a value is longer than its table")
    return start, end


def _read_bool(data: bytes, at: int, stop: int, depth: int) -> _Read:
    return _TRUE if data[at] else _FALSE, at + 1


def _read_void(data: bytes, at: int, stop: int, depth: int) -> _Read:
    return _VOID, at


def _read_decimal(data: bytes, at: int, stop: int, depth: int) -> _Read:
    scale, unscaled = _DECIMAL.unpack_from(data, at)
    return Argument("decimal", (scale, unscaled)), at + _DECIMAL.size


def _read_binary(data: bytes, at: int, stop: int, depth: int) -> _Read:
    start, end = _span(data, at, stop)
    return Argument("binary", data[start:end]), end


def _read_table(data: bytes, at: int, stop: int, depth: int) -> _Read:
    start, end = _span(data, at, stop)
    return Argument("table", _fields(data, start, end, depth + 1)), end


def _read_array(data: bytes, at: int, stop: int, depth: int) -> _Read:
    start, end = _span(data, at, stop)
    return Argument("array", _items(data, start, end, depth + 1)), end


def _float_reader(kind: Kind, layout: Struct) -> Callable[[bytes, int, int, int], _Read]:
    def read_float(data: bytes, at: int, stop: int, depth: int) -> _Read:
        number = layout.unpack_from(data, at)[0]
        # Erlang has neither infinities nor NaN: to RabbitMQ this is no float at all.
        if not math.isfinite(number):
            raise MalformedTable("a number is not finite")
        return Argument(kind, number), at + layout.size

    return read_float


_INTEGER_READERS: Final = {
    ord(code): (kind, Struct(layout).unpack_from, Struct(layout).size) for code, (kind, layout) in _INTEGERS.items()
}
_READERS: Final[dict[int, Callable[[bytes, int, int, int], _Read]]] = {
    ord("t"): _read_bool,
    ord("V"): _read_void,
    ord("D"): _read_decimal,
    ord("x"): _read_binary,
    ord("F"): _read_table,
    ord("A"): _read_array,
    **{ord(code): _float_reader(kind, Struct(layout)) for code, (kind, layout) in _FLOATS.items()},
}


# Writing --------------------------------------------------------------------------------------------------------------


def write_table(arguments: Arguments) -> bytes:
    """Write a table, its length first. A value must fit its kind."""
    fields = b"".join([_written_name(name) + _written(argument) for name, argument in arguments.items()])
    return _LENGTH.pack(len(fields)) + fields


def _written_name(name: str) -> bytes:
    octets = octets_of(name)
    return bytes((len(octets),)) + octets


def _written(argument: Argument) -> bytes:
    kind, value = argument
    packed = _PACKED.get(kind)
    if packed is not None:
        code, layout = packed
        return code + layout.pack(value)
    return _written_by_value(kind, value)


def _written_by_value(kind: Kind, value: ArgumentValue) -> bytes:
    match value:
        case str():
            return b"S" + _long(octets_of(value))
        case bytes():
            return b"x" + _long(value)
        case None:
            return b"V"
        case dict():
            return b"F" + write_table(value)
        case list():
            return b"A" + _long(b"".join(map(_written, value)))
        case (scale, unscaled):
            return b"D" + _DECIMAL.pack(scale, unscaled)
        case _:
            raise TypeError(f"{value!r} is not a {kind}")


def _long(octets: bytes) -> bytes:
    return _LENGTH.pack(len(octets)) + octets


_PACKED: Final[dict[Kind, tuple[bytes, Struct]]] = {
    **{kind: (code.encode(), Struct(layout)) for code, (kind, layout) in (_INTEGERS | _FLOATS).items()},
    "bool": (b"t", Struct("?")),
}
