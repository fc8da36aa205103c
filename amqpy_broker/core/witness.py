"""Who watches a vhost: tests do. Nothing is told, and nothing is made for it, while nobody watches."""

from typing import Protocol

from amqpy_broker.core.firehose import Source
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Consumer, Queue, QueuedMessage, Reason
from amqpy_broker.core.queues.classic import ClassicQueue


class Witness(Protocol):
    """Learns what happens to messages. It must never raise."""

    def published(self, message: Message, queues: tuple[Queue, ...], source: Source, *, mandatory: bool) -> None:
        """Learn of a message that was published, and of the queues that it was routed to."""
        ...

    def delivered(
        self,
        message: Message,
        queue: Queue,
        source: Source,
        *,
        redelivered: bool,
        queued: QueuedMessage | None,
        consumer: Consumer | None,
    ) -> None:
        """Learn of a message that was handed out over a channel.

        Args:
            message: it, as the client gets it.
            queue: where it was.
            source: the channel.
            redelivered: whether it was handed out before.
            queued: what will be settled or requeued; None if nothing is to be acknowledged.
            consumer: who gets it; None for basic.get.
        """
        ...

    def dead_lettered(self, queue: Queue, letter: Message, reason: Reason, reached: tuple[Queue, ...]) -> None:
        """Learn of a dead letter that was published, and of the queues that took it."""
        ...

    def sent_on(self, message: Message, queues: tuple[Queue, ...]) -> None:
        """Learn of a message that an exchange kept and has sent on, and of the queues that it was routed to."""
        ...

    def queue_class(self, kind: type[ClassicQueue]) -> type[ClassicQueue]:
        """Choose what a queue that would be of this class is made of: a class that tells more."""
        ...
