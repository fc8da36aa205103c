"""Messages that wait, first in, first out, of which only the first and the last are in memory.

    leaves <- returned | head window | pages, in the journal only | tail <- comes

Rule 1: places ascend from left to right: what was returned is older than what was never handed out.
Rule 2: only what is synced leaves memory. What is in the journal anyway becomes a page at once; what is not is spilled,
        and leaves when that is synced.
Rule 3: a batch makes one page. Pages of several batches may overlap; they are read together, piece by piece.
Rule 4: what was spilled and comes back to memory is settled in the journal: it need not outlive the broker.
"""

from abc import abstractmethod
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from heapq import heappop
from itertools import chain, islice
from operator import attrgetter
from typing import Final, Protocol

from amqpy_broker.core.journal import JournalWriter, Page, Stored
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.queues.ready import FifoReady, size_of
from amqpy_broker.core.queues.window import Window

_NEVER: Final = float("inf")
_place_of: Final = attrgetter("position")


class SpilledPage(Page):
    """A page of messages that need not outlive the broker."""

    __slots__ = ()


class Home(Protocol):
    """What paging needs of the queue."""

    deleted: bool

    def revive(self, stored: Stored, batch: int) -> QueuedMessage:
        """Make of a message that was read what it was in memory; batch 0 means that the journal forgets it."""
        ...

    def spill(self, queued: QueuedMessage) -> int:
        """Write a message that is not in the journal; return its batch."""
        ...

    def left_memory(self, memory_bytes: int) -> None:
        """Learn that so much memory is free, or (if negative) not free after all."""
        ...


class Pager(Protocol):
    """What lets messages of a queue leave memory: one line of them, or several."""

    def take_pages(self, pages: list[Page]) -> None:
        """Begin with what was recovered."""
        ...

    def page_out(self, keep_bytes: int, *, spill: bool, wanted_bytes: float = _NEVER) -> int:
        """Let go of what is behind the head window; see `PagedReady`."""
        ...

    @property
    def leaving_bytes(self) -> int:
        """Memory that becomes free with the next sync."""
        ...


class Draft:
    """A page that is being made."""

    __slots__ = ("body_bytes", "count", "first", "last", "special")

    def __init__(self) -> None:
        self.first = self.last = self.count = self.body_bytes = 0
        self.special = False

    def add(self, queued: QueuedMessage) -> None:
        """Take in a message; places ascend."""
        if not self.count:
            self.first = queued.position
        self.last = queued.position
        self.count += 1
        self.body_bytes += queued.message.body_size
        self.special = self.special or queued.expires_at_s != _NEVER

    def page(self, kind: type[Page], batch: int, name: int) -> Page:
        """Make the page."""
        return kind(batch, name, self.first, self.last, self.count, self.body_bytes, self.special)


class HeadAndTail(FifoReady):
    """A line of which the first and the last are in memory; what is between them is elsewhere."""

    __slots__ = ("_last", "_tail")

    def __init__(self) -> None:
        super().__init__()
        self._tail: deque[QueuedMessage] = deque()
        # Where a new message goes: the tail, or the head as long as nothing is between them.
        self._last = self._fresh

    def take_over(self, ready: FifoReady) -> None:
        """Take over what is ready in memory."""
        self._returned, self._fresh = ready._returned, ready._fresh
        self._last = self._fresh

    def append(self, queued: QueuedMessage) -> None:
        """Add a message at the end."""
        self._last.append(queued)

    def pop(self) -> QueuedMessage | None:
        """Take the first message."""
        if self._returned:
            return heappop(self._returned)
        if self._fresh:
            return self._fresh.popleft()
        self._fill()
        return self._fresh.popleft() if self._fresh else None

    @property
    def next_expiry_s(self) -> float:
        """When the first message expires."""
        if not self._returned and not self._fresh:
            self._fill()
        return super().next_expiry_s

    @abstractmethod
    def _fill(self) -> None:
        """Have the next messages at the head, wherever they are."""

    def _cut_off_tail(self, keep_bytes: int) -> None:
        """Divide what is in memory: the head keeps so much."""
        self._tail.extend(_cut_off(self._fresh, keep_bytes))
        if self._tail:
            self._last = self._tail

    def _tail_becomes_head(self) -> None:
        """Learn that nothing is between them any more, and that the head is empty."""
        self._fresh, self._tail = self._tail, deque()
        self._last = self._fresh


