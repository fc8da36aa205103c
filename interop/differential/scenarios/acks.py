"""Settling deliveries: ack, nack, reject, recover, and where messages go that are not settled."""

from __future__ import annotations

from typing import Any

from interop.differential.scenario import Stage, cases, scenario


@scenario
def an_acked_message_is_gone(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a, messages=2)
    a.call("basic.get", queue=q)
    a.send("basic.ack", delivery_tag=1)
    a.call("channel.close", reply_code=200)
    s.drain(b, q)


@scenario
def ack_multiple_settles_up_to_its_tag(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a, messages=4)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(4)
    a.send("basic.ack", delivery_tag=3, multiple=True)
    a.call("channel.close", reply_code=200)
    b.settle(q, ready=1)
    s.drain(b, q)


@scenario
def ack_of_tag_0_multiple_settles_everything(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a, messages=3)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(3)
    a.send("basic.ack", delivery_tag=0, multiple=True)
    a.call("channel.close", reply_code=200)
    b.call("queue.declare", queue=q, passive=True)


@cases(
    ack=("basic.ack", {}),
    nack=("basic.nack", {"requeue": True}),
)
def tag_0_multiple_with_nothing_outstanding(s: Stage, what: tuple[str, dict[str, Any]]) -> None:
    a = s.channel()
    name, fields = what
    a.send(name, delivery_tag=0, multiple=True, **fields)
    a.barrier()


@cases(
    ack=("basic.ack", {"delivery_tag": 5}),
    ack_zero=("basic.ack", {"delivery_tag": 0}),
    ack_multiple=("basic.ack", {"delivery_tag": 5, "multiple": True}),
    ack_huge=("basic.ack", {"delivery_tag": 2**64 - 1}),
    nack=("basic.nack", {"delivery_tag": 7, "requeue": True}),
    nack_zero=("basic.nack", {"delivery_tag": 0}),
    nack_multiple=("basic.nack", {"delivery_tag": 7, "multiple": True}),
    reject=("basic.reject", {"delivery_tag": 7, "requeue": True}),
    reject_zero=("basic.reject", {"delivery_tag": 0}),
)
def an_unknown_tag_closes_the_channel(s: Stage, what: tuple[str, dict[str, Any]]) -> None:
    a = s.channel()
    name, fields = what
    a.send(name, **fields)
    a.expect("channel.close")


@cases(ack=("basic.ack", {}), reject=("basic.reject", {"requeue": True}), multiple=("basic.ack", {"multiple": True}))
def a_tag_cannot_be_settled_twice(s: Stage, what: tuple[str, dict[str, Any]]) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=3)
    a.call("basic.consume", queue=q, consumer_tag="c", no_ack=False)
    a.deliveries(3)
    name, fields = what
    a.send("basic.ack", delivery_tag=2)
    a.send(name, delivery_tag=2, **fields)
    a.expect("channel.close")


@scenario
def ack_multiple_of_a_settled_tag_with_older_ones_outstanding(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=3)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(3)
    a.send("basic.ack", delivery_tag=2)
    a.send("basic.ack", delivery_tag=2, multiple=True)
    a.barrier()
    a.send("basic.ack", delivery_tag=1)
    a.expect("channel.close")


@scenario
def tags_of_another_channel_are_unknown(s: Stage) -> None:
    a = s.channel()
    b = a.connection.channel()
    q = s.declared_queue(a, messages=1)
    a.call("basic.get", queue=q)
    b.send("basic.ack", delivery_tag=1)
    b.expect("channel.close")
    a.send("basic.ack", delivery_tag=1)
    a.barrier()


@scenario
def acks_may_come_in_any_order(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a, messages=4)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(4)
    for tag in (4, 1, 3):
        a.send("basic.ack", delivery_tag=tag)
    a.call("channel.close", reply_code=200)
    b.settle(q, ready=1)
    s.drain(b, q)


@scenario
def reject_drops_or_requeues(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=2)
    a.call("basic.get", queue=q)
    a.send("basic.reject", delivery_tag=1)
    a.call("basic.get", queue=q)
    a.send("basic.reject", delivery_tag=2, requeue=True)
    a.settle(q, ready=1)
    s.drain(a, q)


@scenario
def nack_drops_or_requeues_many(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=5)
    for _ in range(5):
        a.call("basic.get", queue=q)
    a.send("basic.nack", delivery_tag=2, multiple=True)
    a.send("basic.nack", delivery_tag=4, multiple=True, requeue=True)
    a.send("basic.nack", delivery_tag=5)
    a.settle(q, ready=2)
    s.drain(a, q)


