"""What happened to messages, one record for each thing that happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from amqpy_broker.testing.looking.messages import Message

# What stands for the connection where the test itself published or took a message.
THE_TEST = "the test"


class Loss(Enum):
    """Why a message is gone without anybody having had it for good."""

    # It died, and its queue has no dead-letter exchange.
    REJECTED = "rejected"
    EXPIRED = "expired"
    MAXLEN = "maxlen"
    DELIVERY_LIMIT = "delivery_limit"
    # It was refused by a queue that is full: a publisher with confirms got basic.nack.
    REFUSED = "refused"
    # A queue with deduplication had one like it.
    DUPLICATE = "duplicate"
    # A last-value queue has a newer one.
    REPLACED = "replaced"
    PURGED = "purged"
    QUEUE_DELETED = "queue deleted"
    # A dead letter, or a delayed message that came due, found no queue.
    UNROUTABLE = "unroutable"


@dataclass(frozen=True, slots=True)
class Record:
    """Something that happened to a message."""

    # Counts up over all records, of whatever kind.
    number: int
    # The broker's time.
    at: datetime
    vhost: str
    message: Message

    def __str__(self) -> str:
        return f"#{self.number} {type(self).__name__.lower()} {self.message}{self.more}"

    @property
    def more(self) -> str:
        """What else there is to tell."""
        return ""


@dataclass(frozen=True, slots=True)
class Published(Record):
    """A message was published: over a channel, or by the test.

    A publish in a transaction is told of at once, as RabbitMQ's firehose does, whatever becomes of the transaction.
    """

    # The queues it was routed to.
    queues: tuple[str, ...]
    connection: str
    channel: int
    user: str
    # The name that the client gave its connection, if it gave one.
    client_name: str
    mandatory: bool
    # It waits in a delayed message exchange: where it will go is not known yet.
    delayed: bool = False
    # It went straight to who waits for a reply (https://www.rabbitmq.com/docs/direct-reply-to).
    reply: bool = False
    # It went back to its publisher.
    returned: bool = False

    @property
    def unrouted(self) -> bool:
        """Whether it was dropped without a word to anybody."""
        return not (self.mandatory or self.queues or self.delayed or self.reply)

    @property
    def more(self) -> str:
        """Where it went."""
        if self.queues:
            return f" -> {', '.join(self.queues)}"
        if self.delayed:
            return " -> delayed"
        if self.reply:
            return " -> a direct reply"
        return " -> returned" if self.returned else " -> dropped: no queue"


@dataclass(frozen=True, slots=True)
class SentOn(Record):
    """A message that was delayed came due, and was routed."""

    queues: tuple[str, ...]

    @property
    def more(self) -> str:
        """Where it went."""
        return f" -> {', '.join(self.queues) or 'dropped: no queue'}"


@dataclass(frozen=True, slots=True)
class Delivered(Record):
    """A message was handed out, to a consumer or for basic.get."""

    queue: str
    connection: str
    channel: int
    user: str
    # The name that the client gave its connection, if it gave one.
    client_name: str
    # None: for basic.get.
    consumer_tag: str | None
    # Nothing is to be acknowledged.
    no_ack: bool

    @property
    def redelivered(self) -> bool:
        """Whether it was handed out before."""
        return self.message.redelivered

    @property
    def more(self) -> str:
        """From where, and to whom."""
        how = f"consumer {self.consumer_tag!r}" if self.consumer_tag is not None else "basic.get"
        again = " (redelivered)" if self.redelivered else ""
        return f" from {self.queue} to {how} of {self.client_name or self.connection}{again}"


@dataclass(frozen=True, slots=True)
class Settled(Record):
    """A delivery ended. Base of the three ways."""

    delivery: Delivered

    @property
    def queue(self) -> str:
        """The queue it was from."""
        return self.delivery.queue

    @property
    def connection(self) -> str:
        """The connection it was delivered over."""
        return self.delivery.connection

    @property
    def client_name(self) -> str:
        """The name that the client gave that, if it gave one."""
        return self.delivery.client_name

    @property
    def channel(self) -> int:
        """The number of the channel."""
        return self.delivery.channel

    @property
    def user(self) -> str:
        """The user of the connection."""
        return self.delivery.user

    @property
    def consumer_tag(self) -> str | None:
        """The consumer that had it; None for basic.get."""
        return self.delivery.consumer_tag

    @property
    def more(self) -> str:
        """Whence, and by whom."""
        return self.delivery.more


class Acked(Settled):
    """It was acknowledged."""

    __slots__ = ()


class Rejected(Settled):
    """It was rejected, not to be requeued: dead-lettered, or gone."""

    __slots__ = ()


class Requeued(Settled):
    """It went back to its queue: by nack, reject or recover, or since its channel or consumer ended."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Expired(Record):
    """A message's time to live passed while it was in a queue."""

    queue: str

    @property
    def more(self) -> str:
        """Where."""
        return f" in {self.queue}"


@dataclass(frozen=True, slots=True)
class DeadLettered(Record):
    """A message died, and was published to its queue's dead-letter exchange. The message is the dead letter."""

    # Where it died, and of what: rejected, expired, maxlen, delivery_limit.
    queue: str
    reason: str
    # The queues it reached.
    queues: tuple[str, ...]

    @property
    def exchange(self) -> str:
        """The dead-letter exchange."""
        return self.message.exchange

    @property
    def more(self) -> str:
        """Whence, why and where to."""
        return f" of {self.queue} ({self.reason}) -> {', '.join(self.queues) or 'dropped: no queue'}"


@dataclass(frozen=True, slots=True)
class Dropped(Record):
    """A message is gone for good, though nobody acknowledged it."""

    # Where it was; None if it was in none.
    queue: str | None
    loss: Loss

    @property
    def reason(self) -> str:
        """The reason, as text."""
        return self.loss.value

    @property
    def more(self) -> str:
        """Whence, and why."""
        return f" ({self.reason})" if self.queue is None else f" from {self.queue} ({self.reason})"
