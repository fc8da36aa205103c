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


class SystemClock:
    """The machine's clocks."""

    monotonic_s = staticmethod(time.monotonic)
    unix_s = staticmethod(time.time)
