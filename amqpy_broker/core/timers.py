"""Timers on the broker's clock: one heap for the broker, in it one entry a queue or exchange, never one a message.

Whoever has many things that are due keeps them in its own order, and a `Timer` for the first of them. Setting a timer
later costs nothing: its entry in the heap stays where it is, and moves when its old time comes.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final

from amqpy_broker.core.clock import Clock

_NEVER: Final = float("inf")


class Timer:
    """Calls its owner when its time has come. It can be set, set anew, and stopped, any number of times."""

    __slots__ = ("_timers", "callback", "due_s", "scheduled_s")

    def __init__(self, timers: "Timers", callback: Callable[[], None]) -> None:
        self._timers = timers
        self.callback = callback
        self.due_s = _NEVER
        # The time of its entry in the heap, which may be earlier.
        self.scheduled_s = _NEVER

    def set(self, due_s: float) -> None:
        """Ask to be called at a time of the clock; a time set before no longer counts."""
        self.due_s = due_s
        if due_s < self.scheduled_s:
            self._timers.schedule(self)

    @property
    def is_set(self) -> bool:
        """Whether it is to be called."""
        return self.due_s != _NEVER

    def stop(self) -> None:
        """Ask not to be called."""
        self.due_s = _NEVER

    def close(self) -> None:
        """Ask never to be called again: what is left in the heap keeps nothing alive."""
        self.stop()
        self.callback = _nobody


class Timers:
    """All timers of a broker. A server wakes it through `next_deadline_s` and `handle_deadline`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        # An entry whose time is not its timer's is passed over.
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        # Called when the first deadline moves earlier.
        self.on_sooner: Callable[[], None] = _nobody

    @property
    def now_s(self) -> float:
        """The clock's time."""
        return self.clock.monotonic_s()

    def unix_ms(self, at_s: float) -> int:
        """Say when a time of the clock is, in milliseconds since 1970."""
        return round((at_s - self.clock.monotonic_s() + self.clock.unix_s()) * 1000)

    def at_s(self, unix_ms: int) -> float:
        """Undo `unix_ms`."""
        return unix_ms / 1000 - self.clock.unix_s() + self.clock.monotonic_s()

    def timer(self, callback: Callable[[], None]) -> Timer:
        """Make a timer, which is not set yet."""
        return Timer(self, callback)

    def schedule(self, timer: Timer) -> None:
        """Take in a timer at the time it was set to."""
        timer.scheduled_s = timer.due_s
        is_first = not self._heap or timer.due_s < self._heap[0][0]
        heappush(self._heap, (timer.due_s, next(self._order), timer))
        if is_first:
            self.on_sooner()

    @property
    def next_deadline_s(self) -> float:
        """When to look at the timers again; infinity for never."""
        return self._heap[0][0] if self._heap else _NEVER

    def handle_deadline(self) -> None:
        """Call every timer whose time has come, in the order of their times."""
        now_s = self.now_s
        while self._heap and self._heap[0][0] <= now_s:
            entry_s, _, timer = heappop(self._heap)
            if timer.scheduled_s != entry_s:
                continue
            timer.scheduled_s = _NEVER
            if timer.due_s <= now_s:
                timer.stop()
                timer.callback()
            elif timer.due_s != _NEVER:
                self.schedule(timer)


def _nobody() -> None:
    """Nobody wants to know."""
