"""The registry of queue types: a new type is a new file and one row here."""

from typing import Final

from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.quorum import QuorumQueue

QUEUE_TYPES: Final[dict[str, type[ClassicQueue]]] = {
    queue_type.type: queue_type for queue_type in (ClassicQueue, QuorumQueue)
}
# Types that give their queues no names of their own.
NEEDS_A_NAME: Final = frozenset(("quorum",))
