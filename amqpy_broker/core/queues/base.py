"""What every queue type is to the rest of the broker: the queue, its consumers and its messages, who know each other.

A queue owns its messages. Nobody else holds its internals: a connection holds `QueuedMessage`s that were handed out to
it, and settles or requeues them here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from enum import Enum
from typing import ClassVar, Protocol

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.exchanges.bindings import Destination
from amqpy_broker.core.journal import JournalWriter
from amqpy_broker.core.message import Message
from amqpy_broker.core.names import queue_text
from amqpy_broker.core.policies import UNGOVERNED, Governing
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.effective import effective_settings
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.settings import QueueSettings
from amqpy_broker.core.queues.window import Window
from amqpy_broker.core.timers import Timers


class QueuedMessage:
    """A message's place in one queue, from the moment it is kept or handed out until it is settled."""

    __slots__ = ("batch", "consumer", "message", "position", "queue", "redelivered")

    # The batch of the journal that it is in; 0 for none. Only journaled queues write it, and only they read it.
    batch: int
    # When it dies, in the clock's seconds.
    expires_at_s: float = float("inf")
    # How often it came back; counted where that makes a difference.
    delivery_count: int = 0
    # When it came back last, as a number that grows from return to return; 0 for never, and where nobody asks.
    returned_at: int = 0

    def __init__(self, message: Message, queue: Queue, position: int) -> None:
        self.message = message
        self.queue = queue
        # Its place among all messages of the queue, ever.
        self.position = position
        self.redelivered = False
        # Whom it was handed out to; None while it is ready, and for basic.get.
        self.consumer: Consumer | None = None

    def __lt__(self, other: QueuedMessage) -> bool:
        return self.position < other.position


class ExpiringMessage(QueuedMessage):
    """A queued message that dies when it is the first at its time. Few are: the others need no place for the time."""

    __slots__ = ("expires_at_s",)

    def __init__(self, message: Message, queue: Queue, position: int, expires_at_s: float) -> None:
        super().__init__(message, queue, position)
        self.expires_at_s = expires_at_s


class Reason(Enum):
    """Why a message died: the `reason` in x-death."""

    REJECTED = "rejected"
    EXPIRED = "expired"
    MAXLEN = "maxlen"
    DELIVERY_LIMIT = "delivery_limit"


class Surroundings(Protocol):
    """What queues need of the vhost around them."""

    timers: Timers
    profile: Profile
    # None: nothing outlives the broker, and nothing makes room in memory.
    journal: JournalWriter | None
    window: Window

    def dead_letter(
        self, queue: Queue, message: Message, reason: Reason, buried: Callable[[], None] | None = None
    ) -> None:
        """Publish a message that died to the queue's dead-letter exchange; `buried` is called when that is done."""
        ...

    def new_journal_id(self) -> int:
        """Name a queue in the journal."""
        ...

    def queue_expired(self, queue: Queue) -> None:
        """Delete a queue that was unused for too long."""
        ...


class Consumer(ABC):
    """Where a queue's messages go. The protocol's subclass turns deliveries into bytes; it must never raise.

    `waiting` is the queue's mark: this consumer could take no more when last asked, and is not asked again before
    `Queue.resume`.
    """

    __slots__ = (
        "arguments",
        "exclusive",
        "no_ack",
        "prefetch_count",
        "priority",
        "queue",
        "tag",
        "unacked_count",
        "waiting",
    )

    def __init__(
        self, tag: str, queue: Queue, *, no_ack: bool, exclusive: bool, prefetch_count: int, arguments: Arguments
    ) -> None:
        self.tag = tag
        self.queue = queue
        self.no_ack = no_ack
        self.exclusive = exclusive
        # Unacknowledged deliveries it may have; 0 is no limit.
        self.prefetch_count = prefetch_count
        self.unacked_count = 0
        self.arguments = arguments
        # Those with a higher one are served first [https://www.rabbitmq.com/docs/consumer-priority].
        priority = arguments.get("x-priority")
        self.priority = priority.value if priority is not None and isinstance(priority.value, int) else 0
        self.waiting = True

    @abstractmethod
    def can_take(self) -> bool:
        """Say whether prefetch and the connection's output leave room for a delivery."""

    @abstractmethod
    def deliver(self, message: Message, redelivered: bool, queued: QueuedMessage | None) -> bool:
        """Send a delivery; say whether there is room for another.

        `queued` is what will be settled or requeued; None if the consumer does not acknowledge.
        """

    @abstractmethod
    def cancelled(self) -> None:
        """Learn that the queue is gone (https://www.rabbitmq.com/docs/consumer-cancel)."""

    def resume_if_waiting(self) -> None:
        """Tell the queue that there is room again, if it gave up on this consumer and there is."""
        if self.waiting and self.can_take():
            self.queue.resume(self)


