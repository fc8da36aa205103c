"""Queues: declaring and equivalence, names, exclusive and auto-delete ones, purging, deleting."""

from __future__ import annotations

from typing import Any

from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed


@scenario
def declare_answers_name_and_counts(s: Stage) -> None:
    a = s.channel()
    q = s.queue()
    a.call("queue.declare", queue=q)
    s.fill(a, q, 3)
    a.call("queue.declare", queue=q, passive=True)
    a.call("queue.declare", queue=q)
    s.drain(a, q)


@scenario
def declare_counts_consumers_and_only_ready_messages(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=3)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(1)
    a.call("basic.get", queue=q)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def passive_declare_of_a_missing_queue(s: Stage) -> None:
    s.channel().call("queue.declare", queue=s.queue("nope"), passive=True)


@scenario
def passive_declare_ignores_every_other_field(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("queue.declare", queue=q, passive=True, durable=True, exclusive=True, auto_delete=True, arguments={"x": 1})


@scenario
def passive_declare_without_a_name_means_the_last_queue(s: Stage) -> None:
    a = s.channel()
    a.call("queue.declare", queue="", passive=True)
    b = a.connection.channel()
    q = s.queue()
    b.call("queue.declare", queue=q)
    b.call("queue.declare", queue="", passive=True)


@cases(
    durable={"durable": True},
    auto_delete={"auto_delete": True},
    exclusive={"exclusive": True},
    unknown_argument={"arguments": {"x-foo": 1}},
    classic_type={"arguments": {"x-queue-type": "classic"}},
    quorum_type={"arguments": {"x-queue-type": "quorum"}},
)
def redeclare_of_a_transient_queue_with(s: Stage, fields: dict[str, Any]) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("queue.declare", queue=q, **fields)


@cases(
    transient={},
    the_same={"durable": True, "auto_delete": True},
    not_auto_delete={"durable": True},
    both_wrong={"exclusive": True},
)
def redeclare_of_a_durable_auto_delete_queue_with(s: Stage, fields: dict[str, Any]) -> None:
    a = s.channel()
    q = s.declared_queue(a, durable=True, auto_delete=True)
    a.call("queue.declare", queue=q, **fields)


@scenario
def an_unsupported_queue_type_is_refused(s: Stage) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments={"x-queue-type": "foo"})


@scenario
def a_queue_type_must_be_a_string(s: Stage) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments={"x-queue-type": 5})


@scenario
def unknown_arguments_of_every_type_are_accepted(s: Stage) -> None:
    a = s.channel()
    arguments = {
        "a": True,
        "b": Typed("b", -1),
        "c": Typed("B", 255),
        "d": Typed("s", -300),
        "e": Typed("u", 60000),
        "f": Typed("I", -70000),
        "g": Typed("i", 4_000_000_000),
        "h": Typed("l", -(2**40)),
        "i": Typed("L", 2**40),
        "j": Typed("f", 1.5),
        "k": Typed("d", 2.25),
        "l": Typed("D", (2, 314)),
        "m": "text",
        "n": b"\x00\xff",
        "o": Typed("T", 1_700_000_000),
        "p": None,
        "q": {"inner": {"deep": 1}},
        "r": [1, "two", [True, None]],
    }
    a.call("queue.declare", queue=s.queue(), arguments=arguments)


@scenario
def a_server_named_queue_gets_a_name(s: Stage) -> None:
    a = s.channel()
    reply = a.call("queue.declare", queue="", exclusive=True)
    assert reply is not None
    name = str(reply["queue"])
    a.publish("to the name", to=name)
    a.call("basic.get", queue=name, no_ack=True)
    a.publish("to the last declared", to=name)
    a.call("basic.get", queue="", no_ack=True)
    a.call("queue.declare", queue="", exclusive=True)


