"""The delayed message exchange (https://github.com/rabbitmq/rabbitmq-delayed-message-exchange).

Rule 1: a message with a header `x-delay`, in milliseconds, waits in the exchange. When it is due it is routed as an
        exchange of the type `x-delayed-type` would, along the bindings of that moment, with the header made negative.
Rule 2: messages leave in the order they are due; those due at the same time in the order they came.
Rule 3: what has no delay, or none that can be waited for, is routed at once.
Rule 4: an alternate exchange is asked when the message is due. (RabbitMQ's plugin asks it at once, and again then.)
Rule 5: what is persistent waits on through a restart, if the exchange is durable. What was due meanwhile leaves then.

There is one timer for an exchange, whatever waits in it.
"""

import re
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import ClassVar, Final, NamedTuple

from amqpy_broker.core.arguments import INTEGER_KINDS, Arguments, argument
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.exchanges.base import Exchange, ExchangeProperties, KeptByExchange, Matched
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.journal import Page
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Queue

DELAY: Final = "x-delay"
DELAYED_TYPE: Final = "x-delayed-type"
# The plugin's ?ERL_MAX_T, the longest timer of Erlang: 49 days, 17 hours.
DELAY_MAX_MS: Final = 4_294_967_295
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
# A key in the heap is when and which in one integer: microseconds of the clock, then the number of the message.
_NUMBER_BITS: Final = 48
_NUMBER_END: Final = 1 << _NUMBER_BITS
_NEVER: Final = float("inf")
# Entries of cancelled messages that may stay in the heap, beside as many as there are messages.
_CANCELLED_MAX: Final = 1024


class DelayedMessage(NamedTuple):
    """A message that waits."""

    # Names it to `cancel`.
    id: int
    due_unix_s: float
    routing_key: str
    message: Message


