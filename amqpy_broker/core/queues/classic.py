"""The classic queue: strict first in, first out, in memory.

Rule 1: messages leave in the order they came, within their priority. One that is handed out keeps its place.
Rule 2: what was handed out once is marked redelivered from then on.
Rule 3: consumers that can take are served in turn, those of a higher priority first.
Rule 4: while any consumer can take, nothing is ready. So a new message either goes straight to a consumer or waits at
        the end, and everything requeued is older than everything that was never handed out.
Rule 5: messages expire when they are the first (https://www.rabbitmq.com/docs/ttl#per-message-ttl-caveats).
Rule 6: only what is ready counts for a length limit (https://www.rabbitmq.com/docs/maxlength).

A queue that was asked for nothing special is `plain`: its messages take the short way through `enqueue_lasting`.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import ClassVar, Final

from amqpy_broker.core.errors import AccessRefused
from amqpy_broker.core.journal import JournalWriter, Stored
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Consumer, ExpiringMessage, Queue, QueuedMessage, Reason, Surroundings
from amqpy_broker.core.queues.browse import Browser, browses
from amqpy_broker.core.queues.contents import Contents, Kept
from amqpy_broker.core.queues.deduplication import Deduplication
from amqpy_broker.core.queues.paged import PagedReady
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.ready import FifoReady, PriorityReady, Ready
from amqpy_broker.core.queues.retry import RetriedMessage, Retry
from amqpy_broker.core.queues.settings import Overflow
from amqpy_broker.core.queues.takers import Takers
from amqpy_broker.core.timers import Timer

_OVERHEAD: Final = MESSAGE_OVERHEAD_BYTES
_NEVER: Final = float("inf")


class ClassicQueue(Queue):
    """A queue in memory."""

    __slots__ = (
        "_active",
        "_around",
        "_browsers",
        "_bytes",
        "_consumers",
        "_deaths",
        "_deduplication",
        "_delivered_place",
        "_expiry",
        "_journal",
        "_name",
        "_next_position",
        "_page_at_bytes",
        "_plain",
        "_ready",
        "_ready_body_bytes",
        "_retry",
        "_takers",
        "_unacked_count",
        "_unused",
    )

    type: ClassVar[str] = "classic"

    # Of durable queues only: the journal, the queue's name there, up to which place messages were handed out before the
    # last restart, and how much memory it may hold before it looks what it can let go of.
    _journal: JournalWriter
    _name: int
    _delivered_place: int
    _page_at_bytes: float

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties)
        settings = self.settings
        self._around = around
        self._plain = settings.is_plain
        self._ready: Ready = FifoReady() if settings.max_priority is None else PriorityReady(settings.max_priority)
        # Octets of the bodies that are ready; kept only for a limit on them.
        self._ready_body_bytes = 0
        self._next_position = 0
        self._unacked_count = 0
        self._bytes = 0
        # A dict for its order and its quick look-up: a queue may have thousands.
        self._consumers: dict[Consumer, None] = {}
        self._browsers: dict[Consumer, Browser] = {}
        # Those of them that can take, next one first.
        self._takers = Takers()
        # The single active consumer, where there is to be one.
        self._active: Consumer | None = None
        # Deaths to tell of when every message has its place again; None: tell at once. A dead letter may come back.
        self._deaths: list[tuple[Message, Reason, Callable[[], None] | None]] | None = None
        # Wakes the queue when its first message expires, and when nobody has used it for too long.
        self._expiry: Timer | None = None
        self._deduplication = (
            Deduplication(settings.deduplication, self.name, around.timers) if settings.deduplication else None
        )
        self._retry = Retry(settings.retry, around.timers, self._retry_due) if settings.retry else None
        self._unused = around.timers.timer(self._check_unused) if settings.expires_ms is not None else None
        self.used()

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

    # --- paging -----------------------------------------------------------------------------------------------------

    def page_out(self, wanted_bytes: int) -> int:
        """Make room in memory, if there is a journal and messages leave in the order they came."""
        journal, window = self._around.journal, self._around.window
        if journal is None or self._bytes <= window.head_min_bytes:
            return 0
        if type(self._ready) is FifoReady:
            self._ready = self._paged(journal, self._ready)
        if not isinstance(self._ready, PagedReady):
            return 0
        leaving_bytes = self._ready.leaving_bytes
        if leaving_bytes >= wanted_bytes:
            return leaving_bytes
        wanted_bytes -= leaving_bytes
        return leaving_bytes + self._ready.page_out(window.head_min_bytes, spill=True, wanted_bytes=wanted_bytes)

    def _paged(self, journal: JournalWriter, ready: FifoReady) -> PagedReady:
        if self.journal_id is None:
            self.journal_id = self._around.new_journal_id()
        paged = PagedReady(journal, self.journal_id, self, self._around.window, mixed=False)
        paged.take_over(ready)
        return paged

    def revive(self, stored: Stored, batch: int) -> QueuedMessage:
        """Give a message that was read from the journal its place again. Its memory counts from now on."""
        next_position, self._next_position = self._next_position, stored.place - 1
        if stored.expires_at_unix_ms is not None:
            self._expire_by_timer()
            queued = self._place_expiring(stored.message, self._around.timers.at_s(stored.expires_at_unix_ms))
        elif self._retry is None:
            queued = self._place(stored.message)
        else:
            queued = self._place_expiring(stored.message, _NEVER)
        self._next_position = next_position
        queued.batch = batch
        return queued

    def spill(self, queued: QueuedMessage) -> int:
        """Write a message only to make room in memory; return its batch."""
        journal, name = self._around.journal, self.journal_id
        assert journal is not None
        assert name is not None
        batch = journal.spill(name, queued.position, queued.message)
        if queued.expires_at_s != _NEVER:
            journal.expires(name, queued.position, self._around.timers.unix_ms(queued.expires_at_s))
        return batch

    def left_memory(self, memory_bytes: int) -> None:
        """Learn that messages hold less memory than they did."""
        self._bytes -= memory_bytes

    # --- snapshots --------------------------------------------------------------------------------------------------

    def contents(self, unacked: Iterable[QueuedMessage]) -> Contents:
        """Take down what it holds. What is handed out, which others know, counts as if it had come back."""
        messages = [self._kept(queued, came_back=came_back) for queued, came_back in self._ready.listed()]
        if self._retry is not None:
            messages += [self._kept(queued, came_back=True, due_s=due_s) for queued, due_s in self._retry.held()]
        for queued in sorted(unacked):
            messages.append(self._kept(queued, came_back=True).returned)
        seen = {} if self._deduplication is None else self._deduplication.keys
        return Contents(tuple(messages), self._next_position, seen, self._ready.turn)

    def _kept(self, queued: QueuedMessage, *, came_back: bool, due_s: float = _NEVER) -> Kept:
        return Kept(
            queued.message,
            queued.position,
            queued.redelivered,
            came_back,
            queued.expires_at_s,
            queued.delivery_count,
            0,
            due_s,
        )

    def refill(self, contents: Contents, shift_s: float = 0.0) -> None:
        """Hold these messages, and nothing else; times move by so much. Nobody gets anything before `go_on`.

        What is handed out is forgotten: whoever has it must not settle it here.
        """
        self._empty()
        self._deaths = []
        # All of them, before one is put anywhere: they may know each other.
        placed = [(self._place_again(kept, shift_s), kept) for kept in contents.messages]
        self._next_position = max(self._next_position, contents.last_position)
        for queued, kept in placed:
            if kept.due_s != _NEVER and self._retry is not None:
                self._retry.hold_until(queued, kept.due_s + shift_s)
            elif kept.came_back:
                self._put_back(queued)
            else:
                self._ready.append(queued)
                if self.settings.max_length_bytes is not None:
                    self._ready_body_bytes += queued.message.body_size
        self._ready.turn = contents.turn
        if self._deduplication is not None:
            self._deduplication.put_back(contents.seen, shift_s)

    def go_on(self) -> None:
        """Hand out what there is, after `refill`; what has expired dies."""
        self.used()
        self._dispatch()
        if self._expiry is not None:
            self._drop_expired()
        self._tell_deaths()

    def _empty(self) -> None:
        """Forget all messages, those that are handed out, too."""
        for _ in chain(self._ready.drain(), () if self._retry is None else self._retry.drain()):
            pass
        self._bytes = self._ready_body_bytes = self._unacked_count = 0

    def _place_again(self, kept: Kept, shift_s: float) -> QueuedMessage:
        """Give a message its place again, and what is known of it."""
        next_position, self._next_position = self._next_position, kept.position - 1
        if kept.expires_at_s != _NEVER:
            self._expire_by_timer()
        if kept.expires_at_s == _NEVER and self._retry is None:
            queued = self._place(kept.message)
        else:
            queued = self._place_expiring(kept.message, kept.expires_at_s + shift_s)
        self._next_position = next_position
        queued.redelivered = kept.redelivered
        self._recall(queued, kept)
        return queued

    def _recall(self, queued: QueuedMessage, kept: Kept) -> None:
        """Know again how often a message came back."""
        if isinstance(queued, RetriedMessage):
            queued.delivery_count = kept.delivery_count

    # --- consumers --------------------------------------------------------------------------------------------------

    def add_consumer(self, consumer: Consumer) -> None:
        """Add a consumer; it gets nothing before `resume`."""
        if browses(consumer.arguments):
            self._browsers[consumer] = Browser(self._next_position)
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
            self._around.journal.drop_queue(self.journal_id)
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

    def _place(self, message: Message) -> QueuedMessage:
        self._next_position += 1
        self._bytes += message.memory_size + _OVERHEAD
        return QueuedMessage(message, self, self._next_position)

    def _place_expiring(self, message: Message, expires_at_s: float) -> QueuedMessage:
        self._next_position += 1
        self._bytes += message.memory_size + _OVERHEAD
        kind = ExpiringMessage if self._retry is None else RetriedMessage
        return kind(message, self, self._next_position, expires_at_s)

    def _pop_ready(self) -> QueuedMessage | None:
        if self._expiry is not None:
            self._drop_expired()
        queued = self._ready.pop()
        if queued is not None and self.settings.max_length_bytes is not None:
            self._ready_body_bytes -= queued.message.body_size
        return queued

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
            self._drop_over_limit()
        self._dispatch()
        if self._expiry is not None:
            self._drop_expired()
        self._tell_deaths()

    # --- expiry, limits and death: only for queues and messages that asked for them -----------------------------------

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

    def _place_special(self, message: Message) -> QueuedMessage:
        ttls = (self.settings.message_ttl_ms, message.expiration_ms)
        ttl_ms = min((ttl for ttl in ttls if ttl is not None), default=None)
        if ttl_ms is None:
            return self._place(message) if self._retry is None else self._place_expiring(message, _NEVER)
        self._expire_by_timer()
        return self._place_expiring(message, self._around.timers.now_s + ttl_ms / 1000)

    def _expire_by_timer(self) -> None:
        if self._expiry is None:
            self._expiry = self._around.timers.timer(self._drop_expired)

    def _put_back(self, queued: QueuedMessage) -> None:
        self._ready.put_back(queued)
        if self.settings.max_length_bytes is not None:
            self._ready_body_bytes += queued.message.body_size

    def _retry_due(self) -> None:
        """Put back what has waited long enough since it came back."""
        assert self._retry is not None
        self._deaths = []
        for queued in self._retry.take_due():
            self._put_back(queued)
        self._dispatch_returned()

    def _will_overflow(self, message: Message) -> bool:
        """Say whether a publish is refused; what it refuses may be dead-lettered."""
        settings = self.settings
        if not settings.may_reject:
            return False
        too_many = settings.max_length is not None and len(self._ready) + 1 > settings.max_length
        if not too_many and settings.max_length_bytes is not None:
            too_many = self._ready_body_bytes + message.body_size > settings.max_length_bytes
        if too_many and settings.overflow is Overflow.REJECT_PUBLISH_DLX:
            self._bury_message(message, Reason.MAXLEN)
        return too_many

    def _is_over_limit(self) -> bool:
        settings = self.settings
        if settings.overflow is not Overflow.DROP_HEAD:
            return False
        if settings.max_length is not None and len(self._ready) > settings.max_length:
            return True
        return settings.max_length_bytes is not None and self._ready_body_bytes > settings.max_length_bytes

    def _drop_over_limit(self) -> None:
        """Drop the oldest messages until the limits are kept."""
        dropped = []
        while self._is_over_limit() and (queued := self._ready.pop()) is not None:
            self._forget_ready(queued)
            dropped.append(queued)
        for queued in dropped:
            self._bury(queued, Reason.MAXLEN)

    def _drop_expired(self) -> None:
        """Drop the first messages as long as they have expired."""
        now_s = self._around.timers.now_s
        expired = []
        while (queued := self._ready.pop_expired(now_s)) is not None:
            self._forget_ready(queued)
            expired.append(queued)
        self._arm_expiry()
        for queued in expired:
            self._bury(queued, Reason.EXPIRED)

    def _forget_ready(self, queued: QueuedMessage) -> None:
        if self.settings.max_length_bytes is not None:
            self._ready_body_bytes -= queued.message.body_size
        self._bytes -= queued.message.memory_size + _OVERHEAD

    def _arm_expiry(self) -> None:
        if self._expiry is None:
            return
        expires_at_s = self._ready.next_expiry_s
        if expires_at_s != _NEVER:
            self._expiry.set(expires_at_s)
        else:
            self._expiry.stop()

    def _bury(self, queued: QueuedMessage, reason: Reason, buried: Callable[[], None] | None = None) -> None:
        """Tell of the death of a message; `buried` is called when its dead letter is where it belongs."""
        if not self.deleted:
            self._bury_message(queued.message, reason, buried)

    def _bury_message(self, message: Message, reason: Reason, buried: Callable[[], None] | None = None) -> None:
        if self.settings.dead_letter_exchange is None:
            return
        if self._deaths is None:
            self._around.dead_letter(self, message, reason, buried)
        else:
            self._deaths.append((message, reason, buried))

    def _tell_deaths(self) -> None:
        deaths, self._deaths = self._deaths or (), None
        for message, reason, buried in deaths:
            self._around.dead_letter(self, message, reason, buried)

    # --- x-expires --------------------------------------------------------------------------------------------------

    def used(self) -> None:
        """Learn that somebody declared or asked the queue: it is in use."""
        if self._unused is not None and self.settings.expires_ms is not None:
            self._unused.set(self._around.timers.now_s + self.settings.expires_ms / 1000)

    def _check_unused(self) -> None:
        # [https://www.rabbitmq.com/docs/ttl#queue-ttl]: a queue with consumers is used.
        if not self._consumers:
            self._around.queue_expired(self)
