"""Declaring again what is there: fine if it is the same (https://www.rabbitmq.com/docs/queues#property-equivalence)."""

from amqpy_broker.core.arguments import Arguments, check_equivalent, inequivalent
from amqpy_broker.core.erlang_terms import Atom, format_p
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.exchanges.base import ALTERNATE_EXCHANGE, Exchange
from amqpy_broker.core.queues.arguments import EQUIVALENT_ARGUMENTS
from amqpy_broker.core.queues.base import Queue


def check_same_exchange(
    existing: Exchange, exchange_type: str, durable: bool, auto_delete: bool, internal: bool, arguments: Arguments
) -> None:
    """Refuse to declare an exchange again as something else.

    Raises:
        PreconditionFailed: with RabbitMQ's text for the first difference.
    """
    for arg, received, current in (
        # Atoms, to RabbitMQ: one with a hyphen in its name has quotes of its own.
        ("type", format_p(Atom(exchange_type)), format_p(Atom(existing.type))),
        ("durable", _word(durable), _word(existing.durable)),
        ("auto_delete", _word(auto_delete), _word(existing.auto_delete)),
        ("internal", _word(internal), _word(existing.internal)),
    ):
        if received != current:
            raise PreconditionFailed(inequivalent(arg, str(existing), f"'{received}'", f"'{current}'"))
    difference = check_equivalent(existing.arguments, arguments, (ALTERNATE_EXCHANGE,), str(existing))
    if difference is not None:
        raise PreconditionFailed(difference)


def check_same_queue(existing: Queue, durable: bool, auto_delete: bool, arguments: Arguments) -> None:
    """Refuse to declare a queue again as something else.

    Raises:
        PreconditionFailed: with RabbitMQ's text for the first difference.
    """
    for arg, received, current in (
        ("durable", durable, existing.durable),
        ("auto_delete", auto_delete, existing.auto_delete),
    ):
        if received != current:
            raise PreconditionFailed(inequivalent(arg, str(existing), f"'{_word(received)}'", f"'{_word(current)}'"))
    difference = check_equivalent(existing.arguments, arguments, EQUIVALENT_ARGUMENTS[existing.type], str(existing))
    if difference is not None:
        raise PreconditionFailed(difference)


def _word(flag: bool) -> str:
    return "true" if flag else "false"
