"""Delayed retry: what comes back waits before it is ready again, the longer the more often it came back.

See https://www.rabbitmq.com/docs/quorum-queues#delayed-retry. RabbitMQ has it for quorum queues since 4.3; here any
queue may ask for it.

Rule 1: a message that waits keeps its place; it is neither ready nor unacknowledged.
Rule 2: the delay is the smallest one times the number of returns, and no more than the largest one. With a multiplier
        it is multiplied for each return after the first (https://lavinmq.com/documentation/automatic-retries).
Rule 3: a message that expires while it waits is ready again at that time, to die where messages die.
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Final

from amqpy_broker.core.expiration import EXPIRATION_MAX_MS
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import ExpiringMessage, Queue, QueuedMessage
from amqpy_broker.core.queues.settings import RetrySettings, RetryType
from amqpy_broker.core.timers import Timers

# 2 to this power is more milliseconds than a delay can have.
_EXPONENT_MAX: Final = 40


class RetriedMessage(ExpiringMessage):
    """A queued message that knows how often it came back."""

    __slots__ = ("delivery_count",)

    def __init__(self, message: Message, queue: Queue, position: int, expires_at_s: float) -> None:
        super().__init__(message, queue, position, expires_at_s)
        self.delivery_count = 0


class Retry:
    """The messages of one queue that came back and wait, and one timer for the first of them."""

    __slots__ = ("_held", "_settings", "_timer", "_timers")

    def __init__(self, settings: RetrySettings, timers: Timers, due: Callable[[], None]) -> None:
        """Call `due` when there is something to take."""
        self._settings = settings
        self._timers = timers
        self._timer = timers.timer(due)
        # A heap by the time when each is ready, then by its return where these are counted, then by its place.
        self._held: list[tuple[float, int, int, QueuedMessage]] = []

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, queued: QueuedMessage, *, failed: bool) -> bool:
        """Keep a message that came back, if it is to wait."""
        # Quorum queues have counted already.
        if isinstance(queued, RetriedMessage):
            queued.delivery_count += 1
        if self._settings.type is (RetryType.RETURNED if failed else RetryType.FAILED):
            return False
        due_s = min(self._timers.now_s + self.delay_ms(queued.delivery_count) / 1000, queued.expires_at_s)
        self.hold_until(queued, due_s)
        return True

    def hold_until(self, queued: QueuedMessage, due_s: float) -> None:
        """Keep a message until a time of the clock."""
        heappush(self._held, (due_s, queued.returned_at, queued.position, queued))
        self._arm()

    def held(self) -> list[tuple[QueuedMessage, float]]:
        """Show what waits, and when each is ready, the first due first."""
        return [(queued, due_s) for due_s, _, _, queued in sorted(self._held, key=lambda entry: entry[:3])]

    def delay_ms(self, delivery_count: int) -> int:
        """Say how long a message waits that came back so often."""
        settings = self._settings
        times = max(delivery_count, 1)
        if settings.multiplier is None:
            delay_ms = settings.min_ms * times
        else:
            delay_ms = settings.min_ms * settings.multiplier ** min(times - 1, _EXPONENT_MAX)
        return min(delay_ms, EXPIRATION_MAX_MS if settings.max_ms is None else settings.max_ms)

    def take_due(self) -> Iterator[QueuedMessage]:
        """Take the messages that have waited long enough."""
        now_s = self._timers.now_s
        while self._held and self._held[0][0] <= now_s:
            yield heappop(self._held)[-1]
        self._arm()

    def drain(self) -> Iterator[QueuedMessage]:
        """Take everything."""
        self._timer.stop()
        held, self._held = self._held, []
        for *_, queued in held:
            yield queued

    def _arm(self) -> None:
        if self._held:
            self._timer.set(self._held[0][0])
        else:
            self._timer.stop()
