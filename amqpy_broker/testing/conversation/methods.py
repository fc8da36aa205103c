"""Methods by the specification's names: `basic.get-ok`, with arguments in a dict.

Arguments are called as in the specification, with underscores: `routing_key`, `global`, `type`. A table is a mapping to
`Argument`s, which keep the types of the wire; short strings are text, long strings octets.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from pamqp import base, commands

from amqpy_broker.core.arguments import Argument
from amqpy_broker.core.errors import AmqpError
from amqpy_broker.protocols.amqp091.codec import (
    ACCESS_REQUEST,
    ACCESS_REQUEST_OK,
    Undecodable,
    decode_method,
    ids_frame,
    method_frame,
    method_index,
)

MethodValue: TypeAlias = "int | str | bytes | bool | Mapping[str, Argument] | None"
MethodArguments: TypeAlias = "Mapping[str, MethodValue]"

# pamqp's names, where they are not the specification's.
_RENAMED: Final = {"exchange_type": "type", "global_": "global"}
_NOTHING: Final[Mapping[str, MethodValue]] = {"bit": False, "shortstr": "", "longstr": b"", "octets": b"", "table": {}}


class ReadMethod(NamedTuple):
    """A method, read."""

    name: str
    arguments: MethodArguments


class UnreadableMethod(ValueError):
    """The payload of a method frame is no method that we know."""


def _spoken(name: str) -> str:
    """Turn `Basic.GetOk` into `basic.get-ok`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


_SHAPES: Final[Mapping[int, type[base.Frame]]] = commands.INDEX_MAPPING
METHOD_NAMES: Final[Mapping[int, str]] = {
    **{index: _spoken(shape.name) for index, shape in _SHAPES.items()},
    ACCESS_REQUEST: "access.request",
    ACCESS_REQUEST_OK: "access.request-ok",
}
_INDEXES: Final[Mapping[str, int]] = {name: index for index, name in METHOD_NAMES.items()}
# The methods that a header frame and body frames follow.
CONTENT_METHODS: Final = frozenset(("basic.publish", "basic.deliver", "basic.return", "basic.get-ok"))


def name_of(payload: bytes) -> str:
    """Name the method in a payload; `unknown 60.99` if there is none of these numbers."""
    index = method_index(payload)
    return METHOD_NAMES.get(index) or f"unknown {index >> 16}.{index & 0xFFFF}"


def read_method(payload: bytes) -> ReadMethod:
    """Read the payload of a method frame; two of the same octets may share what they say.

    Raises:
        UnreadableMethod: it is not a method, or not one that we know.
    """
    return _remembered(payload) if len(payload) <= _REMEMBERED_MAX_BYTES else _read(payload)


def _read(payload: bytes) -> ReadMethod:
    index = method_index(payload)
    if index in (ACCESS_REQUEST, ACCESS_REQUEST_OK):
        # Nobody looks at tickets any more; what a request asks for stays as it is.
        return ReadMethod(METHOD_NAMES[index], {"octets": payload[4:]})
    try:
        method = decode_method(payload)
    except (Undecodable, AmqpError) as refusal:
        raise UnreadableMethod(f"{name_of(payload)}: {refusal}") from None
    arguments: dict[str, MethodValue] = {}
    for name in method.frame.attributes():
        is_table = method.frame.amqp_type(name) == "table"
        arguments[_RENAMED.get(name, name)] = method.arguments if is_table else getattr(method.frame, name)
    return ReadMethod(METHOD_NAMES[index], arguments)


# Publishes and acknowledgements repeat, and are short.
_REMEMBERED_MAX_BYTES: Final = 256
_remembered: Final = lru_cache(maxsize=1024)(_read)


def write_method(channel: int, name: str, arguments: MethodArguments) -> bytes:
    """Write a method frame; arguments that are not given are empty, 0 or false.

    Raises:
        ValueError: there is no such method, or it has no such argument.
    """
    if name in ("access.request", "access.request-ok"):
        octets = arguments.get("octets", b"")
        return ids_frame(channel, _INDEXES[name], octets if isinstance(octets, bytes) else b"")
    known = argument_kinds(name)
    shape = _SHAPES[_INDEXES[name]]
    if unknown := arguments.keys() - known.keys():
        raise ValueError(f"{name} has no argument {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    values = [arguments.get(field, nothing_of(kind)) for field, kind in known.items()]
    return method_frame(channel, shape, *[dict(value) if isinstance(value, Mapping) else value for value in values])


def argument_kinds(name: str) -> Mapping[str, str]:
    """Return the arguments of a method and their kinds on the wire: shortstr, longstr, table, bit, octet, short, ….

    Raises:
        ValueError: there is no such method.
    """
    if name in ("access.request", "access.request-ok"):
        return {"octets": "octets"}
    shape = _SHAPES.get(_INDEXES.get(name, 0))
    if shape is None:
        raise ValueError(f"there is no method {name}")
    return {_RENAMED.get(field, field): shape.amqp_type(field) for field in shape.attributes()}


def nothing_of(kind: str) -> MethodValue:
    """Return what an argument of this kind is when nobody gave it."""
    return _NOTHING.get(kind, 0)
