"""The kit's witness of a vhost: writes down what the broker tells, and makes queues that tell more.

Rule 1: a queue tells by a class of its own that stands before the one it would be of; whatever kinds there are, there
        is a telling one of each.
Rule 2: a settlement is written down if its delivery was: what is settled for other reasons is nobody's acknowledgement.
Rule 3: a witness changes nothing. A queue that tells takes the same way as one that does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import ClassVar, Final, Protocol

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.direct_replies import REPLY_PREFIX
from amqpy_broker.core.exchanges.delayed_message import DelayedMessageExchange
from amqpy_broker.core.firehose import Source
from amqpy_broker.core.message import Message as CoreMessage
from amqpy_broker.core.names import DEFAULT_EXCHANGE
from amqpy_broker.core.queues.base import Consumer, Queue, QueuedMessage, Reason
from amqpy_broker.core.queues.browse import browses
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.last_value import LastValueQueue
from amqpy_broker.core.queues.settings import Overflow
from amqpy_broker.core.queues.values import KeyedMessage
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.testing.history.history import History
from amqpy_broker.testing.history.records import (
    Acked,
    DeadLettered,
    Delivered,
    Dropped,
    Expired,
    Loss,
    Published,
    Rejected,
    Requeued,
    SentOn,
    Settled,
)
from amqpy_broker.testing.looking.explanation import explain
from amqpy_broker.testing.looking.messages import Message

# Messages of the broker's own are sent on, too.
_OWN: Final = ("amq.rabbitmq.trace", "amq.rabbitmq.event")


class PublishListener(Protocol):
    """Who is told of publishes, too. It must never raise."""

    def published(self, message: CoreMessage, queues: tuple[Queue, ...], source: Source, *, mandatory: bool) -> None:
        """Learn of one, and of the queues that it was routed to."""
        ...


class VhostWitness:
    """Watches one vhost."""

    def __init__(
        self,
        core: BrokerCore,
        vhost: VirtualHost,
        history: History,
        listeners: list[PublishListener],
        client_name: Callable[[str], str],
    ) -> None:
        """Say `client_name` the broker's name of a connection, and it tells the client's name for it."""
        self._core = core
        self._vhost = vhost
        self._history = history
        self._listeners = listeners
        self._client_name = client_name
        self._classes: dict[type[ClassicQueue], type[ClassicQueue]] = {}
        # The queue that is being purged.
        self.purged: Queue | None = None
        for queue in vhost.queues.values():
            self._let_tell(queue)

    def _let_tell(self, queue: Queue) -> None:
        """Let a queue tell that was there before."""
        if isinstance(queue, ClassicQueue) and not isinstance(queue, TellingQueue):
            queue.__class__ = self.queue_class(type(queue))

    # --- what the core tells ----------------------------------------------------------------------------------------

    def published(self, message: CoreMessage, queues: tuple[Queue, ...], source: Source, *, mandatory: bool) -> None:
        """Write down a publish."""
        for listener in self._listeners:
            listener.published(message, queues, source, mandatory=mandatory)
        profile = self._core.profile
        replies = [key for key in (message.routing_key, *message.copies) if key.startswith(REPLY_PREFIX)]
        to_replies = message.exchange == DEFAULT_EXCHANGE and bool(replies)
        self._history.add(
            Published(
                *self._next(message),
                queues=_names(queues),
                connection=source.connection,
                channel=source.channel,
                user=source.user,
                client_name=self._client_name(source.connection),
                mandatory=mandatory,
                delayed=not queues and self._is_delayed(message),
                reply=to_replies and any(map(self._core.replies.exists, replies)),
                returned=mandatory and not queues and not (to_replies and profile.reply_to_is_a_queue),
            ),
            message.memory_size,
        )

    def delivered(
        self,
        message: CoreMessage,
        queue: Queue,
        source: Source,
        *,
        redelivered: bool,
        queued: QueuedMessage | None,
        consumer: Consumer | None,
    ) -> None:
        """Write down a delivery; what is only shown to a browsing consumer is none."""
        if consumer is not None and browses(consumer.arguments):
            return
        record = Delivered(
            *self._next(message, redelivered=redelivered),
            queue=queue.name,
            connection=source.connection,
            channel=source.channel,
            user=source.user,
            client_name=self._client_name(source.connection),
            consumer_tag=None if consumer is None else consumer.tag,
            no_ack=queued is None,
        )
        self._history.add(record)
        if queued is not None:
            self._history.handed_out(queued, record)

    def dead_lettered(self, queue: Queue, letter: CoreMessage, reason: Reason, reached: tuple[Queue, ...]) -> None:
        """Write down a dead letter."""
        self._history.add(
            DeadLettered(*self._next(letter), queue=queue.name, reason=reason.value, queues=_names(reached)),
            letter.memory_size,
        )
        if not reached:
            self.dropped(queue, letter, Loss.UNROUTABLE)

    def sent_on(self, message: CoreMessage, queues: tuple[Queue, ...]) -> None:
        """Write down that a delayed message came due."""
        if message.exchange in _OWN:
            return
        self._history.add(SentOn(*self._next(message), queues=_names(queues)))
        if not queues:
            self.dropped(None, message, Loss.UNROUTABLE)

    def queue_class(self, kind: type[ClassicQueue]) -> type[ClassicQueue]:
        """Return a class of queues that are of this kind, and tell."""
        if kind not in self._classes:
            telling = TellingValues if issubclass(kind, LastValueQueue) else TellingQueue
            # No queue has attributes that the kind has no slots for.
            shape = {"__slots__": (), "__module__": __name__, "witness": self}
            self._classes[kind] = type(f"Telling{kind.__name__}", (telling, kind), shape)
        return self._classes[kind]

    # --- what queues tell -------------------------------------------------------------------------------------------

    def settled(self, how: type[Settled], queued: QueuedMessage) -> None:
        """Write down how a delivery ended."""
        delivery = self._history.settled(queued)
        if delivery is not None:
            number, at, vhost, _ = self._next(queued.message)
            self._history.add(how(number, at, vhost, delivery.message, delivery))

    def died(self, queue: Queue, queued: QueuedMessage, reason: Reason) -> None:
        """Write down the death of a message; of its dead letter, if there is one, the vhost tells."""
        if reason is Reason.EXPIRED:
            self._history.add(Expired(*self._next(queued.message, redelivered=queued.redelivered), queue=queue.name))
        if queue.settings.dead_letter_exchange is None:
            self.dropped(queue, queued.message, Loss(reason.value))

    def dropped(self, queue: Queue | None, message: CoreMessage, loss: Loss) -> None:
        """Write down that a message is gone."""
        self._history.add(Dropped(*self._next(message), queue=None if queue is None else queue.name, loss=loss))

    # --- steps ------------------------------------------------------------------------------------------------------

    def _next(self, message: CoreMessage, *, redelivered: bool = False) -> tuple[int, datetime, str, Message]:
        """Return what every record begins with."""
        at = datetime.fromtimestamp(self._core.clock.unix_s(), UTC)
        return self._history.next_number(), at, self._vhost.name, Message(message, redelivered=redelivered)

    def _is_delayed(self, message: CoreMessage) -> bool:
        """Say whether a message that reached no queue waits in an exchange."""
        exchange = self._vhost.exchanges.get(message.exchange)
        if exchange is None or not any(
            isinstance(candidate, DelayedMessageExchange) for candidate in self._vhost.exchanges.values()
        ):
            return False
        keys = (message.routing_key, *message.copies)
        return explain(self._vhost, exchange, keys, message.headers).is_delayed


class TellingQueue(ClassicQueue):
    """Stands before the class that a queue would be of, and tells what happens to its messages."""

    __slots__ = ()

    witness: ClassVar[VhostWitness]

    def settle(self, queued: QueuedMessage) -> None:
        """Forget a message that was handed out."""
        self.witness.settled(Acked, queued)
        super().settle(queued)

    def discard(self, queued: QueuedMessage) -> None:
        """Settle a message that a consumer rejected."""
        self.witness.settled(Rejected, queued)
        super().discard(queued)

    def requeue(self, returned: Iterable[QueuedMessage], *, failed: bool = True) -> None:
        """Take messages back to their places; those of a deleted queue are lost."""
        returned = list(returned)
        for queued in returned:
            self.witness.settled(Requeued, queued)
            if self.deleted:
                self.witness.dropped(self, queued.message, Loss.QUEUE_DELETED)
        super().requeue(returned, failed=failed)

    def purge(self) -> int:
        """Drop the messages that are ready; say how many."""
        self.witness.purged = self
        try:
            return super().purge()
        finally:
            self.witness.purged = None

    def _enqueue_special(self, message: CoreMessage) -> bool:
        last_position = self._next_position
        accepted = super()._enqueue_special(message)
        if not accepted and not self._buries_refused:
            self.witness.dropped(self, message, Loss.REFUSED)
        elif accepted and self._deduplication is not None and self._next_position == last_position:
            self.witness.dropped(self, message, Loss.DUPLICATE)
        return accepted

    @property
    def _buries_refused(self) -> bool:
        settings = self.settings
        return settings.overflow is Overflow.REJECT_PUBLISH_DLX and settings.dead_letter_exchange is not None

    def _drop(self, queued: QueuedMessage) -> None:
        super()._drop(queued)
        loss = Loss.QUEUE_DELETED if self.deleted else Loss.PURGED if self.witness.purged is self else Loss.REPLACED
        self.witness.dropped(self, queued.message, loss)

    def _bury(self, queued: QueuedMessage, reason: Reason, buried: Callable[[], None] | None = None) -> None:
        if not self.deleted:
            self.witness.died(self, queued, reason)
        super()._bury(queued, reason, buried)


class TellingValues(TellingQueue, LastValueQueue):
    """Does the same for last-value queues."""

    __slots__ = ()

    def _replace(self, older: KeyedMessage, newer: KeyedMessage) -> None:
        self.witness.dropped(self, older.message, Loss.REPLACED)
        super()._replace(older, newer)


def _names(queues: Iterable[Queue]) -> tuple[str, ...]:
    return tuple(queue.name for queue in queues)