@scenario
def nack_of_tag_0_multiple_requeues_everything(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=3)
    for _ in range(3):
        a.call("basic.get", queue=q)
    a.send("basic.nack", delivery_tag=0, multiple=True, requeue=True)
    a.settle(q, ready=3)
    s.drain(a, q)


@scenario
def a_requeued_message_returns_to_its_place(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=5)
    for _ in range(3):
        a.call("basic.get", queue=q)
    a.send("basic.reject", delivery_tag=2, requeue=True)
    a.settle(q, ready=3)
    a.send("basic.reject", delivery_tag=1, requeue=True)
    a.settle(q, ready=4)
    s.drain(a, q)


@scenario
def a_requeued_message_goes_round_robin(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a, messages=1)
    a.call("basic.consume", queue=q, consumer_tag="a")
    a.deliveries(1)
    b.call("basic.consume", queue=q, consumer_tag="b")
    a.send("basic.reject", delivery_tag=1, requeue=True)
    a.deliveries(1)
    a.send("basic.reject", delivery_tag=2, requeue=True)
    b.deliveries(1)


@scenario
def a_requeued_message_comes_back_to_the_only_consumer(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=1)
    a.call("basic.consume", queue=q, consumer_tag="a")
    a.deliveries(1)
    a.send("basic.reject", delivery_tag=1, requeue=True)
    a.deliveries(1)
    a.send("basic.nack", delivery_tag=2, requeue=True)
    a.deliveries(1)
    a.send("basic.ack", delivery_tag=3)


@cases(channel="channel", connection="connection", socket="socket")
def unacked_messages_return_in_order_at_the_end_of_the(s: Stage, what: str) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b, messages=5)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(5)
    a.send("basic.ack", delivery_tag=2)
    a.send("basic.reject", delivery_tag=4)
    a.barrier()
    if what == "channel":
        a.call("channel.close", reply_code=200)
    elif what == "connection":
        a.connection.close()
    else:
        a.connection.drop()
    b.settle(q, ready=3, consumers=0)
    s.drain(b, q)


@scenario
def an_error_on_the_channel_returns_its_messages(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b, messages=2)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(2)
    a.send("basic.ack", delivery_tag=1)
    a.call("queue.declare", queue=s.queue("nope"), passive=True)
    b.settle(q, ready=1, consumers=0)
    s.drain(b, q)


@scenario
def returned_messages_come_before_newer_ones(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b, messages=2)
    a.call("basic.get", queue=q)
    a.call("basic.get", queue=q)
    s.fill(b, q, 2)
    a.connection.close()
    b.settle(q, ready=4)
    s.drain(b, q)


@scenario
def recover_redelivers_to_the_channel(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=3)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(3)
    a.send("basic.ack", delivery_tag=2)
    a.call("basic.recover", requeue=True)
    a.deliveries(2)


@scenario
def recover_returns_what_was_got(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=2)
    a.call("basic.get", queue=q)
    a.call("basic.get", queue=q)
    a.call("basic.recover", requeue=True)
    a.settle(q, ready=2)
    s.drain(a, q)


@scenario
def recover_with_nothing_outstanding(s: Stage) -> None:
    s.channel().call("basic.recover", requeue=True)


@scenario
def recover_async_has_no_reply(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=1)
    a.call("basic.get", queue=q)
    a.send("basic.recover-async", requeue=True)
    a.settle(q, ready=1)
    s.drain(a, q)


@cases(recover="basic.recover", recover_async="basic.recover-async")
def recover_without_requeue_is_not_implemented(s: Stage, name: str) -> None:
    a = s.channel()
    a.send(name, requeue=False)
    a.connection.await_closed()


@scenario
def redelivered_is_set_only_once_handed_out(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b, messages=2)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(1)
    a.connection.close()
    b.settle(q, ready=2)
    b.call("basic.get", queue=q, no_ack=True)
    b.call("basic.get", queue=q, no_ack=True)


@scenario
def acks_after_prefetch_let_the_next_ones_in(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=6)
    a.call("basic.qos", prefetch_count=3)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(3)
    a.send("basic.ack", delivery_tag=2, multiple=True)
    a.deliveries(2)
    a.send("basic.reject", delivery_tag=3)
    a.deliveries(1)
    a.settle(q, ready=0)
