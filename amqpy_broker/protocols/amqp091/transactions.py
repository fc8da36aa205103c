"""Transactions of one channel: publishes and settlements wait for tx.commit (https://www.rabbitmq.com/docs/semantics#tx).

Rule 1: a publish is routed when it comes, and reaches its queues at the commit.
Rule 2: a delivery that was acknowledged in the transaction is neither settled nor acknowledgeable again before the
        commit; a rollback makes it unacknowledged again, in its place.
Rule 3: a commit is done in one step: nothing else the broker does comes in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.limits import TX_OPERATIONS_MAX
from amqpy_broker.core.queues.base import Queue, QueuedMessage
from amqpy_broker.protocols.amqp091.content import FramedMessage
from amqpy_broker.protocols.amqp091.deliveries import Fate


@dataclass(frozen=True, slots=True)
class PendingPublish:
    """A message and the queues that it will reach."""

    message: FramedMessage
    queues: tuple[Queue, ...]


@dataclass(frozen=True, slots=True)
class PendingSettlement:
    """Deliveries, by tag, and what will become of them."""

    deliveries: Sequence[tuple[int, QueuedMessage]]
    fate: Fate


@dataclass(slots=True)
class Transaction:
    """What waits for the commit, in the order it came."""

    publishes: list[PendingPublish] = field(default_factory=list)
    settlements: list[PendingSettlement] = field(default_factory=list)

    def add_publish(self, publish: PendingPublish) -> None:
        """Keep a publish for the commit."""
        self._check_room()
        self.publishes.append(publish)

    def add_settlement(self, settlement: PendingSettlement) -> None:
        """Keep settlements for the commit."""
        self._check_room()
        self.settlements.append(settlement)

    def clear(self) -> None:
        """Begin the next transaction."""
        self.publishes.clear()
        self.settlements.clear()

    def _check_room(self) -> None:
        # RabbitMQ has no limit; this one keeps a client that never commits from growing for ever.
        if len(self.publishes) + len(self.settlements) >= TX_OPERATIONS_MAX:
            raise PreconditionFailed(f"transaction has more than {TX_OPERATIONS_MAX} operations")
