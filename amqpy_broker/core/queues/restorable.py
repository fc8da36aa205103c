"""What a queue holds leaves memory, or is taken down, and comes back as it was.

Paging: in need of memory messages go to the journal, and are read back when their turn comes.
Snapshots: everything is taken down at one time, and put back at another.

Rule 1: what comes back has the place that it had; the queue goes on where it was.
Rule 2: coming back tells nobody anything, and hands nothing out.
"""

from collections.abc import Iterable
from itertools import chain
from typing import ClassVar, Final

from amqpy_broker.core.journal import JournalWriter, Stored
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import QueuedMessage, Surroundings
from amqpy_broker.core.queues.contents import Contents, Kept
from amqpy_broker.core.queues.deduplication import Deduplication
from amqpy_broker.core.queues.mortal import MortalQueue
from amqpy_broker.core.queues.paged import PagedReady, Pager
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.ready import FifoReady
from amqpy_broker.core.queues.retry import RetriedMessage

_NEVER: Final = float("inf")


class RestorableQueue(MortalQueue):
    """A queue that can let go of messages, and have them again."""

    __slots__ = ("_deduplication", "_pager", "_unacked_count")

    # Whether what is stored and what is spilled may be in one batch.
    mixes: ClassVar[bool] = False

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties, around)
        self._unacked_count = 0
        # Lets messages leave memory; there is one from the first time on that any have to.
        self._pager: Pager | None = None
        wanted = self.settings.deduplication
        self._deduplication = Deduplication(wanted, self.name, around.timers) if wanted else None

    # --- paging -----------------------------------------------------------------------------------------------------

    def page_out(self, wanted_bytes: int) -> int:
        """Make room in memory, if there is a journal and messages leave in lines."""
        journal, window = self._around.journal, self._around.window
        if journal is None or self._bytes <= window.head_min_bytes:
            return 0
        if self._pager is None:
            self._pager = self._new_pager(journal)
        if self._pager is None:
            return 0
        leaving_bytes = self._pager.leaving_bytes
        if leaving_bytes >= wanted_bytes:
            return leaving_bytes
        wanted_bytes -= leaving_bytes
        return leaving_bytes + self._pager.page_out(window.head_min_bytes, spill=True, wanted_bytes=wanted_bytes)

    def _new_pager(self, journal: JournalWriter) -> Pager | None:
        """Make what lets messages leave memory, if there is anything that can."""
        if type(self._ready) is not FifoReady:
            return None
        paged = self._new_line(journal, self._new_journal_id())
        paged.take_over(self._ready)
        self._ready = paged
        return paged

    def _new_line(self, journal: JournalWriter, name: int) -> PagedReady:
        return PagedReady(journal, name, self, self._around.window, mixed=self.mixes)

    def _new_journal_id(self) -> int:
        """Say what the journal knows this queue by, from now on if not yet."""
        if self.journal_id is None:
            self.journal_id = self._around.new_journal_id()
        return self.journal_id

    def _name_of(self, message: Message) -> int:
        """Say under which of the queue's names the journal knows a message."""
        assert self.journal_id is not None
        return self.journal_id

    def _journal_names(self, journal_id: int) -> Iterable[int]:
        """List all names of the queue."""
        return (journal_id,)

    def revive(self, stored: Stored, batch: int) -> QueuedMessage:
        """Give a message that was read from the journal its place again. Its memory counts from now on."""
        next_position, self._next_position = self._next_position, stored.place - 1
        if stored.expires_at_unix_ms is not None:
            self._expire_by_timer()
            queued = self._place_expiring(stored.message, self._around.timers.at_s(stored.expires_at_unix_ms))
        elif self._retry is None:
            queued = self._place(stored.message)
        else:
            queued = self._place_expiring(stored.message, _NEVER)
        self._next_position = next_position
        queued.batch = batch
        return queued

    def spill(self, queued: QueuedMessage) -> int:
        """Write a message only to make room in memory; return its batch."""
        journal, name, place = self._around.journal, self._name_of(queued.message), self._place_to_spill(queued)
        assert journal is not None
        batch = journal.spill(name, place, queued.message)
        if queued.expires_at_s != _NEVER:
            journal.expires(name, place, self._around.timers.unix_ms(queued.expires_at_s))
        return batch

    def _place_to_spill(self, queued: QueuedMessage) -> int:
        """Say which place a message gets in the journal when it is spilled: places ascend."""
        return queued.position

    def left_memory(self, memory_bytes: int) -> None:
        """Learn that messages hold less memory than they did."""
        self._bytes -= memory_bytes

    # --- snapshots --------------------------------------------------------------------------------------------------

    def contents(self, unacked: Iterable[QueuedMessage]) -> Contents:
        """Take down what it holds. What is handed out, which others know, counts as if it had come back."""
        messages = [self._kept(queued, came_back=came_back) for queued, came_back in self._ready.listed()]
        if self._retry is not None:
            messages += [self._kept(queued, came_back=True, due_s=due_s) for queued, due_s in self._retry.held()]
        for queued in sorted(unacked):
            messages.append(self._kept(queued, came_back=True).returned)
        seen = {} if self._deduplication is None else self._deduplication.keys
        return Contents(tuple(messages), self._next_position, seen, self._ready.turn)

    def _kept(self, queued: QueuedMessage, *, came_back: bool, due_s: float = _NEVER) -> Kept:
        return Kept(
            queued.message,
            queued.position,
            queued.redelivered,
            came_back,
            queued.expires_at_s,
            queued.delivery_count,
            0,
            due_s,
        )

    def refill(self, contents: Contents, shift_s: float = 0.0) -> None:
        """Hold these messages, and nothing else; times move by so much. Nobody gets anything before `go_on`.

        What is handed out is forgotten: whoever has it must not settle it here.
        """
        self._empty()
        self._deaths = []
        # All of them, before one is put anywhere: they may know each other.
        placed = [(self._place_again(kept, shift_s), kept) for kept in contents.messages]
        self._next_position = max(self._next_position, contents.last_position)
        for queued, kept in placed:
            if kept.due_s != _NEVER and self._retry is not None:
                self._retry.hold_until(queued, kept.due_s + shift_s)
            elif kept.came_back:
                self._put_back(queued)
            else:
                self._ready.append(queued)
                if self.settings.max_length_bytes is not None:
                    self._ready_body_bytes += queued.message.body_size
        self._ready.turn = contents.turn
        if self._deduplication is not None:
            self._deduplication.put_back(contents.seen, shift_s)

    def _empty(self) -> None:
        """Forget all messages, those that are handed out, too."""
        for _ in chain(self._ready.drain(), () if self._retry is None else self._retry.drain()):
            pass
        self._bytes = self._ready_body_bytes = self._unacked_count = 0

    def _place_again(self, kept: Kept, shift_s: float) -> QueuedMessage:
        """Give a message its place again, and what is known of it."""
        next_position, self._next_position = self._next_position, kept.position - 1
        if kept.expires_at_s != _NEVER:
            self._expire_by_timer()
        if kept.expires_at_s == _NEVER and self._retry is None:
            queued = self._place(kept.message)
        else:
            queued = self._place_expiring(kept.message, kept.expires_at_s + shift_s)
        self._next_position = next_position
        queued.redelivered = kept.redelivered
        self._recall(queued, kept)
        return queued

    def _recall(self, queued: QueuedMessage, kept: Kept) -> None:
        """Know again how often a message came back."""
        if isinstance(queued, RetriedMessage):
            queued.delivery_count = kept.delivery_count
