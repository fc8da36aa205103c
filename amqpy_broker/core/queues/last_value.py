"""The last-value queue: of messages with the same key only the newest is worth waiting for.

Rule 1: a message takes the place of the one with its key that is ready. So a key that changes often does not wait
        longer than others.
Rule 2: one that comes back is dropped if a newer one with its key was published since.
Rule 3: messages without the key are as in any queue.
Rule 4: where there is a journal, only keys have to be in memory (`stubbed.py`); with priorities everything is.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final
from weakref import WeakValueDictionary

from amqpy_broker.core.journal import JournalWriter, Stored
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import QueuedMessage, Surroundings
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.contents import Contents, Kept
from amqpy_broker.core.queues.keys import header_key
from amqpy_broker.core.queues.paged import Pager
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.ready import FifoReady, Ready
from amqpy_broker.core.queues.stubbed import StubbedReady
from amqpy_broker.core.queues.stubs import Stub
from amqpy_broker.core.queues.values import KeyedMessage, Value

_NEVER: Final = float("inf")


class LastValueReady(Ready):
    """Keeps in mind which message of each key is ready, in whatever order they leave."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Ready) -> None:
        self._inner = inner

    def stubbed(self, make_line: Callable[[], StubbedReady]) -> StubbedReady | None:
        """Have a line keep the messages that can let go of them; None if they do not leave in one line."""
        inner = self._inner
        if type(inner) is not FifoReady:
            return None
        self._inner = line = make_line()
        line.take_over(inner)
        return line

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

    @property
    def body_bytes(self) -> int:
        """Octets of all bodies."""
        return self._inner.body_bytes

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

    __slots__ = ("_keyed", "_line", "_values")

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties, around)
        self._values: WeakValueDictionary[bytes, Value] = WeakValueDictionary()
        self._ready = self._keyed = LastValueReady(self._ready)
        # What is ready, as soon as any of it may be on disk only.
        self._line: StubbedReady | None = None

    @property
    def memory_bytes(self) -> int:
        """Memory that its messages hold, ready and unacknowledged, and what is left of those on disk."""
        return self._bytes if self._line is None else self._bytes + self._line.stub_bytes

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

    # --- places -----------------------------------------------------------------------------------------------------

    def _place(self, message: Message) -> QueuedMessage:
        return self._place_expiring(message, _NEVER)

    def _place_expiring(self, message: Message, expires_at_s: float) -> QueuedMessage:
        self._next_position += 1
        self._bytes += message.memory_size + MESSAGE_OVERHEAD_BYTES
        return KeyedMessage(message, self, self._next_position, expires_at_s, self._value_of(message))

    def _value_of(self, message: Message) -> Value | None:
        assert self.settings.last_value_key is not None
        key = header_key(message, self.settings.last_value_key)
        return None if key is None else self._values.setdefault(key, Value(key))

    # --- what is replaced -------------------------------------------------------------------------------------------

    def _will_overflow(self, message: Message) -> bool:
        # What takes another's place does not make the queue longer.
        if self.settings.may_reject:
            value = self._value_of(message)
            if value is not None and (value.ready is not None or self._stub_of(value) is not None):
                return False
        return super()._will_overflow(message)

    def _admit(self, queued: QueuedMessage) -> None:
        assert isinstance(queued, KeyedMessage)
        value = queued.value
        if value is None:
            super()._admit(queued)
        elif (value.ready is not None or self._line is not None) and self._replaces(value, queued):
            if self._is_over_limit():
                self._drop_over_limit()
            if self._expiry is not None:
                self._drop_expired()
        else:
            value.newest_position = queued.position
            super()._admit(queued)

    def _replaces(self, value: Value, newer: KeyedMessage) -> bool:
        """Put a message in the place of the one with its key that is ready, if there is one."""
        if value.ready is not None:
            self._replace(value.ready, newer)
            return True
        stub = self._stub_of(value)
        if stub is not None:
            self._replace_stub(stub, newer)
        return stub is not None

    def _replace(self, older: KeyedMessage, newer: KeyedMessage) -> None:
        self._move_stored(older, newer)
        self._bytes -= older.message.memory_size + MESSAGE_OVERHEAD_BYTES
        if self.settings.max_length_bytes is not None:
            self._ready_body_bytes += newer.message.body_size - older.message.body_size
        older.message = newer.message
        older.expires_at_s = newer.expires_at_s
        older.redelivered = False
        older.delivery_count = 0

    def _move_stored(self, older: KeyedMessage, newer: KeyedMessage) -> None:
        """Have one message in the journal instead of another, if they are there."""
        if self._line is not None:
            self._line.forget_spilled(older)

    def _stub_of(self, value: Value) -> Stub | None:
        """Find what is on disk only."""
        return None if self._line is None else self._line.stub_of(value.key)

    def _replace_stub(self, older: Stub, newer: KeyedMessage) -> None:
        assert self._line is not None
        self._line.replace(older, newer)
        if self.settings.max_length_bytes is not None:
            self._ready_body_bytes += newer.message.body_size - older.body_size

    def _put_back(self, queued: QueuedMessage) -> None:
        if _is_outdated(queued):
            self._drop(queued)
            return
        super()._put_back(queued)

    # --- paging -----------------------------------------------------------------------------------------------------

    def _new_pager(self, journal: JournalWriter) -> Pager | None:
        def make_line() -> StubbedReady:
            return StubbedReady(journal, self._new_journal_id(), self, self._around.window, mixed=self.mixes)

        self._line = self._keyed.stubbed(make_line)
        return self._line

    def _place_to_spill(self, queued: QueuedMessage) -> int:
        # Not its own: what took the place of another has one that was passed long ago.
        assert isinstance(queued, KeyedMessage)
        self._next_position += 1
        queued.stored_place = self._next_position
        return queued.stored_place

    def take_in(self, stored: Stored, batch: int) -> None:
        """Have a message again that was recovered. One that is newer takes the place of the older, as ever."""
        queued = self.revive(stored, batch)
        assert isinstance(queued, KeyedMessage)
        value = queued.value
        if value is not None:
            older, redelivered = value.ready, queued.redelivered
            if self._replaces(value, queued):
                if older is not None:
                    older.redelivered = redelivered
                return
            value.newest_position = queued.position
        self._ready.append(queued)
        if self.settings.max_length_bytes is not None:
            self._ready_body_bytes += queued.message.body_size


def _is_outdated(queued: QueuedMessage) -> bool:
    """Say whether a newer message with its key was published since it was handed out."""
    assert isinstance(queued, KeyedMessage)
    return queued.value is not None and queued.position < queued.value.newest_position
