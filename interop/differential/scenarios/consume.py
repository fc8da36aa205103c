"""Consumers: tags, order, prefetch, exclusive ones, cancelling in both directions, and getting one by one."""

from __future__ import annotations

from typing import Any

from interop.differential.client import CAPABILITIES
from interop.differential.scenario import Stage, cases, scenario


@scenario
def consume_delivers_what_waits_in_order(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=5)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(5)


@scenario
def consume_delivers_what_comes_in_order(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="c", no_ack=True)
    for number in range(1, 6):
        b.publish(f"m{number}", to=q)
    a.deliveries(5)


@scenario
def a_publisher_may_consume_from_itself(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="c", no_local=True)
    a.publish("own", to=q)
    a.deliveries(1)


@scenario
def a_consumer_without_a_tag_gets_one(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=1)
    reply = a.call("basic.consume", queue=q)
    assert reply is not None
    a.deliveries(1)
    a.call("basic.cancel", consumer_tag=reply["consumer_tag"])


@scenario
def consumer_tags_belong_to_a_channel(s: Stage) -> None:
    a = s.channel()
    b = a.connection.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="same")
    b.call("basic.consume", queue=q, consumer_tag="same")


@scenario
def a_consumer_tag_twice_on_a_channel_ends_the_connection(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="same")
    a.call("basic.consume", queue=q, consumer_tag="same")


@scenario
def a_consumer_tag_may_be_used_again_after_cancelling(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="same")
    a.call("basic.cancel", consumer_tag="same")
    a.call("basic.consume", queue=q, consumer_tag="same")


@scenario
def an_odd_consumer_tag(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=1)
    a.call("basic.consume", queue=q, consumer_tag="ünïcode tag\n with ev'rything")
    a.deliveries(1)


@scenario
def consume_without_waiting(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=1)
    a.call("basic.consume", queue=q, consumer_tag="c", nowait=True)
    a.deliveries(1)
    a.call("basic.cancel", consumer_tag="c", nowait=True)
    a.publish("stays", to=q)
    a.settle(q, ready=1, consumers=0)


@scenario
def messages_go_round_robin(s: Stage) -> None:
    a = s.channel()
    first, second, third = s.channel(), s.channel(), s.channel()
    q = s.declared_queue(a)
    for number, consumer in enumerate((first, second, third)):
        consumer.call("basic.consume", queue=q, consumer_tag=f"c{number}", no_ack=True)
    for number in range(1, 8):
        a.publish(f"m{number}", to=q)
    first.deliveries(3)
    second.deliveries(2)
    third.deliveries(2)


@scenario
def round_robin_among_consumers_of_one_channel(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a)
    for number in range(3):
        b.call("basic.consume", queue=q, consumer_tag=f"c{number}", no_ack=True)
    for number in range(1, 8):
        a.publish(f"m{number}", to=q)
    b.deliveries(7)


@scenario
def round_robin_skips_who_cannot_take(s: Stage) -> None:
    a, slow, quick = s.channel(), s.channel(), s.channel()
    q = s.declared_queue(a)
    slow.call("basic.qos", prefetch_count=1)
    slow.call("basic.consume", queue=q, consumer_tag="slow")
    quick.call("basic.consume", queue=q, consumer_tag="quick", no_ack=True)
    for number in range(1, 7):
        a.publish(f"m{number}", to=q)
    slow.deliveries(1)
    quick.deliveries(5)
    slow.send("basic.ack", delivery_tag=1)
    slow.barrier()
    a.publish("m7", to=q)
    a.publish("m8", to=q)
    quick.deliveries(1)
    slow.deliveries(1)


@scenario
def a_new_consumer_takes_what_waits(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a, messages=4)
    a.call("basic.qos", prefetch_count=2)
    a.call("basic.consume", queue=q, consumer_tag="first")
    a.deliveries(2)
    b.call("basic.consume", queue=q, consumer_tag="second")
    b.deliveries(2)


@scenario
def an_exclusive_consumer_refuses_others(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="only", exclusive=True)
    b.call("basic.consume", queue=q, consumer_tag="other")


@scenario
def an_exclusive_consumer_is_refused_beside_others(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="first")
    b.call("basic.consume", queue=q, consumer_tag="only", exclusive=True)


