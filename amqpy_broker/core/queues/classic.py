"""The classic queue: strict first in, first out, in memory.

Rule 1: messages leave in the order they came, within their priority. One that is handed out keeps its place.
Rule 2: what was handed out once is marked redelivered from then on.
Rule 3: consumers that can take are served in turn, those of a higher priority first.
Rule 4: while any consumer can take, nothing is ready. So a new message either goes straight to a consumer or waits at
        the end, and everything requeued is older than everything that was never handed out.

A queue that was asked for nothing special is `plain`: its messages take the short way through `enqueue_lasting`.

What it is built on stands in `mortal.py`, places, expiry, limits and deaths, and in `restorable.py`, paging and
snapshots. Here is who gets a message.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import ClassVar, Final

from amqpy_broker.core.errors import AccessRefused
from amqpy_broker.core.journal import JournalWriter
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Consumer, QueuedMessage, Reason, Surroundings
from amqpy_broker.core.queues.browse import Browser, browses
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.restorable import RestorableQueue
from amqpy_broker.core.queues.retry import Retry
from amqpy_broker.core.queues.settings import QueueSettings
from amqpy_broker.core.queues.takers import Takers
from amqpy_broker.core.timers import Timer

_OVERHEAD: Final = MESSAGE_OVERHEAD_BYTES
_NEVER: Final = float("inf")


class ClassicQueue(RestorableQueue):
    """A queue in memory."""

    __slots__ = (
        "_active",
        "_browsers",
        "_consumers",
        "_delivered_place",
        "_journal",
        "_name",
        "_page_at_bytes",
        "_plain",
        "_takers",
        "_unused",
    )

    type: ClassVar[str] = "classic"
    # Whether limits that change with the overflow are kept by the overflow of before.
    _limits_come_first: ClassVar[bool] = True

    # Of durable queues only: the journal, the queue's name there, up to which place messages were handed out before the
    # last restart, and how much memory it may hold before it looks what it can let go of.
    _journal: JournalWriter
    _name: int
    _delivered_place: int
    _page_at_bytes: float

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties, around)
        settings = self.settings
        self._plain = settings.is_plain
        # A dict for its order and its quick look-up: a queue may have thousands.
        self._consumers: dict[Consumer, None] = {}
        self._browsers: dict[Consumer, Browser] = {}
        # Those of them that can take, next one first.
        self._takers = Takers()
        # The single active consumer, where there is to be one.
        self._active: Consumer | None = None
        self._retry = Retry(settings.retry, around.timers, self._retry_due) if settings.retry else None
        # Wakes the queue when nobody has used it for too long.
        self._unused: Timer | None = None
        self._watch_use()

    def change_settings(self, settings: QueueSettings) -> None:
        """Do something else from now on: what is too much goes at once, and it counts as used.

        When a message expires was settled when it came.
        """
        if self._limits_come_first and settings.overflow is not self.settings.overflow:
            # What the queue would have dropped under its new limits goes, even if it shall drop no more.
            self._change(replace(settings, overflow=self.settings.overflow))
        self._change(settings)

    def _change(self, settings: QueueSettings) -> None:
        counted_bytes = self.settings.max_length_bytes is not None
        self.settings = settings
        self._plain = settings.is_plain
        if settings.max_length_bytes is not None and not counted_bytes:
            self._ready_body_bytes = self._ready.body_bytes
        self._watch_use()
        self._deaths = []
        self._drop_over_limit()
        self._dispatch_returned()

    @property
    def ready_count(self) -> int:
        """Messages waiting for a consumer."""
        return len(self._ready)

    @property
    def unacked_count(self) -> int:
        """Messages handed out and not settled."""
        return self._unacked_count

    @property
    def consumer_count(self) -> int:
        """Consumers, whether they can take or not."""
        return len(self._consumers)

    @property
    def memory_bytes(self) -> int:
        """Memory that its messages hold, ready and unacknowledged."""
        return self._bytes

    # --- messages ---------------------------------------------------------------------------------------------------

    def enqueue(self, message: Message) -> bool:
        """Hand the message to a consumer that can take it, or keep it; False if it is refused."""
        if self._plain and message.expiration_ms is None:
            return self.enqueue_lasting(message)
        return self._enqueue_special(message)

    def enqueue_lasting(self, message: Message) -> bool:
        """Do the same with a message that has no expiration of its own."""
        if not self._plain:
            return self._enqueue_special(message)
        ring = self._takers.ring
        if not ring:
            self._ready.append(self._place(message))
            return True
        consumer = ring[0]
        if consumer.no_ack:
            has_room = consumer.deliver(message, False, None)
        else:
            queued = self._place(message)
            queued.consumer = consumer
            self._unacked_count += 1
            has_room = consumer.deliver(message, False, queued)
        if not has_room:
            self._takers.leave()
        elif len(ring) > 1:
            ring.rotate(-1)
        return True

    def get(self) -> QueuedMessage | None:
        """Hand out the first message, without a consumer."""
        self.used()
        queued = self._pop_ready()
        if queued is not None:
            self._unacked_count += 1
            if self._expiry is not None:
                # What is the first now may have expired behind the other.
                self._drop_expired()
        return queued

    def settle(self, queued: QueuedMessage) -> None:
        """Forget a message that was handed out."""
        self._unacked_count -= 1
        self._bytes -= queued.message.memory_size + _OVERHEAD

    def discard(self, queued: QueuedMessage) -> None:
        """Settle a message that a consumer rejected: it may be dead-lettered."""
        self._forget_unacked(queued)
        self._bury(queued, Reason.REJECTED)

    def _forget_unacked(self, queued: QueuedMessage) -> None:
        """Count a message no longer that was handed out, and dies."""
        ClassicQueue.settle(self, queued)

    def requeue(self, returned: Iterable[QueuedMessage], *, failed: bool = True) -> None:
        """Take messages back to their places, marked redelivered."""
        self._deaths = []
        for queued in returned:
            if self.deleted:
                self.settle(queued)
                continue
            self._unacked_count -= 1
            queued.redelivered = True
            queued.consumer = None
            if self._retry is None or not self._retry.hold(queued, failed=failed):
                self._put_back(queued)
        self._dispatch_returned()

    def purge(self) -> int:
        """Drop the messages that are ready, or will be; say how many."""
        held = () if self._retry is None else tuple(self._retry.drain())
        count = len(self._ready) + len(held)
        for queued in chain(self._ready.drain(), held):
            self._drop(queued)
        self._ready_body_bytes = 0
        return count

    def _drop(self, queued: QueuedMessage) -> None:
        """Forget a message that was ready, for nobody."""
        self._bytes -= queued.message.memory_size + _OVERHEAD

    def go_on(self) -> None:
        """Hand out what there is, after `refill`; what has expired dies."""
        self.used()
        self._dispatch()
        if self._expiry is not None:
            self._drop_expired()
        self._tell_deaths()

    # --- consumers --------------------------------------------------------------------------------------------------

    def add_consumer(self, consumer: Consumer) -> None:
        """Add a consumer; it gets nothing before `resume`."""
        if browses(consumer.arguments):
            self._browsers[consumer] = Browser(self._until_now())
            return
        self._check_alone(consumer)
        self._consumers[consumer] = None
        self.had_consumers = True
        if self.settings.single_active_consumer and self._active is None:
            self._active = consumer

    def _check_alone(self, consumer: Consumer) -> None:
        # [basic.consume.exclusive]: who is alone stays alone, and who wants to be alone must find nobody.
        wants_to_be_alone = consumer.exclusive and (self._consumers or self.settings.single_active_consumer)
        if wants_to_be_alone or (self._consumers and next(iter(self._consumers)).exclusive):
            raise AccessRefused(f"{self} in exclusive use")

    def remove_consumer(self, consumer: Consumer) -> None:
        """Remove a consumer. What it has not settled stays with its channel."""
        if self._browsers.pop(consumer, None) is not None:
            return
        del self._consumers[consumer]
        if not consumer.waiting:
            self._takers.remove(consumer)
            consumer.waiting = True
        self.used()
        if consumer is self._active:
            self._activate_next()

    def resume(self, consumer: Consumer) -> None:
        """Count on a consumer that can take (again), and hand out what waits."""
        if not consumer.waiting or consumer not in self._consumers:
            self._show(consumer)
            return
        if self.settings.single_active_consumer and consumer is not self._active:
            return
        consumer.waiting = False
        self._takers.add(consumer)
        if self._expiry is None:
            self._dispatch()
            return
        self._deaths = []
        self._dispatch()
        # What is the first now may have expired behind the others.
        self._drop_expired()
        self._tell_deaths()

    def pause(self, consumer: Consumer) -> None:
        """Give up on a consumer before it has to refuse; it stays, and goes on with `resume`."""
        if not consumer.waiting:
            self._takers.remove(consumer)
            consumer.waiting = True

    def close(self) -> list[Consumer]:
        """End as a queue that is deleted: drop everything, return the consumers that were there."""
        self.deleted = True
        self.purge()
        if self.journal_id is not None and self._around.journal is not None:
            for name in self._journal_names(self.journal_id):
                self._around.journal.drop_queue(name)
        consumers = [*self._consumers, *self._browsers]
        self._consumers.clear()
        self._browsers.clear()
        self._takers.clear()
        for consumer in consumers:
            consumer.waiting = True
        for timer in (self._expiry, self._unused):
            if timer is not None:
                timer.close()
        return consumers

    def _until_now(self) -> Callable[[QueuedMessage], bool]:
        """Return how to tell what is here from what will come."""
        end = self._next_position
        return lambda queued: queued.position <= end

    def _activate_next(self) -> None:
        """Let another consumer be the active one: the highest priority, then the one that is there longest."""
        self._active = max(self._consumers, key=lambda consumer: consumer.priority, default=None)
        if self._active is not None:
            self._active.resume_if_waiting()

    def _show(self, consumer: Consumer) -> None:
        """Show a browsing consumer what it has not seen yet, and let it go when that was all."""
        browser = self._browsers.get(consumer)
        if browser is None:
            return
        if self._expiry is not None:
            self._drop_expired()
        if browser.show(self._ready, consumer):
            self._browsers.pop(consumer, None)
            consumer.cancelled()

    # --- handing out ------------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Hand out what is ready while anybody can take it, in turn."""
        takers = self._takers
        while takers.ring:
            queued = self._pop_ready()
            if queued is None:
                return
            self._hand_out(queued)

    def _hand_out(self, queued: QueuedMessage) -> None:
        """Hand a message to the consumer whose turn it is."""
        ring = self._takers.ring
        consumer = ring[0]
        if consumer.no_ack:
            self._bytes -= queued.message.memory_size + _OVERHEAD
            has_room = consumer.deliver(queued.message, queued.redelivered, None)
        else:
            queued.consumer = consumer
            self._unacked_count += 1
            has_room = consumer.deliver(queued.message, queued.redelivered, queued)
        if not has_room:
            self._takers.leave()
        elif len(ring) > 1:
            ring.rotate(-1)

    def _dispatch_returned(self) -> None:
        """Hand out what is ready after messages were put back, and tell of the deaths that this brings."""
        if self._is_over_limit():
            self._drop_over_limit(returned=True)
        self._dispatch()
        if self._expiry is not None:
            self._drop_expired()
        self._tell_deaths()

    # --- only for queues and messages that asked for something special ----------------------------------------------

    def _enqueue_special(self, message: Message) -> bool:
        if self._deduplication is not None and self._deduplication.seen(message):
            return True
        if self._will_overflow(message):
            if self._deduplication is not None:
                self._deduplication.forget(message)
            return False
        self._admit(self._place_special(message))
        return True

    def _admit(self, queued: QueuedMessage) -> None:
        """Hand out a message that is new, or keep it."""
        if self._takers.ring:
            self._hand_out(queued)
            return
        self._ready.append(queued)
        if self.settings.max_length_bytes is not None:
            self._ready_body_bytes += queued.message.body_size
        if self._is_over_limit():
            self._drop_over_limit()
        if self._expiry is not None:
            self._drop_expired()

    def _retry_due(self) -> None:
        """Put back what has waited long enough since it came back."""
        assert self._retry is not None
        self._deaths = []
        for queued in self._retry.take_due():
            self._put_back(queued)
        self._dispatch_returned()

    # --- x-expires --------------------------------------------------------------------------------------------------

    def _watch_use(self) -> None:
        """Watch, if that was asked for, from now on."""
        if self.settings.expires_ms is None:
            if self._unused is not None:
                self._unused.close()
            self._unused = None
        elif self._unused is None:
            self._unused = self._around.timers.timer(self._check_unused)
        self.used()

    def used(self) -> None:
        """Learn that somebody declared or asked the queue: it is in use."""
        if self._unused is not None and self.settings.expires_ms is not None:
            self._unused.set(self._around.timers.now_s + self.settings.expires_ms / 1000)

    def _check_unused(self) -> None:
        # [https://www.rabbitmq.com/docs/ttl#queue-ttl]: a queue with consumers is used.
        if not self._consumers:
            self._around.queue_expired(self)
