"""What was said to the brokers of a test, and how their queues are: for the report of a test that failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.testing.conversation.decoder import Conversation
from amqpy_broker.testing.conversation.events import Event, Heartbeat, Said
from amqpy_broker.testing.conversation.flight_recorder import FlightRecorder
from amqpy_broker.testing.conversation.frames import Direction
from amqpy_broker.testing.conversation.show import show
from amqpy_broker.testing.kit import Kit
from amqpy_broker.testing.link.link import Link
from amqpy_broker.testing.strict.finding import Finding

# As much as somebody reads to see what went wrong.
LINES_SHOWN: Final = 40
# Connections that have ended and are remembered.
_ENDED_KEPT: Final = 50


class BrokerLog:
    """Hears one broker.

    Args:
        broker: it.
        place: where it was started.
        numbers: what connections are called, in all brokers together: a recording may hold several.
        record: who is told of each event, with the beginning of its conversation; None if nobody.
    """

    def __init__(
        self,
        broker: Kit,
        place: str,
        numbers: Iterator[int],
        record: Callable[[Conversation, Event], None] | None,
    ) -> None:
        self.broker = broker
        self.place = place
        # A broker that could not start has no inside any more.
        self.core = broker.inside().core
        self.strict = broker.inside().strict
        self._numbers = numbers
        self._record = record
        self._ears: list[LogEar] = []
        self._ended: deque[LogEar] = deque(maxlen=_ENDED_KEPT)
        # What the queues were like when the broker stopped.
        self._last_queues: list[str] | None = None
        self._since_s = float("-inf")

    def begin(self) -> None:
        """Learn that a test begins: what was before is nobody's business."""
        if self.strict is not None:
            self.broker.run_in_broker(self.strict.forget)
        self._ended.clear()
        self._since_s = self.core.clock.unix_s()

    def stopping(self) -> None:
        """Remember what there is, as long as it is there."""
        self._last_queues = queue_lines(self.core)

    def connected(self, link: Link) -> LogEar:
        """Make the ear for a connection."""
        number = next(self._numbers)
        conversation = Conversation(link.clock, number, name=link.name) if self._record is not None else None
        ear = LogEar(self, FlightRecorder(link.clock, number), conversation)
        self._ears.append(ear)
        return ear

    def ended(self, ear: LogEar) -> None:
        """Learn that a connection is over."""
        self._ears.remove(ear)
        self._ended.append(ear)

    def record(self, conversation: Conversation, events: list[Event]) -> None:
        """Pass events on."""
        for event in events if self._record is not None else ():
            assert self._record is not None
            self._record(conversation, event)

    def findings(self) -> list[Finding]:
        """Return what strict mode has found."""
        return [] if self.strict is None else self.broker.run_in_broker(self.strict.list_findings)

    # --- for people -------------------------------------------------------------------------------------------------

    def frames(self) -> list[str]:
        """Return the last that was said since the test began, a line each."""
        return self.broker.run_in_broker(self._frames)

    def queues(self) -> list[str]:
        """Return how the queues are, a line each."""
        if self._last_queues is not None:
            return self._last_queues
        return self.broker.run_in_broker(lambda: queue_lines(self.core))

    def _frames(self) -> list[str]:
        events = sorted(self._events(), key=lambda event: event.time_s)
        shown = [show(event) for event in events[-LINES_SHOWN:]]
        return [f"({len(events) - LINES_SHOWN} before these)", *shown] if len(events) > LINES_SHOWN else shown

    def _events(self) -> Iterator[Event]:
        for ear in (*self._ended, *self._ears):
            for event in without_handshake(ear.flight.events()):
                if event.time_s >= self._since_s and not isinstance(event, Heartbeat):
                    yield event


class LogEar:
    """Hears one connection."""

    def __init__(self, log: BrokerLog, flight: FlightRecorder, conversation: Conversation | None) -> None:
        self.flight = flight
        self._log = log
        self._conversation = conversation

    def heard(self, direction: Direction, octets: bytes) -> None:
        """Hear bytes."""
        self.flight.heard(direction, octets)
        if self._conversation is not None:
            self._log.record(self._conversation, self._conversation.heard(direction, octets))

    def ended(self) -> None:
        """Learn that the socket is gone."""
        if self._conversation is not None:
            self._log.record(self._conversation, self._conversation.ended())
        self._log.ended(self)


def without_handshake(events: list[Event]) -> list[Event]:
    """Leave out how a connection was opened, if it was: it is always the same."""
    for at, event in enumerate(events):
        if isinstance(event, Said) and event.name == "connection.open-ok":
            return [one for one in events[:at] if isinstance(one, Said) and one.name == "connection.open"] + events[at:]
    return events


def queue_lines(core: BrokerCore) -> list[str]:
    """Show the queues of a broker, a line each."""
    lines = []
    for vhost in core.vhosts.values():
        for queue in vhost.queues.values():
            where = "" if vhost.name == "/" else f" in vhost '{vhost.name}'"
            lines.append(
                f"queue '{queue.name}'{where}: {queue.ready_count} ready, {queue.unacked_count} unacked,"
                f" {queue.consumer_count} consumers"
            )
    return lines
