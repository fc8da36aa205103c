"""Looking inside: what there is in the broker at this moment, and where a message would go."""

from __future__ import annotations

from collections.abc import Mapping

from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.exchanges.copies import copies_of
from amqpy_broker.testing.arranging.composing import typed
from amqpy_broker.testing.errors import Misuse, NoSuchThing
from amqpy_broker.testing.in_broker import in_broker
from amqpy_broker.testing.in_vhost import InVhost
from amqpy_broker.testing.looking.explanation import Explanation, explain
from amqpy_broker.testing.looking.near import near_matches
from amqpy_broker.testing.looking.viewing import (
    view_binding,
    view_connection,
    view_exchange,
    view_queue,
    view_vhost,
)
from amqpy_broker.testing.looking.views import BindingView, ConnectionView, ExchangeView, QueueView, VhostView


class Inspection(InVhost):
    """What there is. Views are values of one moment: ask again for a new one."""

    @property
    def vhosts(self) -> tuple[VhostView, ...]:
        """All vhosts, the oldest first."""
        return self._vhosts()

    @in_broker
    def _vhosts(self) -> tuple[VhostView, ...]:
        return tuple(map(view_vhost, self.inside().core.vhosts.values()))

    @property
    def connections(self) -> tuple[ConnectionView, ...]:
        """All clients' connections, the oldest first."""
        return self._connections()

    @in_broker
    def _connections(self) -> tuple[ConnectionView, ...]:
        return tuple(map(view_connection, self.inside().connections))

    def connection(self, name: str) -> ConnectionView:
        """View a connection, by the name that the client gave it or by the broker's name.

        Raises:
            NoSuchThing: there is none of that name.
        """
        connections = self.connections
        for connection in reversed(connections):
            if name in (connection.client_name, connection.name):
                return connection
        names = [connection.client_name or connection.name for connection in connections]
        raise NoSuchThing(f"no connection {name!r}{near_matches(name, names)}")

    @in_broker
    def queues(self, vhost: str | None = None) -> tuple[QueueView, ...]:
        """View all queues of a vhost, the oldest first.

        Raises:
            NoSuchThing: there is no such vhost.
        """
        there = self._find_vhost(vhost)
        return tuple(view_queue(there, queue, self.inside().history) for queue in there.queues.values())

    @in_broker
    def queue(self, name: str, vhost: str | None = None) -> QueueView:
        """View a queue, with the messages that are ready.

        Raises:
            NoSuchThing: there is none; the text says which there are.
        """
        return view_queue(self._find_vhost(vhost), self._find_queue(name, vhost), self.inside().history)

    @in_broker
    def exchanges(self, vhost: str | None = None) -> tuple[ExchangeView, ...]:
        """View all exchanges of a vhost, the oldest first.

        Raises:
            NoSuchThing: there is no such vhost.
        """
        there = self._find_vhost(vhost)
        return tuple(view_exchange(there, exchange) for exchange in there.exchanges.values())

    @in_broker
    def exchange(self, name: str, vhost: str | None = None) -> ExchangeView:
        """View an exchange; `""` is the default exchange.

        Raises:
            NoSuchThing: there is none; the text says which there are.
        """
        return view_exchange(self._find_vhost(vhost), self._find_exchange(name, vhost))

    @in_broker
    def bindings(self, vhost: str | None = None) -> tuple[BindingView, ...]:
        """View all bindings of a vhost, but for those that each queue has to the default exchange.

        Raises:
            NoSuchThing: there is no such vhost.
        """
        there = self._find_vhost(vhost)
        return tuple(view_binding(there, binding) for source in there.exchanges.values() for binding in source.bindings)

    @in_broker
    def explain(
        self,
        exchange: str,
        routing_key: str = "",
        headers: Mapping[str, object] | None = None,
        *,
        vhost: str | None = None,
    ) -> Explanation:
        """Say where a message would go, and why: which bindings match, and why others do not. Nothing is published.

        Raises:
            NoSuchThing: there is no such exchange.
            Misuse: there cannot be such headers.
        """
        table = typed(headers)
        try:
            keys = (routing_key, *copies_of(table))
        except PreconditionFailed as refusal:
            raise Misuse(refusal.text) from None
        return explain(self._find_vhost(vhost), self._find_exchange(exchange, vhost), keys, table)
