"""Conversations with a restart in the middle: generator functions, which yield where the broker restarts.

Publishes are confirmed before, so that it is certain what the broker has promised to keep.
"""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage

Half = Iterator[None]
PERSISTENT, TRANSIENT = {"delivery_mode": 2}, {"delivery_mode": 1}
QUORUM = {"x-queue-type": "quorum"}


def confirming(s: Stage) -> Channel:
    channel = s.channel()
    channel.call_unseen("confirm.select")
    return channel


def put(channel: Channel, queue: str, *bodies: str, **properties: Any) -> None:
    """Publish persistent messages, and wait for their confirms."""
    for body in bodies:
        channel.publish(body, to=queue, properties=PERSISTENT | properties)
    channel.confirms()


def look(s: Stage, *queues: str) -> None:
    """Show what is in queues, and take it out; each on a channel of its own, for some may be gone."""
    for queue in queues:
        channel = s.channel()
        if channel.call("queue.declare", queue=queue, passive=True) is not None and channel.is_open:
            s.drain(channel, queue)


def durability_matrix(s: Stage) -> Half:
    """Every kind of queue, with a persistent and a transient message in it."""
    a = confirming(s)
    queues = []
    for durable, auto_delete in itertools.product((True, False), repeat=2):
        name = s.queue(f"d{durable:d}.a{auto_delete:d}")
        a.call("queue.declare", queue=name, durable=durable, auto_delete=auto_delete)
        a.publish("persistent", to=name, properties=PERSISTENT)
        a.publish("transient", to=name, properties=TRANSIENT)
        a.publish("unsaid", to=name)
        queues.append(name)
    a.confirms()
    yield
    look(s, *queues)


def exclusive_queues(s: Stage) -> Half:
    a = confirming(s)
    queues = []
    for durable in (True, False):
        name = s.queue(f"d{durable:d}")
        a.call("queue.declare", queue=name, durable=durable, exclusive=True)
        a.publish("persistent", to=name, properties=PERSISTENT)
        queues.append(name)
    a.confirms()
    yield
    look(s, *queues)


def auto_delete_after_a_consumer(s: Stage) -> Half:
    a = confirming(s)
    name = s.queue()
    a.call("queue.declare", queue=name, durable=True, auto_delete=True)
    a.call("basic.consume", queue=name, consumer_tag="c")
    yield
    look(s, name)


def exchanges(s: Stage) -> Half:
    a = s.channel()
    names = []
    for durable, auto_delete, internal in itertools.product((True, False), repeat=3):
        name = s.exchange(f"d{durable:d}.a{auto_delete:d}.i{internal:d}")
        flags = {"durable": durable, "auto_delete": auto_delete, "internal": internal}
        a.call("exchange.declare", exchange=name, exchange_type="topic", **flags)
        names.append(name)
    yield
    for name in names:
        s.channel().call("exchange.declare", exchange=name, passive=True)


def exchanges_are_the_same(s: Stage) -> Half:
    a = s.channel()
    name, alternate = s.exchange("x"), s.exchange("alternate")
    arguments = {"alternate-exchange": alternate, "x-other": 5}
    a.call("exchange.declare", exchange=name, exchange_type="headers", durable=True, arguments=arguments)
    yield
    s.channel().call("exchange.declare", exchange=name, exchange_type="headers", durable=True, arguments=arguments)
    s.channel().call("exchange.declare", exchange=name, exchange_type="headers", durable=True)


def queues_are_the_same(s: Stage) -> Half:
    a = s.channel()
    name = s.queue()
    arguments = {"x-max-length": 5, "x-message-ttl": 60_000, "x-dead-letter-exchange": "", "x-max-priority": 3}
    a.call("queue.declare", queue=name, durable=True, arguments=arguments)
    yield
    s.channel().call("queue.declare", queue=name, durable=True, arguments=arguments)
    s.channel().call("queue.declare", queue=name, durable=True, arguments=arguments | {"x-max-length": 6})
    s.channel().call("queue.declare", queue=name, arguments=arguments)


def bindings(s: Stage) -> Half:
    """A binding stays if both of its ends do."""
    a = s.channel()
    exchanges = {
        durable: s.declared_exchange(a, "direct", f"x{durable:d}", durable=durable) for durable in (True, False)
    }
    queues = {durable: s.declared_queue(a, f"q{durable:d}", durable=durable) for durable in (True, False)}
    for x, q in itertools.product((True, False), repeat=2):
        a.call("queue.bind", queue=queues[q], exchange=exchanges[x], routing_key="k")
    a.call("queue.bind", queue=queues[True], exchange="amq.topic", routing_key=f"{queues[True]}.#", arguments={"a": 1})
    yield
    b = confirming(s)
    for durable in (True, False):
        b.call_unseen("exchange.declare", exchange=exchanges[durable], exchange_type="direct", durable=durable)
        b.call_unseen("queue.declare", queue=queues[durable], durable=durable)
    b.publish("through durable", exchange=exchanges[True], to="k", mandatory=True)
    b.publish("through transient", exchange=exchanges[False], to="k", mandatory=True)
    b.publish("through topic", exchange="amq.topic", to=f"{queues[True]}.x", mandatory=True)
    b.barrier()
    b.confirms()
    look(s, *queues.values())


