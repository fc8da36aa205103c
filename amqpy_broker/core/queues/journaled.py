"""Queues that outlive the broker: what they take in goes to the journal, and what leaves them is settled there.

Rule 1: a persistent message is stored when it gets its place; one that goes straight to a consumer that does not
        acknowledge gets none. A quorum queue stores every message.
Rule 2: it is settled when it is acknowledged, dropped, or handed out for good.
Rule 3: a message that dies is settled once its dead letter is in its queues. Both are in one batch, or the letter is
        there first.
Rule 4: what may have been handed out before a restart comes back marked redelivered. A broker that was stopped knows
        what it handed out; one that crashed does not, and marks everything, as RabbitMQ does with classic queues.

Only these classes know of the journal: a queue in memory does nothing for it.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar, Final

from amqpy_broker.core.journal import Mark, Page, Stored, level_of
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Consumer, QueuedMessage, Reason, Surroundings
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.groups import GroupedQueue
from amqpy_broker.core.queues.lanes import GroupedMessage
from amqpy_broker.core.queues.last_value import LastValueQueue
from amqpy_broker.core.queues.paged import PagedReady
from amqpy_broker.core.queues.priority import PriorityQueue
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.retry import RetriedMessage
from amqpy_broker.core.queues.values import KeyedMessage

# How much leaves memory at a time, in steps of the window.
_STEPS_AT_ONCE: Final = 4
_NEVER: Final = float("inf")
_OVERHEAD: Final = MESSAGE_OVERHEAD_BYTES
# A message that came back, in a queue that does not count how often.
_CAME_BACK: Final = Mark(0, 0)


class Journaled(ClassicQueue):
    """What all durable queues do, whatever else they are."""

    # Slots of two bases do not fit together: those of this one are in the class below both.
    __slots__ = ()

    # Whether messages are stored that are not persistent.
    stores_all: ClassVar[bool] = False
    mixes = True

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties, around)
        assert around.journal is not None
        assert properties.journal_id is not None
        self._journal = around.journal
        self._name = properties.journal_id
        self._delivered_place = 0
        self._pager = self._new_pager(around.journal)
        self._page_at_bytes = _NEVER if self._pager is None else around.window.queue_bytes

    # --- in ---------------------------------------------------------------------------------------------------------

    def enqueue_lasting(self, message: Message) -> bool:
        """Hand the message to a consumer that can take it, or keep it: the hot path, with the journal in it."""
        if not self._plain:
            return self._enqueue_special(message)
        ring = self._takers.ring
        if not ring:
            self._ready.append(self._keep(message))
            if self._bytes > self._page_at_bytes:
                self._page_out_behind()
            return True
        consumer = ring[0]
        if consumer.no_ack:
            has_room = consumer.deliver(message, False, None)
        else:
            queued = self._keep(message)
            queued.consumer = consumer
            self._unacked_count += 1
            has_room = consumer.deliver(message, False, queued)
        if not has_room:
            self._takers.leave()
        elif len(ring) > 1:
            ring.rotate(-1)
        return True

    def _keep(self, message: Message) -> QueuedMessage:
        """Give a message that never expires its place, and store it."""
        queued = self._place(message)
        self._store(queued)
        return queued

    def _place_special(self, message: Message) -> QueuedMessage:
        queued = super()._place_special(message)
        self._store(queued)
        return queued

    def _admit(self, queued: QueuedMessage) -> None:
        super()._admit(queued)
        if self._bytes > self._page_at_bytes:
            self._page_out_behind()

    def _store(self, queued: QueuedMessage) -> None:
        """Keep a message in the journal, if it is to outlive the broker."""
        message = queued.message
        if not (message.persistent or self.stores_all):
            queued.batch = 0
            return
        name = self._name_of(message)
        queued.batch = self._journal.store(name, queued.position, message)
        if queued.expires_at_s != _NEVER:
            self._journal.expires(name, queued.position, self._around.timers.unix_ms(queued.expires_at_s))

    def _page_out_behind(self) -> None:
        """Let go of what is behind the head window, and look again when there is more."""
        window = self._around.window
        keeps_all = bool(self._consumers) and self._bytes <= window.consumed_bytes
        if self._pager is not None and not keeps_all:
            # Several steps at once make up for looks in vain; all at once would hold up everybody else.
            self._pager.page_out(window.head_bytes, spill=False, wanted_bytes=_STEPS_AT_ONCE * window.step_bytes)
        self._page_at_bytes = max(self._bytes, window.queue_bytes) + window.step_bytes

    # --- out --------------------------------------------------------------------------------------------------------

    def settle(self, queued: QueuedMessage) -> None:
        """Forget a message that was handed out."""
        super().settle(queued)
        self._release(queued)

    def _release(self, queued: QueuedMessage) -> None:
        """Let the journal forget a message."""
        if queued.batch:
            if not self.deleted:
                self._journal.settle(queued.batch, self._name_of(queued.message), self._stored_place(queued))
            queued.batch = 0

    def _hand_out(self, queued: QueuedMessage) -> None:
        if self._takers.ring[0].no_ack:
            self._release(queued)
        super()._hand_out(queued)

    def _drop(self, queued: QueuedMessage) -> None:
        super()._drop(queued)
        self._release(queued)

    def _bury(self, queued: QueuedMessage, reason: Reason, buried: Callable[[], None] | None = None) -> None:
        if self.deleted or self.settings.dead_letter_exchange is None:
            self._release(queued)
        else:
            super()._bury(queued, reason, partial(self._release, queued))

    def requeue(self, returned: Iterable[QueuedMessage], *, failed: bool = True) -> None:
        """Take messages back to their places; where it matters how often, the journal learns of it."""
        returned = list(returned)
        super().requeue(returned, failed=failed)
        for queued in returned:
            mark = self._mark_of(queued)
            if mark is not None and not self.deleted:
                self._mark(queued, mark)

    def _mark_of(self, queued: QueuedMessage) -> Mark | None:
        """Say how often a message came back, if its queue counts that."""
        return Mark(queued.delivery_count, queued.delivery_count) if isinstance(queued, RetriedMessage) else None

    def _mark(self, queued: QueuedMessage, mark: Mark) -> None:
        if queued.batch:
            self._journal.mark(queued.batch, self._name_of(queued.message), self._stored_place(queued), mark)

    def _stored_place(self, queued: QueuedMessage) -> int:
        """Say under which place the journal knows a message."""
        return queued.position

    # --- through a restart ------------------------------------------------------------------------------------------

    def take_back(self, pages: list[Page], delivered_place: int, *, crashed: bool) -> None:
        """Have again what the journal kept. Nobody is told of anything before `wake_up`.

        `delivered_place`: up to where messages had been handed out when the broker was stopped last.
        """
        self._deaths = []
        last_place = max((page.last for page in pages), default=0)
        # Places go on where they ended, so that no new message is taken for one that was handed out.
        self._next_position = max(last_place, delivered_place)
        self._delivered_place = self._next_position if crashed else delivered_place
        self._take_back_pages(pages)

    def _take_back_pages(self, pages: list[Page]) -> None:
        if self._pager is not None and self._deduplication is None:
            self._pager.take_pages(pages)
            self._count_pages(pages)
            return
        for page in pages:
            for stored in self._journal.read(page):
                self._take_back(stored, page.batch)

    def _count_pages(self, pages: list[Page]) -> None:
        """Know of messages that are not read what concerns the whole queue."""
        if self.settings.max_length_bytes is not None:
            self._ready_body_bytes = sum(page.body_bytes for page in pages)
        if any(page.special for page in pages):
            self._expire_by_timer()

    def _take_back(self, stored: Stored, batch: int) -> None:
        if self._deduplication is not None:
            self._deduplication.seen(stored.message)
        self._make_ready(self.revive(stored, batch))

    def _make_ready(self, queued: QueuedMessage) -> None:
        self._ready.append(queued)
        if self.settings.max_length_bytes is not None:
            self._ready_body_bytes += queued.message.body_size

    def revive(self, stored: Stored, batch: int) -> QueuedMessage:
        """Give a message that was read from the journal its place again, and what is known of it."""
        queued = super().revive(stored, batch)
        queued.redelivered = stored.mark is not None or stored.place <= self._delivered_place
        if stored.mark is not None:
            self._remember(queued, stored.mark)
        return queued

    def _remember(self, queued: QueuedMessage, mark: Mark) -> None:
        """Know again how often a message came back."""
        if isinstance(queued, RetriedMessage):
            queued.delivery_count = mark.delivery_count

    def wake_up(self) -> None:
        """Begin after a restart: what has expired meanwhile, or is too much, dies."""
        self._dispatch_returned()

    def rest(self) -> int:
        """End before a stop: mark what came back; say up to which place messages were handed out.

        Where messages leave in the order of their places, the place says it all.
        """
        if isinstance(self._ready, PagedReady):
            first = self._ready.first_fresh_place
            return max(self._delivered_place, self._next_position if first is None else first - 1)
        for queued in self._ready.after(None):
            if queued.redelivered:
                self._mark(queued, self._mark_of(queued) or _CAME_BACK)
        return 0


class JournaledClassicQueue(Journaled):
    """A durable classic queue: the one that has to be quick."""

    __slots__ = ()

    def _keep(self, message: Message) -> QueuedMessage:
        # What the others do, in one step.
        self._next_position = place = self._next_position + 1
        self._bytes += message.memory_size + _OVERHEAD
        queued = QueuedMessage(message, self, place)
        queued.batch = self._journal.store(self._name, place, message) if message.persistent else 0
        return queued

    def revive(self, stored: Stored, batch: int) -> QueuedMessage:
        """Give a message that was read from the journal its place again."""
        if stored.expires_at_unix_ms is not None or stored.mark is not None or self._retry is not None:
            return super().revive(stored, batch)
        self._bytes += stored.message.memory_size + _OVERHEAD
        queued = QueuedMessage(stored.message, self, stored.place)
        queued.batch = batch
        queued.redelivered = stored.place <= self._delivered_place
        return queued

    def settle(self, queued: QueuedMessage) -> None:
        """Forget a message that was handed out: what the others do, in one step."""
        self._unacked_count -= 1
        self._bytes -= queued.message.memory_size + _OVERHEAD
        batch = queued.batch
        if batch and not self.deleted:
            self._journal.settle(batch, self._name, queued.position)


class JournaledPriorityQueue(Journaled, PriorityQueue):
    """A durable queue with priorities.

    What it may have handed out before a crash is told by batches: lines have places of their own.
    """

    __slots__ = ("_delivered_batch", "_names")

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties, around)
        # What is in this batch or an earlier one may have been handed out before the last restart.
        self._delivered_batch = 0
        self._names = tuple(self._journal_names(self._name))

    def _keep(self, message: Message) -> QueuedMessage:
        # What the others do, in one step.
        number = message.priority
        number = number if number < self._highest else self._highest
        self._next_position += 1
        self._places[number] = place = self._places[number] + 1
        self._bytes += message.memory_size + _OVERHEAD
        queued = QueuedMessage(message, self, place)
        queued.batch = self._journal.store(self._names[number], place, message) if message.persistent else 0
        return queued

    def settle(self, queued: QueuedMessage) -> None:
        """Forget a message that was handed out: what the others do, in one step."""
        message = queued.message
        self._unacked_count -= 1
        self._bytes -= message.memory_size + _OVERHEAD
        batch = queued.batch
        if batch and not self.deleted:
            number = message.priority
            name = self._names[number] if number < self._highest else self._names[-1]
            self._journal.settle(batch, name, queued.position)

    def take_back(self, pages: list[Page], delivered_place: int, *, crashed: bool) -> None:
        """Have again what the journal kept; `delivered_place` is the batch that `rest` told."""
        self._deaths = []
        for page in pages:
            number = level_of(page.queue)
            self._places[number] = max(self._places[number], page.last)
        last_batch = max((page.batch for page in pages), default=0)
        self._delivered_batch = max(last_batch, delivered_place) if crashed else delivered_place
        self._take_back_pages(pages)

    def revive(self, stored: Stored, batch: int) -> QueuedMessage:
        """Give a message that was read from the journal its place again, and what is known of it."""
        if stored.expires_at_unix_ms is not None or stored.mark is not None or self._retry is not None:
            queued = super().revive(stored, batch)
        else:
            self._bytes += stored.message.memory_size + _OVERHEAD
            queued = QueuedMessage(stored.message, self, stored.place)
            queued.batch = batch
        queued.redelivered = stored.mark is not None or 0 < batch <= self._delivered_batch
        return queued

    def rest(self) -> int:
        """End before a stop: mark what came back, it is in memory; say up to which batch messages were handed out."""
        for level in self._leveled.levels:
            for queued in level.returned:
                if queued.batch > self._delivered_batch:
                    self._mark(queued, self._mark_of(queued) or _CAME_BACK)
        return self._delivered_batch


class JournaledGroupedQueue(Journaled, GroupedQueue):
    """A durable queue with message groups."""

    __slots__ = ()

    def _hand_out_to(self, consumer: Consumer, queued: GroupedMessage) -> None:
        if consumer.no_ack:
            self._release(queued)
        super()._hand_out_to(consumer, queued)

    def rest(self) -> int:
        """End before a stop: mark what came back, it is in memory; say up to where all had been handed out before.

        Groups overtake each other: up to which place they were handed out this time is nothing that can be said.
        """
        for queued in self._grouped.looked_at:
            if queued.redelivered and queued.position > self._delivered_place:
                self._mark(queued, _CAME_BACK)
        return self._delivered_place


class JournaledLastValueQueue(Journaled, LastValueQueue):
    """A durable last-value queue. After a restart its values leave in the order in which they were published last."""

    __slots__ = ()

    def _store(self, queued: QueuedMessage) -> None:
        assert isinstance(queued, KeyedMessage)
        super()._store(queued)
        queued.stored_place = queued.position

    def _stored_place(self, queued: QueuedMessage) -> int:
        assert isinstance(queued, KeyedMessage)
        return queued.stored_place

    def _move_stored(self, older: KeyedMessage, newer: KeyedMessage) -> None:
        self._release(older)
        older.batch, older.stored_place = newer.batch, newer.stored_place

    def revive(self, stored: Stored, batch: int) -> QueuedMessage:
        """Give a value its place again."""
        queued = super().revive(stored, batch)
        assert isinstance(queued, KeyedMessage)
        queued.stored_place = stored.place
        return queued

    def _take_back_pages(self, pages: list[Page]) -> None:
        if self._line is None:
            super()._take_back_pages(pages)
        else:
            self._line.take_pages(pages)

    def _take_back(self, stored: Stored, batch: int) -> None:
        self.take_in(stored, batch)

    def take_in(self, stored: Stored, batch: int) -> None:
        """Have a message again that was recovered."""
        if self._deduplication is not None:
            self._deduplication.seen(stored.message)
        super().take_in(stored, batch)

    def rest(self) -> int:
        """End before a stop: say up to which place everything had been handed out. What came back is marked already."""
        return self._delivered_place
