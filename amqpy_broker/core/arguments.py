"""Arguments and headers: named values that remember the type they were sent with.

A client chooses the type of each value on the wire, and RabbitMQ tells it back in reply texts (``of type 'short'``),
so the types are kept. Kinds are called as RabbitMQ calls them.

A ``longstr`` is text, decoded as UTF-8 with ``surrogateescape``: nothing is lost when it is not UTF-8. Other values:
``binary`` is bytes, ``decimal`` a pair (scale, unscaled), ``timestamp`` whole seconds since 1970, ``void`` None.
"""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from amqpy_broker.core.erlang_terms import Atom, Term, format_p, text_of
from amqpy_broker.core.limits import SHORT_STRING_MAX_BYTES

Kind: TypeAlias = Literal[
    "longstr",
    "signedint",
    "short",
    "byte",
    "unsignedbyte",
    "unsignedshort",
    "unsignedint",
    "long",
    "float",
    "double",
    "decimal",
    "binary",
    "bool",
    "timestamp",
    "void",
    "table",
    "array",
]

ArgumentValue: TypeAlias = (
    "int | float | str | bytes | bool | tuple[int, int] | dict[str, Argument] | list[Argument] | None"
)


class Argument(NamedTuple):
    """One value with the type it has on the wire."""

    kind: Kind
    value: ArgumentValue


Arguments: TypeAlias = Mapping[str, Argument]

NO_ARGUMENTS: Final[Arguments] = {}

# Tables in tables: the deepest that brokers and clients make is x-death, an array of tables with arrays in them.
# RabbitMQ has no limit but the frame's size, which lets one frame nest 26,000 arrays; Python's stack ends at 1,000.
TABLE_DEPTH_MAX: Final = 64

# What RabbitMQ takes wherever an argument has to be an integer.
INTEGER_KINDS: Final[frozenset[Kind]] = frozenset(
    ("byte", "short", "signedint", "long", "unsignedbyte", "unsignedshort", "unsignedint")
)


# Plain Python values --------------------------------------------------------------------------------------------------


def plain(arguments: Arguments) -> dict[str, object]:
    """Return the arguments as ordinary Python values that JSON can hold, as RabbitMQ's management API shows them."""
    return {_readable(name): plain_value(argument) for name, argument in arguments.items()}


def plain_value(argument: Argument) -> object:
    """Return one value as an ordinary Python value that JSON can hold."""
    value = argument.value
    match value:
        case str() | bytes():
            return _readable(value)
        case dict():
            return plain(value)
        case list():
            return [plain_value(item) for item in value]
        case (scale, unscaled):
            return unscaled / 10**scale
        case _:
            return value


def _readable(text: str | bytes) -> str:
    octets = text if isinstance(text, bytes) else octets_of(text)
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return f"Not UTF-8, base64 is: {base64.b64encode(octets).decode()}"


def argument(value: object) -> Argument:
    """Give an ordinary Python value its natural type.

    Raises:
        TypeError: there is no type for such a value.
        ValueError: the value is out of the range of its type, or nested too deeply.
    """
    # It will be a value in a table, which is the first level.
    return _argument(value, 1)


def arguments(values: Mapping[str, object]) -> dict[str, Argument]:
    """Give each of some ordinary Python values its natural type; raises what ``argument`` raises."""
    return _table(values, 1)


def _argument(value: object, depth: int) -> Argument:
    match value:
        case Argument():
            return value
        case str():
            return _longstr(value)
        case bool():
            return Argument("bool", value)
        case int():
            return _integer(value)
        case float():
            return _double(value)
        case None:
            return Argument("void", None)
        case bytes() | bytearray():
            return Argument("binary", bytes(value))
        case datetime():
            return _timestamp(value)
        case Mapping():
            return Argument("table", _table(value, depth + 1))
        case list() | tuple():
            return Argument("array", _array(value, depth + 1))
        case _:
            raise TypeError(f"no AMQP type holds a {type(value).__name__}")


