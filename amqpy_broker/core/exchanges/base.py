"""What every exchange has: properties, bindings and the question where a message goes."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.exchanges.bindings import Binding, Destination, identity
from amqpy_broker.core.names import exchange_text
from amqpy_broker.core.profile import Profile

# Destinations in the order they matched; a dict because a message reaches each of them once.
Matched = dict[Destination, None]


@dataclass(frozen=True, slots=True)
class ExchangeProperties:
    """What an exchange is declared with, and where."""

    name: str
    vhost: str
    profile: Profile
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: Arguments = field(default_factory=dict)
    # The exchange that takes what this one cannot route.
    alternate: str | None = None


class Exchange(Destination):
    """Base of the exchange types: one subclass, one file, one row in `exchanges.types` each.

    A subclass keeps its own index of the bindings (`_index`, `_unindex`) and answers `route`.
    """

    __slots__ = (
        "_bindings",
        "alternate",
        "arguments",
        "auto_delete",
        "durable",
        "internal",
        "name",
        "profile",
        "vhost",
    )

    kind: ClassVar[str] = "exchange"
    # The type's name on the wire.
    type: ClassVar[str]
    # False: the routing key alone decides, so that a route can be remembered.
    looks_at_headers: ClassVar[bool] = False

    def __init__(self, properties: ExchangeProperties) -> None:
        self.name = properties.name
        self.vhost = properties.vhost
        self.profile = properties.profile
        self.durable = properties.durable
        self.auto_delete = properties.auto_delete
        self.internal = properties.internal
        self.arguments = properties.arguments
        self.alternate = properties.alternate
        self._bindings: dict[Hashable, Binding] = {}

    def __str__(self) -> str:
        return exchange_text(self.name, self.vhost)

    @property
    def bindings(self) -> Iterable[Binding]:
        """The bindings that start here, oldest first."""
        return self._bindings.values()

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

    def check_binding(self, arguments: Arguments) -> None:
        """Refuse arguments that this type cannot bind with.

        Raises:
            PreconditionFailed: with RabbitMQ's text.
        """

    @abstractmethod
    def route(self, routing_key: str, headers: Arguments, matched: Matched) -> None:
        """Add to `matched` every destination that a message with this routing key and these headers goes to."""

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
