"""Arguments and headers: named values that remember the type they were sent with.

A client chooses the type of each value on the wire, and RabbitMQ tells it back in reply texts (``of type 'short'``),
so the types are kept. Kinds are called as RabbitMQ calls them.

A ``longstr`` is text, decoded as UTF-8 with ``surrogateescape``: nothing is lost when it is not UTF-8. Other values:
``binary`` is bytes, ``decimal`` a pair (scale, unscaled), ``timestamp`` whole seconds since 1970, ``void`` None.
"""

import base64
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Literal, NamedTuple, TypeAlias

from amqpy_broker.core.erlang_terms import Atom, Term, format_p

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

# rabbit_misc:type_class/1: kinds of one class with equal values are equivalent; any other kind is a class of its own.
_CLASSES: Final[Mapping[Kind, str]] = {
    "byte": "int",
    "short": "int",
    "signedint": "int",
    "long": "int",
    "decimal": "int",
    "unsignedbyte": "int",
    "unsignedshort": "int",
    "unsignedint": "int",
    "float": "float",
    "double": "float",
}

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
    octets = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return f"Not UTF-8, base64 is: {base64.b64encode(octets).decode()}"


def argument(value: object) -> Argument:
    """Give an ordinary Python value its natural type.

    Raises:
        TypeError: there is no type for such a value.
        ValueError: the value is out of the range of its type.
    """
    match value:
        case Argument():
            return value
        case str():
            return Argument("longstr", value)
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
        case Decimal():
            return _decimal(value)
        case Mapping():
            return Argument("table", {_name(name): argument(item) for name, item in value.items()})
        case list() | tuple():
            return Argument("array", [argument(item) for item in value])
        case _:
            raise TypeError(f"no AMQP type holds a {type(value).__name__}")


def arguments(values: Mapping[str, object]) -> dict[str, Argument]:
    """Give each of some ordinary Python values its natural type."""
    return {name: argument(value) for name, value in values.items()}


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"names in a table are strings, not {type(name).__name__}")
    return name


def _integer(value: int) -> Argument:
    if -(2**31) <= value < 2**31:
        return Argument("signedint", value)
    if -(2**63) <= value < 2**63:
        return Argument("long", value)
    raise ValueError(f"{value} does not fit in 64 bits")


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


def _decimal(value: Decimal) -> Argument:
    if not value.is_finite():
        raise ValueError(f"{value} is not a finite number")
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    unscaled = int("".join(map(str, digits))) * 10 ** max(exponent, 0)
    scale = max(-exponent, 0)
    if (sign and unscaled) or scale > 255 or unscaled >= 2**32:
        raise ValueError(f"{value} does not fit in an AMQP decimal")
    return Argument("decimal", (scale, unscaled))


# Equivalence ----------------------------------------------------------------------------------------------------------


def check_equivalent(current: Arguments, received: Arguments, keys: Iterable[str], resource: str) -> str | None:
    """Compare what a declaration asks for with what exists, as RabbitMQ's ``assert_args_equivalence`` does.

    Only ``keys`` count. ``resource`` is written into the text: ``queue 'q' in vhost '/'``. Returns the reply text of
    the first difference, or None.
    """
    for key in keys:
        was, wanted = current.get(key), received.get(key)
        if was is None or wanted is None:
            if was is not wanted and not _is_default_queue_type(key, was or wanted):
                return inequivalent(key, resource, _typed(wanted), _typed(was))
        elif not _equivalent(was, wanted):
            return inequivalent(key, resource, _untyped(wanted), _untyped(was))
    return None


def inequivalent(key: str, resource: str, received: str, current: str) -> str:
    """Return the reply text for one difference; ``received`` and ``current`` come with their quotes."""
    return f"inequivalent arg '{key}' for {resource}: received {received} but current is {current}"


def _is_default_queue_type(key: str, given: Argument | None) -> bool:
    return key == "x-queue-type" and given == Argument("longstr", "classic")


def _equivalent(was: Argument, wanted: Argument) -> bool:
    if _CLASSES.get(was.kind, was.kind) == _CLASSES.get(wanted.kind, wanted.kind):
        return was.value == wanted.value
    # Of two classes: only if Erlang holds both as one term. True is not 1, and 1 is not 1.0.
    ours, theirs = _octets(was.value), _octets(wanted.value)
    return type(ours) is type(theirs) and ours == theirs


def _octets(value: ArgumentValue) -> ArgumentValue:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _typed(argument: Argument | None) -> str:
    if argument is None:
        return "none"
    return f"the value {_quoted(argument.value)} of type '{argument.kind}'"


def _untyped(argument: Argument) -> str:
    return "none" if argument.value is None else _quoted(argument.value)


def _quoted(value: ArgumentValue) -> str:
    if isinstance(value, str | bytes):
        return f"'{_shown(value)}'"
    return f"'{format_p(term(value))}'"


def _shown(text: str | bytes) -> str:
    # ~ts of octets that are not UTF-8 takes them for Latin-1.
    octets = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def term(value: ArgumentValue) -> Term:
    """Return the Erlang term that RabbitMQ holds for a value, for printing."""
    match value:
        case str():
            return value.encode("utf-8", "surrogateescape")
        case None:
            return Atom("undefined")
        case dict():
            return [(term(name), Atom(item.kind), term(item.value)) for name, item in value.items()]
        case list():
            return [(Atom(item.kind), term(item.value)) for item in value]
        case _:
            return value
