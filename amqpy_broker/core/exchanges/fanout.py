"""The fanout exchange."""

from typing import ClassVar

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.exchanges.base import DestinationCounts, Exchange, ExchangeProperties, Matched
from amqpy_broker.core.exchanges.bindings import Binding


class FanoutExchange(Exchange):
    """Send each message to every bound destination, whatever its routing key."""

    __slots__ = ("_bound",)

    type: ClassVar[str] = "fanout"

    def __init__(self, properties: ExchangeProperties) -> None:
        super().__init__(properties)
        self._bound = DestinationCounts()

    def route(self, routing_key: str, headers: Arguments, matched: Matched) -> None:
        """Add every bound destination."""
        self._bound.match_all(matched)

    def _index(self, binding: Binding) -> None:
        self._bound.add(binding.destination)

    def _unindex(self, binding: Binding) -> None:
        self._bound.remove(binding.destination)
