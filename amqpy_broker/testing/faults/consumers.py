"""Consumers that the broker cancels."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import partial
from typing import ClassVar

from amqpy_broker.testing.faults.ends import End
from amqpy_broker.testing.faults.fault import ImmediateFault
from amqpy_broker.testing.faults.line import Line
from amqpy_broker.testing.faults.seen import Seen
from amqpy_broker.testing.faults.selection import Selection
from amqpy_broker.testing.link.link import PASS, Verdict


class CancelConsumers(ImmediateFault):
    """The broker ends consumers with basic.cancel, as when their queue moves; what they hold stays theirs."""

    name: ClassVar[str] = "cancel_consumers"
    needs_broker = True
    # The frame is the answer to basic.consume: the fault has happened when the cancel is under way.
    counts_passing: ClassVar[bool] = False

    def __init__(self, connection: Selection, queue: str, consumer_tag: str) -> None:
        super().__init__(connection, details=f"queue={queue!r}, consumer_tag={consumer_tag!r}")
        self._queue = queue
        self._consumer_tag = consumer_tag

    def wants(self, line: Line, seen: Seen) -> bool:
        """Say whether somebody consumes from now on."""
        is_unanswered = seen.method == "basic.consume" and bool(seen.arguments.get("nowait"))
        return (is_unanswered or seen.method == "basic.consume-ok") and super().wants(line, seen)

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Cancel the consumer as soon as it knows that it is one."""
        line.end.link.call_at(line.now_s(), partial(self.happen_at_once, line.end))
        return PASS

    def happen_at_once(self, end: End) -> None:
        """Cancel the consumers of a connection."""
        if end.broker is not None:
            end.broker.cancel_consumers(self._cancels)

    def _cancels(self, channel: int, tag: str, queue: str) -> bool:
        if self.is_over or self.selection.channel not in (None, channel):
            return False
        if not (fnmatchcase(queue, self._queue) and fnmatchcase(tag, self._consumer_tag)):
            return False
        self.note_fired(f"consumer {tag} of {queue} cancelled")
        return True
