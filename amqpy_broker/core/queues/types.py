"""The registries of queue types, and of what is durable of them: a new type is a new file and a row here."""

from typing import Final

from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.groups import GroupedQueue
from amqpy_broker.core.queues.journaled import (
    Journaled,
    JournaledClassicQueue,
    JournaledGroupedQueue,
    JournaledLastValueQueue,
    JournaledPriorityQueue,
)
from amqpy_broker.core.queues.journaled_quorum import JournaledQuorumQueue
from amqpy_broker.core.queues.last_value import LastValueQueue
from amqpy_broker.core.queues.priority import PriorityQueue
from amqpy_broker.core.queues.quorum import QuorumQueue
from amqpy_broker.core.queues.settings import QueueSettings

QUEUE_TYPES: Final[dict[str, type[ClassicQueue]]] = {
    queue_type.type: queue_type for queue_type in (ClassicQueue, QuorumQueue)
}
# What they are when the queue is to outlive the broker.
JOURNALED: Final[dict[type[ClassicQueue], type[Journaled]]] = {
    ClassicQueue: JournaledClassicQueue,
    QuorumQueue: JournaledQuorumQueue,
    GroupedQueue: JournaledGroupedQueue,
    LastValueQueue: JournaledLastValueQueue,
    PriorityQueue: JournaledPriorityQueue,
}
# Types that give their queues no names of their own.
NEEDS_A_NAME: Final = frozenset(("quorum",))


def queue_class(queue_type: str, settings: QueueSettings) -> type[ClassicQueue]:
    """Choose what a queue is made of: some arguments ask for more than its type does."""
    if settings.message_groups:
        return GroupedQueue
    if settings.last_value_key is not None:
        return LastValueQueue
    if settings.max_priority is not None and queue_type == ClassicQueue.type:
        return PriorityQueue
    return QUEUE_TYPES[queue_type]
