"""Queues with a greatest length: x-max-length, x-max-length-bytes, x-overflow [rabbitmq.com/docs/maxlength]."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed

REJECT = {"x-overflow": "reject-publish"}
REJECT_DLX = {"x-overflow": "reject-publish-dlx"}


def limited_queue(s: Stage, a: Channel, limit: int, label: str = "q", **arguments: Any) -> str:
    given = {key.replace("_", "-"): value for key, value in arguments.items()}
    return s.declared_queue(a, label, arguments={"x-max-length": limit} | given)


def publish_many(a: Channel, queue: str, count: int, **fields: Any) -> None:
    for number in range(1, count + 1):
        a.publish(f"m{number}", to=queue, **fields)


@cases(default={}, named={"x-overflow": "drop-head"})
def the_oldest_are_dropped(s: Stage, arguments: dict[str, Any]) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-max-length": 2} | arguments)
    a.call("confirm.select")
    publish_many(a, q, 5)
    a.confirms()
    s.drain(a, q)


@scenario
def bytes_count_bodies_only(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-max-length-bytes": 10})
    for body in ("1234", "5678", "90"):
        a.publish(body, to=q, properties={"headers": {"long": "x" * 20}})
    a.settle(q, ready=3)
    a.publish("a", to=q)
    s.drain(a, q)


@scenario
def empty_bodies_take_no_bytes(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-max-length-bytes": 2})
    for body in ("", "", "ab", "", "c"):
        a.publish(body, to=q)
    s.drain(a, q)


@scenario
def a_message_larger_than_the_limit_does_not_stay(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-max-length-bytes": 5})
    a.publish("1234", to=q)
    a.publish("too large", to=q)
    a.call("basic.get", queue=q)
    a.publish("123", to=q)
    s.drain(a, q)


@scenario
def both_limits_hold(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-max-length": 3, "x-max-length-bytes": 10})
    for body in ("1", "2", "3", "4", "567890123"):
        a.publish(body, to=q)
    s.drain(a, q)


@scenario
def a_length_of_0_keeps_nothing(s: Stage) -> None:
    a = s.channel()
    q = limited_queue(s, a, 0)
    a.call("confirm.select")
    publish_many(a, q, 2, mandatory=True)
    a.confirms()
    a.call("basic.get", queue=q)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.publish("m3", to=q)
    a.deliveries(1)


@scenario
def unacknowledged_messages_do_not_count(s: Stage) -> None:
    a = s.channel()
    q = limited_queue(s, a, 2)
    publish_many(a, q, 2)
    a.call("basic.get", queue=q)
    a.call("basic.get", queue=q)
    a.publish("m3", to=q)
    a.publish("m4", to=q)
    a.settle(q, ready=2)
    a.publish("m5", to=q)
    s.drain(a, q)


@scenario
def requeued_messages_count_again(s: Stage) -> None:
    a = s.channel()
    q = limited_queue(s, a, 2)
    publish_many(a, q, 2)
    a.call("basic.get", queue=q)
    a.call("basic.get", queue=q)
    a.publish("m3", to=q)
    a.publish("m4", to=q)
    a.send("basic.nack", delivery_tag=2, multiple=True, requeue=True)
    a.barrier()
    s.drain(a, q)


@scenario
def what_is_delivered_at_once_needs_no_room(s: Stage) -> None:
    a = s.channel()
    q = limited_queue(s, a, 1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    publish_many(a, q, 3)
    a.deliveries(3)


@scenario
def a_busy_consumer_lets_the_queue_fill(s: Stage) -> None:
    a = s.channel()
    q = limited_queue(s, a, 1)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    publish_many(a, q, 3)
    a.deliveries(1)
    a.ask(q)
    a.send("basic.ack", delivery_tag=1)
    a.deliveries(1)


@scenario
def expired_messages_make_room(s: Stage) -> None:
    a = s.channel()
    q = limited_queue(s, a, 2)
    a.publish("m1", to=q, properties={"expiration": "40"})
    a.publish("m2", to=q)
    s.wait(120)
    a.publish("m3", to=q)
    s.drain(a, q)


@scenario
def expired_messages_behind_the_head_take_room(s: Stage) -> None:
    a = s.channel()
    q = limited_queue(s, a, 2)
    a.publish("m1", to=q)
    a.publish("m2", to=q, properties={"expiration": "40"})
    s.wait(120)
    a.publish("m3", to=q)
    s.drain(a, q)


@scenario
def the_head_is_dropped_though_it_is_the_most_important(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-max-length": 2, "x-max-priority": 5})
    for number, priority in enumerate((3, 1, 5, 1, 4), 1):
        a.publish(f"m{number}", to=q, properties={"priority": priority})
    s.drain(a, q)


@scenario
def the_dropped_of_a_priority_queue_are_dead_lettered(s: Stage) -> None:
    a = s.channel()
    d = s.declared_queue(a, "d")
    arguments = {"x-max-length": 1, "x-max-priority": 5, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": d}
    q = s.declared_queue(a, arguments=arguments)
    for number, priority in enumerate((3, 1, 5), 1):
        a.publish(f"m{number}", to=q, properties={"priority": priority})
    a.settle(d, ready=2)
    s.drain(a, d, q)


@cases(reject=REJECT, reject_dlx=REJECT_DLX)
def a_full_queue_rejects_what_is_published(s: Stage, arguments: dict[str, Any]) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-max-length": 2} | arguments)
    a.call("confirm.select")
    publish_many(a, q, 5)
    a.confirms()
    s.drain(a, q)


@cases(reject=REJECT, reject_dlx=REJECT_DLX)
def without_confirms_rejection_is_silent(s: Stage, arguments: dict[str, Any]) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-max-length": 1} | arguments)
    publish_many(a, q, 3, mandatory=True)
    a.ask(q)
    a.barrier()
    s.drain(a, q)


@cases(reject=REJECT, reject_dlx=REJECT_DLX)
def rejected_publishes_and_dead_lettering(s: Stage, arguments: dict[str, Any]) -> None:
    """Only reject-publish-dlx dead-letters what it rejects."""
    a = s.channel()
    d = s.declared_queue(a, "d")
    more = {"x-max-length": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": d}
    q = s.declared_queue(a, arguments=more | arguments)
    a.call("confirm.select")
    publish_many(a, q, 3, properties={"expiration": "60000", "headers": {"own": 1}})
    a.confirms()
    a.ask(q)
    s.drain(a, q, d)


@scenario
def rejecting_by_bytes(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-max-length-bytes": 5} | REJECT)
    a.call("confirm.select")
    for body in ("1234", "567890", "x", ""):
        a.publish(body, to=q)
    a.confirms()
    s.drain(a, q)


@scenario
def rejecting_exactly_at_the_limit_of_bytes(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-max-length-bytes": 5} | REJECT)
    a.call("confirm.select")
    for body in ("12345", "", "1"):
        a.publish(body, to=q)
    a.confirms()
    s.drain(a, q)


@scenario
def a_length_of_0_rejects_everything(s: Stage) -> None:
    a = s.channel()
    q = limited_queue(s, a, 0, x_overflow="reject-publish")
    a.call("confirm.select")
    publish_many(a, q, 2)
    a.confirms()
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.publish("m3", to=q)
    a.confirms()


@scenario
def a_full_queue_takes_messages_again_when_there_is_room(s: Stage) -> None:
    a = s.channel()
    q = limited_queue(s, a, 1, x_overflow="reject-publish")
    a.call("confirm.select")
    publish_many(a, q, 2)
    a.confirms()
    a.call("basic.get", queue=q)
    a.publish("m3", to=q)
    a.publish("m4", to=q)
    a.confirms()
    a.send("basic.nack", delivery_tag=1, requeue=True)
    a.settle(q, ready=2)
    a.publish("m5", to=q)
    a.confirms()
    s.drain(a, q)


@scenario
def one_full_queue_of_several_is_a_nack(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "fanout")
    full, free = limited_queue(s, a, 1, "full", x_overflow="reject-publish"), s.declared_queue(a, "free")
    for q in (full, free):
        a.call_unseen("queue.bind", queue=q, exchange=x)
    a.call("confirm.select")
    for number in range(1, 4):
        a.publish(f"m{number}", exchange=x)
    a.confirms()
    s.drain(a, full, free)


@scenario
def acks_and_nacks_of_two_queues_in_turn(s: Stage) -> None:
    a = s.channel()
    full, free = limited_queue(s, a, 1, "full", x_overflow="reject-publish"), s.declared_queue(a, "free")
    a.call("confirm.select")
    for number in range(1, 9):
        a.publish(f"m{number}", to=full if number % 2 else free, mandatory=True)
    a.publish("m9", to=s.queue("nope"), mandatory=True)
    a.confirms()


@scenario
def rejection_in_a_transaction(s: Stage) -> None:
    a = s.channel()
    q = limited_queue(s, a, 1, x_overflow="reject-publish")
    a.call("tx.select")
    publish_many(a, q, 2)
    a.call("tx.commit")
    s.drain(a, q)


@cases(drop={}, reject=REJECT)
def an_idle_consumer_of_a_queue_of_length_0(s: Stage, arguments: dict[str, Any]) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-max-length": 0} | arguments)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.call("confirm.select")
    a.publish("m1", to=q)
    a.confirms()
    a.barrier()


@scenario
def a_consumer_makes_no_room_in_a_rejecting_queue_that_is_full(s: Stage) -> None:
    a = s.channel()
    q = limited_queue(s, a, 1, x_overflow="reject-publish")
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    b = s.channel()
    b.call("confirm.select")
    publish_many(b, q, 4)
    b.confirms()
    a.deliveries(1)
    a.send("basic.ack", delivery_tag=1)
    a.deliveries(1)


@cases(
    length=("x-max-length", 5),
    length_zero=("x-max-length", 0),
    length_negative=("x-max-length", -1),
    length_digits=("x-max-length", "5"),
    length_long=("x-max-length", Typed("l", 5)),
    length_true=("x-max-length", True),
    length_double=("x-max-length", 5.0),
    length_void=("x-max-length", None),
    length_huge=("x-max-length", 2**62),
    bytes=("x-max-length-bytes", 5),
    bytes_zero=("x-max-length-bytes", 0),
    bytes_negative=("x-max-length-bytes", -1),
    bytes_digits=("x-max-length-bytes", "5"),
    bytes_octet=("x-max-length-bytes", Typed("B", 5)),
    bytes_table=("x-max-length-bytes", {"a": 1}),
    bytes_array=("x-max-length-bytes", [5]),
    overflow_drop=("x-overflow", "drop-head"),
    overflow_reject=("x-overflow", "reject-publish"),
    overflow_reject_dlx=("x-overflow", "reject-publish-dlx"),
    overflow_other=("x-overflow", "foo"),
    overflow_empty=("x-overflow", ""),
    overflow_capitals=("x-overflow", "Drop-Head"),
    overflow_number=("x-overflow", 1),
    overflow_true=("x-overflow", True),
    overflow_octets=("x-overflow", b"drop-head"),
    overflow_void=("x-overflow", None),
)
def argument_values(s: Stage, argument: tuple[str, Any]) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments=dict([argument]))


@cases(
    equal={"x-max-length": 5, "x-overflow": "drop-head"},
    other_type={"x-max-length": Typed("s", 5), "x-overflow": "drop-head"},
    other_length={"x-max-length": 6, "x-overflow": "drop-head"},
    other_overflow={"x-max-length": 5, "x-overflow": "reject-publish"},
    no_overflow={"x-max-length": 5},
    no_length={"x-overflow": "drop-head"},
    more={"x-max-length": 5, "x-overflow": "drop-head", "x-max-length-bytes": 100},
    none={},
)
def redeclare_of_a_limited_queue(s: Stage, arguments: dict[str, Any]) -> None:
    a = s.channel()
    q = limited_queue(s, a, 5, x_overflow="drop-head")
    a.call("queue.declare", queue=q, arguments=arguments)
