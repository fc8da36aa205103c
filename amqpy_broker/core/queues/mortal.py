"""Mortality: messages that wait in a queue may expire, be too many, and die.

Rule 1: messages expire when they are the first (https://www.rabbitmq.com/docs/ttl#per-message-ttl-caveats).
Rule 2: only what is ready counts for a length limit (https://www.rabbitmq.com/docs/maxlength).
Rule 3: a death is told when every message has its place again: a dead letter may come back at once.
"""

from collections.abc import Callable
from typing import ClassVar, Final

from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import ExpiringMessage, Queue, QueuedMessage, Reason, Surroundings
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.ready import FifoReady, PriorityReady, Ready
from amqpy_broker.core.queues.retry import RetriedMessage, Retry
from amqpy_broker.core.queues.settings import Overflow
from amqpy_broker.core.timers import Timer

_OVERHEAD: Final = MESSAGE_OVERHEAD_BYTES
_NEVER: Final = float("inf")


class MortalQueue(Queue):
    """What a queue knows of the messages in it, but not who gets them.

    It is what queues are built on, not a part of them: on the hot path there is no object in between.
    """

    __slots__ = (
        "_around",
        "_bytes",
        "_deaths",
        "_expiry",
        "_next_position",
        "_ready",
        "_ready_body_bytes",
        "_retry",
    )

    # Whether of messages that are too many at once the youngest is told of first.
    _buries_last_first: ClassVar[bool] = False

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties)
        priority = self.settings.max_priority
        self._around = around
        self._ready: Ready = FifoReady() if priority is None else PriorityReady(priority)
        # Octets of the bodies that are ready; kept only for a limit on them.
        self._ready_body_bytes = 0
        self._next_position = 0
        self._bytes = 0
        # Deaths to tell of when every message has its place again; None: tell at once. A dead letter may come back.
        self._deaths: list[tuple[Message, Reason, Callable[[], None] | None]] | None = None
        # Wakes the queue when its first message expires.
        self._expiry: Timer | None = None
        # What waits before it is ready again, where that was asked for.
        self._retry: Retry | None = None

    # --- places -----------------------------------------------------------------------------------------------------

    def _place(self, message: Message) -> QueuedMessage:
        self._next_position += 1
        self._bytes += message.memory_size + _OVERHEAD
        return QueuedMessage(message, self, self._next_position)

    def _place_expiring(self, message: Message, expires_at_s: float) -> QueuedMessage:
        self._next_position += 1
        self._bytes += message.memory_size + _OVERHEAD
        kind = ExpiringMessage if self._retry is None else RetriedMessage
        return kind(message, self, self._next_position, expires_at_s)

    def _place_special(self, message: Message) -> QueuedMessage:
        ttls = (self.settings.message_ttl_ms, message.expiration_ms)
        ttl_ms = min((ttl for ttl in ttls if ttl is not None), default=None)
        if ttl_ms is None:
            return self._place(message) if self._retry is None else self._place_expiring(message, _NEVER)
        self._expire_by_timer()
        return self._place_expiring(message, self._around.timers.now_s + ttl_ms / 1000)

    def _put_back(self, queued: QueuedMessage) -> None:
        self._ready.put_back(queued)
        if self.settings.max_length_bytes is not None:
            self._ready_body_bytes += queued.message.body_size

    def _pop_ready(self) -> QueuedMessage | None:
        if self._expiry is not None:
            self._drop_expired()
        queued = self._ready.pop()
        if queued is not None and self.settings.max_length_bytes is not None:
            self._ready_body_bytes -= queued.message.body_size
        return queued

    def _forget_ready(self, queued: QueuedMessage) -> None:
        if self.settings.max_length_bytes is not None:
            self._ready_body_bytes -= queued.message.body_size
        self._bytes -= queued.message.memory_size + _OVERHEAD

    # --- expiry -----------------------------------------------------------------------------------------------------

    def _expire_by_timer(self) -> None:
        if self._expiry is None:
            self._expiry = self._around.timers.timer(self._drop_expired)

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

    def _arm_expiry(self) -> None:
        if self._expiry is None:
            return
        expires_at_s = self._ready.next_expiry_s
        if expires_at_s != _NEVER:
            self._expiry.set(expires_at_s)
        else:
            self._expiry.stop()

    # --- limits -----------------------------------------------------------------------------------------------------

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

    def _drop_over_limit(self, *, returned: bool = False) -> None:
        """Drop the oldest messages until the limits are kept; `returned` ones came back one after the other."""
        dropped = []
        while self._is_over_limit() and (queued := self._ready.pop()) is not None:
            self._forget_ready(queued)
            dropped.append(queued)
        for queued in reversed(dropped) if self._buries_last_first and not returned else dropped:
            self._bury(queued, Reason.MAXLEN)

    # --- death ------------------------------------------------------------------------------------------------------

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
