"""How time passes for a scenario: as it does, or as fast as our broker's clock can be turned."""

from __future__ import annotations

import time
from typing import Protocol

from amqpy_broker.testing import BrokerThread

# How far the clock is turned when a client waits and nothing comes.
_STEP_S = 0.1


class Pace(Protocol):
    """Time, as a scenario's client sees it."""

    def now_s(self) -> float:
        """Seconds since some moment."""
        ...

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def patience_s(self, deadline: float) -> float:
        """Say how long to wait for the broker before looking again, in real seconds; 0 if the deadline has come."""
        ...

    def nothing_came(self) -> None:
        """Learn that waiting so long was in vain."""
        ...

    def something_came(self) -> None:
        """Learn that it was not."""
        ...


class RealTime:
    """Time as it is."""

    now_s = staticmethod(time.monotonic)
    pass_s = staticmethod(time.sleep)

    def patience_s(self, deadline: float) -> float:
        """Wait until the deadline."""
        return max(deadline - time.monotonic(), 0)

    def nothing_came(self) -> None:
        """Do nothing: the deadline has come."""

    def something_came(self) -> None:
        """Do nothing."""


class VirtualTime:
    """The time of a broker in this process. It passes only when the broker has nothing left to do."""

    def __init__(self, broker: BrokerThread) -> None:
        self._broker = broker
        self._is_settled = False

    def now_s(self) -> float:
        """Seconds on the broker's clock."""
        return self._broker.core.clock.monotonic_s()

    def pass_s(self, seconds: float) -> None:
        """Turn the clock. A client that says nothing is silent: it counts as gone when its time comes."""
        self._broker.settled(unacked_ok=True)
        self._broker.run_in_broker(self._silence)
        self._broker.advance(seconds=seconds)

    def patience_s(self, deadline: float) -> float:
        """Wait a moment, or just look, if the broker has said all it had to say."""
        if self.now_s() >= deadline:
            return 0
        return 0.001 if self._is_settled else 0.1

    def nothing_came(self) -> None:
        """Let the broker come to rest first, then let time pass."""
        if self._is_settled:
            self.pass_s(_STEP_S)
        else:
            self._broker.settled(unacked_ok=True)
        self._is_settled = not self._is_settled

    def something_came(self) -> None:
        """Take it that there may be more."""
        self._is_settled = False

    def _silence(self) -> None:
        for connection in self._broker.inside().connections:
            connection.is_silent = True
