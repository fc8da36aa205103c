"""One task for all deadlines: a heap of those who want to be woken, each in it at least once, at its time or before.

A deadline that moves later costs nothing: when the old time comes, the item is asked for its new one. Only a deadline
that moves earlier must be told (`sooner`).
"""

import logging
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Final, Protocol

import anyio

from amqpy_broker.core.clock import Clock

logger = logging.getLogger(__name__)

# How soon an item that failed is woken again.
_RETRY_S: Final = 1.0
_NEVER: Final = float("inf")


class Timed(Protocol):
    """Something that wants to be woken at a time."""

    @property
    def next_deadline_s(self) -> float:
        """When, in the clock's seconds; infinity for never."""
        ...

    def handle_deadline(self) -> None:
        """Do what is due."""
        ...


@dataclass(order=True, slots=True)
class _Entry:
    """A time in the heap. It stands there until it comes; whoever is gone by then must not be kept alive by it."""

    at_s: float
    order: int
    item: Timed | None = field(compare=False)


class Deadlines:
    """Wakes whoever is in it when its time has come."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[_Entry] = []
        # The entry under which an item is woken; older ones of it are empty.
        self._scheduled: dict[Timed, _Entry] = {}
        self._order = count()
        self._changed = anyio.Event()

    def add(self, item: Timed) -> None:
        """Begin to wake an item."""
        self._schedule(item, item.next_deadline_s)

    def sooner(self, item: Timed) -> None:
        """Learn that an item's deadline may have moved earlier."""
        at_s = item.next_deadline_s
        entry = self._scheduled.get(item)
        if entry is not None and at_s < entry.at_s:
            self._schedule(item, at_s)

    def remove(self, item: Timed) -> None:
        """Forget an item."""
        entry = self._scheduled.pop(item, None)
        if entry is not None:
            entry.item = None

    async def run(self) -> None:
        """Wake items for ever."""
        while True:
            self._changed = anyio.Event()
            delay_s = self._clock.delay_until_s(self._heap[0].at_s) if self._heap else _NEVER
            with anyio.move_on_after(max(delay_s, 0)):
                await self._changed.wait()
            self.wake_due()

    @property
    def first_s(self) -> float:
        """When somebody wants to be woken next, at the earliest; infinity for never."""
        return self._heap[0].at_s if self._heap else _NEVER

    def wake_due(self) -> None:
        """Wake every item whose time has come."""
        now_s = self._clock.monotonic_s()
        while self._heap and self._heap[0].at_s <= now_s:
            item = heappop(self._heap).item
            if item is None:
                continue
            failed = item.next_deadline_s <= now_s and not _wake(item)
            if item in self._scheduled:
                # What failed is due still: it must not keep us here.
                self._schedule(item, max(item.next_deadline_s, now_s + _RETRY_S if failed else 0))

    def _schedule(self, item: Timed, at_s: float) -> None:
        old = self._scheduled.get(item)
        if old is not None:
            old.item = None
        entry = self._scheduled[item] = _Entry(at_s, next(self._order), item)
        if at_s == _NEVER:
            return
        heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._changed.set()


def _wake(item: Timed) -> bool:
    """Wake an item; say whether it was fine. One item's mistake must not end the deadlines of all others."""
    try:
        item.handle_deadline()
    except Exception:
        logger.exception("internal error in a deadline of %r", item)
        return False
    return True
