"""Who watches a vhost: tests do. Nothing is told, and nothing is made for it, while nobody watches."""

from typing import Protocol

from amqpy_broker.core.firehose import Source
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.queues.classic import ClassicQueue


class Witness(Protocol):
    """Learns what happens to messages."""

    def published(self, message: Message, queues: tuple[Queue, ...], source: Source, *, mandatory: bool) -> None:
        """Learn of a message that was published, and of the queues that it was routed to."""
        ...

    def queue_class(self, kind: type[ClassicQueue]) -> type[ClassicQueue]:
        """Choose what a queue that would be of this class is made of: a class that tells more."""
        ...
