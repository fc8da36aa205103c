"""What every exchange has: properties, bindings and the question where a message goes."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar, Final, NamedTuple, Protocol

from amqpy_broker.core.arguments import NO_ARGUMENTS, Arguments
from amqpy_broker.core.exchanges.bindings import Binding, Destination, identity
from amqpy_broker.core.journal import JournalWriter, Page
from amqpy_broker.core.message import Message
from amqpy_broker.core.names import exchange_text
from amqpy_broker.core.policies import UNGOVERNED, Governing
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.timers import Timers

ALTERNATE_EXCHANGE: Final = "alternate-exchange"

# Destinations in the order they matched; a dict because a message reaches each of them once.
Matched = dict[Destination, None]


class Surroundings(Protocol):
    """What exchanges need of the vhost around them."""

    timers: Timers
    # Repeats with the broker's seed.
    random: Random
    # None: nothing outlives the broker.
    journal: JournalWriter | None

    def route_message(self, exchange: "Exchange", message: Message) -> tuple[Queue, ...]:
        """Find the queues that a message goes to from an exchange."""
        ...

    def send(self, exchange: "Exchange", message: Message) -> bool:
        """Hand a message to the queues that an exchange sends it to; False if there are none."""
        ...

    def exchange_type(self, name: str) -> "type[Exchange]":
        """Find an exchange type.

        Raises:
            AmqpError: there is none of that name.
        """
        ...


class KeptByExchange(NamedTuple):
    """A message that an exchange keeps."""

    message: Message
    # When it is sent on, in the clock's seconds; infinity for never.
    due_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class ExchangeProperties:
    """What an exchange is declared with, and where."""

    name: str
    vhost: str
    profile: Profile
    around: Surroundings
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: Arguments = field(default_factory=dict)
    # The exchange that takes what this one cannot route.
    alternate: str | None = None
    # Its name in the journal, if messages that it keeps are to be there.
    journal_id: int | None = None


class Exchange(Destination):
    """Base of the exchange types: one subclass, one file, one row in `exchanges.types` each.

    A subclass keeps its own index of the bindings (`_index`, `_unindex`) and answers `route`.
    """

    __slots__ = (
        "_asked_alternate",
        "_bindings",
        "alternate",
        "arguments",
        "auto_delete",
        "durable",
        "governing",
        "internal",
        "journal_id",
        "name",
        "profile",
        "vhost",
    )

    kind: ClassVar[str] = "exchange"
    # The type's name on the wire.
    type: ClassVar[str]
    # Whether it keeps messages that are to outlive the broker if it does.
    keeps_messages: ClassVar[bool] = False

    def __init__(self, properties: ExchangeProperties) -> None:
        self.name = properties.name
        self.vhost = properties.vhost
        self.profile = properties.profile
        self.durable = properties.durable
        self.auto_delete = properties.auto_delete
        self.internal = properties.internal
        self.arguments = properties.arguments
        # The policies that count for it; where it hands on what it cannot route, all in all.
        self.governing = UNGOVERNED
        self.alternate = self._asked_alternate = properties.alternate
        self.journal_id = properties.journal_id
        self._bindings: dict[Hashable, Binding] = {}

    def __str__(self) -> str:
        return exchange_text(self.name, self.vhost)

    def govern(self, governing: Governing) -> None:
        """Stand under other policies. What it was declared with goes before what they say."""
        self.governing = governing
        alternate = governing.definition.get(ALTERNATE_EXCHANGE) if self._asked_alternate is None else None
        self.alternate = alternate if isinstance(alternate, str) else self._asked_alternate

    @property
    def bindings(self) -> Iterable[Binding]:
        """The bindings that start here, oldest first."""
        return self._bindings.values()

    @property
    def decides_for_each_message(self) -> bool:
        """Whether more than the routing key decides, so that no route can be remembered."""
        return False

    @property
    def in_use(self) -> bool:
        """Whether any binding starts here."""
        return bool(self._bindings)

    def find_binding(self, destination: Destination, key: str, arguments: Arguments) -> Binding | None:
        """Find the binding that a bind or unbind means."""
        return self._bindings.get(identity(destination, key, arguments))

    def add_binding(self, binding: Binding) -> bool:
        """Add a binding; False if it was there already."""
        if binding.identity in self._bindings:
            return False
        self._bindings[binding.identity] = binding
        self._index(binding)
        return True

    def remove_binding(self, binding: Binding) -> None:
        """Remove a binding that is there."""
        del self._bindings[binding.identity]
        self._unindex(binding)

    @classmethod
    def check_properties(cls, properties: ExchangeProperties) -> None:
        """Refuse what no exchange of this type can be declared with.

        Raises:
            AmqpError: with RabbitMQ's text.
        """

    def check_binding(self, binding: Binding) -> None:
        """Refuse a binding that this type cannot have.

        Raises:
            PreconditionFailed: with RabbitMQ's text.
        """

    def brought_by(self, binding: Binding) -> Sequence[tuple[Message, Sequence[Queue]]]:
        """Say which messages a new binding, which is not there yet, will bring to which queues.

        Raises:
            AmqpError: it cannot bring them, so that there shall be no such binding.
        """
        return ()

    def take_back(self, pages: Iterable[Page]) -> None:
        """Have again the messages that the journal kept."""

    def close(self) -> None:
        """End as an exchange that is deleted."""

    @property
    def kept(self) -> tuple[KeptByExchange, ...]:
        """The messages that the exchange keeps, for snapshots."""
        return ()

    def refill(self, kept: Iterable[KeptByExchange]) -> None:
        """Keep these messages, and no others."""

    @property
    def memory_bytes(self) -> int:
        """Memory held by the messages that the exchange keeps."""
        return 0

    @abstractmethod
    def route(self, routing_key: str, headers: Arguments, matched: Matched) -> None:
        """Add to `matched` every destination that a message with this routing key and these headers goes to."""

    def route_keys(self, keys: Sequence[str], matched: Matched) -> None:
        """Route a message with several routing keys (https://www.rabbitmq.com/docs/sender-selected)."""
        for key in keys:
            self.route(key, NO_ARGUMENTS, matched)

    def route_message(self, message: Message, keys: Sequence[str], matched: Matched) -> bool:
        """Route a message by itself: asked only of exchanges that decide for each message.

        Args:
            message: it, with its headers and properties.
            keys: its routing keys; the first is its own.
            matched: takes the destinations.

        Returns:
            True when the exchange keeps the message, so that nobody shall look for another way for it.
        """
        self.route(message.routing_key, message.headers, matched)
        return False

    @abstractmethod
    def _index(self, binding: Binding) -> None:
        """Take a new binding into the type's own index."""

    @abstractmethod
    def _unindex(self, binding: Binding) -> None:
        """Take a binding out of the type's own index."""


class DestinationCounts:
    """Destinations with the number of bindings that lead to each: several may differ in key or arguments only."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[Destination, int] = {}

    def add(self, destination: Destination) -> None:
        """Count one more binding to a destination."""
        self._counts[destination] = self._counts.get(destination, 0) + 1

    def remove(self, destination: Destination) -> None:
        """Count one binding less; the last one takes the destination with it."""
        self._counts[destination] -= 1
        if not self._counts[destination]:
            del self._counts[destination]

    def match_all(self, matched: Matched) -> None:
        """Add every destination to `matched`."""
        matched.update(dict.fromkeys(self._counts))

    def __bool__(self) -> bool:
        return bool(self._counts)
