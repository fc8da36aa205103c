"""Queues that expire when they are not used: x-expires [rabbitmq.com/docs/ttl#queue-ttl]."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed

SHORT_MS, LONG_MS = 300, 60_000


def expiring_queue(s: Stage, a: Channel, milliseconds: int = SHORT_MS, **fields: Any) -> str:
    return s.declared_queue(a, arguments={"x-expires": milliseconds}, **fields)


def use_and_look(s: Stage, a: Channel, name: str, **fields: Any) -> None:
    """Use a queue shortly before it expires; the look after its first time tells whether that counted."""
    s.wait(190)
    a.call(name, **fields)
    s.wait(190)
    a.call("queue.declare", queue=fields["queue"], passive=True)


@scenario
def an_unused_queue_is_deleted(s: Stage) -> None:
    a = s.channel()
    q = expiring_queue(s, a, 40)
    s.wait(150)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def a_queue_expires_with_its_messages_and_bindings(s: Stage) -> None:
    a = s.channel()
    q = expiring_queue(s, a, 60)
    a.call("queue.bind", queue=q, exchange="amq.direct", routing_key=q)
    a.publish("m1", to=q)
    s.wait(180)
    a.publish("m2", exchange="amq.direct", to=q, mandatory=True)
    a.barrier()
    a.call("queue.declare", queue=q)
    a.publish("m3", exchange="amq.direct", to=q, mandatory=True)
    a.barrier()


@scenario
def a_consumer_keeps_a_queue(s: Stage) -> None:
    a = s.channel()
    q = expiring_queue(s, a, 60)
    a.call("basic.consume", queue=q, consumer_tag="c")
    s.wait(180)
    a.publish("m1", to=q)
    a.deliveries(1)
    a.call("basic.cancel", consumer_tag="c")
    s.wait(180)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def a_consumer_whose_connection_ends_keeps_it_no_longer(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = expiring_queue(s, a, 60)
    b.call("basic.consume", queue=q, consumer_tag="c")
    b.connection.drop()
    s.wait(200)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def getting_counts_as_use(s: Stage) -> None:
    a = s.channel()
    q = expiring_queue(s, a)
    use_and_look(s, a, "basic.get", queue=q)


@scenario
def declaring_again_counts_as_use(s: Stage) -> None:
    a = s.channel()
    q = expiring_queue(s, a)
    use_and_look(s, a, "queue.declare", queue=q, arguments={"x-expires": SHORT_MS})


@scenario
def declaring_passively_counts_as_use(s: Stage) -> None:
    a = s.channel()
    q = expiring_queue(s, a)
    use_and_look(s, a, "queue.declare", queue=q, passive=True)


@scenario
def purging_counts_as_no_use(s: Stage) -> None:
    a = s.channel()
    q = expiring_queue(s, a)
    use_and_look(s, a, "queue.purge", queue=q)


@scenario
def binding_counts_as_no_use(s: Stage) -> None:
    a = s.channel()
    q = expiring_queue(s, a)
    use_and_look(s, a, "queue.bind", queue=q, exchange="amq.fanout")


@scenario
def publishing_counts_as_no_use(s: Stage) -> None:
    a = s.channel()
    q = expiring_queue(s, a)
    s.wait(190)
    a.publish("m1", to=q)
    s.wait(190)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def an_unacknowledged_message_does_not_keep_a_queue(s: Stage) -> None:
    a = s.channel()
    q = expiring_queue(s, a, 60)
    a.publish("m1", to=q)
    a.call("basic.get", queue=q)
    s.wait(200)
    a.call("queue.declare", queue=q)
    a.send("basic.ack", delivery_tag=1)
    a.barrier()


@scenario
def the_messages_of_an_expired_queue_are_not_dead_lettered(s: Stage) -> None:
    a = s.channel()
    d = s.declared_queue(a, "d")
    arguments = {"x-expires": 60, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": d}
    q = s.declared_queue(a, arguments=arguments)
    a.publish("m1", to=q)
    s.wait(180)
    a.call("basic.get", queue=d)


@cases(exclusive={"exclusive": True}, auto_delete={"auto_delete": True}, durable={"durable": True})
def queues_of_every_kind_expire(s: Stage, fields: dict[str, Any]) -> None:
    a = s.channel()
    q = expiring_queue(s, a, 40, **fields)
    s.wait(150)
    a.call("queue.declare", queue=q, passive=True)


@cases(
    one=1,
    zero=0,
    zero_as_long=Typed("l", 0),
    negative=-1,
    short=Typed("s", 5000),
    long=Typed("L", 5000),
    largest=315_360_000_000,
    one_too_large=315_360_000_001,
    digits="5000",
    octets=b"5000",
    true=True,
    double=5000.0,
    float=Typed("f", 5000.0),
    decimal=Typed("D", (0, 5000)),
    timestamp=Typed("T", 5000),
    nothing=None,
    table={"a": 1},
    array=[5000],
)
def expires_argument_values(s: Stage, value: Any) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments={"x-expires": value})


@cases(equal=LONG_MS, equal_as_long=Typed("l", LONG_MS), other=5000, none=..., digits="60000", zero=0)
def redeclare_of_a_queue_that_expires(s: Stage, value: Any) -> None:
    a = s.channel()
    q = expiring_queue(s, a, LONG_MS)
    a.call("queue.declare", queue=q, arguments={} if value is ... else {"x-expires": value})


@scenario
def redeclare_of_a_queue_that_does_not_expire(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("queue.declare", queue=q, arguments={"x-expires": LONG_MS})
