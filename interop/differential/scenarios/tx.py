"""Transactions: publishes and acks that happen together or not at all."""

from __future__ import annotations

from interop.differential.scenario import Stage, cases, scenario


@scenario
def a_commit_publishes(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a)
    a.call("tx.select")
    a.publish("m1", to=q)
    a.publish("m2", to=q)
    a.barrier()
    b.call("queue.declare", queue=q, passive=True)
    a.call("tx.commit")
    b.settle(q, ready=2)
    s.drain(b, q)


@scenario
def a_rollback_forgets_publishes(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a)
    a.call("tx.select")
    a.publish("m1", to=q)
    a.call("tx.rollback")
    a.publish("m2", to=q)
    a.call("tx.commit")
    b.settle(q, ready=1)
    s.drain(b, q)


@cases(commit="tx.commit", rollback="tx.rollback")
def a_channel_without_transactions_has_no(s: Stage, name: str) -> None:
    s.channel().call(name)


@cases(commit="tx.commit", rollback="tx.rollback")
def an_empty(s: Stage, name: str) -> None:
    a = s.channel()
    a.call("tx.select")
    a.call(name)
    a.call(name)


@scenario
def selecting_twice_is_fine(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("tx.select")
    a.publish("m1", to=q)
    a.call("tx.select")
    a.call("tx.commit")
    a.settle(q, ready=1)


@scenario
def acks_take_effect_with_the_commit(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b, messages=3)
    a.call("tx.select")
    a.call("basic.get", queue=q)
    a.call("basic.get", queue=q)
    a.send("basic.ack", delivery_tag=1)
    a.call("tx.commit")
    a.send("basic.ack", delivery_tag=2)
    a.call("channel.close", reply_code=200)
    b.settle(q, ready=2)
    s.drain(b, q)


@scenario
def a_rollback_forgets_acks_and_they_may_be_given_again(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b, messages=2)
    a.call("tx.select")
    a.call("basic.get", queue=q)
    a.send("basic.ack", delivery_tag=1)
    a.call("tx.rollback")
    a.send("basic.ack", delivery_tag=1)
    a.call("tx.commit")
    a.call("channel.close", reply_code=200)
    b.settle(q, ready=1)
    s.drain(b, q)


@scenario
def an_ack_given_twice_in_a_transaction(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=1)
    a.call("tx.select")
    a.call("basic.get", queue=q)
    a.send("basic.ack", delivery_tag=1)
    a.send("basic.ack", delivery_tag=1)
    a.expect("channel.close")


@scenario
def rejects_and_requeues_wait_for_the_commit(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b, messages=3)
    a.call("tx.select")
    for _ in range(3):
        a.call("basic.get", queue=q)
    a.send("basic.reject", delivery_tag=1, requeue=True)
    a.send("basic.nack", delivery_tag=2, requeue=False)
    a.barrier()
    b.call("queue.declare", queue=q, passive=True)
    a.call("tx.commit")
    b.settle(q, ready=1)
    s.drain(b, q)


@scenario
def an_unknown_tag_is_refused_at_once(s: Stage) -> None:
    a = s.channel()
    a.call("tx.select")
    a.send("basic.ack", delivery_tag=9)
    a.expect("channel.close")


@scenario
def publishes_and_acks_together(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q, r = s.declared_queue(b, messages=1), s.declared_queue(b, "r")
    a.call("tx.select")
    a.call("basic.get", queue=q)
    a.publish("answer", to=r)
    a.send("basic.ack", delivery_tag=1)
    a.call("tx.commit")
    a.connection.close()
    b.settle(r, ready=1)
    s.drain(b, q, r)


@scenario
def closing_the_channel_rolls_back(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q, r = s.declared_queue(b, messages=1), s.declared_queue(b, "r")
    a.call("tx.select")
    a.call("basic.get", queue=q)
    a.publish("answer", to=r)
    a.send("basic.ack", delivery_tag=1)
    a.call("channel.close", reply_code=200)
    b.settle(q, ready=1)
    s.drain(b, q, r)


@scenario
def an_error_rolls_back(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b)
    a.call("tx.select")
    a.publish("m1", to=q)
    a.publish("m2", exchange=s.exchange("nope"))
    a.expect("channel.close")
    s.drain(b, q)


@scenario
def a_mandatory_message_comes_back_with_the_commit(s: Stage) -> None:
    a = s.channel()
    a.call("tx.select")
    a.publish("m1", to=s.queue("nope"), mandatory=True)
    a.barrier()
    a.call("tx.commit")


@scenario
def routing_is_decided_when_it_is_published_or_committed(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.queue()
    a.call("tx.select")
    a.publish("m1", to=q, mandatory=True)
    a.barrier()
    b.call("queue.declare", queue=q)
    a.call("tx.commit")
    b.call("queue.declare", queue=q, passive=True)


@scenario
def a_queue_deleted_before_the_commit(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b)
    a.call("tx.select")
    a.publish("m1", to=q)
    a.barrier()
    b.call("queue.delete", queue=q)
    a.call("tx.commit")


@scenario
def an_exchange_deleted_before_the_commit(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    x = s.declared_exchange(b, "direct")
    q = s.bound_queue(b, x, "k")
    a.call("tx.select")
    a.publish("m1", exchange=x, to="k")
    a.barrier()
    b.call("exchange.delete", exchange=x)
    a.call("tx.commit")
    s.drain(b, q)


@scenario
def deliveries_do_not_wait_for_the_commit(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b)
    a.call("tx.select")
    a.call("basic.consume", queue=q, consumer_tag="c")
    b.publish("m1", to=q)
    a.deliveries(1)
    a.send("basic.ack", delivery_tag=1)
    a.call("tx.commit")


@scenario
def prefetch_counts_acks_only_when_committed(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b, messages=2)
    a.call("tx.select")
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(1)
    a.send("basic.ack", delivery_tag=1)
    a.barrier()
    b.settle(q, ready=1)
    a.call("tx.commit")
    a.deliveries(1)


@scenario
def two_channels_have_their_own_transactions(s: Stage) -> None:
    a = s.channel()
    b = a.connection.channel()
    q = s.declared_queue(a)
    a.call("tx.select")
    b.call("tx.select")
    a.publish("a", to=q)
    b.publish("b", to=q)
    a.call("tx.rollback")
    b.call("tx.commit")
    b.settle(q, ready=1)
    b.call("basic.get", queue=q, no_ack=True)
