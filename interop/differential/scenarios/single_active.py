"""Single active consumers [rabbitmq.com/docs/consumers#single-active-consumer]."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario

SINGLE = {"x-single-active-consumer": True}


def single_queue(s: Stage, a: Channel, messages: int = 0, **fields: Any) -> str:
    return s.declared_queue(a, messages=messages, arguments=SINGLE, **fields)


def consume(a: Channel, queue: str, *tags: str, **fields: Any) -> None:
    for tag in tags:
        a.call("basic.consume", queue=queue, consumer_tag=tag, **fields)


def publish(a: Channel, queue: str, first: int, last: int) -> None:
    for number in range(first, last + 1):
        a.publish(f"m{number}", to=queue)


@scenario
def the_first_consumer_gets_everything(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a)
    consume(a, q, "one", "two", "three")
    publish(a, q, 1, 3)
    a.deliveries(3)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def the_others_follow_in_the_order_in_which_they_came(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a)
    consume(a, q, "one", "two", "three")
    for number, tag in enumerate(("one", "two", "three"), 1):
        publish(a, q, number, number)
        a.deliveries(1)
        a.call("basic.cancel", consumer_tag=tag)
    a.publish("nobody", to=q)
    a.settle(q, ready=1)


@scenario
def a_waiting_consumer_may_leave(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a)
    consume(a, q, "one", "two", "three")
    a.call("basic.cancel", consumer_tag="two")
    a.call("basic.cancel", consumer_tag="one")
    publish(a, q, 1, 1)
    a.deliveries(1)


@scenario
def a_consumer_that_comes_back_is_last(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a)
    consume(a, q, "one", "two")
    a.call("basic.cancel", consumer_tag="one")
    consume(a, q, "one")
    publish(a, q, 1, 2)
    a.deliveries(2)


@scenario
def the_end_of_a_connection_hands_over_with_its_messages(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = single_queue(s, a)
    consume(b, q, "first")
    consume(a, q, "second")
    publish(a, q, 1, 2)
    b.deliveries(2)
    b.send("basic.ack", delivery_tag=1)
    b.barrier()
    b.connection.close()
    a.deliveries(1)
    publish(a, q, 3, 3)
    a.deliveries(1)


@scenario
def an_active_consumer_at_its_prefetch_holds_the_queue(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a)
    a.call("basic.qos", prefetch_count=1)
    consume(a, q, "one", "two")
    publish(a, q, 1, 3)
    a.deliveries(1)
    a.settle(q, ready=2)
    a.send("basic.ack", delivery_tag=1)
    a.deliveries(1)


@scenario
def a_cancelled_one_may_still_acknowledge(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a)
    consume(a, q, "one", "two")
    publish(a, q, 1, 1)
    a.deliveries(1)
    a.call("basic.cancel", consumer_tag="one")
    publish(a, q, 2, 2)
    a.deliveries(1)
    a.send("basic.ack", delivery_tag=2, multiple=True)
    a.barrier()


@scenario
def cancelling_at_the_prefetch(s: Stage) -> None:
    """4.0 hands over at once, 3.10 only when the messages of the cancelled one are settled."""
    a, b = s.channel(), s.channel()
    q = single_queue(s, a)
    for channel, tag in ((a, "one"), (b, "two")):
        channel.call("basic.qos", prefetch_count=1)
        consume(channel, q, tag)
    publish(a, q, 1, 3)
    a.deliveries(1)
    a.call("basic.cancel", consumer_tag="one")
    a.ask(q)
    b.barrier()
    a.send("basic.reject", delivery_tag=1, requeue=True)
    a.barrier()
    a.ask(q)
    b.barrier()
    b.send("basic.ack", delivery_tag=1)
    b.deliveries(1)


@scenario
def a_rejected_message_comes_back_to_the_active_one(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a)
    consume(a, q, "one", "two")
    publish(a, q, 1, 1)
    a.deliveries(1)
    a.send("basic.reject", delivery_tag=1, requeue=True)
    a.deliveries(1)


@scenario
def getting_needs_no_turn(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a, messages=2)
    a.call("basic.get", queue=q, no_ack=True)
    consume(a, q, "one")
    a.deliveries(1)
    a.call("basic.get", queue=q, no_ack=True)


@scenario
def without_acknowledgement(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a)
    consume(a, q, "one", "two", no_ack=True)
    publish(a, q, 1, 2)
    a.deliveries(2)


@scenario
def priorities_of_consumers_that_wait(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a)
    consume(a, q, "one")
    consume(a, q, "low", arguments={"x-priority": 1})
    consume(a, q, "high", arguments={"x-priority": 5})
    publish(a, q, 1, 1)
    a.deliveries(1)
    a.call("basic.cancel", consumer_tag="one")
    publish(a, q, 2, 2)
    a.deliveries(1)


@scenario
def an_exclusive_consumer_of_such_a_queue(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a)
    consume(a, q, "c", exclusive=True)


@scenario
def an_exclusive_consumer_after_a_plain_one(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a)
    consume(a, q, "plain")
    consume(a, q, "exclusive", exclusive=True)


@scenario
def deleting_the_queue_cancels_all(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = single_queue(s, a)
    consume(a, q, "one", "two")
    b.call("queue.delete", queue=q)
    a.expect("basic.cancel", 2)


@scenario
def an_auto_delete_queue_goes_with_its_last_waiting_consumer(s: Stage) -> None:
    a = s.channel()
    q = single_queue(s, a, auto_delete=True)
    consume(a, q, "one", "two")
    a.call("basic.cancel", consumer_tag="one")
    a.call("queue.declare", queue=q, passive=True)
    a.call("basic.cancel", consumer_tag="two")
    a.await_gone(q)


@cases(
    true=True, false=False, text="yes", text_true="true", one=1, zero=0, void=None, octets=b"true", table={"a": True}
)  # fmt: skip
def argument_values(s: Stage, value: Any) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments={"x-single-active-consumer": value})


@cases(equal=True, other=False, none=..., text="true")
def redeclare_of_such_a_queue(s: Stage, value: Any) -> None:
    a = s.channel()
    q = single_queue(s, a)
    a.call("queue.declare", queue=q, arguments={} if value is ... else {"x-single-active-consumer": value})


@cases(on=True, off=False)
def redeclare_of_a_plain_queue(s: Stage, value: bool) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("queue.declare", queue=q, arguments={"x-single-active-consumer": value})


@scenario
def a_queue_that_says_no_has_many_active_consumers(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-single-active-consumer": False})
    consume(a, q, "one", "two")
    publish(a, q, 1, 2)
    a.deliveries(2)
