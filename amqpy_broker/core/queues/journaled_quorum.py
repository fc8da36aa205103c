"""The quorum queue in the journal: it stores every message, and pages out what has no priority.

Rule 1: a message that has a priority is marked when it is stored, so that after a restart it is found without reading
        the others. Whether its priority counts depends on the version; it is marked in any.
Rule 2: what came back is marked with the number of its return: after a restart, too, what came back first leaves first.
Rule 3: where what came back goes to the end, it is stored anew there: pages ascend.
"""

from typing import Final

from amqpy_broker.core.journal import Mark, Page, Stored
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import QueuedMessage, Surroundings
from amqpy_broker.core.queues.journaled import Journaled
from amqpy_broker.core.queues.lowest import LowestLevel, ReturnsLastPaged
from amqpy_broker.core.queues.paged import PagedReady
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.quorum import CountedMessage, QuorumQueue, levels_for, urgent_from
from amqpy_broker.core.queues.ready import ReturnsFirst

_HAS_PRIORITY: Final = Mark(0, 0)


class JournaledQuorumQueue(Journaled, QuorumQueue):
    """A durable quorum queue, as all are."""

    __slots__ = ("_lowest",)

    stores_all = True
    mixes = False

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties, around)
        journal, profile, window = self._journal, around.profile, around.window
        # What pages: all that is ready, or what neither has a priority nor came back.
        self._lowest: PagedReady
        if isinstance(self._ready, ReturnsFirst):
            self._lowest = LowestLevel(journal, self._name, self, window, urgent_from=urgent_from(profile))
            self._ready = ReturnsFirst(levels_for(profile, self._lowest))
        else:
            self._ready = self._lowest = ReturnsLastPaged(journal, self._name, self, window, mixed=False)
        self._pager = self._lowest
        self._page_at_bytes = window.queue_bytes

    def page_out(self, wanted_bytes: int) -> int:
        """Make room in memory, as far as messages are synced: all of them are in the journal."""
        window = self._around.window
        if self._bytes <= window.head_min_bytes:
            return 0
        return self._lowest.page_out(window.head_min_bytes, spill=False, wanted_bytes=wanted_bytes)

    def _store(self, queued: QueuedMessage) -> None:
        super()._store(queued)
        if queued.message.priority:
            self._mark(queued, _HAS_PRIORITY)

    def _put_back(self, queued: QueuedMessage) -> None:
        if self._ready is self._lowest:
            self._store_at_the_end(queued)
        super()._put_back(queued)

    def _store_at_the_end(self, queued: QueuedMessage) -> None:
        """Give a message the place of a new one. It is forgotten at its old one in the same batch."""
        assert isinstance(queued, CountedMessage)
        self._release(queued)
        self._next_position += 1
        queued.position = self._next_position
        told, queued.message = queued.message, queued.original
        self._store(queued)
        queued.message = told
        self._mark(queued, self._mark_of(queued))

    def _mark_of(self, queued: QueuedMessage) -> Mark:
        assert isinstance(queued, CountedMessage)
        return Mark(queued.delivery_count, queued.acquired_count, queued.returned_at)

    # --- through a restart ------------------------------------------------------------------------------------------

    def _take_back_pages(self, pages: list[Page]) -> None:
        if not isinstance(self._lowest, LowestLevel):
            super()._take_back_pages(pages)
            return
        self._count_pages(pages)
        lasting: list[Page] = []
        others: list[tuple[Stored, int]] = []
        for page in pages:
            rest: Page | None = page
            if page.marked or self._deduplication is not None:
                rest, found = self._lowest.look_through(page, self._seen)
                others += ((stored, page.batch) for stored in found)
            if rest is not None:
                lasting.append(rest)
        self._lowest.take_pages(lasting)
        self._take_back_others(others)

    def _seen(self, message: Message) -> None:
        if self._deduplication is not None:
            self._deduplication.seen(message)

    def _take_back_others(self, others: list[tuple[Stored, int]]) -> None:
        """Take back what is above the lowest level, and what came back, each in its order."""
        for queued in sorted((self.revive(stored, batch) for stored, batch in others), key=_order):
            if queued.returned_at:
                self._returns_count = queued.returned_at
                self._ready.put_back(queued)
            else:
                self._ready.append(queued)

    def _remember(self, queued: QueuedMessage, mark: Mark) -> None:
        assert isinstance(queued, CountedMessage)
        queued.delivery_count, queued.acquired_count, queued.returned_at = mark
        # A mark alone does not say that anybody had it.
        queued.redelivered = bool(mark.returned_at) or queued.position <= self._delivered_place
        if mark.acquired_count:
            self._tell(queued)

    def rest(self) -> int:
        """End before a stop: what was handed out has come back by now, and is marked."""
        return self._delivered_place


def _order(queued: QueuedMessage) -> tuple[int, int]:
    return queued.returned_at, queued.position
