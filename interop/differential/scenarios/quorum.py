"""Quorum queues, as one sees them on a single node [rabbitmq.com/docs/quorum-queues]."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario

QUORUM = {"x-queue-type": "quorum"}


def quorum_queue(s: Stage, a: Channel, messages: int = 0, label: str = "q", **arguments: Any) -> str:
    given = {key.replace("_", "-"): value for key, value in arguments.items()}
    return s.declared_queue(a, label, messages=messages, durable=True, arguments=QUORUM | given)


def get(a: Channel, queue: str) -> int:
    """Get a message; return its tag."""
    reply = a.call("basic.get", queue=queue)
    return int(str(reply["delivery_tag"])) if reply is not None and reply.name == "basic.get-ok" else 0


@scenario
def declare_answers_name_and_counts(s: Stage) -> None:
    a = s.channel()
    q = s.queue()
    a.call("queue.declare", queue=q, durable=True, arguments=QUORUM)
    s.fill(a, q, 3)
    a.call("queue.declare", queue=q, durable=True, arguments=QUORUM)
    a.call("queue.declare", queue=q, passive=True)


@cases(
    transient={},
    exclusive={"durable": True, "exclusive": True},
    auto_delete={"durable": True, "auto_delete": True},
    all_wrong={"exclusive": True, "auto_delete": True},
    exclusive_auto_delete={"durable": True, "exclusive": True, "auto_delete": True},
)
def kinds_that_are_refused(s: Stage, fields: dict[str, Any]) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments=QUORUM, **fields)


@cases(durable={"durable": True}, transient={}, exclusive={"durable": True, "exclusive": True})
def it_needs_a_name(s: Stage, fields: dict[str, Any]) -> None:
    s.channel().call("queue.declare", queue="", arguments=QUORUM, **fields)


@scenario
def a_wrong_argument_and_a_wrong_property(s: Stage) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments=QUORUM | {"x-message-ttl": -1})


@scenario
def an_argument_of_another_type_and_a_wrong_property(s: Stage) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments=QUORUM | {"x-max-priority": 5})


@cases(
    ttl=("x-message-ttl", 60_000), ttl_negative=("x-message-ttl", -1), expires=("x-expires", 60_000),
    max_length=("x-max-length", 5), max_length_bytes=("x-max-length-bytes", 5),
    drop_head=("x-overflow", "drop-head"), reject=("x-overflow", "reject-publish"),
    reject_dlx=("x-overflow", "reject-publish-dlx"), overflow=("x-overflow", "foo"),
    dead_letter=("x-dead-letter-exchange", "dlx"), dead_letter_number=("x-dead-letter-exchange", 5),
    at_most_once=("x-dead-letter-strategy", "at-most-once"), at_least_once=("x-dead-letter-strategy", "at-least-once"),
    strategy=("x-dead-letter-strategy", "foo"), strategy_number=("x-dead-letter-strategy", 1),
    single=("x-single-active-consumer", True), limit=("x-delivery-limit", 5), limit_zero=("x-delivery-limit", 0),
    limit_minus_one=("x-delivery-limit", -1), limit_minus_two=("x-delivery-limit", -2),
    limit_digits=("x-delivery-limit", "5"), limit_double=("x-delivery-limit", 5.0),
    group=("x-quorum-initial-group-size", 1), group_zero=("x-quorum-initial-group-size", 0),
    group_three=("x-quorum-initial-group-size", 3), group_digits=("x-quorum-initial-group-size", "1"),
    group_negative=("x-quorum-initial-group-size", -1), target=("x-quorum-target-group-size", 3),
    locator=("x-queue-leader-locator", "client-local"), locator_balanced=("x-queue-leader-locator", "balanced"),
    locator_wrong=("x-queue-leader-locator", "foo"), locator_number=("x-queue-leader-locator", 1),
    master_locator=("x-queue-master-locator", "client-local"), in_memory=("x-max-in-memory-length", 5),
    in_memory_negative=("x-max-in-memory-length", -1), in_memory_bytes=("x-max-in-memory-bytes", 5),
    priority=("x-max-priority", 5), mode=("x-queue-mode", "lazy"), mode_default=("x-queue-mode", "default"),
    version=("x-queue-version", 2), max_age=("x-max-age", "1D"), segment=("x-stream-max-segment-size-bytes", 1000),
    cluster=("x-initial-cluster-size", 1), unknown=("x-foo", 1), consumer_timeout=("x-consumer-timeout", 60_000),
)  # fmt: skip
def arguments(s: Stage, argument: tuple[str, Any]) -> None:
    s.channel().call("queue.declare", queue=s.queue(), durable=True, arguments=QUORUM | dict([argument]))


@cases(
    equal=QUORUM | {"x-delivery-limit": 5},
    other_limit=QUORUM | {"x-delivery-limit": 6},
    no_limit=QUORUM,
    classic={"x-queue-type": "classic", "x-delivery-limit": 5},
    no_type={"x-delivery-limit": 5},
    nothing={},
    more=QUORUM | {"x-delivery-limit": 5, "x-max-length": 5},
    not_of_this_type=QUORUM | {"x-delivery-limit": 5, "x-max-priority": 5},
    other_group_size=QUORUM | {"x-delivery-limit": 5, "x-quorum-initial-group-size": 1},
)
def redeclare(s: Stage, arguments: dict[str, Any]) -> None:
    a = s.channel()
    q = quorum_queue(s, a, x_delivery_limit=5)
    a.call("queue.declare", queue=q, durable=True, arguments=arguments)


@scenario
def redeclare_as_transient(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a)
    a.call("queue.declare", queue=q, arguments=QUORUM)


@scenario
def messages_come_in_order_with_their_properties(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a)
    a.call("confirm.select")
    a.publish("plain", to=q)
    a.publish("persistent", to=q, properties={"delivery_mode": 2, "headers": {"own": 1}, "content_type": "a/b"})
    a.publish("transient", to=q, properties={"delivery_mode": 1, "priority": 3})
    a.publish("", to=q)
    a.confirms()
    s.drain(a, q)


@scenario
def consuming_and_acknowledging(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, messages=3)
    a.call("basic.qos", prefetch_count=2)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(2)
    a.send("basic.ack", delivery_tag=2, multiple=True)
    a.deliveries(1)
    a.send("basic.ack", delivery_tag=3)
    a.barrier()
    a.settle(q, ready=0, consumers=1)


@cases(acknowledged=False, automatic=True)
def consuming_without_a_prefetch(s: Stage, no_ack: bool) -> None:
    a = s.channel()
    q = quorum_queue(s, a, messages=3)
    a.call("basic.consume", queue=q, consumer_tag="c", no_ack=no_ack)
    a.deliveries(3)
    a.publish("m4", to=q)
    a.deliveries(1)


@scenario
def a_redelivered_message_counts_its_deliveries(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, messages=1)
    for _ in range(3):
        tag = get(a, q)
        a.send("basic.reject", delivery_tag=tag, requeue=True)
        a.settle(q, ready=1)
    get(a, q)


@scenario
def a_nack_counts_too(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, messages=1)
    for _ in range(2):
        tag = get(a, q)
        a.send("basic.nack", delivery_tag=tag, requeue=True)
        a.settle(q, ready=1)
    get(a, q)


@scenario
def own_headers_beside_the_count(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a)
    a.publish("m1", to=q, properties={"headers": {"a": 1, "z": "last"}, "content_type": "a/b"})
    a.publish("m2", to=q, properties={"headers": {"x-delivery-count": 7}})
    a.settle(q, ready=2)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(2)
    a.send("basic.nack", delivery_tag=2, multiple=True, requeue=True)
    a.deliveries(2)


@scenario
def a_returned_message_comes_first_or_last(s: Stage) -> None:
    """3.10 puts it behind the others, 4.0 before them."""
    a = s.channel()
    q = quorum_queue(s, a, messages=3)
    tag = get(a, q)
    a.send("basic.reject", delivery_tag=tag, requeue=True)
    a.settle(q, ready=3)
    s.drain(a, q)


@scenario
def several_returned_messages_keep_their_order(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, messages=4)
    for _ in range(3):
        get(a, q)
    a.send("basic.nack", delivery_tag=3, multiple=True, requeue=True)
    a.settle(q, ready=4)
    s.drain(a, q)


@scenario
def messages_returned_one_by_one(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, messages=4)
    for _ in range(3):
        get(a, q)
    for ready, tag in enumerate((2, 3, 1), 2):
        a.send("basic.reject", delivery_tag=tag, requeue=True)
        a.settle(q, ready=ready)
    s.drain(a, q)


@scenario
def messages_of_a_closed_connection_come_back(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = quorum_queue(s, a, messages=3)
    b.call("basic.qos", prefetch_count=2)
    b.call("basic.consume", queue=q, consumer_tag="c")
    b.deliveries(2)
    b.send("basic.ack", delivery_tag=1)
    b.deliveries(1)
    b.connection.close()
    a.settle(q, ready=2, consumers=0)
    s.drain(a, q)


@scenario
def recover_redelivers(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, messages=1)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(1)
    a.call("basic.recover", requeue=True)
    a.deliveries(1)


@scenario
def a_cancelled_consumer_may_still_acknowledge(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, messages=2)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(1)
    a.call("basic.cancel", consumer_tag="c")
    a.send("basic.ack", delivery_tag=1)
    a.barrier()
    a.settle(q, ready=1, consumers=0)
    s.drain(a, q)


@scenario
def purge_leaves_the_unacknowledged(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, messages=3)
    tag = get(a, q)
    a.call("queue.purge", queue=q)
    a.send("basic.reject", delivery_tag=tag, requeue=True)
    a.settle(q, ready=1)
    s.drain(a, q)


@scenario
def delete_tells_how_many_were_there(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, messages=3)
    a.call("queue.delete", queue=q)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def delete_cancels_its_consumers(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = quorum_queue(s, a)
    a.call("basic.consume", queue=q, consumer_tag="c")
    b.call("queue.delete", queue=q)
    a.expect("basic.cancel")


@cases(if_unused={"if_unused": True}, if_empty={"if_empty": True}, both={"if_unused": True, "if_empty": True})
def conditional_delete(s: Stage, fields: dict[str, Any]) -> None:
    a = s.channel()
    q = quorum_queue(s, a)
    a.call("queue.delete", queue=q, **fields)


@scenario
def a_global_prefetch_is_refused(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a)
    a.call("basic.qos", prefetch_count=5, global_=True)
    a.call("basic.consume", queue=q, consumer_tag="c")


@scenario
def a_global_prefetch_after_consuming(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.call("basic.qos", prefetch_count=1, global_=True)
    a.publish("m1", to=q)
    a.publish("m2", to=q)
    a.deliveries(2)


@scenario
def getting_with_a_global_prefetch(s: Stage) -> None:
    a = s.channel()
    q = quorum_queue(s, a, messages=1)
    a.call("basic.qos", prefetch_count=5, global_=True)
    get(a, q)
    get(a, q)
