"""The last-value queue: of messages with the same key only the newest is worth waiting for.

Rule 1: a message takes the place of the one with its key that is ready. So a key that changes often does not wait
        longer than others.
Rule 2: one that comes back is dropped if a newer one with its key was published since.
Rule 3: messages without the key are as in any queue.
"""

from collections.abc import Iterable, Iterator
from typing import Final
from weakref import WeakValueDictionary

from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Queue, QueuedMessage, Surroundings
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.contents import Contents, Kept
from amqpy_broker.core.queues.keys import header_key
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.ready import Ready
from amqpy_broker.core.queues.retry import RetriedMessage

_NEVER: Final = float("inf")


class Value:
    """What a queue knows of a key, as long as any message with it is ready or unacknowledged."""

    __slots__ = ("__weakref__", "newest_position", "ready")

    def __init__(self) -> None:
        self.ready: KeyedMessage | None = None
        self.newest_position = 0


class KeyedMessage(RetriedMessage):
    """A queued message that knows the value it is one of, if it has the key."""

    __slots__ = ("stored_place", "value")

    # Its place in the journal, where it has no other's: only journaled queues write it, and only they read it.
    stored_place: int

    def __init__(self, message: Message, queue: Queue, position: int, expires_at_s: float, value: Value | None) -> None:
        super().__init__(message, queue, position, expires_at_s)
        self.value = value


class LastValueReady(Ready):
    """Keeps in mind which message of each key is ready, in whatever order they leave."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Ready) -> None:
        self._inner = inner

    def append(self, queued: QueuedMessage) -> None:
        """Add a message at the end."""
        _value_becomes(queued, ready=True)
        self._inner.append(queued)

    def put_back(self, queued: QueuedMessage) -> None:
        """Return a message to its place."""
        _value_becomes(queued, ready=True)
        self._inner.put_back(queued)

    def pop(self) -> QueuedMessage | None:
        """Take the first message."""
        return _value_becomes(self._inner.pop(), ready=False)

    def pop_expired(self, now_s: float) -> QueuedMessage | None:
        """Take the first message if it has expired."""
        return _value_becomes(self._inner.pop_expired(now_s), ready=False)

    @property
    def next_expiry_s(self) -> float:
        """When the first message expires."""
        return self._inner.next_expiry_s

    def after(self, last: QueuedMessage | None) -> Iterator[QueuedMessage]:
        """Show what leaves after a message."""
        return self._inner.after(last)

    def listed(self) -> Iterator[tuple[QueuedMessage, bool]]:
        """Show everything, and how to put it back."""
        return self._inner.listed()

    def drain(self) -> Iterator[QueuedMessage]:
        """Take everything."""
        for queued in self._inner.drain():
            _value_becomes(queued, ready=False)
            yield queued

    def __len__(self) -> int:
        return len(self._inner)


def _value_becomes(queued: QueuedMessage | None, *, ready: bool) -> QueuedMessage | None:
    if isinstance(queued, KeyedMessage) and queued.value is not None:
        queued.value.ready = queued if ready else None
    return queued


class LastValueQueue(ClassicQueue):
    """A classic queue with `x-last-value-key`."""

    __slots__ = ("_values",)

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties, around)
        self._values: WeakValueDictionary[bytes, Value] = WeakValueDictionary()
        self._ready = LastValueReady(self._ready)

    def contents(self, unacked: Iterable[QueuedMessage]) -> Contents:
        """Take down what it holds; what would be dropped if it came back is not in it."""
        return super().contents(queued for queued in unacked if not _is_outdated(queued))

    def _empty(self) -> None:
        super()._empty()
        self._values = WeakValueDictionary()

    def _recall(self, queued: QueuedMessage, kept: Kept) -> None:
        super()._recall(queued, kept)
        assert isinstance(queued, KeyedMessage)
        if queued.value is not None:
            queued.value.newest_position = max(queued.value.newest_position, queued.position)

    def _place(self, message: Message) -> QueuedMessage:
        return self._place_expiring(message, _NEVER)

    def _place_expiring(self, message: Message, expires_at_s: float) -> QueuedMessage:
        self._next_position += 1
        self._bytes += message.memory_size + MESSAGE_OVERHEAD_BYTES
        return KeyedMessage(message, self, self._next_position, expires_at_s, self._value_of(message))

    def _value_of(self, message: Message) -> Value | None:
        assert self.settings.last_value_key is not None
        key = header_key(message, self.settings.last_value_key)
        return None if key is None else self._values.setdefault(key, Value())

    def _will_overflow(self, message: Message) -> bool:
        # What takes another's place does not make the queue longer.
        if self.settings.may_reject:
            value = self._value_of(message)
            if value is not None and value.ready is not None:
                return False
        return super()._will_overflow(message)

    def _admit(self, queued: QueuedMessage) -> None:
        assert isinstance(queued, KeyedMessage)
        value = queued.value
        if value is not None and value.ready is not None:
            self._replace(value.ready, queued)
            return
        if value is not None:
            value.newest_position = queued.position
        super()._admit(queued)

    def _replace(self, older: KeyedMessage, newer: KeyedMessage) -> None:
        self._bytes -= older.message.memory_size + MESSAGE_OVERHEAD_BYTES
        if self.settings.max_length_bytes is not None:
            self._ready_body_bytes += newer.message.body_size - older.message.body_size
        older.message = newer.message
        older.expires_at_s = newer.expires_at_s
        older.redelivered = False
        older.delivery_count = 0
        if self._is_over_limit():
            self._drop_over_limit()
        if self._expiry is not None:
            self._drop_expired()

    def _put_back(self, queued: QueuedMessage) -> None:
        if _is_outdated(queued):
            self._drop(queued)
            return
        super()._put_back(queued)


def _is_outdated(queued: QueuedMessage) -> bool:
    """Say whether a newer message with its key was published since it was handed out."""
    assert isinstance(queued, KeyedMessage)
    return queued.value is not None and queued.position < queued.value.newest_position
