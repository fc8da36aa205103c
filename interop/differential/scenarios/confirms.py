"""Publisher confirms: which messages are confirmed, when, and in what order with returns."""

from __future__ import annotations

from interop.differential.scenario import Stage, cases, scenario


@scenario
def routed_messages_are_confirmed(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("confirm.select")
    for number in range(1, 11):
        a.publish(f"m{number}", to=q)
    a.confirms()


@scenario
def persistent_messages_to_a_durable_queue_are_confirmed(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, durable=True)
    a.call("confirm.select")
    for number in range(1, 11):
        a.publish(f"m{number}", to=q, properties={"delivery_mode": 2})
    a.confirms()
    a.call("queue.declare", queue=q, durable=True)


@scenario
def selecting_confirms_without_waiting(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("confirm.select", nowait=True)
    a.publish("m1", to=q)
    a.confirms()


@scenario
def selecting_confirms_twice_is_fine(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("confirm.select")
    a.publish("m1", to=q)
    a.confirms()
    a.call("confirm.select")
    a.publish("m2", to=q)
    a.confirms()


@scenario
def publishes_before_confirm_select_do_not_count(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("before", to=q)
    a.call("confirm.select")
    a.publish("after", to=q)
    a.confirms()


@scenario
def unroutable_messages_are_confirmed(s: Stage) -> None:
    a = s.channel()
    a.call("confirm.select")
    a.publish("m1", to=s.queue("nope"))
    a.publish("m2", exchange="amq.fanout", to="nobody")
    a.confirms()


@scenario
def a_returned_message_comes_back_before_its_confirm(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("confirm.select")
    a.publish("routed", to=q, mandatory=True)
    a.publish("returned 1", to=s.queue("nope"), mandatory=True)
    a.publish("returned 2", to=s.queue("nope"), mandatory=True)
    a.publish("routed too", to=q, mandatory=True)
    a.confirms()


@scenario
def one_confirm_for_a_message_to_many_queues(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "fanout")
    for label in "qrst":
        s.bound_queue(a, x, "", label)
    a.call("confirm.select")
    a.publish("m1", exchange=x)
    a.publish("m2", exchange=x)
    a.confirms()


@scenario
def confirms_count_per_channel(s: Stage) -> None:
    a = s.channel()
    b = a.connection.channel()
    q = s.declared_queue(a)
    a.call("confirm.select")
    b.call("confirm.select")
    a.publish("a1", to=q)
    b.publish("b1", to=q)
    a.publish("a2", to=q)
    a.confirms()
    b.confirms()


@scenario
def a_refused_publish_is_not_confirmed(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("confirm.select")
    a.publish("m1", to=q)
    a.confirms()
    a.publish("m2", exchange=s.exchange("nope"))
    a.expect("channel.close")


@scenario
def a_confirm_does_not_wait_for_the_consumer(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a)
    b.call("basic.consume", queue=q, consumer_tag="c")
    a.call("confirm.select")
    a.publish("m1", to=q)
    a.confirms()
    b.deliveries(1)


@scenario
def confirming_and_consuming_on_one_channel(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("confirm.select")
    a.call("basic.consume", queue=q, consumer_tag="c")
    for number in range(1, 4):
        a.publish(f"m{number}", to=q)
    a.confirms()
    a.deliveries(3)
    a.send("basic.ack", delivery_tag=3, multiple=True)
    a.barrier()
    a.settle(q, ready=0)


@scenario
def messages_of_a_deleted_queue_are_confirmed_as_unroutable(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a)
    a.call("confirm.select")
    a.publish("m1", to=q)
    a.confirms()
    b.call("queue.delete", queue=q)
    a.publish("m2", to=q, mandatory=True)
    a.confirms()


@scenario
def large_and_empty_bodies_are_confirmed_alike(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("confirm.select")
    a.publish(b"x" * 300_000, to=q)
    a.publish("", to=q)
    a.confirms()


@cases(ack="basic.ack", nack="basic.nack")
def a_client_may_settle_deliveries_on_a_confirming_channel(s: Stage, name: str) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=2)
    a.call("confirm.select")
    a.call("basic.get", queue=q)
    a.send(name, delivery_tag=1)
    a.publish("m3", to=q)
    a.confirms()
    a.settle(q, ready=2)


@scenario
def confirms_and_transactions_exclude_each_other(s: Stage) -> None:
    connection = s.connection()
    a, b = connection.channel(), connection.channel()
    a.call("confirm.select")
    a.call("tx.select")
    b.call("tx.select")
    b.call("confirm.select")
