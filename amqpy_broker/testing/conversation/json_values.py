"""Values of the wire as JSON, and back, with nothing lost.

A value of the type that its JSON would naturally get stays as it is: text, integers (32-bit, or 64-bit if they must
be), doubles, booleans, null, arrays, tables. Any other type is told: `{"!short": 5}`, `{"!timestamp": 1700000000}`,
`{"!binary": "AP8="}` (base64), `{"!decimal": [2, 314]}`. Text that is not UTF-8 has lone surrogates for its octets
(`\\udcff` is 255).
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Final, get_args

from amqpy_broker.core.arguments import Argument, ArgumentValue, Kind, argument

_KINDS: Final[Mapping[str, Kind]] = {f"!{kind}": kind for kind in get_args(Kind)}
_INTEGERS: Final = frozenset(
    ("!signedint", "!short", "!byte", "!unsignedbyte", "!unsignedshort", "!unsignedint", "!long", "!timestamp")
)


def dump_table(table: Mapping[str, Argument]) -> dict[str, object]:
    """Return a table as JSON holds it."""
    return {name: _dump(value) for name, value in table.items()}


def load_table(document: object) -> dict[str, Argument]:
    """Undo `dump_table`.

    Raises:
        ValueError: it is no such thing.
    """
    if not isinstance(document, dict):
        raise ValueError(f"{document!r} is no table")
    return {str(name): _load(value) for name, value in document.items()}


def dump_octets(octets: bytes) -> str:
    """Return octets as base64."""
    return base64.b64encode(octets).decode()


def load_octets(document: object) -> bytes:
    """Undo `dump_octets`.

    Raises:
        ValueError: it is no such thing.
    """
    if not isinstance(document, str):
        raise ValueError(f"{document!r} is not base64")
    try:
        return base64.b64decode(document, validate=True)
    except binascii.Error:
        raise ValueError(f"{document!r} is not base64") from None


def _dump(item: Argument) -> object:
    kind, value = item
    match value:
        case dict():
            table = dump_table(value)
            return {"!table": table} if _is_told(table) else table
        case list():
            return [_dump(one) for one in value]
        case bytes():
            return {"!binary": dump_octets(value)}
        case (scale, unscaled):
            return {"!decimal": [scale, unscaled]}
        case _:
            return value if _natural(value) == item else {f"!{kind}": value}


def _natural(value: ArgumentValue) -> Argument | None:
    try:
        return argument(value)
    except ValueError:
        return None


def _is_told(document: object) -> bool:
    """Whether this is a value with its type, and no table."""
    return isinstance(document, dict) and len(document) == 1 and next(iter(document)) in _KINDS


def _load(document: object) -> Argument:
    match document:
        case dict() if _is_told(document):
            ((kind, value),) = document.items()
            return Argument(_KINDS[kind], _load_value(kind, value))
        case dict():
            return Argument("table", load_table(document))
        case list():
            return Argument("array", [_load(one) for one in document])
        case _:
            try:
                return argument(document)
            except TypeError as failure:
                raise ValueError(str(failure)) from None


def _load_value(kind: str, value: object) -> ArgumentValue:
    match value:
        case dict() if kind == "!table":
            return load_table(value)
        case str() if kind == "!binary":
            return load_octets(value)
        case str() if kind == "!longstr":
            return value
        case [int(scale), int(unscaled)] if kind == "!decimal":
            return scale, unscaled
        case int() if kind in _INTEGERS:
            return value
        case int() | float() if kind in ("!float", "!double"):
            return float(value)
        case _:
            raise ValueError(f"{value!r} is no value of {kind}")