class PagedReady(HeadAndTail):
    """What is ready in a queue, as much of it as there is room for."""

    __slots__ = (
        "_home",
        "_journal",
        "_leaving",
        "_mixed",
        "_name",
        "_paged_count",
        "_pages",
        "_window",
    )

    def __init__(self, journal: JournalWriter, name: int, home: Home, window: Window, *, mixed: bool) -> None:
        """Page out to a journal, where the queue is known by `name`; if `mixed`, only what is persistent is stored."""
        super().__init__()
        self._journal = journal
        self._name = name
        self._home = home
        self._window = window
        self._mixed = mixed
        # What is on disk only.
        self._pages: deque[Page] = deque()
        self._paged_count = 0
        # What was spilled and is not synced yet, by batch: it is counted with the pages, but still in memory.
        self._leaving: dict[int, deque[QueuedMessage]] = {}

    def take_pages(self, pages: list[Page]) -> None:
        """Begin with what was recovered."""
        self._pages.extend(pages)
        self._paged_count += sum(page.count for page in pages)
        self._last = self._tail

    # --- what is ready ----------------------------------------------------------------------------------------------

    def after(self, last: QueuedMessage | None) -> Iterator[QueuedMessage]:
        """Show what leaves after a message; what is on disk stays there."""
        yield from super().after(last)
        place = 0 if last is None else last.position
        pages = deque(page for page in self._pages if page.last > place)
        while pages:
            yield from (queued for queued in self._take_piece(pages, self._look) if queued.position > place)
        yield from islice(self._tail, bisect_right(self._tail, place, key=_place_of), None)

    def drain(self) -> Iterator[QueuedMessage]:
        """Take everything; what is on disk only is not seen again."""
        pages, self._pages, self._paged_count = self._pages, deque(), 0
        leaving, self._leaving = self._leaving, {}
        for page in pages:
            if not self._home.deleted and not (isinstance(page, SpilledPage) and page.batch in leaving):
                self._forget_page(page)
        for batch, messages in leaving.items():
            self._forget_leaving(batch, messages)
        yield from super().drain()

    def __len__(self) -> int:
        return len(self._fresh) + len(self._returned) + self._paged_count + len(self._tail)

    @property
    def body_bytes(self) -> int:
        """Octets of all bodies; what is on disk stays there."""
        in_memory = chain(self._returned, self._fresh, self._tail)
        return sum(queued.message.body_size for queued in in_memory) + sum(page.body_bytes for page in self._pages)

    @property
    def first_fresh_place(self) -> int | None:
        """The place of the first message that was never handed out; None if there is none."""
        if self._fresh:
            return self._fresh[0].position
        if self._pages:
            return self._pages[0].first
        return self._tail[0].position if self._tail else None

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
        if not self._pages and not self._tail:
            self._cut_off_tail(keep_bytes)
        leaving: list[QueuedMessage] = []
        freed_bytes = 0
        while self._tail and freed_bytes < wanted_bytes and self._may_leave(self._tail[0], spill=spill):
            queued = self._tail.popleft()
            leaving.append(queued)
            freed_bytes += size_of(queued)
        self._pages.extend(self._let_go(leaving))
        return freed_bytes

    def page_back(self, keep_bytes: int, *, spill: bool, wanted_bytes: float = _NEVER) -> int:
        """Let go of the end of the head window, in front of what left before: others leave first meanwhile.

        The same arguments as for `page_out`, and the same is returned.
        """
        if not self._pages and not self._tail:
            # There is no window yet, and what is behind it leaves first.
            return 0
        # Places ascend in a batch: what is in front of what was just spilled is not spilled behind it.
        spill = spill and self._journal.number not in self._leaving
        kept_bytes = freed_bytes = kept_count = 0
        for queued in self._fresh:
            kept_bytes += size_of(queued)
            if kept_bytes > keep_bytes:
                break
            kept_count += 1
        leaving: deque[QueuedMessage] = deque()
        while len(self._fresh) > kept_count and freed_bytes < wanted_bytes:
            if not self._may_leave(self._fresh[-1], spill=spill):
                break
            queued = self._fresh.pop()
            leaving.appendleft(queued)
            freed_bytes += size_of(queued)
        self._pages.extendleft(reversed(self._let_go(leaving)))
        return freed_bytes

    @property
    def leaving_bytes(self) -> int:
        """Memory that becomes free with the next sync."""
        return sum(size_of(queued) for messages in self._leaving.values() for queued in messages)

    def _may_leave(self, queued: QueuedMessage, *, spill: bool) -> bool:
        """Say whether a message is on disk already, or may be spilled."""
        batch = getattr(queued, "batch", 0)
        return batch <= self._journal.synced if batch else spill

    def _let_go(self, leaving: Iterable[QueuedMessage]) -> list[Page]:
        """Make pages of messages, whose places ascend; spill those that are not on disk."""
        drafts: dict[tuple[int, bool], Draft] = {}
        left_bytes = 0
        for queued in leaving:
            batch = getattr(queued, "batch", 0)
            if batch:
                left_bytes += size_of(queued)
            name = (batch, False) if batch else (self._spill(queued), True)
            draft = drafts.get(name)
            if draft is None:
                draft = drafts[name] = Draft()
            draft.add(queued)
        self._paged_count += sum(draft.count for draft in drafts.values())
        self._home.left_memory(left_bytes)
        return [
            draft.page(SpilledPage if spilled else self._kind_of(draft), batch, self._name)
            for (batch, spilled), draft in drafts.items()
        ]

    def _spill(self, queued: QueuedMessage) -> int:
        batch = self._home.spill(queued)
        leaving = self._leaving.get(batch)
        if leaving is None:
            leaving = self._leaving[batch] = deque()
            self._journal.when_synced(partial(self._left, batch))
        leaving.append(queued)
        return batch

    def _left(self, batch: int) -> None:
        """Let go of what was spilled, once it is on disk."""
        self._home.left_memory(sum(map(size_of, self._leaving.pop(batch, ()))))

    def _forget_leaving(self, batch: int, messages: deque[QueuedMessage]) -> None:
        for queued in messages:
            if not self._home.deleted:
                self._journal.settle(batch, self._name, queued.position)
            self._home.left_memory(size_of(queued))

    # --- and in again -----------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Read what comes next; what is behind the last page is in memory."""
        while self._pages and len(self._fresh) < self._window.read_count:
            read = self._take_piece(self._pages, self._read)
            self._fresh.extend(read)
            self._paged_count -= len(read)
        if not self._pages:
            self._paged_count = 0
            if not self._fresh:
                self._tail_becomes_head()

    def _take_piece(self, pages: deque[Page], read: Callable[[Page], list[QueuedMessage]]) -> list[QueuedMessage]:
        """Take the messages up to some place off the pages."""
        last = self._window.end_of_piece(pages[0])
        messages: list[QueuedMessage] = []
        rests: list[Page] = []
        parts_count = 0
        while pages and pages[0].first <= last:
            page = pages[0]
            found = read(page if page.last <= last else replace(page, last=last))
            pages.popleft()
            messages += found
            parts_count += 1
            if page.last > last:
                rests.append(_rest_of(page, last, found))
        pages.extendleft(reversed(rests))
        if parts_count > 1:
            messages.sort(key=_place_of)
        return messages

    def _read(self, page: Page) -> list[QueuedMessage]:
        """Take messages back to memory."""
        if not isinstance(page, SpilledPage):
            return self._revive(page, page.batch)
        messages = self._take_leaving(page) if page.batch in self._leaving else self._revive(page, 0)
        for queued in messages:
            self._journal.settle(page.batch, self._name, queued.position)
        return messages

    def _look(self, page: Page) -> list[QueuedMessage]:
        """Show messages, and leave them where they are."""
        leaving = self._leaving.get(page.batch) if isinstance(page, SpilledPage) else None
        if leaving is not None:
            return [queued for queued in leaving if page.first <= queued.position <= page.last]
        messages = self._revive(page, page.batch)
        self._home.left_memory(sum(map(size_of, messages)))
        return messages

    def _take_leaving(self, page: Page) -> list[QueuedMessage]:
        """Take back what was spilled and is still in memory: the first of it, for the first are always asked for."""
        leaving, messages = self._leaving[page.batch], []
        while leaving and leaving[0].position <= page.last:
            messages.append(leaving.popleft())
        return messages

    def _revive(self, page: Page, batch: int) -> list[QueuedMessage]:
        return [self._home.revive(one, batch) for one in self._stored(page)]

    def _stored(self, page: Page) -> list[Stored]:
        """Read what belongs to a page."""
        stored = self._journal.read(page)
        if self._mixed:
            # What was stored and what was spilled may be in one batch, side by side.
            persistent = not isinstance(page, SpilledPage)
            stored = [one for one in stored if one.message.persistent is persistent]
        return stored

    # --- what others do otherwise -----------------------------------------------------------------------------------

    def _kind_of(self, draft: Draft) -> type[Page]:
        """Say what a page becomes."""
        return Page

    def _forget_page(self, page: Page) -> None:
        self._journal.settle_page(page)


def _cut_off(fresh: deque[QueuedMessage], keep_bytes: int) -> deque[QueuedMessage]:
    """Divide what is in memory: leave the head window, and return the tail."""
    tail: deque[QueuedMessage] = deque()
    kept_bytes = 0
    for index, queued in enumerate(fresh):
        kept_bytes += size_of(queued)
        # One message stays, unless none is to.
        if kept_bytes > keep_bytes and (index or not keep_bytes):
            tail.extend(islice(fresh, index, None))
            break
    for _ in range(len(tail)):
        fresh.pop()
    return tail


def _rest_of(page: Page, last: int, found: list[QueuedMessage]) -> Page:
    """Return what is left of a page after a place."""
    body_bytes = page.body_bytes - sum(queued.message.body_size for queued in found)
    return replace(page, first=last + 1, count=page.count - len(found), body_bytes=max(0, body_bytes))