def _table(values: Mapping[str, object], depth: int) -> dict[str, Argument]:
    _refuse_too_deep(depth)
    return {_name(name): _argument(value, depth) for name, value in values.items()}


def _array(values: Sequence[object], depth: int) -> list[Argument]:
    _refuse_too_deep(depth)
    return [_argument(value, depth) for value in values]


def _refuse_too_deep(depth: int) -> None:
    if depth > TABLE_DEPTH_MAX:
        raise ValueError(f"tables are nested deeper than {TABLE_DEPTH_MAX}")


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"names in a table are strings, not {type(name).__name__}")
    if len(octets_of(name)) > SHORT_STRING_MAX_BYTES:
        raise ValueError(f"the name '{name}' is longer than {SHORT_STRING_MAX_BYTES} octets")
    return name


def _longstr(value: str) -> Argument:
    # Refuses surrogates that stand for no octet, which JSON can write.
    octets_of(value)
    return Argument("longstr", value)


def _integer(value: int) -> Argument:
    if -(2**31) <= value < 2**31:
        return Argument("signedint", value)
    if -(2**63) <= value < 2**63:
        return Argument("long", value)
    raise ValueError("an integer does not fit in 64 bits")


def _double(value: float) -> Argument:
    # Erlang has no such floats: a table that holds one is malformed.
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    return Argument("double", value)


def _timestamp(value: datetime) -> Argument:
    moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    seconds = math.floor(moment.timestamp())
    if seconds < 0:
        raise ValueError(f"{value} is before 1970")
    return Argument("timestamp", seconds)


def octets_of(text: str) -> bytes:
    """Return the octets of a text of the wire."""
    return text.encode("utf-8", "surrogateescape")


# Equivalence ----------------------------------------------------------------------------------------------------------


def check_equivalent(current: Arguments, received: Arguments, keys: Iterable[str], resource: str) -> str | None:
    """Compare what a declaration asks for with what exists, as RabbitMQ's ``assert_args_equivalence`` does.

    Only ``keys`` count. ``resource`` is written into the text: ``queue 'q' in vhost '/'``. Returns the reply text of
    the first difference, or None.
    """
    for key in keys:
        ours, theirs = current.get(key), received.get(key)
        if ours is None or theirs is None:
            if ours is not theirs and not _is_default_queue_type(key, ours or theirs):
                return inequivalent(key, resource, _typed(theirs), _typed(ours))
        elif not _equivalent(ours, theirs):
            return inequivalent(key, resource, _untyped(theirs), _untyped(ours))
    return None


def inequivalent(key: str, resource: str, received: str, current: str) -> str:
    """Return the reply text for one difference; ``received`` and ``current`` come with their quotes."""
    return f"inequivalent arg '{key}' for {resource}: received {received} but current is {current}"


def _is_default_queue_type(key: str, given: Argument | None) -> bool:
    return key == "x-queue-type" and given == Argument("longstr", "classic")


def _equivalent(current: Argument, received: Argument) -> bool:
    # Erlang holds all kinds of integers as one, both kinds of floats, and text as it holds octets. But true is not 1,
    # nor is 1 the same as 1.0.
    ours, theirs = term(current.value), term(received.value)
    return type(ours) is type(theirs) and ours == theirs


def _typed(argument: Argument | None) -> str:
    return "none" if argument is None else f"the value '{_shown(argument.value)}' of type '{argument.kind}'"


def _untyped(argument: Argument) -> str:
    return "none" if argument.value is None else f"'{_shown(argument.value)}'"


def _shown(value: ArgumentValue) -> str:
    printable = term(value)
    return text_of(printable) if isinstance(printable, bytes) else format_p(printable)


def term(value: ArgumentValue) -> Term:
    """Return the Erlang term that RabbitMQ holds for a value, to print or to compare it."""
    match value:
        case str():
            return octets_of(value)
        case None:
            return Atom("undefined")
        case dict():
            return [(term(name), Atom(item.kind), term(item.value)) for name, item in value.items()]
        case list():
            return [(Atom(item.kind), term(item.value)) for item in value]
        case _:
            return value
