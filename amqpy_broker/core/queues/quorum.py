"""The quorum queue, on one node (https://www.rabbitmq.com/docs/quorum-queues): durable, shared, and wary of poison.

Rule 1: it counts how often a message came back, and tells consumers in `x-delivery-count`; since 4.3 that counts
        failures only, and `x-acquired-count` every return.
Rule 2: a message that came back more often than the delivery limit dies of it
        (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling).
Rule 3: what makes a queue somebody's own, or short-lived, is refused.

There are no replicas: a quorum of one is always there. At-least-once dead lettering is what every queue here does:
a dead letter is in its new queues before anything else happens.
"""

from collections.abc import Callable, Iterable
from typing import ClassVar, Final

from amqpy_broker.core.arguments import Argument
from amqpy_broker.core.errors import NotImplementedByBroker, PreconditionFailed, ResourceLocked
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.base import Consumer, ExpiringMessage, QueuedMessage, Reason, Surroundings
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.contents import Kept
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.ready import (
    HIGH_PRIORITY,
    LeveledReady,
    PriorityReady,
    Ready,
    ReturnsFirst,
    ReturnsLast,
    TwoLevelReady,
)
from amqpy_broker.core.queues.settings import QueueSettings

X_DELIVERY_COUNT: Final = "x-delivery-count"
X_ACQUIRED_COUNT: Final = "x-acquired-count"
_TWO_LEVELS: Final = 2
_NEVER: Final = float("inf")


class CountedMessage(ExpiringMessage):
    """A queued message that knows how often it came back, and what it was before that was written into it."""

    __slots__ = ("acquired_count", "delivery_count", "original", "returned_at")

    def __init__(self, message: Message, queue: "QuorumQueue", position: int) -> None:
        super().__init__(message, queue, position, _NEVER)
        self.original = message
        # How often it came back, and how often of these somebody had failed with it.
        self.acquired_count = 0
        self.delivery_count = 0
        self.returned_at = 0


