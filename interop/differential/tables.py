"""Field tables with the types of the wire: what is a `short` and what a `signedint` is part of what we compare.

`Typed("s", 5)` writes 5 with the type tag `s`. Plain Python values get the tag that most clients would choose.
Tags and their meaning are RabbitMQ's, not those of the specification [https://www.rabbitmq.com/amqp-0-9-1-errata].
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

_NUMBERS = {
    "b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "L": ">q", "f": ">f", "d": ">d",
    "T": ">Q", "t": ">?",
}  # fmt: skip


@dataclass(frozen=True)
class Typed:
    """A field value with its type tag."""

    tag: str
    value: object

    def __str__(self) -> str:
        return f"{self.tag}:{show(self.value)}"


Value: TypeAlias = object
Table: TypeAlias = Mapping[str, Value] | Iterable[tuple[str, Value]]


def encode_table(table: Table) -> bytes:
    """Return a field table with its length; pairs instead of a dict can repeat a key."""
    pairs = table.items() if isinstance(table, Mapping) else table
    content = b"".join(_short_string(key) + encode_value(value) for key, value in pairs)
    return struct.pack(">I", len(content)) + content


def encode_value(value: Value) -> bytes:
    """Return a field value with its tag."""
    typed = value if isinstance(value, Typed) else _guess(value)
    return typed.tag.encode() + _encode_untagged(typed.tag, typed.value)


def _guess(value: Value) -> Typed:
    """Choose the tag for a plain Python value."""
    match value:
        case bool():
            return Typed("t", value)
        case int():
            return Typed("I" if -(2**31) <= value < 2**31 else "l", value)
        case float():
            return Typed("d", value)
        case str():
            return Typed("S", value)
        case bytes():
            return Typed("x", value)
        case None:
            return Typed("V", None)
        case list():
            return Typed("A", value)
        case _:
            return Typed("F", value)


def _encode_untagged(tag: str, value: Value) -> bytes:
    if tag in _NUMBERS:
        return struct.pack(_NUMBERS[tag], value)
    match tag:
        case "S" | "x":
            assert isinstance(value, str | bytes)
            content = value.encode() if isinstance(value, str) else value
            return struct.pack(">I", len(content)) + content
        case "A":
            assert isinstance(value, list)
            content = b"".join(encode_value(item) for item in value)
            return struct.pack(">I", len(content)) + content
        case "F":
            return encode_table(value)  # type: ignore[arg-type]
        case "D":
            assert isinstance(value, tuple)
            return struct.pack(">BI", *value)
        case _:
            return b""


def _short_string(text: str) -> bytes:
    content = text.encode()
    return bytes([len(content)]) + content


class Reader:
    """Reads one value after the other from bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, size: int) -> bytes:
        part = self.data[self.position : self.position + size]
        if len(part) < size:
            raise ValueError("truncated")
        self.position += size
        return part

    def number(self, layout: str) -> int:
        (value,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return value  # type: ignore[no-any-return]

    def short_string(self) -> str:
        return self.take(self.number(">B")).decode("utf-8", "backslashreplace")

    def long_string(self) -> bytes:
        return self.take(self.number(">I"))

    def table(self) -> list[tuple[str, Value]]:
        inside = Reader(self.long_string())
        pairs: list[tuple[str, Value]] = []
        while inside.position < len(inside.data):
            key = inside.short_string()
            pairs.append((key, inside.value()))
        return pairs

    def value(self) -> Typed:
        tag = self.take(1).decode("latin-1")
        if tag in _NUMBERS:
            return Typed(tag, self.number(_NUMBERS[tag]))
        match tag:
            case "S" | "x":
                return Typed(tag, self.long_string())
            case "A":
                inside = Reader(self.long_string())
                items: list[Value] = []
                while inside.position < len(inside.data):
                    items.append(inside.value())
                return Typed(tag, items)
            case "F":
                return Typed(tag, self.table())
            case "D":
                return Typed(tag, (self.number(">B"), self.number(">I")))
            case "V":
                return Typed(tag, None)
            case _:
                raise ValueError(f"unknown field type {tag!r}")


def show(value: Value) -> str:
    """Return a value as it stands in transcripts."""
    match value:
        case Typed():
            return str(value)
        case bytes():
            try:
                return repr(value.decode())
            except UnicodeDecodeError:
                return repr(value)
        case Mapping():
            return "{" + ", ".join(f"{key}={show(item)}" for key, item in value.items()) + "}"
        case list() if all(isinstance(item, tuple) and len(item) == 2 for item in value):
            return "{" + ", ".join(f"{key}={show(item)}" for key, item in value) + "}"
        case list():
            return "[" + ", ".join(show(item) for item in value) + "]"
        case _:
            return repr(value)
