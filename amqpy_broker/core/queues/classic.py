"""The classic queue: strict first in, first out, in memory.

Rule 1: messages leave in the order they came. One that is handed out keeps its position and returns to it.
Rule 2: what was handed out once is marked redelivered from then on.
Rule 3: consumers that can take are served in turn.
Rule 4: while any consumer can take, nothing is ready. So a new message either goes straight to a consumer or waits at
        the end, and everything requeued is older than everything that was never handed out.
"""

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import ClassVar, Final

from amqpy_broker.core.errors import AccessRefused
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Consumer, Queue, QueuedMessage
from amqpy_broker.core.queues.properties import QueueProperties

_OVERHEAD: Final = MESSAGE_OVERHEAD_BYTES


class ClassicQueue(Queue):
    """A queue in memory."""

    __slots__ = ("_bytes", "_consumers", "_fresh", "_next_position", "_returned", "_takers", "_unacked_count")

    type: ClassVar[str] = "classic"

    def __init__(self, properties: QueueProperties) -> None:
        super().__init__(properties)
        # Never handed out, in order.
        self._fresh: deque[QueuedMessage] = deque()
        # Requeued: a heap by position, all of it ahead of `_fresh` (rule 4).
        self._returned: list[QueuedMessage] = []
        self._next_position = 0
        self._unacked_count = 0
        self._bytes = 0
        # A dict for its order and its quick look-up: a queue may have thousands.
        self._consumers: dict[Consumer, None] = {}
        # Those of them that can take, next one first.
        self._takers: deque[Consumer] = deque()

    @property
    def ready_count(self) -> int:
        """Messages waiting for a consumer."""
        return len(self._fresh) + len(self._returned)

    @property
    def unacked_count(self) -> int:
        """Messages handed out and not settled."""
        return self._unacked_count

    @property
    def consumer_count(self) -> int:
        """Consumers, whether they can take or not."""
        return len(self._consumers)

    @property
    def memory_bytes(self) -> int:
        """Memory that its messages hold, ready and unacknowledged."""
        return self._bytes

    # --- messages ---------------------------------------------------------------------------------------------------

    def enqueue(self, message: Message) -> None:
        """Hand the message to a consumer that can take it, or keep it."""
        takers = self._takers
        if not takers:
            self._fresh.append(self._place(message))
            return
        consumer = takers[0]
        if consumer.no_ack:
            has_room = consumer.deliver(message, False, None)
        else:
            queued = self._place(message)
            queued.consumer = consumer
            self._unacked_count += 1
            has_room = consumer.deliver(message, False, queued)
        if not has_room:
            takers.popleft()
            consumer.waiting = True
        elif len(takers) > 1:
            takers.rotate(-1)

    def get(self) -> QueuedMessage | None:
        """Hand out the first message, without a consumer."""
        queued = self._pop_ready()
        if queued is not None:
            self._unacked_count += 1
        return queued

    def settle(self, queued: QueuedMessage) -> None:
        """Forget a message that was handed out."""
        self._unacked_count -= 1
        self._bytes -= queued.message.memory_size + _OVERHEAD

    def requeue(self, returned: Iterable[QueuedMessage]) -> None:
        """Take messages back to their original places, marked redelivered."""
        for queued in returned:
            if self.deleted:
                self.settle(queued)
                continue
            self._unacked_count -= 1
            queued.redelivered = True
            queued.consumer = None
            heappush(self._returned, queued)
        self._dispatch()

    def purge(self) -> int:
        """Drop the messages that are ready; say how many."""
        count = self.ready_count
        for queued in (*self._fresh, *self._returned):
            self._bytes -= queued.message.memory_size + _OVERHEAD
        self._fresh.clear()
        self._returned.clear()
        return count

    # --- consumers --------------------------------------------------------------------------------------------------

    def add_consumer(self, consumer: Consumer) -> None:
        """Add a consumer; it gets nothing before `resume`."""
        # [basic.consume.exclusive]: who is alone stays alone, and who wants to be alone must find nobody.
        if self._consumers and (consumer.exclusive or next(iter(self._consumers)).exclusive):
            raise AccessRefused(f"{self} in exclusive use")
        self._consumers[consumer] = None
        self.had_consumers = True

    def remove_consumer(self, consumer: Consumer) -> None:
        """Remove a consumer. What it has not settled stays with its channel."""
        del self._consumers[consumer]
        self.pause(consumer)

    def pause(self, consumer: Consumer) -> None:
        """Count no longer on a consumer that cannot take any more, though it has not been asked."""
        if not consumer.waiting:
            self._takers.remove(consumer)
            consumer.waiting = True

    def resume(self, consumer: Consumer) -> None:
        """Count on a consumer that can take (again), and hand out what waits."""
        if consumer.waiting and consumer in self._consumers:
            consumer.waiting = False
            self._takers.append(consumer)
            self._dispatch()

    def close(self) -> list[Consumer]:
        """End as a queue that is deleted: drop everything, return the consumers that were there."""
        self.deleted = True
        self.purge()
        consumers = list(self._consumers)
        self._consumers.clear()
        self._takers.clear()
        for consumer in consumers:
            consumer.waiting = True
        return consumers

    # --- steps ------------------------------------------------------------------------------------------------------

    def _place(self, message: Message) -> QueuedMessage:
        self._next_position += 1
        self._bytes += message.memory_size + _OVERHEAD
        return QueuedMessage(message, self, self._next_position)

    def _pop_ready(self) -> QueuedMessage | None:
        if self._returned:
            return heappop(self._returned)
        return self._fresh.popleft() if self._fresh else None

    def _dispatch(self) -> None:
        """Hand out what is ready while anybody can take it, in turn."""
        takers = self._takers
        while takers:
            queued = self._pop_ready()
            if queued is None:
                return
            consumer = takers[0]
            if consumer.no_ack:
                self._bytes -= queued.message.memory_size + _OVERHEAD
                has_room = consumer.deliver(queued.message, queued.redelivered, None)
            else:
                queued.consumer = consumer
                self._unacked_count += 1
                has_room = consumer.deliver(queued.message, queued.redelivered, queued)
            if not has_room:
                takers.popleft()
                consumer.waiting = True
            elif len(takers) > 1:
                takers.rotate(-1)
