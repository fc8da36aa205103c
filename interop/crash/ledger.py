"""What was promised, and what came: the judge of a crash test.

Every message is known by its publisher and a number. Promises, per queue:

1. What was confirmed comes until it has been acknowledged.
2. What was delivered before, to anybody, comes again only marked as redelivered.
3. What comes to one consumer comes in the order in which it was published.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass
class QueueLedger:
    """One queue's."""

    name: str
    confirmed: set[tuple[str, int]] = field(default_factory=set)
    delivered: set[tuple[str, int]] = field(default_factory=set)
    acknowledged: set[tuple[str, int]] = field(default_factory=set)
    # The last number of each publisher that came since the broker started.
    _last: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    redelivered_count: int = 0
    mistakes: list[str] = field(default_factory=list)

    def broker_started(self) -> None:
        """Begin a new life of the broker: its consumers begin anew."""
        self._last.clear()

    def came(self, publisher: str, number: int, *, redelivered: bool) -> None:
        """Judge a delivery."""
        message = publisher, number
        if message in self.delivered and not redelivered:
            self.mistakes.append(f"{self.name}: {publisher} {number} came twice, and was not marked redelivered")
        if number <= self._last[publisher]:
            self.mistakes.append(f"{self.name}: {publisher} {number} came after {self._last[publisher]}")
        self._last[publisher] = number
        self.delivered.add(message)
        self.redelivered_count += redelivered

    def missing(self) -> list[tuple[str, int]]:
        """Name what was confirmed, never acknowledged, and is not there. Ask when the queue has been drained."""
        return sorted(self.confirmed - self.acknowledged)


@dataclass
class Ledger:
    """All queues'."""

    queues: dict[str, QueueLedger] = field(default_factory=dict)

    def queue(self, name: str) -> QueueLedger:
        """Find a queue's ledger."""
        return self.queues.setdefault(name, QueueLedger(name))

    def confirmed(self, queues: tuple[str, ...], publisher: str, number: int) -> None:
        """Note that the broker has promised to keep a message, in each of these queues."""
        for name in queues:
            self.queue(name).confirmed.add((publisher, number))

    def mistakes(self) -> list[str]:
        """List what was wrong so far."""
        return [mistake for queue in self.queues.values() for mistake in queue.mistakes]

    def losses(self) -> list[str]:
        """List what is lost; ask when all queues have been drained."""
        return [
            f"{queue.name}: {publisher} {number} was confirmed, and is lost"
            for queue in self.queues.values()
            for publisher, number in queue.missing()
        ]
