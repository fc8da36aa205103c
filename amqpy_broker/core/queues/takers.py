"""The consumers of a queue that can take a message now, in turn, those of the highest priority first.

See https://www.rabbitmq.com/docs/consumer-priority. Most queues know one priority only: then there is one ring.
"""

from collections import deque
from typing import Final

from amqpy_broker.core.queues.base import Consumer

_DEFAULT_PRIORITY: Final = 0


class Takers:
    """Rings of consumers by priority. `ring` is the one whose turn it is; empty if nobody can take."""

    __slots__ = ("_rings", "ring")

    def __init__(self) -> None:
        self.ring: deque[Consumer] = deque()
        self._rings: dict[int, deque[Consumer]] = {_DEFAULT_PRIORITY: self.ring}

    def add(self, consumer: Consumer) -> None:
        """Add a consumer at the end of its ring."""
        ring = self._rings.get(consumer.priority)
        if ring is None:
            ring = self._rings[consumer.priority] = deque()
        ring.append(consumer)
        if ring is not self.ring:
            self._choose()

    def remove(self, consumer: Consumer) -> None:
        """Remove a consumer, wherever it stands."""
        ring = self._rings[consumer.priority]
        ring.remove(consumer)
        self._left(ring, consumer)

    def in_turn(self) -> list[Consumer]:
        """Everybody, next one first."""
        return [consumer for priority in sorted(self._rings, reverse=True) for consumer in self._rings[priority]]

    def leave(self) -> None:
        """Remove the consumer whose turn it is, because it can take no more."""
        consumer = self.ring.popleft()
        consumer.waiting = True
        self._left(self.ring, consumer)

    def clear(self) -> None:
        """Remove everybody."""
        self.ring = deque()
        self._rings = {_DEFAULT_PRIORITY: self.ring}

    def _left(self, ring: deque[Consumer], consumer: Consumer) -> None:
        if ring:
            return
        if consumer.priority != _DEFAULT_PRIORITY:
            del self._rings[consumer.priority]
        if len(self._rings) > 1 or ring is self.ring:
            self._choose()

    def _choose(self) -> None:
        """Find the ring with somebody in it that has the highest priority."""
        busy = [priority for priority, ring in self._rings.items() if ring]
        self.ring = self._rings[max(busy, default=_DEFAULT_PRIORITY)]
