"""The journal: what outlives the broker, gathered in batches that become durable one after the other.

    queue --store, settle--> JournalWriter --Batch--> Journal (an engine in `storage`) --on_synced--> confirms

Rule 1: gathering does no I/O. All that happens in one step of the broker is in one batch: a batch is handed over
        between steps, so what belongs together (a transaction, a death and its dead letter) is durable together.
Rule 2: one batch is on its way at a time; the next gathers meanwhile. So there is no timer, and under load one sync
        serves many messages.
Rule 3: what is settled before its batch is handed over is never written.
Rule 4: a message is named by its batch, its queue and its place in the queue. The name stays good until it is settled.
Rule 5: a batch means the same to every engine, on every machine: it refers to nothing but earlier batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from amqpy_broker.core.message import Message

# Above the id of a queue its name in the journal has room for a level, where a queue keeps several lines.
_LEVEL_SHIFT: Final = 48


def level_name(queue: int, level: int) -> int:
    """Name one of the lines of a queue; the lowest has the id of the queue itself."""
    return queue | level << _LEVEL_SHIFT


def queue_of(name: int) -> int:
    """Say which queue, by its id, a name belongs to."""
    return name & (1 << _LEVEL_SHIFT) - 1


def level_of(name: int) -> int:
    """Say which line of its queue a name means."""
    return name >> _LEVEL_SHIFT


class Name(NamedTuple):
    """Which stored message: the batch that it is in, the name of its queue, and its place there."""

    batch: int
    queue: int
    place: int


class Mark(NamedTuple):
    """What is to be known of a stored message besides: that it came back."""

    # How often it came back and somebody had failed with it, and how often it came back.
    delivery_count: int
    acquired_count: int
    # When it came back last: what came back later has a higher number. 0: never, or nobody asks.
    returned_at: int = 0


@dataclass(slots=True)
class Batch:
    """What becomes durable together. It belongs to the engine once it was handed over: nobody changes it then."""

    number: int
    # What queues took in: by queue id, by place in the queue, ascending. One message may be in several queues.
    parts: dict[int, dict[int, Message]] = field(default_factory=dict)
    # The same, of messages that need not outlive the broker, and are written only to make room in memory.
    spilled: dict[int, dict[int, Message]] = field(default_factory=dict)
    # When such messages expire, in milliseconds since 1970: by queue and place; few do.
    expiries: dict[tuple[int, int], int] = field(default_factory=dict)
    # Messages of earlier batches that are gone: one by one, and from one place in the queue to another, both included.
    # Plain triples of a `Name`: there are so many.
    settled: list[tuple[int, int, int]] = field(default_factory=list)
    settled_ranges: list[tuple[Name, int]] = field(default_factory=list)
    # Messages of earlier batches, or of this one, that came back to their queues.
    marks: dict[Name, Mark] = field(default_factory=dict)
    # Queues that are gone, with everything in them.
    dropped_queues: list[int] = field(default_factory=list)
    # Vhosts, users, exchanges, queues, bindings, by their keys; None deletes one.
    documents: dict[str, bytes | None] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write: what it held may all have been settled meanwhile."""
        return not (
            any(self.parts.values())
            or any(self.spilled.values())
            or self.settled
            or self.settled_ranges
            or self.marks
            or self.dropped_queues
            or self.documents
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Messages of one queue in one batch that are not in memory: those from one place to another, both included.

    It may be narrowed: a page from `first` to any place before `last` names a part of it.
    """

    batch: int
    queue: int
    first: int
    last: int
    # How many they are: some in between may be settled, or never were in this queue's journal.
    count: int
    # Octets of their bodies together.
    body_bytes: int
    # Whether any of them expires, or carries a mark.
    special: bool = False
    # Whether any of them carries a mark.
    marked: bool = False


class Stored(NamedTuple):
    """A message that was read back."""

    place: int
    message: Message
    expires_at_unix_ms: int | None = None
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """What an engine found when it was opened."""

    documents: Mapping[str, bytes]
    # What is not settled, in the order of batches; a queue's pages ascend. What was spilled is gone.
    pages: Iterable[Page]
    # No batch had this number or a higher one, ever.
    next_batch: int
    # Whether the last broker closed the journal, and did not just stop.
    closed_cleanly: bool = True


class MessageFormat(Protocol):
    """How a message becomes octets, and what was written becomes a message again. The protocol knows."""

    def dump(self, message: Message, octets: list[bytes]) -> int:
        """Append a message with its address to a list, in as many parts as it has; return how many octets they are.

        Called on the engine's thread.
        """
        ...

    def load(self, octets: bytes) -> Message:
        """Read what `dump` wrote, joined.

        Raises:
            ValueError: it is no such thing.
        """
        ...


class JournalFailed(Exception):
    """The journal cannot promise anything any more: a sync failed, or what it wrote is damaged."""


class Journal(Protocol):
    """An engine that keeps batches. `tests.storage.check_journal` is what every engine has to pass.

    `on_synced`, `on_stalled` and `on_failed` are called in the broker's thread, between its steps.
    """

    # Told the number of the last batch that is durable, with all before it.
    on_synced: Callable[[int], None]
    # Told that there is no room on the disk (the batch waits, and is tried again), and that there is again.
    on_stalled: Callable[[bool], None]
    # Told once that nothing will be durable any more.
    on_failed: Callable[[JournalFailed], None]

    def recover(self) -> Recovered:
        """Say what is there. Called once, before the first batch.

        Raises:
            JournalFailed: what is there is damaged; the text says what, and what to do.
        """
        ...

    def append(self, batch: Batch) -> None:
        """Begin to make a batch durable, and return at once. Numbers ascend; there may be gaps.

        The last batch before `close` may come while another is on its way; no other does.
        """
        ...

    def read(self, page: Page) -> list[Stored]:
        """Read the messages of a page that are not settled, in the order of their places.

        It may block for as long as a disk takes. Works for every batch that is synced.

        Raises:
            JournalFailed: what is there is damaged.
        """
        ...

    def close(self) -> None:
        """Make what was appended durable, note that nothing is missing, and let go of the files."""
        ...


class JournalWriter:
    """Gathers what is to be durable, hands it to the engine batch by batch, and tells who waits for it."""

    def __init__(self, journal: Journal, next_batch: int = 1) -> None:
        self.journal = journal
        # The number of the batch that is being gathered.
        self.number = next_batch
        # The last batch that is durable.
        self.synced = next_batch - 1
        # Grows with every message that must outlive the broker: who compares it knows whether to wait for a sync.
        self.stored_count = 0
        # Called when there is something to hand over, and when it has become urgent: whoever set it calls `flush` when
        # this step is done, or a little later if it is not urgent.
        self.wake: Callable[[], None] = _nobody
        self._batch = Batch(next_batch)
        self._under_way = False
        self._awake = False
        self._closed = False
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        # The same, of those who can wait for whatever comes first.
        self._patient: deque[tuple[int, Callable[[], None]]] = deque()
        journal.on_synced = self._synced

    # --- gathering --------------------------------------------------------------------------------------------------

    def store(self, queue: int, place: int, message: Message) -> int:
        """Keep a message of a durable queue; return its batch."""
        parts = self._batch.parts
        part = parts.get(queue)
        if part is None:
            part = parts[queue] = {}
            # Whoever publishes will most likely wait for it: the sooner that is known, the sooner the sync begins.
            self._awake = True
            self.wake()
        part[place] = message
        self.stored_count += 1
        return self.number

    def spill(self, queue: int, place: int, message: Message) -> int:
        """Keep a message only to make room in memory; return its batch."""
        self._batch.spilled.setdefault(queue, {})[place] = message
        self._wake()
        return self.number

    def expires(self, queue: int, place: int, at_unix_ms: int) -> None:
        """Say when the message that was just stored or spilled expires."""
        self._batch.expiries[queue, place] = at_unix_ms

    def settle(self, batch: int, queue: int, place: int) -> None:
        """Forget a message."""
        if batch == self.number:
            self._unwrite(queue, place)
            return
        self._batch.settled.append((batch, queue, place))
        if not self._awake:
            self._wake()

    def settle_page(self, page: Page) -> None:
        """Forget all messages of a page."""
        self._batch.settled_ranges.append((Name(page.batch, page.queue, page.first), page.last))
        self._wake()

    def mark(self, batch: int, queue: int, place: int, mark: Mark) -> None:
        """Remember something of a message: that it came back, or that it is not like the others."""
        self._batch.marks[Name(batch, queue, place)] = mark
        self._wake()

    def drop_queue(self, queue: int) -> None:
        """Forget a queue's messages, all of them."""
        self._batch.parts.pop(queue, None)
        self._batch.spilled.pop(queue, None)
        self._batch.dropped_queues.append(queue)
        self._wake()

    def put(self, key: str, document: bytes) -> None:
        """Create a document, or replace it."""
        self._batch.documents[key] = document
        self._wake()

    def remove(self, key: str) -> None:
        """Delete a document."""
        self._batch.documents[key] = None
        self._wake()

    # --- reading ----------------------------------------------------------------------------------------------------

    def read(self, page: Page) -> list[Stored]:
        """Read the messages of a page that are not settled. A broker that cannot is told to stop.

        Raises:
            JournalFailed: what is there is damaged.
        """
        try:
            return self.journal.read(page)
        except JournalFailed as failure:
            self.journal.on_failed(failure)
            raise

    # --- handing over -----------------------------------------------------------------------------------------------

    @property
    def is_urgent(self) -> bool:
        """Whether somebody waits for what is gathered, or was told that something was created or deleted.

        Nobody waits for acknowledgements: a sync for them alone would only be in the way of the next confirm.
        """
        return bool(self._waiting or self._batch.documents)

    def flush(self) -> None:
        """Hand over what was gathered, unless a batch is on its way: then its end does."""
        self._awake = False
        if self._under_way or self._closed:
            return
        batch = self._batch
        if batch.is_empty:
            # All of it was settled meanwhile: whoever waits for it waits for what is durable already.
            self._release(self.number)
            return
        self.number += 1
        self._batch = Batch(self.number)
        self._under_way = True
        self.journal.append(batch)

    def when_synced(self, callback: Callable[[], None]) -> None:
        """Call somebody once everything that was gathered so far is durable."""
        self._waiting.append((self.number, callback))
        if len(self._waiting) == 1:
            self._awake = True
            self.wake()

    def after_sync(self, callback: Callable[[], None]) -> None:
        """Call somebody once everything that was gathered so far is durable, without making it urgent."""
        self._patient.append((self.number, callback))
        self._wake()

    def close(self) -> None:
        """Hand over what is left, and close the engine. Nothing is gathered any more; who waits is not told."""
        if self._closed:
            return
        self._closed = True
        self._waiting.clear()
        self._patient.clear()
        if not self._batch.is_empty:
            self.journal.append(self._batch)
            self.number += 1
            self._batch = Batch(self.number)
        self.journal.close()

    def _synced(self, number: int) -> None:
        self._under_way = False
        self.synced = number
        self._release(number)
        if self.is_urgent:
            self.flush()
        elif self._patient or not self._batch.is_empty:
            self._awake = True
            self.wake()

    def _release(self, number: int) -> None:
        for waiting in (self._waiting, self._patient):
            while waiting and waiting[0][0] <= number:
                waiting.popleft()[1]()

    def _unwrite(self, queue: int, place: int) -> None:
        batch = self._batch
        part = batch.parts.get(queue)
        if (part is None or part.pop(place, None) is None) and batch.spilled:
            batch.spilled.get(queue, {}).pop(place, None)
        if batch.expiries:
            batch.expiries.pop((queue, place), None)
        if batch.marks:
            batch.marks.pop(Name(self.number, queue, place), None)

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self.wake()


def _nobody() -> None:
    """Nobody wants to know."""
