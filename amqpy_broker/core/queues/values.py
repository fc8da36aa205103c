"""The messages of a last-value queue, and what it knows of their keys."""

from __future__ import annotations

from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.queues.retry import RetriedMessage


class Value:
    """What a queue knows of a key, as long as any message with it is in memory: ready or unacknowledged."""

    __slots__ = ("__weakref__", "key", "newest_position", "ready")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.ready: KeyedMessage | None = None
        self.newest_position = 0


class KeyedMessage(RetriedMessage):
    """A queued message that knows the value it is one of, if it has the key."""

    __slots__ = ("stored_place", "value")

    # Its place in the journal, where it has no other's: only what is in a journal has one.
    stored_place: int

    def __init__(self, message: Message, queue: Queue, position: int, expires_at_s: float, value: Value | None) -> None:
        super().__init__(message, queue, position, expires_at_s)
        self.value = value
