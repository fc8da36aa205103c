"""The broker's clock, as a test sees it: it can be turned, if the broker was made with `virtual_time=True`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from amqpy_broker.core import clock as core_clock
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.in_broker import InBroker, in_broker
from amqpy_broker.testing.inside import Inside

T = TypeVar("T")


class Clock(InBroker):
    """What time it is for the broker. Virtual time stands still until `advance`; clients' own clocks go on as ever."""

    def __init__(self, owner: InBroker) -> None:
        self._owner = owner
        self._clock = owner.inside().core.clock

    def inside(self) -> Inside:
        """Return what is inside the broker."""
        return self._owner.inside()

    def run_in_broker(self, action: Callable[[], T]) -> T:
        """Do something in the broker's thread."""
        return self._owner.run_in_broker(action)

    @property
    def is_virtual(self) -> bool:
        """Whether it can be turned."""
        return isinstance(self._clock, core_clock.VirtualClock)

    @property
    def now(self) -> datetime:
        """The broker's time, in UTC."""
        return datetime.fromtimestamp(self._clock.unix_s(), UTC)

    @in_broker
    def advance(
        self,
        by: timedelta | None = None,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        milliseconds: float = 0,
    ) -> None:
        """Let time pass for the broker, at once.

        Everything that is due on the way happens, each at its time and in order: messages expire, delayed ones are
        sent, queues are deleted, consumers time out, heartbeats go out. Clients that are connected are taken to be
        alive all the time. What they are sent on the way they see afterwards; `Broker.advance` lets them act on it at
        once.

        Raises:
            Misuse: the broker's time is real, or it would go back.
        """
        step = (by or timedelta()) + timedelta(
            days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
        )
        self.turn_to(self.after(step))

    def after(self, step: timedelta) -> float:
        """Say what the clock's seconds are a while from now.

        Raises:
            Misuse: it would go back.
        """
        if step < timedelta():
            raise Misuse(f"time does not go back: advance({step})")
        return self._clock.monotonic_s() + step.total_seconds()

    def turn_to(self, at_s: float) -> None:
        """Turn the clock to a time in its own seconds. Call it in the broker's thread.

        Raises:
            Misuse: the broker's time is real.
        """
        if not isinstance(self._clock, core_clock.VirtualClock):
            raise Misuse("this broker runs on real time, which cannot be turned: make it with virtual_time=True")
        self.inside().server.turn(self._clock, at_s)
        self.inside().settling.tell()