def bindings_of_exchanges(s: Stage) -> Half:
    a = s.channel()
    source, to = (s.declared_exchange(a, "fanout", label, durable=True) for label in ("source", "to"))
    gone = s.declared_exchange(a, "fanout", "gone")
    q = s.declared_queue(a, durable=True)
    a.call("queue.bind", queue=q, exchange=to)
    a.call("exchange.bind", destination=to, source=source)
    a.call("exchange.bind", destination=to, source=gone)
    a.call("exchange.bind", destination=gone, source=source)
    yield
    b = confirming(s)
    b.publish("m", exchange=source, mandatory=True)
    b.confirms()
    look(s, q)


def order_and_properties(s: Stage) -> Half:
    a = confirming(s)
    q = s.declared_queue(a, durable=True)
    # Sorted, and of types that 4.0 passes on as they are.
    headers = {"flag": True, "list": [1, "two"], "none": None, "number": 5, "table": {"a": 1}, "text": "é"}
    a.publish("rich", to=q, properties={"delivery_mode": 2, "content_type": "text/plain", "priority": 3, "type": "t",
                                        "headers": headers, "correlation_id": "c", "message_id": "i", "app_id": "a",
                                        "timestamp": 1_700_000_000, "reply_to": "r"})  # fmt: skip
    a.publish("", to=q, properties=PERSISTENT)
    a.publish("x" * 300_000, to=q, properties=PERSISTENT)
    put(a, q, *(f"m{number}" for number in range(20)))
    yield
    look(s, q)


def acknowledged_and_not(s: Stage, kind: dict[str, Any]) -> Half:
    """What was handed out and not acknowledged comes again; what was acknowledged or dropped does not."""
    a = confirming(s)
    q = s.declared_queue(a, durable=True, arguments=kind)
    put(a, q, *(f"m{number}" for number in range(8)))
    for _ in range(6):
        a.call("basic.get", queue=q)
    a.send("basic.ack", delivery_tag=1)
    a.send("basic.reject", delivery_tag=2, requeue=False)
    a.send("basic.nack", delivery_tag=4, requeue=True)
    a.barrier()
    a.settle(q, ready=3)
    yield
    look(s, q)


def returned_once(s: Stage, kind: dict[str, Any]) -> Half:
    """A message that came back before the restart."""
    a = confirming(s)
    q = s.declared_queue(a, durable=True, arguments=kind)
    put(a, q, "m1", "m2")
    a.call("basic.get", queue=q)
    a.send("basic.reject", delivery_tag=1, requeue=True)
    a.barrier()
    a.settle(q, ready=2)
    yield
    look(s, q)


def purged_and_deleted(s: Stage) -> Half:
    a = confirming(s)
    purged, deleted = (s.declared_queue(a, label, durable=True) for label in ("purged", "deleted"))
    put(a, purged, "before")
    put(a, deleted, "before")
    a.call("queue.purge", queue=purged)
    put(a, purged, "after")
    a.call("queue.delete", queue=deleted)
    a.call("queue.declare", queue=deleted, durable=True)
    put(a, deleted, "anew")
    yield
    look(s, purged, deleted)


def unbound_and_deleted(s: Stage) -> Half:
    a = s.channel()
    kept, gone = (s.declared_exchange(a, "fanout", label, durable=True) for label in ("kept", "gone"))
    q = s.declared_queue(a, durable=True)
    for exchange in (kept, gone):
        a.call("queue.bind", queue=q, exchange=exchange)
    a.call("queue.unbind", queue=q, exchange=kept)
    a.call("exchange.delete", exchange=gone)
    yield
    b = confirming(s)
    b.publish("m", exchange=kept, mandatory=True)
    b.barrier()
    b.confirms()
    s.channel().call("exchange.declare", exchange=gone, passive=True)


def transactions(s: Stage) -> Half:
    """What was committed stays, with its acknowledgements; what was not is as if it had not been."""
    a = s.channel()
    q = s.declared_queue(a, durable=True)
    a.call("tx.select")
    for body in ("one", "two"):
        a.publish(body, to=q, properties=PERSISTENT)
    a.call("tx.commit")
    a.call("basic.get", queue=q)
    a.send("basic.ack", delivery_tag=1)
    a.publish("three", to=q, properties=PERSISTENT)
    a.call("tx.commit")
    a.call("basic.get", queue=q)
    a.send("basic.ack", delivery_tag=2)
    a.publish("four", to=q, properties=PERSISTENT)
    a.barrier()
    yield
    look(s, q)