@scenario
def an_exclusive_consumer_may_be_followed(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="only", exclusive=True)
    a.call("basic.cancel", consumer_tag="only")
    b.call("basic.consume", queue=q, consumer_tag="other")


@scenario
def get_works_beside_an_exclusive_consumer(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="only", exclusive=True)
    a.publish("m1", to=q)
    a.deliveries(1)
    a.publish("m2", to=q)
    b.settle(q, ready=1)
    b.call("basic.get", queue=q)


@scenario
def cancelling_keeps_what_was_delivered(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=2)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(2)
    a.call("basic.cancel", consumer_tag="c")
    a.publish("m3", to=q)
    a.settle(q, ready=1, consumers=0)
    a.send("basic.ack", delivery_tag=1)
    a.send("basic.reject", delivery_tag=2, requeue=True)
    a.settle(q, ready=2)
    s.drain(a, q)


@scenario
def cancelling_an_unknown_tag_is_fine(s: Stage) -> None:
    a = s.channel()
    a.call("basic.cancel", consumer_tag="nobody")
    a.call("basic.cancel", consumer_tag="")
    a.call("basic.cancel", consumer_tag="nobody", nowait=True)
    a.barrier()


@cases(
    told={}, not_told={"capabilities": {**CAPABILITIES, "consumer_cancel_notify": False}}, no_word={"capabilities": {}}
)
def the_server_cancels_when_the_queue_goes(s: Stage, options: dict[str, Any]) -> None:
    a, b = s.channel(**options), s.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="c1")
    a.call("basic.consume", queue=q, consumer_tag="c2", no_ack=True)
    b.call("queue.delete", queue=q)
    if not options:
        a.expect("basic.cancel", 2)
    a.call("basic.consume", queue=s.declared_queue(b, "r"), consumer_tag="c1")


@scenario
def the_deleter_is_told_after_delete_ok(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.call("queue.delete", queue=q)
    a.expect("basic.cancel")


@scenario
def a_cancel_ok_from_the_client_is_no_method_of_its_own(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.call("queue.delete", queue=q)
    a.expect("basic.cancel")
    a.send("basic.cancel-ok", consumer_tag="c")
    a.connection.await_closed()


@scenario
def unacked_messages_of_a_deleted_queue_may_be_settled(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a, messages=3)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(3)
    b.call("queue.delete", queue=q)
    a.expect("basic.cancel")
    a.send("basic.ack", delivery_tag=1)
    a.send("basic.nack", delivery_tag=2, requeue=True)
    a.send("basic.reject", delivery_tag=3)
    a.barrier()
    a.send("basic.ack", delivery_tag=3)
    a.expect("channel.close")


@scenario
def get_counts_what_remains(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=3)
    a.call("basic.get", queue=q)
    a.call("basic.get", queue=q, no_ack=True)
    a.call("basic.get", queue=q)
    a.call("basic.get", queue=q)


@scenario
def delivery_tags_count_per_channel(s: Stage) -> None:
    a = s.channel()
    b = a.connection.channel()
    q = s.declared_queue(a, messages=4)
    a.call("basic.get", queue=q)
    b.call("basic.get", queue=q)
    a.call("basic.get", queue=q, no_ack=True)
    b.call("basic.get", queue=q)


@scenario
def no_ack_deliveries_have_tags_but_nothing_to_ack(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=2)
    a.call("basic.consume", queue=q, consumer_tag="c", no_ack=True)
    a.deliveries(2)
    a.send("basic.ack", delivery_tag=1)
    a.expect("channel.close")


@scenario
def unknown_consume_arguments_are_ignored(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=1)
    a.call("basic.consume", queue=q, consumer_tag="c", arguments={"x-whatever": 1, "foo": {"bar": [1]}})
    a.deliveries(1)


@scenario
def a_fanout_gives_every_consumer_its_own_copy(s: Stage) -> None:
    a, b, c = s.channel(), s.channel(), s.channel()
    x = s.declared_exchange(a, "fanout")
    q, r = s.bound_queue(a, x), s.bound_queue(a, x, "", "r")
    b.call("basic.consume", queue=q, consumer_tag="b", no_ack=True)
    c.call("basic.consume", queue=r, consumer_tag="c", no_ack=True)
    a.publish("copy", exchange=x, to="k", properties={"headers": {"n": 1}})
    b.deliveries(1)
    c.deliveries(1)
