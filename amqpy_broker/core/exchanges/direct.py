"""The direct exchange, and the default exchange that every queue is bound to by its name."""

from collections.abc import Mapping
from typing import ClassVar

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.exchanges.base import DestinationCounts, Exchange, ExchangeProperties, Matched, Surroundings
from amqpy_broker.core.exchanges.bindings import Binding, Destination
from amqpy_broker.core.names import DEFAULT_EXCHANGE
from amqpy_broker.core.policies import Governing
from amqpy_broker.core.profile import Profile


class DirectExchange(Exchange):
    """Send each message to the destinations bound with exactly its routing key."""

    __slots__ = ("_by_key",)

    type: ClassVar[str] = "direct"

    def __init__(self, properties: ExchangeProperties) -> None:
        super().__init__(properties)
        self._by_key: dict[str, DestinationCounts] = {}

    def route(self, routing_key: str, headers: Arguments, matched: Matched) -> None:
        """Add the destinations bound with this key."""
        bound = self._by_key.get(routing_key)
        if bound is not None:
            bound.match_all(matched)

    def _index(self, binding: Binding) -> None:
        self._by_key.setdefault(binding.key, DestinationCounts()).add(binding.destination)

    def _unindex(self, binding: Binding) -> None:
        bound = self._by_key[binding.key]
        bound.remove(binding.destination)
        if not bound:
            del self._by_key[binding.key]


class DefaultExchange(Exchange):
    """Send each message to the queue that its routing key names; nobody binds or deletes it."""

    __slots__ = ("_queues",)

    type: ClassVar[str] = "direct"

    def __init__(self, vhost: str, profile: Profile, around: Surroundings, queues: Mapping[str, Destination]) -> None:
        super().__init__(ExchangeProperties(DEFAULT_EXCHANGE, vhost, profile, around, durable=True))
        self._queues = queues

    def govern(self, governing: Governing) -> None:
        """Stand under policies that do nothing here: what it cannot route goes nowhere, as in RabbitMQ."""
        self.governing = governing

    def route(self, routing_key: str, headers: Arguments, matched: Matched) -> None:
        """Add the queue of that name."""
        queue = self._queues.get(routing_key)
        if queue is not None:
            matched[queue] = None

    def _index(self, binding: Binding) -> None:
        raise AssertionError("the default exchange has no bindings of its own")

    _unindex = _index