@scenario
def the_last_declared_queue_is_meant_by_an_empty_name(s: Stage) -> None:
    a = s.channel()
    q = s.queue()
    a.call("queue.declare", queue=q)
    a.call("queue.bind", queue="", exchange="amq.direct", routing_key=f"bound.{q}")
    a.publish("hi", exchange="amq.direct", to=f"bound.{q}")
    a.call("basic.get", queue="", no_ack=True)
    a.call("basic.consume", queue="", consumer_tag="c")
    a.call("queue.unbind", queue="", exchange="amq.direct", routing_key=f"bound.{q}")
    a.call("queue.purge", queue="")
    a.call("queue.delete", queue="")
    a.expect("basic.cancel")


@scenario
def an_empty_routing_key_and_queue_bind_by_the_queue_name(s: Stage) -> None:
    """Both empty: the routing key is the queue's name too [amqp0-9-1.xml, queue.bind.routing-key]."""
    a = s.channel()
    q = s.queue()
    x = s.declared_exchange(a, "direct")
    a.call("queue.declare", queue=q)
    a.call("queue.bind", queue="", exchange=x, routing_key="")
    a.publish("by queue name", exchange=x, to=q, mandatory=True)
    a.publish("by empty key", exchange=x, to="", mandatory=True)
    a.expect("basic.return")
    s.drain(a, q)


@cases(
    bind=("queue.bind", {"exchange": "amq.direct"}),
    unbind=("queue.unbind", {"exchange": "amq.direct"}),
    consume=("basic.consume", {}),
    get=("basic.get", {}),
    purge=("queue.purge", {}),
    delete=("queue.delete", {}),
)
def no_queue_was_declared_on_this_channel_for(s: Stage, operation: tuple[str, dict[str, Any]]) -> None:
    name, fields = operation
    s.channel().call(name, queue="", **fields)


@cases(
    bind=("queue.bind", {"exchange": "amq.direct"}),
    unbind=("queue.unbind", {"exchange": "amq.direct"}),
    consume=("basic.consume", {}),
    get=("basic.get", {}),
    purge=("queue.purge", {}),
    delete=("queue.delete", {}),
)
def a_missing_queue_for(s: Stage, operation: tuple[str, dict[str, Any]]) -> None:
    name, fields = operation
    s.channel().call(name, queue=s.queue("nope"), **fields)


@cases(
    declare=("queue.declare", {}),
    declare_exclusive=("queue.declare", {"exclusive": True}),
    passive=("queue.declare", {"passive": True}),
    bind=("queue.bind", {"exchange": "amq.direct"}),
    unbind=("queue.unbind", {"exchange": "amq.direct"}),
    consume=("basic.consume", {}),
    get=("basic.get", {}),
    purge=("queue.purge", {}),
    delete=("queue.delete", {}),
)
def another_connections_exclusive_queue_is_locked_for(s: Stage, operation: tuple[str, dict[str, Any]]) -> None:
    owner, other = s.channel(), s.channel()
    q = s.declared_queue(owner, exclusive=True)
    name, fields = operation
    other.call(name, queue=q, **fields)
    owner.call("queue.declare", queue=q, exclusive=True)


@scenario
def anybody_may_publish_to_an_exclusive_queue(s: Stage) -> None:
    owner, other = s.channel(), s.channel()
    q = s.declared_queue(owner, exclusive=True)
    other.publish("hello", to=q, mandatory=True)
    other.barrier()
    owner.settle(q, ready=1)
    s.drain(owner, q)


@scenario
def another_channel_of_the_same_connection_may_use_an_exclusive_queue(s: Stage) -> None:
    a = s.channel()
    b = a.connection.channel()
    q = s.declared_queue(a, exclusive=True)
    b.call("queue.declare", queue=q, exclusive=True)
    b.call("basic.get", queue=q)
    b.call("queue.delete", queue=q)


@scenario
def redeclaring_an_exclusive_queue_as_shared_is_refused(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, exclusive=True)
    a.call("queue.declare", queue=q)


@scenario
def the_resource_locked_text_is_cut_when_names_are_long(s: Stage) -> None:
    owner, other = s.channel(), s.channel()
    q = s.declared_queue(owner, "long" * 20, exclusive=True)
    other.call("basic.get", queue=q)


