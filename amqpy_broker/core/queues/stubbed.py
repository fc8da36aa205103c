"""Messages with keys that wait, first in, first out, of which only the first and the last are in memory.

    leaves <- returned | head window | stubs, and what took the place of some | tail <- comes

A message may be replaced wherever it waits, so the keys have to be in memory: the model is Bitcask's
(https://riak.com/assets/bitcask-intro.pdf), keys in memory, values on disk. A line of pages, as others have it
(`paged.py`), would not do: a value that was replaced is stored far from its neighbours, in a batch of its own.

Rule 1: what is synced, and behind the head window, leaves a stub in its place in the line; its key, if it has one,
        knows that place.
Rule 2: what replaces one that is on disk takes its place in the line. It is in memory until it is synced itself; what
        is not in the journal is spilled for that.
Rule 3: the next stubs are read together, batch by batch: neighbours in a batch at once.
Rule 4: what was spilled and comes back to memory is settled in the journal: it need not outlive the broker.
Rule 5: what is handed out and what came back is in memory, as everywhere.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Final, Protocol

from amqpy_broker.core.journal import JournalWriter, Page, Stored
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.queues.paged import HeadAndTail, Home
from amqpy_broker.core.queues.ready import size_of
from amqpy_broker.core.queues.stubs import STUB_BYTES, Stub, Stubs
from amqpy_broker.core.queues.values import KeyedMessage
from amqpy_broker.core.queues.window import Window


class KeyedHome(Home, Protocol):
    """What this line needs of the queue besides."""

    def take_in(self, stored: Stored, batch: int) -> None:
        """Have a message again that was recovered."""
        ...


_NEVER: Final = float("inf")
_place_of: Final = attrgetter("position")
# Memory of a key that knows a place, without its octets: measured, like that of stubs.
KEY_BYTES: Final = 136
# Messages in between that are read too, and forgotten, so that it takes fewer reads. And how many neighbourhoods of so
# many places are looked up at once: each costs up to a quarter of a millisecond.
_GAP_MAX: Final = 16
_NEIGHBOURHOOD: Final = 64
_NEIGHBOURHOODS_MAX: Final = 64


class StubbedReady(HeadAndTail):
    """What is ready in a last-value queue, as much of it as there is room for."""

    __slots__ = (
        "_home",
        "_journal",
        "_keys_bytes",
        "_mixed",
        "_name",
        "_positions",
        "_spilled_batch",
        "_stubs",
        "_waiting",
        "_window",
    )

    def __init__(self, journal: JournalWriter, name: int, home: KeyedHome, window: Window, *, mixed: bool) -> None:
        """Page out to a journal, where the queue is known by `name`; if `mixed`, only what is persistent is stored."""
        super().__init__()
        self._journal = journal
        self._name = name
        self._home = home
        self._window = window
        self._mixed = mixed
        self._stubs = Stubs()
        # The places of keys that have stubs, and what these keys hold in memory.
        self._positions: dict[bytes, int] = {}
        self._keys_bytes = 0
        # What has a stub, but is in memory still: by its place.
        self._waiting: dict[int, KeyedMessage] = {}
        # The last batch that something was spilled in.
        self._spilled_batch = 0

    def take_pages(self, pages: list[Page]) -> None:
        """Begin with what was recovered: all of it is read once, for its keys, and what is too much let go at once."""
        window = self._window
        for page in pages:
            for piece in window.pieces(page):
                for stored in self._journal.read(piece):
                    self._home.take_in(stored, page.batch)
                if self._stubs or self.head_bytes(window.queue_bytes) > window.queue_bytes:
                    self.page_out(window.head_bytes, spill=False)

    # --- what is ready ----------------------------------------------------------------------------------------------

    def after(self, last: QueuedMessage | None) -> Iterator[QueuedMessage]:
        """Show what leaves after a message; what is on disk stays there."""
        yield from super().after(last)
        yield from self._behind_head(0 if last is None else last.position)

    def listed(self) -> Iterator[tuple[QueuedMessage, bool]]:
        """Show everything, and how to put it back."""
        yield from super().listed()
        yield from ((queued, False) for queued in self._behind_head(0))

    def in_memory(self) -> Iterator[QueuedMessage]:
        """Show what is not on disk only."""
        return chain(self._returned, self._fresh, self._waiting.values(), self._tail)

    def drain(self) -> Iterator[QueuedMessage]:
        """Take everything; what is on disk only is not seen again."""
        stubs, self._stubs = self._stubs, Stubs()
        waiting, self._waiting = self._waiting, {}
        self._positions, self._keys_bytes = {}, 0
        for batch, first, last in () if self._home.deleted else stubs.ranges():
            self._journal.settle_page(Page(abs(batch), self._name, first, last, last - first + 1, 0))
        for queued in waiting.values():
            self.forget_spilled(queued)
            yield queued
        yield from super().drain()

    def __len__(self) -> int:
        return len(self._fresh) + len(self._returned) + len(self._stubs) + len(self._tail)

    @property
    def body_bytes(self) -> int:
        """Octets of all bodies; what is on disk stays there."""
        return sum(queued.message.body_size for queued in self.in_memory()) + self._stubs.body_bytes

    @property
    def stub_bytes(self) -> int:
        """Memory that stubs and their keys hold, of what is not in memory itself."""
        return (len(self._stubs) - len(self._waiting)) * STUB_BYTES + self._keys_bytes

    # --- what is replaced -------------------------------------------------------------------------------------------

    def stub_of(self, key: bytes) -> Stub | None:
        """Return the stub of the message with a key that is on disk only."""
        position = self._positions.get(key)
        return None if position is None else self._stubs.at(position)

    def replace(self, older: Stub, newer: KeyedMessage) -> None:
        """Let a message wait in the place of one that is on disk only, which is forgotten."""
        self._journal.settle(abs(older.batch), self._name, older.place)
        newer.position = older.position
        self._take_key(newer)
        self._stubs.change(Stub(older.position, 0, 0, 0))
        self._waiting[older.position] = newer

    def forget_spilled(self, queued: KeyedMessage) -> None:
        """Have a message nowhere but in memory, if it need not outlive the broker."""
        batch = _batch_of(queued)
        if batch and self._is_spilled(queued):
            if not self._home.deleted:
                self._journal.settle(batch, self._name, queued.stored_place)
            queued.batch = 0

    # --- out --------------------------------------------------------------------------------------------------------

    def page_out(self, keep_bytes: int, *, spill: bool, wanted_bytes: float = _NEVER) -> int:
        """Let go of what is behind the head window, as far as it is synced.

        Args:
            keep_bytes: memory that the head window may hold.
            spill: whether to write what is not in the journal.
            wanted_bytes: how much is enough.

        Returns:
            How many octets of memory become free, now or with the next sync.
        """
        if not self._stubs and not self._tail:
            self._cut_off_tail(keep_bytes)
        freed_bytes = self._let_go_of_waiting()
        while self._tail and freed_bytes < wanted_bytes:
            queued = self._tail[0]
            assert isinstance(queued, KeyedMessage)
            if self._is_synced(queued):
                self._stubs.append(self._let_go(queued))
            elif self._may_wait(queued, spill=spill):
                self._wait(queued)
            else:
                break
            self._tail.popleft()
            freed_bytes += size_of(queued)
        return freed_bytes

    @property
    def leaving_bytes(self) -> int:
        """Memory that becomes free with the next sync."""
        return sum(size_of(queued) for queued in self._waiting.values() if self._is_spilled(queued))

    def _is_synced(self, queued: QueuedMessage) -> bool:
        return 0 < _batch_of(queued) <= self._journal.synced

    def _may_wait(self, queued: KeyedMessage, *, spill: bool) -> bool:
        """Say whether a message that is not on disk yet lets those behind it leave.

        One that took the place of another may be replaced again and again, and never be on disk. Nothing behind others
        is on disk before them.
        """
        return (spill and not _batch_of(queued)) or queued.stored_place != queued.position

    def _wait(self, queued: KeyedMessage) -> None:
        """Keep a place for a message in the line, until it is on disk."""
        self._spill_unless_stored(queued)
        self._stubs.append(Stub(queued.position, 0, 0, 0))
        self._waiting[queued.position] = queued

    def _spill_unless_stored(self, queued: KeyedMessage) -> None:
        if _batch_of(queued):
            return
        queued.batch = self._home.spill(queued)
        if self._spilled_batch != queued.batch:
            self._spilled_batch = queued.batch
            self._journal.when_synced(self._synced)

    def _synced(self) -> None:
        """Let go of what was spilled."""
        self._let_go_of_waiting()

    def _let_go_of_waiting(self) -> int:
        """Let go of what is on disk now; the rest shall be."""
        freed_bytes = 0
        for queued in list(self._waiting.values()):
            if self._is_synced(queued):
                del self._waiting[queued.position]
                self._stubs.change(self._let_go(queued))
                freed_bytes += size_of(queued)
            else:
                self._spill_unless_stored(queued)
        return freed_bytes

    def _let_go(self, queued: KeyedMessage) -> Stub:
        value = queued.value
        if value is not None:
            value.ready = None
            self._positions[value.key] = queued.position
            self._keys_bytes += KEY_BYTES + len(value.key)
        self._home.left_memory(size_of(queued))
        batch = -queued.batch if self._is_spilled(queued) else queued.batch
        return Stub(queued.position, batch, queued.stored_place, queued.message.body_size)

    def _is_spilled(self, queued: KeyedMessage) -> bool:
        """Say whether a message that is in the journal need not outlive the broker."""
        return not (self._mixed and queued.message.persistent)

    # --- and in again -----------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Read what comes next; what is behind the last stub is in memory."""
        if self._stubs:
            self._take(self._next_piece(self._stubs.after(0)))
        elif not self._fresh:
            self._tail_becomes_head()

    def _behind_head(self, position: int) -> Iterator[QueuedMessage]:
        stubs = self._stubs.after(position)
        while piece := self._next_piece(stubs):
            yield from self._look(piece)
        yield from islice(self._tail, bisect_right(self._tail, position, key=_place_of), None)

    def _next_piece(self, stubs: Iterator[Stub]) -> list[Stub]:
        """Choose what is to be read at once."""
        piece: list[Stub] = []
        neighbourhoods: set[tuple[int, int]] = set()
        body_bytes = 0
        for stub in stubs:
            piece.append(stub)
            body_bytes += stub.body_size
            neighbourhoods.add((stub.batch, stub.place // _NEIGHBOURHOOD))
            if (
                len(piece) >= self._window.read_count
                or body_bytes >= self._window.read_bytes
                or len(neighbourhoods) >= _NEIGHBOURHOODS_MAX
            ):
                break
        return piece

    def _take(self, piece: Sequence[Stub]) -> None:
        """Take messages back to memory, from the front of the line."""
        read = self._read(piece)
        for stub in piece:
            if not stub.batch:
                queued = self._waiting.pop(stub.position)
            else:
                queued = self._revive(stub, read)
                self._take_key(queued)
            self.forget_spilled(queued)
            self._fresh.append(queued)
        self._stubs.drop_first(len(piece))
        if not self._stubs:
            # A dict that was large stays so.
            self._positions = {}

    def _look(self, piece: Sequence[Stub]) -> list[QueuedMessage]:
        """Show messages, and leave them where they are."""
        read = self._read(piece)
        messages: list[QueuedMessage] = []
        for stub in piece:
            if not stub.batch:
                messages.append(self._waiting[stub.position])
                continue
            queued = self._revive(stub, read)
            self._home.left_memory(size_of(queued))
            messages.append(queued)
        return messages

    def _revive(self, stub: Stub, read: dict[tuple[int, int], Stored]) -> KeyedMessage:
        queued = self._home.revive(read[abs(stub.batch), stub.place], abs(stub.batch))
        assert isinstance(queued, KeyedMessage)
        queued.position, queued.stored_place = stub.position, stub.place
        return queued

    def _take_key(self, queued: KeyedMessage) -> None:
        """Let a key know that the message with it is in memory now."""
        value = queued.value
        if value is not None:
            del self._positions[value.key]
            self._keys_bytes -= KEY_BYTES + len(value.key)
            value.ready = queued

    def _read(self, piece: Sequence[Stub]) -> dict[tuple[int, int], Stored]:
        """Read what stubs stand for, by batch and place; there may be more."""
        places: dict[int, list[int]] = {}
        for stub in piece:
            if stub.batch:
                places.setdefault(abs(stub.batch), []).append(stub.place)
        return {
            (batch, stored.place): stored
            for batch, several in places.items()
            for first, last in _runs(sorted(several))
            for stored in self._journal.read(Page(batch, self._name, first, last, last - first + 1, 0))
        }


def _runs(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Say from where to where to read, so that not too much is read in between."""
    first = last = places[0]
    for place in places:
        if place - last > _GAP_MAX:
            yield first, last
            first = place
        last = place
    yield first, last


def _batch_of(queued: QueuedMessage) -> int:
    return getattr(queued, "batch", 0)
