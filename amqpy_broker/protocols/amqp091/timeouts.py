"""Deliveries that are not acknowledged in time (https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout).

Nothing is noted when a message is delivered. Instead each channel's last delivery tag is written down at every tick: a
delivery with a tag up to an old mark is at least as old as the mark. So a timeout is noticed up to a tick late, as in
RabbitMQ, and costs the hot path nothing.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from amqpy_broker.core.arguments import INTEGER_KINDS, Arguments
from amqpy_broker.core.queues.base import Consumer
from amqpy_broker.core.timers import Timer, Timers
from amqpy_broker.protocols.amqp091.deliveries import Deliveries

# RabbitMQ looks once a minute; short timeouts, as tests use them, are looked after more often.
TICK_MAX_S: Final = 60.0
_TICKS_A_TIMEOUT: Final = 10
TIMEOUT_ARGUMENT: Final = "x-consumer-timeout"


class Channels(Protocol):
    """What the timeouts need of the connection."""

    def deliveries_of_channels(self) -> Iterable[tuple[Deliveries, "Marks"]]:
        """List the channels that are open."""
        ...

    def delivery_timed_out(self, deliveries: Deliveries, consumer: Consumer, timeout_ms: int) -> None:
        """Learn that a consumer has not acknowledged in time."""
        ...


class Marks:
    """A channel's last delivery tags at the latest ticks, the oldest first."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, last_tag: int, keep_s: float) -> None:
        """Write down a tag, and forget what is older than needed, but for the last such."""
        marks = self._marks
        marks.append((now_s, last_tag))
        while len(marks) > 1 and now_s - marks[1][0] >= keep_s:
            marks.popleft()

    def ages(self, now_s: float, deliveries: Deliveries) -> Iterator[tuple[Consumer, float]]:
        """Say how old unacknowledged deliveries are at least, the oldest first."""
        marks = iter(self._marks)
        mark = next(marks, None)
        for tag, queued in deliveries.unacked.items():
            while mark is not None and mark[1] < tag:
                mark = next(marks, None)
            if mark is None:
                return
            if queued.consumer is not None:
                yield queued.consumer, now_s - mark[0]


class ConsumerTimeouts:
    """Watches the deliveries of one connection, from its first consumer that acknowledges on."""

    __slots__ = ("_channels", "_default_ms", "_shortest_ms", "_timer", "_timers")

    def __init__(self, channels: Channels, timers: Timers, default_ms: int) -> None:
        self._channels = channels
        self._timers = timers
        self._timer: Timer | None = None
        # 0 is no timeout.
        self._default_ms = default_ms
        self._shortest_ms = default_ms

    def watch(self, consumer: Consumer) -> None:
        """Watch a new consumer."""
        timeout_ms = self.timeout_ms(consumer)
        if consumer.no_ack or not timeout_ms:
            return
        self._shortest_ms = min(self._shortest_ms or timeout_ms, timeout_ms)
        if self._timer is None:
            self._timer = self._timers.timer(self._tick)
        self._timer.set(self._timers.now_s + self._tick_s)

    def timeout_ms(self, consumer: Consumer) -> int:
        """Find how long a consumer may take: it may say so itself, then its queue or a policy, then the broker."""
        asked = (_asked_ms(consumer.arguments), _asked_ms(consumer.queue.arguments))
        policy_ms = consumer.queue.settings.consumer_timeout_ms
        if asked[0] is not None:
            return asked[0]
        return min((limit for limit in (asked[1], policy_ms) if limit is not None), default=self._default_ms)

    def stop(self) -> None:
        """Watch nobody any more."""
        if self._timer is not None:
            self._timer.stop()

    @property
    def _tick_s(self) -> float:
        return min(TICK_MAX_S, self._shortest_ms / 1000 / _TICKS_A_TIMEOUT)

    def _tick(self) -> None:
        now_s = self._timers.now_s
        keep_s = max(self._default_ms, self._shortest_ms) / 1000
        late = []
        for deliveries, marks in self._channels.deliveries_of_channels():
            for consumer, age_s in marks.ages(now_s, deliveries):
                timeout_ms = self.timeout_ms(consumer)
                keep_s = max(keep_s, timeout_ms / 1000)
                if timeout_ms and age_s * 1000 >= timeout_ms:
                    late.append((deliveries, consumer, timeout_ms))
                    break
            marks.add(now_s, deliveries.last_tag, keep_s)
        assert self._timer is not None
        self._timer.set(now_s + self._tick_s)
        for deliveries, consumer, timeout_ms in late:
            self._channels.delivery_timed_out(deliveries, consumer, timeout_ms)


def _asked_ms(arguments: Arguments) -> int | None:
    asked = arguments.get(TIMEOUT_ARGUMENT)
    if asked is None or asked.kind not in INTEGER_KINDS or not isinstance(asked.value, int):
        return None
    return max(asked.value, 0)