@scenario
def an_exclusive_queue_goes_with_its_connection(s: Stage) -> None:
    owner, other = s.channel(), s.channel()
    q = s.declared_queue(owner, exclusive=True)
    owner.connection.close()
    other.call("queue.declare", queue=q, passive=True)


@scenario
def an_exclusive_queue_goes_when_its_connection_is_cut(s: Stage) -> None:
    owner, other = s.channel(), s.channel()
    q = s.declared_queue(owner, exclusive=True)
    owner.connection.drop()
    other.await_gone(q)
    other.call("queue.declare", queue=q)


@scenario
def a_durable_exclusive_queue_goes_with_its_connection_too(s: Stage) -> None:
    owner, other = s.channel(), s.channel()
    q = s.declared_queue(owner, exclusive=True, durable=True)
    owner.connection.close()
    other.call("queue.declare", queue=q, passive=True)


@scenario
def an_auto_delete_queue_goes_with_its_last_consumer(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, auto_delete=True)
    a.call("basic.consume", queue=q, consumer_tag="c1")
    a.call("basic.consume", queue=q, consumer_tag="c2")
    a.call("basic.cancel", consumer_tag="c1")
    a.call("queue.declare", queue=q, passive=True)
    a.call("basic.cancel", consumer_tag="c2")
    a.await_gone(q)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def an_auto_delete_queue_that_never_had_a_consumer_stays(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a, auto_delete=True)
    a.call("channel.close", reply_code=200)
    a.connection.close()
    b.call("queue.declare", queue=q, passive=True)


@scenario
def an_auto_delete_queue_goes_with_the_channel_of_its_consumer(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a, auto_delete=True)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.call("channel.close", reply_code=200)
    b.await_gone(q)
    b.call("queue.declare", queue=q, passive=True)


@scenario
def an_auto_delete_queue_with_get_only_stays(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, auto_delete=True, messages=1)
    a.call("basic.get", queue=q, no_ack=True)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def purge_drops_ready_messages_only(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=4)
    a.call("basic.get", queue=q)
    a.call("queue.purge", queue=q)
    a.call("queue.purge", queue=q)
    a.send("basic.nack", delivery_tag=1, requeue=True)
    a.settle(q, ready=1)
    s.drain(a, q)


@scenario
def delete_answers_the_number_of_ready_messages(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=3)
    a.call("basic.get", queue=q)
    a.call("queue.delete", queue=q)
    a.send("basic.ack", delivery_tag=1)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def delete_if_empty_refuses_a_queue_with_messages(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=1)
    a.call("queue.delete", queue=q, if_empty=True)


@scenario
def delete_if_empty_refuses_a_queue_with_nothing_but_unacked_messages(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=1)
    a.call("basic.get", queue=q)
    a.call("queue.delete", queue=q, if_empty=True)


@scenario
def delete_if_unused_refuses_a_queue_with_a_consumer(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.call("queue.delete", queue=q, if_unused=True)


@scenario
def delete_if_unused_and_if_empty_names_the_first_reason(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    s.fill(a, q, 0)
    b = a.connection.channel()
    b.publish("m1", to=q)
    a.deliveries(1)
    b.publish("m2", to=q)
    b.settle(q, ready=1)
    b.call("queue.delete", queue=q, if_unused=True, if_empty=True)


@scenario
def delete_if_unused_and_if_empty_of_an_idle_queue(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("queue.delete", queue=q, if_unused=True, if_empty=True)


@scenario
def declare_purge_and_delete_without_waiting(s: Stage) -> None:
    a = s.channel()
    q = s.queue()
    a.call("queue.declare", queue=q, nowait=True)
    a.call("queue.bind", queue=q, exchange="amq.direct", routing_key=q, nowait=True)
    a.publish("m", exchange="amq.direct", to=q)
    a.barrier()
    a.settle(q, ready=1)
    a.call("queue.purge", queue=q, nowait=True)
    a.call("queue.declare", queue=q, passive=True)
    a.call("queue.delete", queue=q, nowait=True)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def an_error_is_told_even_without_waiting(s: Stage) -> None:
    a = s.channel()
    a.send("queue.declare", queue=s.queue("nope"), passive=True, nowait=True)
    a.expect("channel.close")
