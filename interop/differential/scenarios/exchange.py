"""Exchanges: declaring and equivalence, system exchanges, deleting, auto-delete, internal, alternate."""

from __future__ import annotations

from typing import Any

from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed


@cases(direct="direct", fanout="fanout", topic="topic", headers="headers")
def declare_and_redeclare_a(s: Stage, kind: str) -> None:
    a = s.channel()
    x = s.exchange()
    a.call("exchange.declare", exchange=x, exchange_type=kind)
    a.call("exchange.declare", exchange=x, exchange_type=kind)
    a.call("exchange.declare", exchange=x, exchange_type=kind, passive=True)
    a.call("exchange.delete", exchange=x)
    a.call("exchange.declare", exchange=x, passive=True)


@cases(
    type={"exchange_type": "topic"},
    durable={"exchange_type": "direct", "durable": True},
    auto_delete={"exchange_type": "direct", "auto_delete": True},
    internal={"exchange_type": "direct", "internal": True},
    alternate={"exchange_type": "direct", "arguments": {"alternate-exchange": "ae"}},
    unknown_argument={"exchange_type": "direct", "arguments": {"x-foo": "bar"}},
    everything={"exchange_type": "fanout", "durable": True, "auto_delete": True, "internal": True},
)
def redeclare_of_a_plain_exchange_with(s: Stage, fields: dict[str, Any]) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct")
    a.call("exchange.declare", exchange=x, **fields)


@cases(
    plain={},
    not_durable={"auto_delete": True, "internal": True, "arguments": {"alternate-exchange": "ae"}},
    not_auto_delete={"durable": True, "internal": True, "arguments": {"alternate-exchange": "ae"}},
    not_internal={"durable": True, "auto_delete": True, "arguments": {"alternate-exchange": "ae"}},
    no_alternate={"durable": True, "auto_delete": True, "internal": True},
    other_alternate={
        "durable": True,
        "auto_delete": True,
        "internal": True,
        "arguments": {"alternate-exchange": "other"},
    },
    the_same={"durable": True, "auto_delete": True, "internal": True, "arguments": {"alternate-exchange": "ae"}},
)
def redeclare_of_an_exchange_with_every_property_as(s: Stage, fields: dict[str, Any]) -> None:
    a = s.channel()
    everything: dict[str, Any] = {"durable": True, "auto_delete": True, "internal": True}
    x = s.declared_exchange(a, "topic", arguments={"alternate-exchange": "ae"}, **everything)
    a.call("exchange.declare", exchange=x, exchange_type="topic", **fields)


@scenario
def passive_declare_of_a_missing_exchange(s: Stage) -> None:
    s.channel().call("exchange.declare", exchange=s.exchange("nope"), exchange_type="direct", passive=True)