class QuorumQueue(ClassicQueue):
    """A quorum queue with one member."""

    __slots__ = ("_delivery_limit", "_returns_count", "_tells_acquired", "_tells_first_delivery")

    type: ClassVar[str] = "quorum"
    _limits_come_first: ClassVar[bool] = False
    _buries_last_first: ClassVar[bool] = True

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties, around)
        self._delivery_limit = self._limit_of(self.settings)
        self._tells_acquired = around.profile.counts_acquired
        self._tells_first_delivery = around.profile.tells_first_quorum_delivery
        # Messages that came back, ever.
        self._returns_count = 0
        self._ready = _ready_for(around.profile)

    @classmethod
    def check(cls, properties: QueueProperties, resource: str) -> None:
        """Refuse what a quorum queue cannot be.

        Raises:
            PreconditionFailed: with RabbitMQ's text.
        """
        for wrong, word in (
            (not properties.durable and properties.owner is None, "non-durable"),
            (properties.auto_delete, "auto-delete"),
            (properties.owner is not None, "exclusive-owner"),
        ):
            if wrong:
                raise PreconditionFailed(f"invalid property '{word}' for {resource}")

    def change_settings(self, settings: QueueSettings) -> None:
        """Do something else from now on; whoever comes back next may have come back too often."""
        self._delivery_limit = self._limit_of(settings)
        super().change_settings(settings)

    def _limit_of(self, settings: QueueSettings) -> int | None:
        limit, usual = settings.delivery_limit, self._around.profile.quorum_delivery_limit
        if limit is None:
            return usual
        if limit < 0:
            # No limit, since there is a usual one to get rid of; before that, as good as 0.
            return 0 if usual is None else None
        return limit

    def get(self) -> QueuedMessage | None:
        """Hand out the first message, without a consumer; 3.x tells who asks that it came back 0 times."""
        queued = super().get()
        if self._tells_first_delivery and isinstance(queued, CountedMessage):
            self._tell(queued)
        return queued

    def _check_alone(self, consumer: Consumer) -> None:
        """Let everybody in: RabbitMQ does not heed `exclusive` here."""

    def requeue(self, returned: Iterable[QueuedMessage], *, failed: bool = True) -> None:
        """Take messages back to their places, and count; what came back too often dies."""
        staying = []
        for queued in returned:
            assert isinstance(queued, CountedMessage)
            queued.acquired_count += 1
            # Since 4.3 nack is no failure, nor is a timeout; before, every return is one.
            if failed or not self._tells_acquired:
                queued.delivery_count += 1
            if self._delivery_limit is not None and queued.delivery_count > self._delivery_limit:
                self._forget_unacked(queued)
                self._bury(queued, Reason.DELIVERY_LIMIT)
            else:
                self._tell(queued)
                self._returns_count += 1
                queued.returned_at = self._returns_count
                staying.append(queued)
        super().requeue(staying, failed=failed)

    def check_delete(self, *, if_unused: bool, if_empty: bool) -> None:
        """Refuse what RabbitMQ refuses: a quorum queue cannot look before it goes."""
        for asked, word in ((if_unused, "if-unused"), (if_empty, "if-empty")):
            if asked:
                raise NotImplementedByBroker(
                    f"cannot delete {self}. queue.delete operations with {word} flag set are not supported by quorum"
                    " queues"
                )

    def check_get(self) -> None:
        """Refuse basic.get where one consumer is to have everything."""
        if self.settings.single_active_consumer:
            raise ResourceLocked(
                f"cannot obtain access to locked {self}. basic.get operations are not supported by quorum queues"
                " with single active consumer"
            )

    def check_consume(self, *, global_prefetch: bool) -> None:
        """Refuse a prefetch count that is shared by the channel's consumers."""
        if global_prefetch:
            raise NotImplementedByBroker(f"{self} does not support global qos")

    def _recall(self, queued: QueuedMessage, kept: Kept) -> None:
        assert isinstance(queued, CountedMessage)
        queued.delivery_count, queued.acquired_count = kept.delivery_count, kept.acquired_count
        if kept.came_back:
            self._returns_count += 1
            queued.returned_at = self._returns_count
        if queued.acquired_count:
            self._tell(queued)

    def _kept(self, queued: QueuedMessage, *, came_back: bool, due_s: float = _NEVER) -> Kept:
        assert isinstance(queued, CountedMessage)
        kept = super()._kept(queued, came_back=came_back, due_s=due_s)
        return kept._replace(message=queued.original, acquired_count=queued.acquired_count)

    def _place(self, message: Message) -> QueuedMessage:
        return self._place_expiring(message, _NEVER)

    def _place_expiring(self, message: Message, expires_at_s: float) -> QueuedMessage:
        self._next_position += 1
        self._bytes += message.memory_size + MESSAGE_OVERHEAD_BYTES
        queued = CountedMessage(message, self, self._next_position)
        queued.expires_at_s = expires_at_s
        return queued

    def _bury(self, queued: QueuedMessage, reason: Reason, buried: Callable[[], None] | None = None) -> None:
        assert isinstance(queued, CountedMessage)
        if not self.deleted:
            self._bury_message(queued.original, reason, buried)

    def _tell(self, queued: CountedMessage) -> None:
        """Write the counts into the message that consumers will get."""
        counts = {}
        if queued.delivery_count or not self._tells_acquired:
            counts[X_DELIVERY_COUNT] = Argument("long", queued.delivery_count)
        if self._tells_acquired:
            counts[X_ACQUIRED_COUNT] = Argument("long", queued.acquired_count)
        # RabbitMQ sorts a table that it changes.
        told = queued.original.edited(headers=dict(sorted({**queued.original.headers, **counts}.items())))
        self._bytes += told.memory_size - queued.message.memory_size
        queued.message = told


def _ready_for(profile: Profile) -> Ready:
    """Choose in which order messages leave: versions differ in priorities, and in where a message comes back to."""
    if profile.quorum_priority_levels == 1:
        return ReturnsLast()
    return ReturnsFirst(levels_for(profile))


def levels_for(profile: Profile) -> LeveledReady:
    """Choose how priorities are kept apart, where they are."""
    if profile.quorum_priority_levels == _TWO_LEVELS:
        return TwoLevelReady()
    return PriorityReady(profile.quorum_priority_levels - 1)


def level_number(profile: Profile, priority: int) -> int:
    """Say at which level a message of this priority waits, from 0."""
    if profile.quorum_priority_levels == _TWO_LEVELS:
        return int(priority >= HIGH_PRIORITY)
    return min(priority, profile.quorum_priority_levels - 1)
