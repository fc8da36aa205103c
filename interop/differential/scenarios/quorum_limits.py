"""Quorum queues: delivery limit, dead letters, length, expiry, priorities and kinds of consumers."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.scenarios.quorum import QUORUM, get, quorum_queue


def dying_quorum_queue(s: Stage, a: Channel, **arguments: Any) -> tuple[str, str]:
    """Declare a quorum queue whose dead letters go to a classic one; return both names."""
    d = s.declared_queue(a, "d")
    return quorum_queue(s, a, x_dead_letter_exchange="", x_dead_letter_routing_key=d, **arguments), d


@cases(reject="basic.reject", nack="basic.nack")
def the_delivery_limit_drops(s: Stage, verb: str) -> None:
    a = s.channel()
    q = quorum_queue(s, a, messages=1, x_delivery_limit=2)
    for ready in (1, 1, 0):
        tag = get(a, q)
        a.send(verb, delivery_tag=tag, requeue=True)
        a.settle(q, ready=ready)
    get(a, q)


@cases(one=1, zero=0)
def the_delivery_limit_dead_letters(s: Stage, limit: int) -> None:
    a = s.channel()
    q, d = dying_quorum_queue(s, a, x_delivery_limit=limit)
    a.publish("m1", to=q, properties={"headers": {"own": 1}, "expiration": "60000"})
    a.settle(q, ready=1)
    for ready in [1] * limit + [0]:
        tag = get(a, q)
        a.send("basic.reject", delivery_tag=tag, requeue=True)
        a.settle(q, ready=ready)
    a.settle(d, ready=1)
    s.drain(a, d, q)


@scenario
def the_delivery_limit_when_a_consumer_dies(s: Stage) -> None:
    a = s.channel()
    q, d = dying_quorum_queue(s, a, x_delivery_limit=1)
    s.fill(a, q, 1)
    for _ in range(2):
        b = s.channel()
        b.call("basic.consume", queue=q, consumer_tag="c")
        b.deliveries(1)
        b.connection.drop()
        a.settle(q, consumers=0)
    a.settle(d, ready=1)
    s.drain(a, d, q)


@scenario
def the_limit_of_a_queue_that_names_none(s: Stage) -> None:
    """4.0 gives up after 20 returns, 3.10 never."""
    a = s.channel()
    q, d = dying_quorum_queue(s, a)
    s.fill(a, q, 1)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    for _ in range(20):
        (delivery,) = a.deliveries(1)
        a.send("basic.reject", delivery_tag=delivery["delivery_tag"], requeue=True)
    a.deliveries(1)
    a.send("basic.reject", delivery_tag=21, requeue=True)
    s.wait(100)
    a.barrier()
    s.drain(a, d)


@scenario
def a_rejected_message_is_dead_lettered(s: Stage) -> None:
    a = s.channel()
    q, d = dying_quorum_queue(s, a)
    a.publish("m1", to=q, properties={"headers": {"own": 1}, "delivery_mode": 2})
    a.settle(q, ready=1)
    a.send("basic.reject", delivery_tag=get(a, q))
    a.settle(d, ready=1)
    s.drain(a, d, q)


@scenario
def the_count_of_deliveries_is_no_part_of_a_dead_letter(s: Stage) -> None:
    a = s.channel()
    q, d = dying_quorum_queue(s, a)
    s.fill(a, q, 1)
    a.send("basic.reject", delivery_tag=get(a, q), requeue=True)
    a.settle(q, ready=1)
    a.send("basic.reject", delivery_tag=get(a, q))
    a.settle(d, ready=1)
    s.drain(a, d)


@scenario
def several_rejected_messages_die_in_order(s: Stage) -> None:
    a = s.channel()
    q, d = dying_quorum_queue(s, a)
    s.fill(a, q, 3)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(3)
    a.send("basic.nack", delivery_tag=3, multiple=True)
    a.settle(d, ready=3)
    s.drain(a, d)


@scenario
def dead_letters_from_quorum_to_quorum_queue_and_back(s: Stage) -> None:
    a = s.channel()
    q, d = s.queue(), s.queue("d")
    for name, other in ((q, d), (d, q)):
        to_other = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": other}
        a.call_unseen("queue.declare", queue=name, durable=True, arguments=QUORUM | to_other)
    a.publish("m1", to=q)
    for name in (q, d, q):
        a.settle(name, ready=1)
        a.send("basic.reject", delivery_tag=get(a, name))
    a.settle(d, ready=1)
    s.drain(a, d)


@cases(ttl=({"x_message_ttl": 60}, {}), expiration=({}, {"expiration": "60"}))
def expired_messages_are_dead_lettered(s: Stage, how: tuple[dict[str, Any], dict[str, Any]]) -> None:
    more, properties = how
    a = s.channel()
    q, d = dying_quorum_queue(s, a, **more)
    a.publish("m1", to=q, properties=properties)
    a.publish("m2", to=q, properties=properties)
    a.settle(d, ready=2)
    s.drain(a, d, q)


@scenario
def an_expired_message_behind_the_head(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a)
    a.publish("m1", to=q)
    a.publish("m2", to=q, properties={"expiration": "60"})
    a.publish("m3", to=q)
    s.wait(150)
    a.settle(q, ready=3)
    s.drain(a, q)


@scenario
def a_message_returned_after_its_time_is_gone(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, x_message_ttl=250)
    a.publish("m1", to=q)
    a.settle(q, ready=1)
    tag = get(a, q)
    s.wait(350)
    a.send("basic.reject", delivery_tag=tag, requeue=True)
    a.barrier()
    s.wait(30)
    get(a, q)


@cases(ttl=({"x_message_ttl": 0}, {}), expiration=({}, {"expiration": "0"}))
def a_ttl_of_0(s: Stage, how: tuple[dict[str, Any], dict[str, Any]]) -> None:
    more, properties = how
    a = s.channel()
    q = quorum_queue(s, a, **more)
    a.call("confirm.select")
    a.publish("m1", to=q, properties=properties)
    a.confirms()
    s.wait(30)
    get(a, q)


@cases(
    length={"x_max_length": 2}, bytes={"x_max_length_bytes": 4}, named={"x_max_length": 2, "x_overflow": "drop-head"}
)
def the_oldest_are_dropped(s: Stage, limits: dict[str, Any]) -> None:
    a = s.channel()
    q, d = dying_quorum_queue(s, a, **limits)
    a.call("confirm.select")
    for number in range(1, 5):
        a.publish(f"m{number}", to=q)
    a.confirms()
    a.settle(d, ready=2)
    s.drain(a, d, q)


@scenario
def a_full_queue_rejects_in_the_end(s: Stage) -> None:
    """The limit is soft: some more may be taken before publishers hear of it."""
    a = s.channel()
    q = quorum_queue(s, a, x_max_length=1, x_overflow="reject-publish")
    a.call("confirm.select")
    for number in range(1, 4):
        a.publish(f"m{number}", to=q)
        a.confirms()
        s.wait(30)


@scenario
def at_least_once_dead_lettering(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "fanout", "dlx", durable=True)
    d = s.declared_queue(a, "d", durable=True)
    a.call_unseen("queue.bind", queue=d, exchange=x)
    arguments = {"x_dead_letter_exchange": x, "x_dead_letter_strategy": "at-least-once", "x_overflow": "reject-publish"}
    q = quorum_queue(s, a, **arguments)
    s.fill(a, q, 1)
    a.send("basic.reject", delivery_tag=get(a, q))
    a.settle(d, ready=1)
    s.drain(a, d)


@scenario
def priorities_of_messages(s: Stage) -> None:
    """3.10 knows none, 4.0 two: above 4 and the others, two of the former for one of the latter."""
    a = s.channel()
    q = quorum_queue(s, a)
    for number, priority in enumerate((1, 5, 9, None, 4, 255, 0, 5), 1):
        a.publish(f"m{number} p{priority}", to=q, properties={} if priority is None else {"priority": priority})
    a.settle(q, ready=8)
    s.drain(a, q)


@scenario
def priorities_of_consumers(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a)
    a.call("basic.qos", prefetch_count=1)
    for tag, priority in (("low", 1), ("high", 5)):
        a.call("basic.consume", queue=q, consumer_tag=tag, arguments={"x-priority": priority})
    for number in range(1, 3):
        a.publish(f"m{number}", to=q)
        a.deliveries(1)


@cases(priority_text={"x-priority": "high"}, stream_offset={"x-stream-offset": "first"}, unknown={"x-foo": 1})
def arguments_of_consume(s: Stage, arguments: dict[str, Any]) -> None:
    a = s.channel()
    q = quorum_queue(s, a)
    a.call("basic.consume", queue=q, consumer_tag="c", arguments=arguments)


@scenario
def an_exclusive_consumer_refuses_others(s: Stage) -> None:
    connection = s.connection()
    a, b = connection.channel(), connection.channel()
    q = quorum_queue(s, a)
    a.call("basic.consume", queue=q, consumer_tag="c", exclusive=True)
    b.call("basic.consume", queue=q, consumer_tag="d")


@scenario
def an_exclusive_consumer_beside_others(s: Stage) -> None:
    connection = s.connection()
    a, b = connection.channel(), connection.channel()
    q = quorum_queue(s, a)
    a.call("basic.consume", queue=q, consumer_tag="c")
    b.call("basic.consume", queue=q, consumer_tag="d", exclusive=True)


@scenario
def a_single_active_consumer_is_followed_by_the_next(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, x_single_active_consumer=True)
    for tag in ("one", "two", "three"):
        a.call("basic.consume", queue=q, consumer_tag=tag)
    for number, tag in enumerate(("one", "two"), 1):
        a.publish(f"m{number}", to=q)
        a.deliveries(1)
        a.send("basic.ack", delivery_tag=number)
        a.call("basic.cancel", consumer_tag=tag)
    a.publish("m3", to=q)
    a.deliveries(1)


@scenario
def getting_from_a_queue_with_a_single_active_consumer(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, x_single_active_consumer=True)
    a.call("basic.get", queue=q)


@scenario
def a_transaction(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a)
    a.call("tx.select")
    a.publish("m1", to=q)
    a.barrier()
    a.call("tx.rollback")
    a.publish("m2", to=q)
    a.call("tx.commit")
    a.settle(q, ready=1)
    s.drain(a, q)


@scenario
def several_messages_dropped_for_one_large_one(s: Stage) -> None:
    """What goes at once is dead-lettered youngest first."""
    a = s.channel()
    q, d = dying_quorum_queue(s, a, x_max_length_bytes=4)
    for body in ("1", "2", "3", "4"):
        a.publish(body, to=q)
    a.settle(q, ready=4)
    a.publish("abc", to=q)
    a.settle(d, ready=3)
    s.drain(a, d, q)


@scenario
def several_messages_dropped_because_others_come_back(s: Stage) -> None:
    a = s.channel()
    q, d = dying_quorum_queue(s, a, x_max_length=2)
    s.fill(a, q, 2)
    for _ in range(2):
        get(a, q)
    a.publish("m3", to=q)
    a.publish("m4", to=q)
    a.settle(q, ready=2)
    a.send("basic.nack", delivery_tag=2, multiple=True, requeue=True)
    a.settle(d, ready=2)
    s.drain(a, d, q)
