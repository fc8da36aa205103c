"""Arguments of queue.declare: which ones a queue type knows, which of them the broker acts on.

RabbitMQ compares only the arguments it knows when a queue is declared again; all others are free.
"""

from typing import Final

from amqpy_broker.core.arguments import Argument, Arguments
from amqpy_broker.core.erlang_terms import Atom, format_p
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.profile import Profile

QUEUE_TYPE: Final = "x-queue-type"

# What counts when a classic queue is declared again, in the order RabbitMQ compares (`rabbit_amqqueue:declare_args/0`).
CLASSIC_ARGUMENTS: Final = (
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    QUEUE_TYPE,
)
# Known and compared, but without effect in this version: said in the log when a queue is declared with one.
NOT_YET: Final = frozenset(CLASSIC_ARGUMENTS) - {QUEUE_TYPE, "x-queue-mode", "x-queue-version"}


def stored_arguments(arguments: Arguments, profile: Profile) -> Arguments:
    """Return the arguments as the queue keeps them: 4.x writes the queue type into them."""
    if profile.stores_queue_type and QUEUE_TYPE not in arguments:
        return {**arguments, QUEUE_TYPE: Argument("longstr", "classic")}
    return arguments


def check_queue_type(arguments: Arguments, resource: str) -> None:
    """Refuse queue types there are not.

    Raises:
        PreconditionFailed: with RabbitMQ's text.
    """
    wanted = arguments.get(QUEUE_TYPE)
    if wanted is None or wanted == Argument("longstr", "classic"):
        return
    if wanted.kind == "longstr":
        reason = format_p(f"unsupported queue type '{wanted.value!s}'", unicode=False)
    else:
        reason = format_p((Atom("unacceptable_type"), Atom(wanted.kind)))
    raise PreconditionFailed(f"invalid arg '{QUEUE_TYPE}' for {resource}: {reason}")