def dead_letters(s: Stage) -> Half:
    """A dead letter with what it tells of its death."""
    a = confirming(s)
    dead = s.declared_queue(a, "dead", durable=True)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, "x-max-length": 1}
    q = s.declared_queue(a, durable=True, arguments=arguments)
    put(a, q, "pushed out", "stays")
    a.settle(dead, ready=1)
    yield
    look(s, q, dead)


def expiry_goes_on(s: Stage) -> Half:
    """Time to live is counted through the restart."""
    a = confirming(s)
    dead = s.declared_queue(a, "dead", durable=True)
    to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    soon = s.declared_queue(a, "soon", durable=True, arguments=to_dead | {"x-message-ttl": 1000})
    late = s.declared_queue(a, "late", durable=True, arguments=to_dead | {"x-message-ttl": 600_000})
    put(a, soon, "expires")
    put(a, late, "stays")
    put(a, late, "expires behind it", expiration="1000")
    yield
    s.wait(1200)
    b = s.channel()
    b.settle(dead, ready=1)
    look(s, soon, late, dead)


def priorities(s: Stage) -> Half:
    a = confirming(s)
    q = s.declared_queue(a, durable=True, arguments={"x-max-priority": 5})
    for number, priority in enumerate((1, 5, 3, 5, 1)):
        put(a, q, f"m{number}", priority=priority)
    yield
    look(s, q)


def server_named(s: Stage) -> Half:
    a = confirming(s)
    answer = a.call("queue.declare", queue="", durable=True)
    assert answer is not None
    name = str(answer["queue"])
    s.names.append(("queue", name))
    put(a, name, "m")
    yield
    look(s, name)


def delivery_limit(s: Stage) -> Half:
    """A quorum queue counts on after the restart."""
    a = confirming(s)
    q = s.declared_queue(a, durable=True, arguments=QUORUM | {"x-delivery-limit": 2})
    put(a, q, "m")
    a.call("basic.get", queue=q)
    a.send("basic.reject", delivery_tag=1, requeue=True)
    a.barrier()
    a.settle(q, ready=1)
    yield
    b = s.channel()
    for tag in (1, 2):
        b.call("basic.get", queue=q)
        b.send("basic.reject", delivery_tag=tag, requeue=True)
        b.barrier()
    b.settle(q, ready=0)
    look(s, q)


def transient_in_a_quorum_queue(s: Stage) -> Half:
    a = confirming(s)
    q = s.declared_queue(a, durable=True, arguments=QUORUM)
    a.publish("transient", to=q, properties=TRANSIENT)
    a.publish("unsaid", to=q)
    a.confirms()
    yield
    look(s, q)


def show_kept(a: Channel, queue: str) -> None:
    """Publish four messages, and show how many stay."""
    put(a, queue, "m1", "m2", "m3", "m4")
    a.call("queue.declare", queue=queue, passive=True)
    a.call_unseen("queue.purge", queue=queue)


def policies_of_queues(s: Stage, kind: dict[str, Any]) -> Half:
    """They count for the queues that are there again, and for new ones."""
    a = confirming(s)
    s.set_policy({"max-length": 3, "overflow": "drop-head"})
    s.set_policy({"max-length": 2}, operators=True)
    old = s.declared_queue(a, "old", durable=True, arguments=kind)
    show_kept(a, old)
    yield
    a = confirming(s)
    new = s.declared_queue(a, "new", durable=True, arguments=kind)
    show_kept(a, old)
    show_kept(a, new)
    s.clear_policy(operators=True)
    show_kept(a, old)
    s.clear_policy()
    show_kept(a, old)
    show_kept(a, new)


def policies_changed_and_cleared(s: Stage) -> Half:
    a = confirming(s)
    for name, limit in (("changed", 1), ("cleared", 2)):
        s.set_policy({"max-length": limit}, name=name, on=s.pattern(name))
        s.set_policy({"max-length": limit}, name=name, on=s.pattern("op." + name), operators=True)
    for operators in (False, True):
        s.set_policy({"max-length": 3}, name="changed", on=s.pattern("op.changed", "changed"), operators=operators)
        s.clear_policy("cleared", operators=operators)
    queues = [s.declared_queue(a, label, durable=True) for label in ("changed", "cleared", "op.changed", "op.cleared")]
    yield
    a = confirming(s)
    for queue in queues:
        show_kept(a, queue)


