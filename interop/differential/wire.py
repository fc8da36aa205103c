"""Frames, methods and content headers as bytes, in both directions, with nothing validated.

Which methods there are and what fields they have comes from pamqp; the bytes are our own, because a scenario may send
what pamqp refuses (any UTF-8 name, any delivery mode) and must see what pamqp forgets (the types in tables).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from pamqp import base, commands

from interop.differential.tables import Reader, Value, encode_table

FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT = 1, 2, 3, 8
FRAME_END = b"\xce"
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

_LAYOUTS = {"octet": ">B", "short": ">H", "long": ">I", "longlong": ">Q", "timestamp": ">Q"}


@dataclass(frozen=True)
class MethodSpec:
    """A method's name, ids and fields in wire order."""

    name: str
    class_id: int
    method_id: int
    fields: tuple[tuple[str, str], ...]


@dataclass
class Method:
    """A method that was received, with its content if it carries one."""

    name: str
    channel: int
    fields: dict[str, Value]
    content: Content | None = None

    def __getitem__(self, name: str) -> Value:
        return self.fields[name]


@dataclass
class Content:
    """Header and body of a message as they were received."""

    header: bytes
    body: bytes = b""
    frame_sizes: list[int] = field(default_factory=list)

    @property
    def body_size(self) -> int:
        (size,) = struct.unpack_from(">Q", self.header, 4)
        return size  # type: ignore[no-any-return]

    @property
    def properties(self) -> dict[str, Value]:
        return decode_properties(self.header)


def _kebab(name: str) -> str:
    """`Queue.DeclareOk` -> `queue.declare-ok`."""
    noun, verb = name.split(".")
    return noun.lower() + "." + re.sub(r"(?<!^)(?=[A-Z])", "-", verb).lower()


def _specs() -> dict[str, MethodSpec]:
    specs = {"access.request-ok": MethodSpec("access.request-ok", 30, 11, (("ticket", "short"),))}
    for command in commands.INDEX_MAPPING.values():
        assert issubclass(command, base.Frame)
        fields = tuple((name, command.amqp_type(name)) for name in command.attributes())
        name = _kebab(command.name)
        specs[name] = MethodSpec(name, command.index >> 16, command.index & 0xFFFF, fields)
    bits = tuple((name, "bit") for name in ("exclusive", "passive", "active", "write", "read"))
    specs["access.request"] = MethodSpec("access.request", 30, 10, (("realm", "shortstr"), *bits))
    return specs


SPECS = _specs()
SPECS_BY_ID = {(spec.class_id, spec.method_id): spec for spec in SPECS.values()}
PROPERTIES = tuple(
    (name, commands.Basic.Properties.amqp_type(name), 1 << (15 - position))
    for position, name in enumerate(commands.Basic.Properties.attributes())
)


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + FRAME_END


def method_payload(name: str, **values: Value) -> bytes:
    """Return a method's payload; fields that are not named are zero or empty."""
    spec = SPECS[name]
    unknown = values.keys() - {field_name for field_name, _ in spec.fields}
    if unknown:
        raise TypeError(f"{name} has no {', '.join(unknown)}")
    return struct.pack(">HH", spec.class_id, spec.method_id) + _encode_fields(spec, values)


def _encode_fields(spec: MethodSpec, values: dict[str, Value]) -> bytes:
    parts: list[bytes] = []
    bits: list[bool] = []
    for name, kind in spec.fields:
        if kind == "bit":
            bits.append(bool(values.get(name)))
            continue
        if bits:
            parts.append(_pack_bits(bits))
            bits = []
        parts.append(encode_field(kind, values.get(name)))
    if bits:
        parts.append(_pack_bits(bits))
    return b"".join(parts)


def _pack_bits(bits: list[bool]) -> bytes:
    return bytes([sum(bit << position for position, bit in enumerate(bits))])


def encode_field(kind: str, value: Value) -> bytes:
    """Return one field of a method or one property."""
    if kind in _LAYOUTS:
        return struct.pack(_LAYOUTS[kind], value or 0)
    if kind == "table":
        return encode_table(value or {})  # type: ignore[arg-type]
    assert value is None or isinstance(value, str | bytes)
    content = value.encode() if isinstance(value, str) else value or b""
    return struct.pack(">B" if kind == "shortstr" else ">I", len(content)) + content


def encode_properties(properties: dict[str, Value]) -> bytes:
    """Return property flags and the properties that are given, in the order of the specification."""
    flags = 0
    parts = []
    for name, kind, flag in PROPERTIES:
        if name in properties:
            flags |= flag
            parts.append(encode_field(kind, properties[name]))
    return struct.pack(">H", flags) + b"".join(parts)


def header_payload(body_size: int, properties: bytes, *, class_id: int = 60, weight: int = 0) -> bytes:
    return struct.pack(">HHQ", class_id, weight, body_size) + properties


def decode_method(payload: bytes, channel: int) -> Method:
    """Read a method's fields; bytes that are left over are worth knowing."""
    reader = Reader(payload)
    ids = reader.number(">H"), reader.number(">H")
    spec = SPECS_BY_ID.get(ids)
    if spec is None:
        return Method(f"unknown {ids}", channel, {"payload": payload[4:]})
    fields: dict[str, Value] = {}
    bit = 8
    octet = 0
    for name, kind in spec.fields:
        if kind == "bit":
            if bit > 7:
                octet, bit = reader.number(">B"), 0
            fields[name] = bool(octet >> bit & 1)
            bit += 1
            continue
        bit = 8
        fields[name] = decode_field(reader, kind)
    if reader.position < len(payload):
        fields["left_over"] = payload[reader.position :]
    return Method(spec.name, channel, fields)


def decode_field(reader: Reader, kind: str) -> Value:
    if kind in _LAYOUTS:
        return reader.number(_LAYOUTS[kind])
    if kind == "table":
        return reader.table()
    return reader.short_string() if kind == "shortstr" else reader.long_string().decode("utf-8", "backslashreplace")


def decode_properties(header: bytes) -> dict[str, Value]:
    """Read the properties of a content header payload."""
    reader = Reader(header[12:])
    flags = reader.number(">H")
    return {name: decode_field(reader, kind) for name, kind, flag in PROPERTIES if flags & flag}
