"""Arguments of queue.declare, when a queue is declared again.

RabbitMQ compares only the arguments it knows when a queue is declared again; all others are free.
"""

from typing import Final

from amqpy_broker.core.arguments import Argument, Arguments
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.settings import BEYOND_ARGUMENTS, QUORUM_BEYOND_ARGUMENTS

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
    "x-queue-master-locator",
    "x-queue-leader-locator",
    *BEYOND_ARGUMENTS,
)


QUORUM_ARGUMENTS: Final = (
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-overflow",
    "x-single-active-consumer",
    QUEUE_TYPE,
    "x-quorum-initial-group-size",
    "x-delivery-limit",
    *QUORUM_BEYOND_ARGUMENTS,
)
EQUIVALENT_ARGUMENTS: Final = {"classic": CLASSIC_ARGUMENTS, "quorum": QUORUM_ARGUMENTS}


def stored_arguments(arguments: Arguments, profile: Profile) -> Arguments:
    """Return the arguments as the queue keeps them: 4.x writes the queue type into them."""
    if profile.stores_queue_type and QUEUE_TYPE not in arguments:
        return {**arguments, QUEUE_TYPE: Argument("longstr", "classic")}
    return arguments


def check_dead_letter_exchange(arguments: Arguments, resource: str) -> None:
    """Refuse a dead-letter exchange that is no name; RabbitMQ looks at this before anything else.

    Raises:
        PreconditionFailed: with RabbitMQ's text.
    """
    exchange = arguments.get("x-dead-letter-exchange")
    if exchange is not None and exchange.kind != "longstr":
        raise PreconditionFailed(f"invalid type '{exchange.kind}' for arg 'x-dead-letter-exchange' in {resource}")
