"""What stands in for a protocol in tests of the core: messages, consumers, owners of queues, a clock."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.arguments import NO_ARGUMENTS, Arguments, arguments
from amqpy_broker.core.clock import Clock
from amqpy_broker.core.errors import AmqpError
from amqpy_broker.core.exchanges.base import Exchange, ExchangeProperties
from amqpy_broker.core.exchanges.bindings import Binding, Destination
from amqpy_broker.core.exchanges.types import EXCHANGE_TYPES
from amqpy_broker.core.journal import JournalWriter
from amqpy_broker.core.message import Message
from amqpy_broker.core.names import NameSource
from amqpy_broker.core.profile import Profile, profile_named
from amqpy_broker.core.queues.base import Consumer, Queue, QueuedMessage, Reason
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.settings import QueueSettings
from amqpy_broker.core.queues.window import Window
from amqpy_broker.core.timers import Timers
from amqpy_broker.core.users import Permissions, User
from amqpy_broker.core.vhost import VirtualHost


class FakeMessage(Message):
    """A message that is nothing but its properties. Equal to no other, as the real ones."""

    __slots__ = (
        "_body",
        "_copies",
        "_correlation_id",
        "_exchange",
        "_expiration_ms",
        "_headers",
        "_message_id",
        "_persistent",
        "_priority",
        "_routing_key",
        "_timestamp_s",
        "died",
        "memory_size",
        "reply_to",
    )

    def __init__(
        self,
        body: str = "",
        *,
        exchange: str = "",
        routing_key: str = "",
        headers: Arguments = NO_ARGUMENTS,
        persistent: bool = False,
        expiration_ms: int | None = None,
        priority: int = 0,
        reply_to: str = "",
        correlation_id: bytes | None = None,
        message_id: bytes | None = None,
        timestamp_s: int | None = None,
        copies: tuple[str, ...] = (),
        died: bool = False,
    ) -> None:
        self._body = body.encode()
        self._exchange = exchange
        self._routing_key = routing_key
        self._headers = headers
        self._persistent = persistent
        self._expiration_ms = expiration_ms
        self._priority = priority
        self.reply_to = reply_to
        self.died = died
        self._correlation_id = correlation_id
        self._message_id = message_id
        self._timestamp_s = timestamp_s
        self._copies = copies
        self.memory_size = len(self._body)

    def __repr__(self) -> str:
        return f"<{self.text}>"

    @property
    def text(self) -> str:
        return self._body.decode()

    @property
    def exchange(self) -> str:
        return self._exchange

    @property
    def routing_key(self) -> str:
        return self._routing_key

    @property
    def copies(self) -> tuple[str, ...]:
        return self._copies

    @property
    def body_size(self) -> int:
        return len(self._body)

    @property
    def persistent(self) -> bool:
        return self._persistent

    @property
    def headers(self) -> Arguments:
        return self._headers

    @property
    def expiration_ms(self) -> int | None:
        return self._expiration_ms

    @property
    def priority(self) -> int:
        return self._priority

    @property
    def correlation_id(self) -> bytes | None:
        return self._correlation_id

    @property
    def message_id(self) -> bytes | None:
        return self._message_id

    @property
    def timestamp_s(self) -> int | None:
        return self._timestamp_s

    @property
    def body(self) -> bytes:
        return self._body

    def edited(
        self,
        *,
        exchange: str | None = None,
        routing_key: str | None = None,
        headers: Arguments | None = None,
        drop_expiration: bool = False,
        reply_to: str | None = None,
        died: bool = False,
    ) -> "FakeMessage":
        return FakeMessage(
            self.text,
            exchange=self._exchange if exchange is None else exchange,
            routing_key=self._routing_key if routing_key is None else routing_key,
            headers=self._headers if headers is None else headers,
            persistent=self._persistent,
            expiration_ms=None if drop_expiration else self._expiration_ms,
            priority=self._priority,
            reply_to=self.reply_to if reply_to is None else reply_to,
            correlation_id=self._correlation_id,
            message_id=self._message_id,
            timestamp_s=self._timestamp_s,
            copies=self._copies if routing_key is None else (),
            died=self.died or died,
        )


class FakeConsumer(Consumer):
    """A consumer that writes down what it gets, and does for its deliveries what a channel does."""

    __slots__ = ("congested", "got", "unacked", "was_cancelled")

    def __init__(
        self,
        queue: Queue,
        tag: str = "c",
        *,
        no_ack: bool = False,
        exclusive: bool = False,
        prefetch_count: int = 0,
        congested: bool = False,
        priority: int = 0,
        browses: bool = False,
    ) -> None:
        super().__init__(
            tag,
            queue,
            no_ack=no_ack,
            exclusive=exclusive,
            prefetch_count=prefetch_count,
            arguments=arguments({"x-priority": priority, "x-queue-browse": browses}),
        )
        # Its connection's output is full.
        self.congested = congested
        # Texts of the messages it got, with a "*" if they were marked redelivered.
        self.got: list[str] = []
        self.unacked: list[QueuedMessage] = []
        self.was_cancelled = False

    def __repr__(self) -> str:
        return self.tag

    def start(self) -> "FakeConsumer":
        """Consume, as basic.consume does."""
        self.queue.add_consumer(self)
        self.resume_if_waiting()
        return self

    def can_take(self) -> bool:
        has_credit = self.no_ack or not self.prefetch_count or self.unacked_count < self.prefetch_count
        return has_credit and not self.congested

    def deliver(self, message: Message, redelivered: bool, queued: QueuedMessage | None) -> bool:
        assert isinstance(message, FakeMessage)
        assert (queued is None) == self.no_ack
        self.got.append(message.text + "*" * redelivered)
        if queued is not None:
            assert queued.message is message
            assert queued.consumer is self
            self.unacked.append(queued)
            self.unacked_count += 1
        return self.can_take()

    def cancelled(self) -> None:
        self.was_cancelled = True

    def settle(self, queued: QueuedMessage) -> None:
        """Acknowledge one delivery."""
        self.forget(queued)
        self.queue.settle(queued)
        self.resume_if_waiting()

    def discard(self, queued: QueuedMessage) -> None:
        """Reject one delivery for good."""
        self.forget(queued)
        self.queue.discard(queued)
        self.resume_if_waiting()

    def requeue(self, *returned: QueuedMessage) -> None:
        """Return deliveries."""
        for queued in returned:
            self.forget(queued)
        self.queue.requeue(returned)
        self.resume_if_waiting()

    def decongest(self) -> None:
        """Have room in the connection's output again."""
        self.congested = False
        self.resume_if_waiting()

    def stop(self) -> None:
        """Leave the queue, as basic.cancel does; deliveries stay unacknowledged."""
        self.queue.remove_consumer(self)

    def forget(self, queued: QueuedMessage) -> None:
        """Have one delivery less to acknowledge."""
        self.unacked.remove(queued)
        self.unacked_count -= 1


