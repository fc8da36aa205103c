"""The modulus hash exchange (https://github.com/rabbitmq/rabbitmq-server/tree/main/deps/rabbitmq_sharding)."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from amqpy_broker.core.arguments import Arguments, octets_of
from amqpy_broker.core.erlang_hash import phash2
from amqpy_broker.core.exchanges.base import Exchange, ExchangeProperties, Matched
from amqpy_broker.core.exchanges.bindings import Binding, Destination

# What bindings are ordered by: binding key, kind and name of the destination.
_Place: TypeAlias = tuple[bytes, str, bytes]


class ModulusHashExchange(Exchange):
    """Send each message along one binding: the hash of its routing key modulo their number, in RabbitMQ's order."""

    __slots__ = ("_bound", "_places")

    type: ClassVar[str] = "x-modulus-hash"

    def __init__(self, properties: ExchangeProperties) -> None:
        super().__init__(properties)
        self._places: list[_Place] = []
        self._bound: list[Destination] = []

    def route(self, routing_key: str, headers: Arguments, matched: Matched) -> None:
        """Add the destination of this key."""
        self.route_keys((routing_key,), matched)

    def route_keys(self, keys: Sequence[str], matched: Matched) -> None:
        """Add the destination of these keys: all together they are hashed."""
        if self._bound:
            matched[self._bound[phash2([octets_of(key) for key in keys]) % len(self._bound)]] = None

    def _index(self, binding: Binding) -> None:
        place = _place(binding)
        at = bisect_left(self._places, place)
        self._bound.insert(at, binding.destination)
        insort(self._places, place)

    def _unindex(self, binding: Binding) -> None:
        at = bisect_left(self._places, _place(binding))
        del self._places[at]
        del self._bound[at]


def _place(binding: Binding) -> _Place:
    return octets_of(binding.key), binding.destination.kind, octets_of(binding.destination.name)