class DelayedMessageExchange(Exchange):
    """Keep messages until they are due, then send them on as an exchange of another type."""

    __slots__ = ("_around", "_batches", "_heap", "_inner", "_memory_bytes", "_next_number", "_timer", "_waiting")

    type: ClassVar[str] = "x-delayed-message"
    keeps_messages: ClassVar[bool] = True

    def __init__(self, properties: ExchangeProperties) -> None:
        super().__init__(properties)
        self._around = properties.around
        self._inner = _inner_type(properties)(properties)
        self._timer = properties.around.timers.timer(self._send_due)
        self._heap: list[int] = []
        # By key. What is in the heap only was cancelled.
        self._waiting: dict[int, Message] = {}
        # The batches of those that are in the journal, by key.
        self._batches: dict[int, int] = {}
        self._next_number = 0
        self._memory_bytes = 0

    # --- what waits -------------------------------------------------------------------------------------------------

    @property
    def pending_count(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    @property
    def memory_bytes(self) -> int:
        """Memory held by the messages that wait."""
        return self._memory_bytes + self._inner.memory_bytes

    def pending(self) -> list[DelayedMessage]:
        """List what waits, in the order it is due."""
        clock = self._around.timers.clock
        offset_s = clock.unix_s() - clock.monotonic_s()
        return [
            DelayedMessage(key, _due_s(key) + offset_s, message.routing_key, message)
            for key, message in sorted(self._waiting.items(), key=lambda item: item[0])
        ]

    def cancel(self, delayed: DelayedMessage) -> bool:
        """Drop a message that waits; False if it is gone already, sent or cancelled."""
        if delayed.id not in self._waiting:
            return False
        self._take(delayed.id)
        if len(self._heap) > 2 * len(self._waiting) + _CANCELLED_MAX:
            self._heap = list(self._waiting)
            heapify(self._heap)
        return True

    # --- an exchange of another type --------------------------------------------------------------------------------

    @classmethod
    def check_properties(cls, properties: ExchangeProperties) -> None:
        """Refuse what names no other type, and what that type refuses."""
        _inner_type(properties).check_properties(properties)

    @property
    def decides_for_each_message(self) -> bool:
        """Always: a header decides."""
        return True

    def check_binding(self, binding: Binding) -> None:
        """Refuse what the other type refuses."""
        self._inner.check_binding(binding)

    def brought_by(self, binding: Binding) -> Sequence[tuple[Message, Sequence[Queue]]]:
        """Bring what the other type brings."""
        return self._inner.brought_by(binding)

    def route(self, routing_key: str, headers: Arguments, matched: Matched) -> None:
        """Route what has no delay."""
        self._inner.route(routing_key, headers, matched)

    def route_message(self, message: Message, keys: Sequence[str], matched: Matched) -> bool:
        """Keep a message that has a delay, route one that has not."""
        delay_ms = delay_of(message.headers)
        if delay_ms is not None and 0 < delay_ms <= DELAY_MAX_MS:
            self._keep(message, delay_ms)
            return True
        if self._inner.decides_for_each_message:
            return self._inner.route_message(message, keys, matched)
        self._inner.route_keys(keys, matched)
        return False

    def take_back(self, pages: Iterable[Page]) -> None:
        """Let wait again what the journal kept."""
        journal, timers = self._around.journal, self._around.timers
        assert journal is not None
        for page in pages:
            for stored in journal.read(page):
                assert stored.expires_at_unix_ms is not None
                due_us = round(timers.at_s(stored.expires_at_unix_ms) * 1_000_000)
                key = due_us << _NUMBER_BITS | stored.place
                self._batches[key] = page.batch
                self._add(key, stored.message)
                self._next_number = max(self._next_number, stored.place + 1)

    def close(self) -> None:
        """Drop everything: there are no bindings left to send it along."""
        self._timer.stop()
        self._heap.clear()
        self._waiting.clear()
        self._batches.clear()
        if self.journal_id is not None and self._around.journal is not None:
            self._around.journal.drop_queue(self.journal_id)
        self._memory_bytes = 0
        self._inner.close()

    @property
    def kept(self) -> tuple[KeptByExchange, ...]:
        """What waits, in the order it is due, and then what the other type keeps."""
        waiting = (KeptByExchange(self._waiting[key], _due_s(key)) for key in sorted(self._waiting))
        return (*waiting, *self._inner.kept)

    def refill(self, kept: Iterable[KeptByExchange]) -> None:
        """Let these messages wait, and no others."""
        self.close()
        of_inner = []
        for message, due_s in kept:
            if due_s == _NEVER:
                of_inner.append(KeptByExchange(message))
            else:
                self._keep_until(message, round(due_s * 1_000_000))
        self._inner.refill(of_inner)

    def _index(self, binding: Binding) -> None:
        self._inner.add_binding(binding)

    def _unindex(self, binding: Binding) -> None:
        self._inner.remove_binding(binding)

    # --- steps ------------------------------------------------------------------------------------------------------

    def _keep(self, message: Message, delay_ms: int) -> None:
        self._keep_until(message, round(self._around.timers.now_s * 1_000_000) + delay_ms * 1000)

    def _keep_until(self, message: Message, due_us: int) -> None:
        key = due_us << _NUMBER_BITS | self._next_number
        if message.persistent:
            self._store(key, message)
        self._next_number = (self._next_number + 1) % _NUMBER_END
        self._add(key, message)

    def _store(self, key: int, message: Message) -> None:
        """Keep a message in the journal, if the exchange is there."""
        journal, name = self._around.journal, self.journal_id
        if journal is not None and name is not None:
            self._batches[key] = journal.store(name, self._next_number, message)
            journal.expires(name, self._next_number, self._around.timers.unix_ms(_due_s(key)))

    def _add(self, key: int, message: Message) -> None:
        self._waiting[key] = message
        self._memory_bytes += message.memory_size + MESSAGE_OVERHEAD_BYTES
        heappush(self._heap, key)
        if self._heap[0] == key:
            self._timer.set(_due_s(key))

    def _take(self, key: int) -> Message:
        message = self._waiting.pop(key)
        batch = self._batches.pop(key, None)
        if batch is not None and self._around.journal is not None and self.journal_id is not None:
            self._around.journal.settle(batch, self.journal_id, key & (_NUMBER_END - 1))
        self._memory_bytes -= message.memory_size + MESSAGE_OVERHEAD_BYTES
        return message

    def _send_due(self) -> None:
        """Send on everything whose time has come."""
        now_s = self._around.timers.now_s
        while self._heap and _due_s(self._heap[0]) <= now_s:
            key = heappop(self._heap)
            if key in self._waiting:
                self._around.send(self, _sent_on(self._take(key)))
        if self._heap:
            self._timer.set(_due_s(self._heap[0]))


def delay_of(headers: Arguments) -> int | None:
    """Read the delay in milliseconds, whatever type a client gave it; None if there is none."""
    header = headers.get(DELAY)
    if header is None or header.kind == "bool":
        return None
    value = header.value
    if header.kind in INTEGER_KINDS and isinstance(value, int):
        return value
    match value:
        case str() if _INTEGER.fullmatch(value):
            return int(value)
        case float():
            return int(value)
        case _:
            return None


def _sent_on(message: Message) -> Message:
    """Make the delay negative: nobody waits again, and consumers see that the message was delayed."""
    headers = message.headers
    delay_ms = delay_of(headers)
    assert delay_ms is not None
    return message.edited(headers={**headers, DELAY: argument(-delay_ms)})


def _inner_type(properties: ExchangeProperties) -> type[Exchange]:
    wanted = properties.arguments.get(DELAYED_TYPE)
    if wanted is None or wanted.kind not in ("longstr", "binary"):
        raise PreconditionFailed(f"Invalid argument, '{DELAYED_TYPE}' must be an existing exchange type")
    value = wanted.value
    name = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    if name == DelayedMessageExchange.type:
        raise PreconditionFailed(f"Invalid argument, '{name}' can't be used for '{DELAYED_TYPE}'")
    return properties.around.exchange_type(name)


def _due_s(key: int) -> float:
    return (key >> _NUMBER_BITS) / 1_000_000
