"""What comes late, or never: methods that are held back or swallowed, and sockets that are slow."""

from __future__ import annotations

from typing import ClassVar, Final, TypeAlias
from weakref import WeakKeyDictionary, WeakSet

from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.faults.fault import Fault
from amqpy_broker.testing.faults.line import Line
from amqpy_broker.testing.faults.seen import Seen
from amqpy_broker.testing.faults.selection import Selection
from amqpy_broker.testing.link.link import DROP, Direction, Hold, Link, Order, Verdict

Seconds: TypeAlias = "float | tuple[float, float]"
_NEVER: Final = float("inf")


class Delay(Fault):
    """Methods come late, and what follows them on the channel comes after them."""

    name: ClassVar[str] = "delay"

    def __init__(self, selection: Selection, seconds: Seconds | None) -> None:
        super().__init__(selection, details=f"seconds={seconds!r}", is_random=isinstance(seconds, tuple))
        self._seconds = seconds
        self._holds: WeakSet[Hold] = WeakSet()

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Hold it back."""
        hold = Hold(until_s=line.now_s() + self._delay_s(), order=Order.CHANNEL if seen.channel else Order.DIRECTION)
        self._holds.add(hold)
        return hold

    def stopped(self) -> None:
        """Let go what waits for the end of this."""
        if self._seconds is None:
            self.release()

    def release(self) -> None:
        """Let go whatever is held back."""
        for hold in tuple(self._holds):
            hold.release()

    def _delay_s(self) -> float:
        if self._seconds is None:
            return _NEVER
        return delay_s(self, self._seconds)


class Swallow(Fault):
    """Methods vanish on the way, with the messages that they carry."""

    name: ClassVar[str] = "swallow"

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Let it vanish."""
        return DROP


class Slow(Fault):
    """Sockets carry so many bytes a second, each of them, each way, frame by frame."""

    name: ClassVar[str] = "slow_socket"
    takes_content: ClassVar[bool] = True

    def __init__(self, selection: Selection, bytes_per_second: float) -> None:
        super().__init__(selection, details=f"bytes_per_second={bytes_per_second:g}")
        if bytes_per_second <= 0:
            raise Misuse("a socket that carries nothing is not slow but dead: drop_connection(how='half-open')")
        self._bytes_per_second = bytes_per_second
        self._free_at_s: WeakKeyDictionary[Link, dict[Direction, float]] = WeakKeyDictionary()
        self._holds: WeakSet[Hold] = WeakSet()

    def wants(self, line: Line, seen: Seen) -> bool:
        """Say whether a frame goes slowly: all of a connection's do, this way."""
        selection = self.selection
        return selection.wants_connection(seen.connection_names) and selection.sent_by in (None, seen.sent_by)

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Let it through when there was time for all of it, after all before it."""
        link, frame = line.end.link, seen.frame
        free_at_s = self._free_at_s.setdefault(link, {})
        begins_s = max(free_at_s.get(frame.direction, 0.0), line.now_s())
        free_at_s[frame.direction] = ends_s = begins_s + len(frame.octets) / self._bytes_per_second
        hold = Hold(until_s=ends_s, order=Order.DIRECTION)
        self._holds.add(hold)
        return hold

    def release(self) -> None:
        """Let go whatever is on its way."""
        for hold in tuple(self._holds):
            hold.release()


def delay_s(fault: Fault, seconds: Seconds) -> float:
    """Choose how long, if there is a choice."""
    return fault.random.uniform(*seconds) if isinstance(seconds, tuple) else seconds
