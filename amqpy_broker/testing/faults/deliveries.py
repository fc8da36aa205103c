"""Messages that come twice, and messages that come back in another order."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import ClassVar, Final

from amqpy_broker.testing.conversation.frames import method_frame_of
from amqpy_broker.testing.faults.ends import End
from amqpy_broker.testing.faults.fault import Fault
from amqpy_broker.testing.faults.line import Line
from amqpy_broker.testing.faults.seen import Seen
from amqpy_broker.testing.faults.selection import Selection
from amqpy_broker.testing.link.link import Verdict

# Fewer have but one order.
_ORDERED_MIN: Final = 2


class DuplicateDeliveries(Fault):
    """What a consumer acknowledges is delivered once more, as when the acknowledgement is lost with its connection."""

    name: ClassVar[str] = "duplicate_deliveries"

    def wants(self, line: Line, seen: Seen) -> bool:
        """Say whether a frame acknowledges a delivery."""
        is_ack = seen.method == "basic.ack" and seen.is_from_client and seen.is_readable
        return is_ack and super().wants(line, seen)

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Return the message in the client's name."""
        arguments = {"delivery_tag": seen.delivery_tag, "multiple": seen.arguments["multiple"], "requeue": True}
        frame = method_frame_of(seen.frame.direction, seen.channel, "basic.nack", arguments)
        return [seen.frame.replaced_by(frame.octets)]


class ReorderRedeliveries(Fault):
    """Messages that return to their queue change places."""

    name: ClassVar[str] = "reorder_redeliveries"
    needs_broker = True

    def __init__(self, connection: Selection, queue: str) -> None:
        super().__init__(connection, details=f"queue={queue!r}", is_random=True)
        self._queue = queue
        self._watched: list[End] = []

    def act_now(self, ends: Sequence[End]) -> None:
        """Ask to be asked."""
        for end in ends:
            self.connected(end)

    def connected(self, end: End) -> None:
        """Ask to be asked."""
        if end.broker is not None:
            end.broker.watch_returns(self)
            self._watched.append(end)

    def order(self, names: Sequence[str], channel: int, queue: str, count: int) -> Sequence[int] | None:
        """Say in which order messages return; never in the one they had."""
        is_meant = self.selection.wants_connection(names) and self.selection.channel in (None, channel)
        if self.is_over or count < _ORDERED_MIN or not is_meant or not fnmatchcase(queue, self._queue):
            return None
        order = as_they_were = list(range(count))
        while order == as_they_were:
            order = self.random.sample(as_they_were, count)
        self.note_fired(f"{count} messages return to {queue}")
        return order

    def ended(self) -> None:
        """Be asked no more."""
        for end in self._watched:
            if end.broker is not None:
                end.broker.unwatch_returns(self)
        self._watched.clear()