class FakeDestination(Destination):
    """Somewhere a binding leads to."""

    __slots__ = ("name",)

    kind = "queue"

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


class ManualClock:
    """Time that stands still until a test moves it."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self.now_s = now_s

    def monotonic_s(self) -> float:
        return self.now_s

    def unix_s(self) -> float:
        return self.now_s

    def delay_until_s(self, at_s: float) -> float:
        return at_s - self.now_s


# Things with their defaults -------------------------------------------------------------------------------------------


class FakeSurroundings:
    """A vhost as queues see it: it remembers what died."""

    def __init__(
        self,
        clock: Clock | None = None,
        profile: str = "4.0",
        journal: JournalWriter | None = None,
        window: Window | None = None,
    ) -> None:
        self.timers = Timers(clock or ManualClock())
        self.profile = profile_named(profile)
        self.journal = journal
        self.window = window or Window()
        self.dead: list[tuple[Queue, Message, Reason]] = []
        self.expired: list[Queue] = []
        self.journal_ids = count(1)

    def dead_letter(
        self, queue: Queue, message: Message, reason: Reason, buried: Callable[[], None] | None = None
    ) -> None:
        self.dead.append((queue, message, reason))
        if buried is not None:
            buried()

    def new_journal_id(self) -> int:
        return next(self.journal_ids)

    def queue_expired(self, queue: Queue) -> None:
        self.expired.append(queue)


def a_queue(
    name: str = "q", settings: QueueSettings | None = None, around: FakeSurroundings | None = None
) -> ClassicQueue:
    return ClassicQueue(QueueProperties(name, "/", settings=settings or QueueSettings()), around or FakeSurroundings())


def filled(queue: Queue, *texts: str) -> Queue:
    for text in texts:
        queue.enqueue(FakeMessage(text))
    return queue


def drained(queue: Queue) -> list[str]:
    """Get all that is ready, and settle it."""
    texts = []
    while (queued := queue.get()) is not None:
        assert isinstance(queued.message, FakeMessage)
        texts.append(queued.message.text + "*" * queued.redelivered)
        queue.settle(queued)
    return texts


def a_vhost(profile: Profile | str = "4.0", name: str = "/", clock: ManualClock | None = None) -> VirtualHost:
    profile = profile_named(profile) if isinstance(profile, str) else profile
    return VirtualHost(name, profile, NameSource(seed=1), Timers(clock or ManualClock()))


def an_actor(name: str = "guest", permissions: Permissions | None = None, vhost: str = "/") -> Actor:
    """A user over a connection of their own."""
    return Actor(User(name, permissions={vhost: permissions or Permissions()}), vhost, owner=object())


def an_exchange(
    exchange_type: str,
    name: str = "x",
    profile: str = "4.0",
    alternate: str | None = None,
    around: VirtualHost | None = None,
) -> Exchange:
    properties = ExchangeProperties(name, "/", profile_named(profile), around or a_vhost(profile), alternate=alternate)
    return EXCHANGE_TYPES[exchange_type](properties)


def bind(source: Exchange, destination: Destination, key: str = "", **values: object) -> Binding:
    """Bind with arguments of natural types; an underscore in a name stands for a hyphen."""
    return bind_with(source, destination, key, {name.replace("_", "-"): value for name, value in values.items()})


def bind_with(source: Exchange, destination: Destination, key: str, values: Mapping[str, object]) -> Binding:
    binding = Binding(source.name, destination, key, arguments(values))
    source.check_binding(binding)
    source.add_binding(binding)
    return binding


def matched_by(exchange: Exchange, routing_key: str = "", values: Mapping[str, object] | None = None) -> list[str]:
    """Names of the destinations of a message, in the order of their names."""
    matched: dict[Destination, None] = {}
    exchange.route(routing_key, arguments(values or {}), matched)
    return sorted(destination.name for destination in matched)


# What clients ask of a vhost, with AMQP's defaults --------------------------------------------------------------------


def declare_queue(vhost: VirtualHost, actor: Actor, name: str = "q", **fields: object) -> Queue:
    """Declare a queue; fields that are not properties are arguments, an underscore standing for a hyphen."""
    properties, values = _properties(("durable", "exclusive", "auto_delete"), fields)
    return vhost.declare_queue(actor, name, **properties, arguments=values)


def declare_exchange(
    vhost: VirtualHost, actor: Actor, name: str = "x", exchange_type: str = "direct", **fields: object
) -> None:
    """Declare an exchange; fields that are not properties are arguments, an underscore standing for a hyphen."""
    properties, values = _properties(("durable", "auto_delete", "internal"), fields)
    vhost.declare_exchange(actor, name, exchange_type, **properties, arguments=values)


def _properties(names: tuple[str, ...], fields: dict[str, object]) -> tuple[dict[str, bool], Arguments]:
    values = {name.replace("_", "-"): value for name, value in fields.items() if name not in names}
    return {name: bool(fields.get(name)) for name in names}, arguments(values)


def delete_queue(
    vhost: VirtualHost, actor: Actor, name: str = "q", *, if_unused: bool = False, if_empty: bool = False
) -> int:
    return vhost.delete_queue(actor, name, if_unused=if_unused, if_empty=if_empty)[0]


def routed(vhost: VirtualHost, exchange: str, routing_key: str = "") -> list[str]:
    """Names of the queues that a message would reach."""
    return sorted(queue.name for queue in vhost.route(vhost.find_exchange(exchange), routing_key).queues)


@contextmanager
def refused(error: type[AmqpError], text: str) -> Iterator[None]:
    """Expect a refusal with exactly this text."""
    with pytest.raises(error) as refusal:
        yield
    assert refusal.value.text == text