def policies_by_priority(s: Stage) -> Half:
    a = confirming(s)
    q = s.declared_queue(a, durable=True)
    s.set_policy({"max-length": 3}, name="low", priority=-1)
    s.set_policy({"max-length": 1}, name="middle", priority=0.5)
    s.set_policy({"max-length": 2}, name="high", priority=1)
    s.set_policy({"max-length": 1}, name="of exchanges", priority=2, apply_to="exchanges")
    yield
    a = confirming(s)
    show_kept(a, q)
    for name in ("high", "middle", "low"):
        s.clear_policy(name)
        show_kept(a, q)


def messages_that_a_policy_left(s: Stage, kind: dict[str, Any]) -> Half:
    """What it dropped is gone, what it left is there, dead letters too."""
    a = confirming(s)
    x = s.declared_exchange(a, "fanout", "x", durable=True)
    dead = s.declared_queue(a, "dead", durable=True)
    a.call_unseen("queue.bind", queue=dead, exchange=x)
    q = s.declared_queue(a, "q", durable=True, arguments=kind)
    put(a, q, "m1", "m2", "m3")
    s.set_policy({"dead-letter-exchange": x, "max-length": 2}, on=s.pattern("q"))
    a.settle(dead, ready=1)
    a.settle(q, ready=2)
    yield
    a = confirming(s)
    put(a, q, "m4")
    a.settle(dead, ready=2)
    b = s.channel()
    for queue in (dead, q):
        reply = b.call_unseen("basic.get", queue=queue, no_ack=True)
        while reply is not None and reply.content is not None:
            b.note(f"in {queue}: {reply.content.body!r}")
            reply = b.call_unseen("basic.get", queue=queue, no_ack=True)


def a_ttl_by_policy(s: Stage) -> Half:
    """Messages expire when they were to, whatever became of the policy."""
    a = confirming(s)
    q, lasting = s.declared_queue(a, "q", durable=True), s.declared_queue(a, "lasting", durable=True)
    s.set_policy({"message-ttl": 500}, on=s.pattern("q"))
    s.set_policy({"message-ttl": 3_600_000}, name="long", on=s.pattern("lasting"))
    put(a, q, "expires")
    put(a, lasting, "lasts")
    s.clear_policy()
    yield
    s.wait(700)
    a = confirming(s)
    put(a, q, "after")
    s.wait(700)
    look(s, q, lasting)


def an_alternate_exchange_by_policy(s: Stage) -> Half:
    a = confirming(s)
    lost, x = s.declared_exchange(a, "fanout", "lost", durable=True), s.declared_exchange(a, "direct", durable=True)
    sink = s.declared_queue(a, "sink", durable=True)
    a.call_unseen("queue.bind", queue=sink, exchange=lost)
    s.set_policy({"alternate-exchange": lost}, on=s.pattern("x"))
    yield
    a = confirming(s)
    a.publish("lost", exchange=x, to="nowhere", mandatory=True)
    a.confirms()
    s.clear_policy()
    a.publish("unroutable", exchange=x, to="nowhere", mandatory=True)
    a.confirms()
    look(s, sink)


def a_delivery_limit_by_policy(s: Stage) -> Half:
    a = confirming(s)
    q = s.declared_queue(a, durable=True, arguments=QUORUM)
    s.set_policy({"delivery-limit": 1})
    put(a, q, "m")
    yield
    b = s.channel()
    b.call("basic.qos", prefetch_count=1)
    for tag, ready in ((1, 1), (2, 0)):
        reply = b.call_unseen("basic.get", queue=q)
        b.note(f"got {reply.content.body!r}" if reply and reply.content else "got nothing")
        b.send("basic.reject", delivery_tag=tag, requeue=True)
        b.settle(q, ready=ready)


_CASES: dict[str, dict[str, Any]] = {
    "policies_of_queues": {"classic": {}, "quorum": QUORUM},
    "messages_that_a_policy_left": {"classic": {}, "quorum": QUORUM},
    "acknowledged_and_not": {"classic": {}, "quorum": QUORUM},
    "returned_once": {"classic": {}, "quorum": QUORUM},
}


# A quorum queue of RabbitMQ has no leader for a while after it was killed: what it answers then is up to chance.
# And it loses what it had dead-lettered to a classic queue a moment before.
_NOT_KILLED = {
    "transient_in_a_quorum_queue",
    "a_delivery_limit_by_policy",
    "policies_of_queues[quorum]",
    "messages_that_a_policy_left[quorum]",
}


def scenarios(ending: str) -> dict[str, Callable[[Stage], Half]]:
    """Return all scenarios by name, for a restart that ends so."""
    found: dict[str, Callable[[Stage], Half]] = {}
    module = sys.modules[__name__]
    for name, function in inspect.getmembers(module, inspect.isgeneratorfunction):
        for label, value in _CASES.get(name, {}).items():
            found[f"{name}[{label}]"] = partial(function, kind=value)
        if name not in _CASES:
            found[name] = function
    return {f"{ending}.{name}": half for name, half in found.items() if ending != "kill" or name not in _NOT_KILLED}