class Queue(Destination):
    """Base of the queue types."""

    __slots__ = (
        "arguments",
        "asked",
        "auto_delete",
        "deleted",
        "durable",
        "governing",
        "had_consumers",
        "journal_id",
        "name",
        "owner",
        "settings",
        "vhost",
    )

    kind: ClassVar[str] = "queue"
    # The value of x-queue-type.
    type: ClassVar[str]

    def __init__(self, properties: QueueProperties) -> None:
        self.name = properties.name
        self.vhost = properties.vhost
        self.durable = properties.durable
        self.auto_delete = properties.auto_delete
        # The connection that holds an exclusive queue.
        self.owner = properties.owner
        self.arguments: Arguments = properties.arguments
        # What it was declared with, the policies that count for it, and what it does, all in all.
        self.asked = properties.settings
        self.governing = UNGOVERNED
        self.settings = properties.settings
        # Its name in the journal; None as long as nothing of it is there.
        self.journal_id = properties.journal_id
        self.deleted = False
        self.had_consumers = False

    def __str__(self) -> str:
        return queue_text(self.name, self.vhost)

    def govern(self, governing: Governing, profile: Profile) -> None:
        """Stand under other policies."""
        self.governing = governing
        definition = governing.definition
        self.change_settings(effective_settings(self.asked, self.arguments, definition, self.type, profile))

    @abstractmethod
    def change_settings(self, settings: QueueSettings) -> None:
        """Do something else from now on."""

    # --- what a type refuses: nothing, unless it says so --------------------------------------------------------------

    @classmethod
    def check(cls, properties: QueueProperties, resource: str) -> None:
        """Refuse to create a queue with these properties.

        Raises:
            PreconditionFailed: with RabbitMQ's text.
        """

    def check_delete(self, *, if_unused: bool, if_empty: bool) -> None:
        """Refuse to be deleted on a condition."""

    def check_get(self) -> None:
        """Refuse basic.get."""

    def check_consume(self, *, global_prefetch: bool) -> None:
        """Refuse a consumer of a channel with, or without, a prefetch count of its own."""

    @property
    def exclusive(self) -> bool:
        """Whether it belongs to one connection."""
        return self.owner is not None

    # --- counts -----------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def ready_count(self) -> int:
        """Messages waiting for a consumer."""

    @property
    @abstractmethod
    def unacked_count(self) -> int:
        """Messages handed out and not settled."""

    @property
    @abstractmethod
    def consumer_count(self) -> int:
        """Consumers, whether they can take or not."""

    @property
    @abstractmethod
    def memory_bytes(self) -> int:
        """Memory that its messages hold, ready and unacknowledged."""

    def page_out(self, wanted_bytes: int) -> int:
        """Make room in memory, if the queue can; say how many octets become free, now or with the next sync."""
        return 0

    # --- messages ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def enqueue(self, message: Message) -> bool:
        """Take in a message: hand it to a consumer that can take it, or keep it. Never raises.

        Returns False if the queue refuses it.
        """

    @abstractmethod
    def enqueue_lasting(self, message: Message) -> bool:
        """Do what `enqueue` does with a message that has no expiration of its own: the hot path."""

    @abstractmethod
    def get(self) -> QueuedMessage | None:
        """Hand out the first message, without a consumer. It counts as unacknowledged until settled or requeued."""

    @abstractmethod
    def settle(self, queued: QueuedMessage) -> None:
        """Forget a message that was handed out."""

    @abstractmethod
    def discard(self, queued: QueuedMessage) -> None:
        """Settle a message that a consumer rejected: it may be dead-lettered."""

    @abstractmethod
    def requeue(self, returned: Iterable[QueuedMessage], *, failed: bool = True) -> None:
        """Take messages back to their original places, marked redelivered.

        `failed` means that somebody tried to do something with them, and could not.
        """

    @abstractmethod
    def used(self) -> None:
        """Learn that somebody declared or asked the queue: it is in use."""

    @abstractmethod
    def purge(self) -> int:
        """Drop the messages that are ready; say how many."""

    # --- consumers --------------------------------------------------------------------------------------------------

    @abstractmethod
    def add_consumer(self, consumer: Consumer) -> None:
        """Add a consumer; it gets nothing before `resume`.

        Raises:
            AccessRefused: it, or the one that is there, wants to be alone.
        """

    @abstractmethod
    def remove_consumer(self, consumer: Consumer) -> None:
        """Remove a consumer. What it has not settled stays with its channel."""

    @abstractmethod
    def pause(self, consumer: Consumer) -> None:
        """Count no longer on a consumer that cannot take any more, though it has not been asked."""

    @abstractmethod
    def resume(self, consumer: Consumer) -> None:
        """Count on a consumer that can take (again), and hand out what waits."""

    @abstractmethod
    def close(self) -> list[Consumer]:
        """End as a queue that is deleted: drop everything, return the consumers that were there."""
