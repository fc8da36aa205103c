"""A vhost under any sequence of topology operations: a route that is remembered with its generation is still right,
and nothing is kept of what was deleted."""

from __future__ import annotations

from contextlib import suppress
from itertools import product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpy_broker.core.arguments import Arguments, arguments
from amqpy_broker.core.errors import AmqpError
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.exchanges.router import Routed
from tests.fakes import FakeConsumer, a_vhost, an_actor, declare_exchange, declare_queue, delete_queue

EXCHANGES = ["x0", "x1", "x2", "amq.direct", "amq.topic", "amq.headers"]
QUEUES = ["q0", "q1", "q2"]
KEYS = ["", "a", "a.b", "q0"]
HEADERS: list[Arguments] = [{}, arguments({"h": 1})]

exchanges = st.sampled_from(EXCHANGES)
queues = st.sampled_from(QUEUES)
keys = st.sampled_from([*KEYS, "#", "a.*"])
headers = st.sampled_from(HEADERS)
Places = dict[tuple[str, str, int], Routed]


class VhostMachine(RuleBasedStateMachine):
    """Two connections that declare, bind, unbind and delete; what is refused changes nothing."""

    @initialize()
    def begin(self) -> None:
        self.vhost = a_vhost()
        self.actors = [an_actor(), an_actor()]
        self.generation = self.vhost.generation
        self.routes = self.route_everything()

    @rule(
        name=exchanges,
        exchange_type=st.sampled_from(["direct", "fanout", "topic", "headers"]),
        auto_delete=st.booleans(),
        alternate=exchanges | st.none(),
    )
    def declare_exchange(self, name: str, exchange_type: str, auto_delete: bool, alternate: str | None) -> None:
        values = {} if alternate is None else {"alternate-exchange": alternate}
        with suppress(AmqpError):
            declare_exchange(self.vhost, self.actors[0], name, exchange_type, auto_delete=auto_delete, **values)

    @rule(name=exchanges, if_unused=st.booleans())
    def delete_exchange(self, name: str, if_unused: bool) -> None:
        with suppress(AmqpError):
            self.vhost.delete_exchange(self.actors[0], name, if_unused=if_unused)

    @rule(name=queues, who=st.integers(0, 1), exclusive=st.booleans(), auto_delete=st.booleans())
    def declare_queue(self, name: str, who: int, exclusive: bool, auto_delete: bool) -> None:
        with suppress(AmqpError):
            declare_queue(self.vhost, self.actors[who], name, exclusive=exclusive, auto_delete=auto_delete)

    @rule(name=queues, who=st.integers(0, 1))
    def delete_queue(self, name: str, who: int) -> None:
        with suppress(AmqpError):
            delete_queue(self.vhost, self.actors[who], name)

    @rule(name=queues, who=st.integers(0, 1))
    def consume_and_cancel(self, name: str, who: int) -> None:
        with suppress(AmqpError):
            queue = self.vhost.find_queue(name, self.actors[who])
            FakeConsumer(queue).start().stop()
            self.vhost.consumer_gone(queue)

    @rule(who=st.integers(0, 1))
    def disconnect(self, who: int) -> None:
        self.vhost.drop_exclusive_queues(self.actors[who].owner)
        self.actors[who] = an_actor()

    @rule(name=queues, exchange=exchanges, key=keys, values=headers, who=st.integers(0, 1), add=st.booleans())
    def bind_or_unbind_queue(self, name: str, exchange: str, key: str, values: Arguments, who: int, add: bool) -> None:
        operation = self.vhost.bind_queue if add else self.vhost.unbind_queue
        with suppress(AmqpError):
            operation(self.actors[who], name, exchange, key, values)

    @rule(to=exchanges, source=exchanges, key=keys, values=headers, add=st.booleans())
    def bind_or_unbind_exchange(self, to: str, source: str, key: str, values: Arguments, add: bool) -> None:
        operation = self.vhost.bind_exchange if add else self.vhost.unbind_exchange
        with suppress(AmqpError):
            operation(self.actors[0], to, source, key, values)

    @precondition(lambda self: self.bindings())
    @rule(data=st.data())
    def unbind_what_is_bound(self, data: st.DataObject) -> None:
        binding = data.draw(st.sampled_from(self.bindings()))
        to, place = binding.destination, (binding.source, binding.key, binding.arguments)
        operation = self.vhost.unbind_queue if to.kind == "queue" else self.vhost.unbind_exchange
        with suppress(AmqpError):
            operation(self.actors[0], to.name, *place)

    def bindings(self) -> list[Binding]:
        return [binding for exchange in self.vhost.exchanges.values() for binding in exchange.bindings]

    # --- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def a_route_of_this_generation_is_still_right(self) -> None:
        routes = self.route_everything()
        assert routes == self.routes or self.vhost.generation > self.generation
        self.generation, self.routes = self.vhost.generation, routes

    @invariant()
    def a_route_that_holds_whatever_the_headers_does(self) -> None:
        for (exchange, key, _), route in self.routes.items():
            if route.for_any_message:
                assert {self.routes[exchange, key, number] for number in range(len(HEADERS))} == {route}

    @invariant()
    def bindings_lead_from_and_to_what_exists(self) -> None:
        vhost = self.vhost
        from_sources = self.bindings()
        to_destinations = list(vhost.bindings)
        assert set(from_sources) == set(to_destinations)
        assert len(from_sources) == len(to_destinations)
        for binding in from_sources:
            known = vhost.queues if binding.destination.kind == "queue" else vhost.exchanges
            assert known[binding.destination.name] is binding.destination

    @invariant()
    def exclusive_queues_are_those_of_connections_that_are_open(self) -> None:
        owners = {actor.owner for actor in self.actors}
        assert {queue.owner for queue in self.vhost.queues.values()} <= {None, *owners}
        assert not any(queue.deleted for queue in self.vhost.queues.values())

    def teardown(self) -> None:
        """Delete everything: nothing may be left."""
        if not hasattr(self, "vhost"):
            return
        for actor in self.actors:
            self.vhost.drop_exclusive_queues(actor.owner)
        for queue in list(self.vhost.queues.values()):
            self.vhost.drop_queue(queue)
        for name in ("x0", "x1", "x2"):
            self.vhost.delete_exchange(self.actors[0], name, if_unused=False)
        for to, source, key, values in product(EXCHANGES, EXCHANGES, [*KEYS, "#", "a.*"], HEADERS):
            self.vhost.unbind_exchange(self.actors[0], to, source, key, values)
        assert not self.vhost.queues
        assert list(self.vhost.bindings) == []
        assert not self.vhost._exclusive
        assert not any(exchange.in_use for exchange in self.vhost.exchanges.values())

    def route_everything(self) -> Places:
        return {
            (name, key, number): self.vhost.route(self.vhost.exchanges[name], key, values)
            for name in ["", *EXCHANGES]
            if name in self.vhost.exchanges
            for key in KEYS
            for number, values in enumerate(HEADERS)
        }


# Long runs take their time.
TestVhost = pytest.mark.timeout(900)(VhostMachine.TestCase)
TestVhost.settings = settings(stateful_step_count=40)
