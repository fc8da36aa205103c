"""One task for all deadlines: a heap of those who want to be woken, each in it at least once, at its time or before.

A deadline that moves later costs nothing: when the old time comes, the item is asked for its new one. Only a deadline
that moves earlier must be told (`sooner`).
"""

from heapq import heappop, heappush
from itertools import count
from typing import Final, Protocol

import anyio

from amqpy_broker.core.clock import Clock

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


class Deadlines:
    """Wakes whoever is in it when its time has come."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Timed]] = []
        # The time under which an item stands in the heap; older entries of it are passed over.
        self._scheduled: dict[Timed, float] = {}
        self._order = count()
        self._changed = anyio.Event()

    def add(self, item: Timed) -> None:
        """Begin to wake an item."""
        self._schedule(item, item.next_deadline_s)

    def sooner(self, item: Timed) -> None:
        """Learn that an item's deadline may have moved earlier."""
        at_s = item.next_deadline_s
        if at_s < self._scheduled.get(item, -_NEVER):
            self._schedule(item, at_s)

    def remove(self, item: Timed) -> None:
        """Forget an item."""
        self._scheduled.pop(item, None)

    async def run(self) -> None:
        """Wake items for ever."""
        while True:
            self._changed = anyio.Event()
            delay_s = self._heap[0][0] - self._clock.monotonic_s() if self._heap else _NEVER
            with anyio.move_on_after(max(delay_s, 0)):
                await self._changed.wait()
            self.wake_due()

    def wake_due(self) -> None:
        """Wake every item whose time has come."""
        now_s = self._clock.monotonic_s()
        while self._heap and self._heap[0][0] <= now_s:
            at_s, _, item = heappop(self._heap)
            if self._scheduled.get(item) != at_s:
                continue
            if item.next_deadline_s <= now_s:
                item.handle_deadline()
            if item in self._scheduled:
                self._schedule(item, item.next_deadline_s)

    def _schedule(self, item: Timed, at_s: float) -> None:
        self._scheduled[item] = at_s
        if at_s == _NEVER:
            return
        heappush(self._heap, (at_s, next(self._order), item))
        if self._heap[0][2] is item:
            self._changed.set()
