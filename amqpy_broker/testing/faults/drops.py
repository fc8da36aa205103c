"""Connections that break, and connections that cannot be made."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.faults.ends import End
from amqpy_broker.testing.faults.fault import Fault, ImmediateFault
from amqpy_broker.testing.faults.line import Line
from amqpy_broker.testing.faults.seen import Seen
from amqpy_broker.testing.faults.selection import Selection
from amqpy_broker.testing.link.link import DROP, Direction, Verdict

How: TypeAlias = Literal["close", "reset", "half-open"]


class DropConnection(ImmediateFault):
    """The connection breaks: its socket is closed or reset, or nothing gets through any more."""

    name: ClassVar[str] = "drop_connection"

    def __init__(self, selection: Selection, how: How) -> None:
        super().__init__(selection, details=f"how={how!r}")
        if how not in ("close", "reset", "half-open"):
            raise Misuse(f"a connection drops by 'close', 'reset' or 'half-open', not by '{how}'")
        self._how = how

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Break it before the frame gets through."""
        self._drop(line.end)
        return DROP

    def happen_at_once(self, end: End) -> None:
        """Break it."""
        self._drop(end)
        self.note_fired(f"{end.peer} dropped")

    def _drop(self, end: End) -> None:
        if self._how != "half-open":
            end.link.drop(reset=self._how == "reset")
            return
        end.link.stop(Direction.TO_SERVER)
        end.link.stop(Direction.TO_CLIENT)
        if end.broker is not None:
            end.broker.silence()


class RefuseConnections(Fault):
    """Whoever connects finds the socket reset or closed before anything is said."""

    name: ClassVar[str] = "refuse_connections"

    def __init__(self, how: Literal["close", "reset"]) -> None:
        super().__init__(details=f"how={how!r}")
        if how not in ("close", "reset"):
            raise Misuse(f"connections are refused by 'close' or 'reset', not by '{how}'")
        self._is_reset = how == "reset"

    def connected(self, end: End) -> None:
        """Turn a client away."""
        if not self.is_over:
            end.link.drop(reset=self._is_reset)
            self.note_fired(f"{end.peer} refused")
