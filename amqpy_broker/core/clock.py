"""Time, handed in: nothing in `core` and `protocols` reads a clock of its own."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the pure layers know of time."""

    def monotonic_s(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def unix_s(self) -> float:
        """Seconds since 1970, for what people and clients read."""
        ...

    def delay_until_s(self, at_s: float) -> float:
        """Say how long to wait for a time of `monotonic_s`; infinity if waiting does not bring it."""
        ...


class SystemClock:
    """The machine's clocks."""

    monotonic_s = staticmethod(time.monotonic)
    unix_s = staticmethod(time.time)

    def delay_until_s(self, at_s: float) -> float:
        """Say how long to wait for a time."""
        return at_s - time.monotonic()


class VirtualClock:
    """A clock that stands still until somebody turns it.

    It begins at 0 s, and as `unix_s` at the time given, or now.
    """

    def __init__(self, unix_s: float | None = None) -> None:
        self._began_unix_s = time.time() if unix_s is None else unix_s
        self._now_s = 0.0

    def monotonic_s(self) -> float:
        """Seconds it was turned since it began."""
        return self._now_s

    def unix_s(self) -> float:
        """Seconds since 1970."""
        return self._began_unix_s + self._now_s

    def delay_until_s(self, at_s: float) -> float:
        """Say that what is not due yet is not waited for."""
        return 0.0 if at_s <= self._now_s else float("inf")

    def set(self, now_s: float) -> None:
        """Turn it to a time; it never goes back."""
        self._now_s = max(self._now_s, now_s)