@scenario
def passive_declare_ignores_type_and_properties(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct")
    a.call("exchange.declare", exchange=x, exchange_type="nonsense", passive=True, durable=True, internal=True)


@cases(
    default="",
    direct="amq.direct",
    fanout="amq.fanout",
    topic="amq.topic",
    headers="amq.headers",
    match="amq.match",
    trace="amq.rabbitmq.trace",
)
def passive_declare_of_the_system_exchange(s: Stage, name: str) -> None:
    s.channel().call("exchange.declare", exchange=name, passive=True)


@cases(
    direct=("amq.direct", "direct", True),
    direct_transient=("amq.direct", "direct", False),
    match=("amq.match", "headers", True),
    wrong_type=("amq.fanout", "direct", True),
)
def active_declare_of_a_system_exchange(s: Stage, what: tuple[str, str, bool]) -> None:
    name, kind, durable = what
    s.channel().call("exchange.declare", exchange=name, exchange_type=kind, durable=durable)


@cases(new="amq.foo", like_a_queue="amq.gen-xyz", bare="amq.")
def active_declare_of_a_reserved_name(s: Stage, name: str) -> None:
    s.channel().call("exchange.declare", exchange=name, exchange_type="direct")


@cases(
    declare=("exchange.declare", {"exchange": "", "exchange_type": "direct", "durable": True}),
    delete=("exchange.delete", {"exchange": ""}),
    bind_queue=("queue.bind", {"queue": "q", "exchange": "", "routing_key": "k"}),
    unbind_queue=("queue.unbind", {"queue": "q", "exchange": "", "routing_key": "k"}),
    bind_source=("exchange.bind", {"source": "", "destination": "amq.fanout"}),
    bind_destination=("exchange.bind", {"source": "amq.fanout", "destination": ""}),
    unbind_source=("exchange.unbind", {"source": "", "destination": "amq.fanout"}),
    unbind_destination=("exchange.unbind", {"source": "amq.fanout", "destination": ""}),
)
def the_default_exchange_is_not_for(s: Stage, operation: tuple[str, dict[str, Any]]) -> None:
    a = s.channel()
    name, fields = operation
    if "queue" in fields:
        fields = {**fields, "queue": s.declared_queue(a)}
    a.call(name, **fields)


@cases(unknown="x-nope", empty="", system="default", case="Direct", delayed="x-delayed-message")
def declare_with_the_unknown_type(s: Stage, kind: str) -> None:
    s.channel().call("exchange.declare", exchange=s.exchange(), exchange_type=kind)


@cases(integer=5, boolean=True, none=None, table={"a": 1})
def an_alternate_exchange_must_be_a_string_not(s: Stage, value: object) -> None:
    arguments = {"alternate-exchange": value}
    s.channel().call("exchange.declare", exchange=s.exchange(), exchange_type="direct", arguments=arguments)


@scenario
def equivalence_of_the_alternate_exchange_compares_values(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct", arguments={"alternate-exchange": "ae"})
    as_bytes = {"alternate-exchange": Typed("x", b"ae")}
    a.call("exchange.declare", exchange=x, exchange_type="direct", arguments=as_bytes)


@scenario
def delete_of_a_missing_exchange_is_fine(s: Stage) -> None:
    a = s.channel()
    a.call("exchange.delete", exchange=s.exchange("nope"))
    a.call("exchange.delete", exchange=s.exchange("nope"), if_unused=True)


@cases(direct="amq.direct", match="amq.match", unknown="amq.foo", trace="amq.rabbitmq.trace")
def delete_of_a_system_exchange(s: Stage, name: str) -> None:
    s.channel().call("exchange.delete", exchange=name)


@scenario
def delete_if_unused_refuses_an_exchange_with_bindings(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct")
    s.bound_queue(a, x, "k")
    a.call("exchange.delete", exchange=x, if_unused=True)


@scenario
def delete_if_unused_does_not_mind_being_a_destination(s: Stage) -> None:
    a = s.channel()
    x, y = s.declared_exchange(a, "fanout"), s.declared_exchange(a, "fanout", "y")
    a.call("exchange.bind", source=x, destination=y)
    a.call("exchange.delete", exchange=y, if_unused=True)
    a.call("exchange.delete", exchange=x, if_unused=True)


@scenario
def delete_drops_the_bindings(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct")
    q = s.bound_queue(a, x, "k")
    a.call("exchange.delete", exchange=x)
    a.call("exchange.declare", exchange=x, exchange_type="direct")
    a.publish("lost", exchange=x, to="k", mandatory=True)
    a.expect("basic.return")
    s.drain(a, q)


@scenario
def declare_bind_and_delete_without_waiting(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    x, y = s.exchange(), s.exchange("y")
    a.call("exchange.declare", exchange=x, exchange_type="fanout", nowait=True)
    a.call("exchange.declare", exchange=y, exchange_type="fanout", nowait=True)
    a.call("exchange.bind", source=x, destination=y, nowait=True)
    a.call("queue.bind", queue=q, exchange=y, nowait=True)
    a.publish("through both", exchange=x)
    s.drain(a, q)
    a.call("exchange.unbind", source=x, destination=y, nowait=True)
    a.publish("to nobody", exchange=x, mandatory=True)
    a.expect("basic.return")
    a.call("exchange.delete", exchange=x, nowait=True)
    a.call("exchange.declare", exchange=x, passive=True)


@scenario
def publishing_to_an_internal_exchange_is_refused(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct", internal=True)
    a.publish("no", exchange=x)
    a.expect("channel.close")


@scenario
def an_internal_exchange_is_reached_through_another(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "fanout")
    inner = s.declared_exchange(a, "fanout", "inner", internal=True)
    q = s.bound_queue(a, inner)
    a.call("exchange.bind", source=x, destination=inner)
    a.publish("yes", exchange=x)
    s.drain(a, q)


@scenario
def an_auto_delete_exchange_goes_with_its_last_binding(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct", auto_delete=True)
    q = s.bound_queue(a, x, "k1")
    a.call("queue.bind", queue=q, exchange=x, routing_key="k2")
    a.call("queue.unbind", queue=q, exchange=x, routing_key="k1")
    a.call("exchange.declare", exchange=x, passive=True)
    a.call("queue.unbind", queue=q, exchange=x, routing_key="k2")
    a.call("exchange.declare", exchange=x, passive=True)


@scenario
def an_auto_delete_exchange_that_was_never_bound_stays(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct", auto_delete=True)
    q = s.declared_queue(a)
    a.call("queue.unbind", queue=q, exchange=x, routing_key="never bound")
    a.call("queue.delete", queue=q)
    a.call("exchange.declare", exchange=x, passive=True)


@scenario
def an_auto_delete_exchange_goes_with_its_last_queue(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct", auto_delete=True)
    q = s.bound_queue(a, x, "k")
    a.call("queue.delete", queue=q)
    a.call("exchange.declare", exchange=x, passive=True)


@scenario
def a_chain_of_auto_delete_exchanges_goes_link_by_link(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "fanout", auto_delete=True)
    y = s.declared_exchange(a, "fanout", "y", auto_delete=True)
    a.call("exchange.bind", source=x, destination=y)
    q = s.bound_queue(a, y)
    a.call("queue.delete", queue=q)
    b = a.connection.channel()
    b.call("exchange.declare", exchange=y, passive=True)
    a.call("exchange.declare", exchange=x, passive=True)


@scenario
def an_auto_delete_exchange_goes_when_an_exclusive_queue_does(s: Stage) -> None:
    owner, other = s.channel(), s.channel()
    x = s.declared_exchange(other, "direct", auto_delete=True)
    q = s.declared_queue(owner, exclusive=True)
    owner.call("queue.bind", queue=q, exchange=x, routing_key="k")
    owner.connection.close()
    other.call("exchange.declare", exchange=x, passive=True)


@cases(
    queue_bind=("queue.bind", {"exchange": "nope"}),
    queue_unbind=("queue.unbind", {"exchange": "nope"}),
    bind_source=("exchange.bind", {"source": "nope", "destination": "amq.fanout"}),
    bind_destination=("exchange.bind", {"source": "amq.fanout", "destination": "nope"}),
    bind_both=("exchange.bind", {"source": "nope1", "destination": "nope2"}),
    unbind_source=("exchange.unbind", {"source": "nope", "destination": "amq.fanout"}),
    unbind_destination=("exchange.unbind", {"source": "amq.fanout", "destination": "nope"}),
    unbind_missing=("exchange.unbind", {"source": "amq.fanout", "destination": "amq.direct", "routing_key": "k"}),
)
def a_missing_exchange_or_binding_for(s: Stage, operation: tuple[str, dict[str, Any]]) -> None:
    a = s.channel()
    name, fields = operation
    if name.startswith("queue"):
        fields = {**fields, "queue": s.declared_queue(a)}
    a.call(name, **fields)


@scenario
def both_queue_and_exchange_of_a_binding_are_missing(s: Stage) -> None:
    s.channel().call("queue.bind", queue=s.queue("nope"), exchange=s.exchange("nope"), routing_key="k")


@scenario
def binding_twice_is_one_binding(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct")
    q = s.bound_queue(a, x, "k")
    a.call("queue.bind", queue=q, exchange=x, routing_key="k")
    a.publish("once", exchange=x, to="k")
    s.drain(a, q)
    a.call("queue.unbind", queue=q, exchange=x, routing_key="k")
    a.call("queue.unbind", queue=q, exchange=x, routing_key="k")
    a.publish("nobody", exchange=x, to="k", mandatory=True)
    a.expect("basic.return")


@scenario
def bindings_differ_by_their_arguments(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct")
    q = s.declared_queue(a)
    a.call("queue.bind", queue=q, exchange=x, routing_key="k", arguments={"n": 1})
    a.call("queue.bind", queue=q, exchange=x, routing_key="k", arguments={"n": 2})
    a.publish("once", exchange=x, to="k")
    s.drain(a, q)
    a.call("queue.unbind", queue=q, exchange=x, routing_key="k", arguments={"n": 1})
    a.call("queue.unbind", queue=q, exchange=x, routing_key="k")
    a.publish("still bound", exchange=x, to="k", mandatory=True)
    s.drain(a, q)
