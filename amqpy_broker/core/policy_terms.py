"""What a policy says, printed as RabbitMQ prints it when it complains."""

from collections.abc import Mapping

from amqpy_broker.core.erlang_terms import Atom, Term, format_p


def shown(value: object) -> str:
    """Print a value of the JSON as the Erlang term that it is to RabbitMQ."""
    match value:
        case Mapping():
            return "#{" + ",".join(f"{shown(key)} => {shown(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(map(shown, value)) + "]"
        case _:
            return format_p(_term(value))


def _term(value: object) -> Term:
    match value:
        case str():
            return value.encode("utf-8", "surrogateescape")
        case bool() | int() | float():
            return value
        case _:
            return Atom("null")
