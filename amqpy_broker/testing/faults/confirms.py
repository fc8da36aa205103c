"""Publisher confirms that go wrong: publishes that are refused, confirms that are lost or late."""

from __future__ import annotations

from typing import ClassVar

from amqpy_broker.testing.faults.delays import Seconds, delay_s
from amqpy_broker.testing.faults.fault import Fault
from amqpy_broker.testing.faults.line import Line
from amqpy_broker.testing.faults.seen import Seen
from amqpy_broker.testing.faults.selection import Selection
from amqpy_broker.testing.link.link import DROP, PASS, Verdict


class _PublishFault(Fault):
    """A fault of publishes on channels in confirm mode."""

    def wants(self, line: Line, seen: Seen) -> bool:
        """Say whether a frame is a publish that will be confirmed."""
        return line.publish_number > 0 and super().wants(line, seen)


class NackPublishes(_PublishFault):
    """Publishes reach no queue, and the client is told so with basic.nack."""

    name: ClassVar[str] = "nack_publishes"

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Refuse a publish."""
        line.refuse_publish(seen.channel)
        return DROP


class LoseConfirms(_PublishFault):
    """Publishes arrive, and are never confirmed."""

    name: ClassVar[str] = "lose_confirms"
    counts_passing: ClassVar[bool] = True

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Remember not to confirm a publish."""
        line.hold_back_confirm(seen.channel, float("inf"))
        return PASS


class DelayConfirms(_PublishFault):
    """Publishes arrive, and are confirmed late."""

    name: ClassVar[str] = "delay_confirms"
    counts_passing: ClassVar[bool] = True

    def __init__(self, selection: Selection, seconds: Seconds) -> None:
        super().__init__(selection, details=f"seconds={seconds!r}", is_random=isinstance(seconds, tuple))
        self._seconds = seconds

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Remember to confirm a publish late."""
        line.hold_back_confirm(seen.channel, delay_s(self, self._seconds))
        return PASS
