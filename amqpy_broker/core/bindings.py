"""The bindings of a vhost: each exchange knows those that start there; here is known where they lead.

Rule 1: a binding goes with either of its ends.
Rule 2: an auto-delete exchange goes with its last binding [exchange.declare.auto-delete].
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.documents import Documents
from amqpy_broker.core.events import Events
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.bindings import Binding, Destination
from amqpy_broker.core.topology_events import tell_binding


class Bindings:
    """Adds and removes bindings, tells of it, and writes it down."""

    def __init__(
        self,
        vhost: str,
        exchanges: Mapping[str, Exchange],
        events: Events,
        documents: Documents,
        unused: Callable[[Exchange, str], None],
    ) -> None:
        """Keep the bindings of a vhost; `unused` is told of an auto-delete exchange that has lost its last one."""
        self._vhost = vhost
        self._exchanges = exchanges
        self._events = events
        self._documents = documents
        self._unused = unused
        # By where they lead, for when that is deleted.
        self._to: dict[Destination, list[Binding]] = {}
        self.count = 0

    def __iter__(self) -> Iterator[Binding]:
        """Show all, by where they lead."""
        return chain.from_iterable(self._to.values())

    def find(self, source: str, to: Destination | None, key: str, arguments: Arguments) -> Binding | None:
        """Find a binding, whatever of it there is."""
        exchange = self._exchanges.get(source)
        return None if exchange is None or to is None else exchange.find_binding(to, key, arguments)

    def add(self, binding: Binding, by: str) -> None:
        """Add a binding that is not there."""
        source = self._exchanges[binding.source]
        source.add_binding(binding)
        self._to.setdefault(binding.destination, []).append(binding)
        self.count += 1
        self._documents.binding_created(source, binding)
        self._tell("binding.created", binding, by)

    def remove(self, binding: Binding, by: str) -> None:
        """Remove a binding."""
        self._forget(binding)
        self._remove_from(self._exchanges[binding.source], binding, by)

    def drop_from(self, exchange: Exchange, by: str) -> None:
        """Remove the bindings that start at an exchange that is gone."""
        for binding in exchange.bindings:
            self._forget(binding)
            self._documents.binding_deleted(exchange, binding)
            self._tell("binding.deleted", binding, by)

    def drop_to(self, destination: Destination, by: str) -> None:
        """Remove the bindings that lead to what is gone."""
        bindings: Sequence[Binding] = self._to.pop(destination, ())
        self.count -= len(bindings)
        for binding in bindings:
            source = self._exchanges.get(binding.source)
            if source is not None:
                self._remove_from(source, binding, by)

    def _remove_from(self, source: Exchange, binding: Binding, by: str) -> None:
        source.remove_binding(binding)
        self._documents.binding_deleted(source, binding)
        self._tell("binding.deleted", binding, by)
        if source.auto_delete and not source.in_use:
            self._unused(source, by)

    def _forget(self, binding: Binding) -> None:
        bindings = self._to[binding.destination]
        bindings.remove(binding)
        self.count -= 1
        if not bindings:
            del self._to[binding.destination]

    def _tell(self, event: str, binding: Binding, by: str) -> None:
        if self._events.wanted:
            tell_binding(self._events, event, binding, self._vhost, by)
