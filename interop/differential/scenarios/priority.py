"""Messages with priorities: x-max-priority [rabbitmq.com/docs/priority]."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed


def priority_queue(s: Stage, a: Channel, highest: int = 10, **fields: Any) -> str:
    return s.declared_queue(a, arguments={"x-max-priority": highest}, **fields)


def publish_with(a: Channel, queue: str, *priorities: int | None) -> None:
    """Publish a message with each of these priorities, named by number and priority."""
    for number, priority in enumerate(priorities, 1):
        properties = {} if priority is None else {"priority": priority}
        a.publish(f"m{number} p{priority}", to=queue, properties=properties)


@scenario
def the_most_important_come_first(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a)
    publish_with(a, q, 1, 5, 3, 10, 0, 7)
    s.drain(a, q)


@scenario
def the_same_priority_keeps_the_order(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a)
    publish_with(a, q, 2, 5, 2, 5, 2, 5)
    s.drain(a, q)


@scenario
def no_priority_is_priority_0(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a)
    publish_with(a, q, None, 0, None, 1, 0)
    s.drain(a, q)


@scenario
def priorities_above_the_highest_count_as_the_highest(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a, 3)
    publish_with(a, q, 2, 3, 9, 3, 255, 1)
    s.drain(a, q)


@scenario
def a_queue_without_priorities_ignores_them(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    publish_with(a, q, 1, 9, 5)
    s.drain(a, q)


@scenario
def a_highest_priority_of_0_is_a_plain_queue(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a, 0)
    publish_with(a, q, 1, 9, 5)
    s.drain(a, q)


@scenario
def the_highest_priority_of_all(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a, 255)
    publish_with(a, q, 254, 255, 0, 128)
    s.drain(a, q)


@scenario
def a_consumer_gets_the_waiting_in_the_order_of_priority(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a)
    publish_with(a, q, 1, 5, 3)
    a.settle(q, ready=3)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(3)


@scenario
def later_important_messages_overtake_behind_a_prefetch(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    publish_with(a, q, 1, 1, 5, 3)
    a.deliveries(1)
    a.settle(q, ready=3)
    for tag in range(1, 4):
        a.send("basic.ack", delivery_tag=tag)
        a.deliveries(1)


@scenario
def requeued_messages_go_back_to_their_priority(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a)
    publish_with(a, q, 1, 5, 5, 1)
    for _ in range(3):
        a.call("basic.get", queue=q)
    a.send("basic.nack", delivery_tag=1, requeue=True)
    a.send("basic.nack", delivery_tag=3, requeue=True)
    a.publish("new p5", to=q, properties={"priority": 5})
    a.settle(q, ready=4)
    s.drain(a, q)


@scenario
def nack_multiple_requeues_into_every_priority(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a)
    publish_with(a, q, 1, 5, 3, 5)
    for _ in range(4):
        a.call("basic.get", queue=q)
    a.send("basic.nack", delivery_tag=4, multiple=True, requeue=True)
    a.settle(q, ready=4)
    s.drain(a, q)


@scenario
def counts_and_purge_cover_every_priority(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a)
    publish_with(a, q, 1, 5, 3, None)
    a.settle(q, ready=4)
    a.call("queue.declare", queue=q, passive=True)
    a.call("queue.delete", queue=q, if_empty=True)
    b = s.channel()
    b.call("queue.purge", queue=q)
    b.call("queue.declare", queue=q, passive=True)


@scenario
def an_expired_message_of_a_lower_priority_leaves_when_it_is_its_turn(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a)
    a.publish("low, short", to=q, properties={"priority": 1, "expiration": "40"})
    a.publish("high", to=q, properties={"priority": 5})
    a.publish("low", to=q, properties={"priority": 1})
    s.wait(120)
    a.call("queue.declare", queue=q, passive=True)
    s.drain(a, q)


@scenario
def messages_of_every_priority_expire_by_the_ttl(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-max-priority": 5, "x-message-ttl": 40})
    publish_with(a, q, 1, 5, 3)
    s.wait(120)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def expired_messages_of_several_priorities_are_dead_lettered(s: Stage) -> None:
    a = s.channel()
    d = s.declared_queue(a, "d")
    dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": d}
    q = s.declared_queue(a, arguments={"x-max-priority": 5, "x-message-ttl": 60} | dead)
    publish_with(a, q, 1, 5, 3)
    a.settle(d, ready=3)
    s.drain(a, d)


@scenario
def a_durable_priority_queue(s: Stage) -> None:
    a = s.channel()
    q = priority_queue(s, a, durable=True)
    a.call("confirm.select")
    for number, priority in enumerate((1, 5, 3), 1):
        a.publish(f"m{number}", to=q, properties={"priority": priority, "delivery_mode": 2})
    a.confirms()
    s.drain(a, q)


@cases(
    zero=0, one=1, highest=255, one_too_high=256, negative=-1, beyond_32_bits=2**40,
    byte=Typed("b", 5), octet=Typed("B", 255), short=Typed("s", 5), long=Typed("l", 5), digits="5", true=True,
    double=5.0, void=None, octets=b"5", table={"a": 1}, array=[5], timestamp=Typed("T", 5), decimal=Typed("D", (0, 5)),
)  # fmt: skip
def argument_values(s: Stage, value: Any) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments={"x-max-priority": value})


@cases(equal=10, other_type=Typed("l", 10), other=9, none=..., too_high=256)
def redeclare_of_a_priority_queue(s: Stage, value: Any) -> None:
    a = s.channel()
    q = priority_queue(s, a)
    a.call("queue.declare", queue=q, arguments={} if value is ... else {"x-max-priority": value})


@scenario
def redeclare_of_a_plain_queue_with_priorities(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("queue.declare", queue=q, arguments={"x-max-priority": 10})
