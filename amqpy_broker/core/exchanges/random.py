"""The random exchanges: `x-random` picks one of its bindings, `x-local-random` one of its queues.

See https://www.rabbitmq.com/docs/local-random-exchange. Queues of this broker are local, all of them.
"""

from typing import ClassVar

from amqpy_broker.core.arguments import Arguments, octets_of
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.exchanges.base import Exchange, ExchangeProperties, Matched
from amqpy_broker.core.exchanges.bindings import Binding, Destination
from amqpy_broker.core.queues.base import Queue


class RandomExchange(Exchange):
    """Send each message along one binding, whichever; who is bound twice gets twice as many."""

    __slots__ = ("_bound", "_random")

    type: ClassVar[str] = "x-random"

    def __init__(self, properties: ExchangeProperties) -> None:
        super().__init__(properties)
        self._random = properties.around.random
        self._bound: list[Destination] = []

    @property
    def decides_for_each_message(self) -> bool:
        """Always: chance decides."""
        return True

    def route(self, routing_key: str, headers: Arguments, matched: Matched) -> None:
        """Add one of the destinations."""
        if self._bound:
            matched[self._random.choice(self._bound)] = None

    def _index(self, binding: Binding) -> None:
        self._bound.append(binding.destination)

    def _unindex(self, binding: Binding) -> None:
        self._bound.remove(binding.destination)


class LocalRandomExchange(RandomExchange):
    """Send each message to one queue, whichever."""

    __slots__ = ()

    type: ClassVar[str] = "x-local-random"

    def check_binding(self, binding: Binding) -> None:
        """Refuse binding keys, and all but classic queues."""
        if binding.key:
            # RabbitMQ prints its octets as Latin-1.
            shown = octets_of(binding.key).decode("latin-1")
            raise PreconditionFailed(f"Non empty binding '{shown}' key not permitted")
        if not isinstance(binding.destination, Queue):
            raise PreconditionFailed("Destination not found")
        if binding.destination.type != "classic":
            raise PreconditionFailed(
                f"Queue type rabbit_{binding.destination.type}_queue not valid for this exchange type"
            )
