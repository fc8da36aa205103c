"""Dead lettering: which messages die, where they go and in what order [rabbitmq.com/docs/dlx]."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed


def dying_queue(s: Stage, a: Channel, label: str = "q", **arguments: Any) -> tuple[str, str]:
    """Declare a queue whose dead letters go through a fanout exchange to a second one; return both names."""
    x = s.declared_exchange(a, "fanout", f"dlx.{label}")
    grave = s.bound_queue(a, x, "", f"dead.{label}")
    given = {key.replace("_", "-"): value for key, value in arguments.items()}
    return s.declared_queue(a, label, arguments={"x-dead-letter-exchange": x} | given), grave


def reject_next(a: Channel, queue: str) -> None:
    """Get a message and reject it."""
    reply = a.call("basic.get", queue=queue)
    assert reply is not None
    a.send("basic.reject", delivery_tag=reply["delivery_tag"])


@cases(
    reject=("basic.reject", {"delivery_tag": 1}),
    nack=("basic.nack", {"delivery_tag": 1}),
    nack_multiple=("basic.nack", {"delivery_tag": 1, "multiple": True}),
    nack_all=("basic.nack", {"delivery_tag": 0, "multiple": True}),
)
def a_rejected_message_is_dead_lettered(s: Stage, how: tuple[str, dict[str, Any]]) -> None:
    name, fields = how
    a = s.channel()
    q, grave = dying_queue(s, a)
    a.publish("m1", to=q)
    a.call("basic.get", queue=q)
    a.send(name, **fields)
    a.settle(grave, ready=1)
    s.drain(a, grave)


@cases(
    ack=("basic.ack", {"delivery_tag": 1}),
    requeue=("basic.reject", {"delivery_tag": 1, "requeue": True}),
    nack_requeue=("basic.nack", {"delivery_tag": 1, "requeue": True}),
    recover=("basic.recover", {"requeue": True}),
)
def settling_in_another_way_is_no_death(s: Stage, how: tuple[str, dict[str, Any]]) -> None:
    name, fields = how
    a = s.channel()
    q, grave = dying_queue(s, a)
    a.publish("m1", to=q)
    a.call("basic.get", queue=q)
    if name == "basic.recover":
        a.call(name, **fields)
    else:
        a.send(name, **fields)
    a.barrier()
    s.drain(a, grave, q)


@cases(get=False, consume=True)
def taking_without_acknowledgement_is_no_death(s: Stage, consuming: bool) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    a.publish("m1", to=q)
    if consuming:
        a.call("basic.consume", queue=q, consumer_tag="c", no_ack=True)
        a.deliveries(1)
    else:
        a.call("basic.get", queue=q, no_ack=True)
    s.drain(a, grave)


@scenario
def the_end_of_a_consumer_is_no_death(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q, grave = dying_queue(s, a)
    s.fill(a, q, 2)
    b.call("basic.consume", queue=q, consumer_tag="c")
    b.deliveries(2)
    b.connection.close()
    a.settle(q, ready=2)
    s.drain(a, grave)


@cases(purge="queue.purge", delete="queue.delete")
def purging_and_deleting_is_no_death(s: Stage, name: str) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    s.fill(a, q, 2)
    a.call(name, queue=q)
    s.drain(a, grave)


@scenario
def deleting_a_queue_with_unacknowledged_messages_is_no_death(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    s.fill(a, q, 1)
    a.call("basic.get", queue=q)
    a.call("queue.delete", queue=q)
    a.send("basic.reject", delivery_tag=1)
    a.barrier()
    s.drain(a, grave)


@scenario
def messages_rejected_together_die_in_the_order_of_the_queue(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    s.fill(a, q, 5)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(5)
    a.send("basic.nack", delivery_tag=4, multiple=True)
    a.settle(grave, ready=4)
    s.drain(a, grave)


@scenario
def messages_rejected_one_by_one_die_in_that_order(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    s.fill(a, q, 3)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(3)
    for tag in (3, 1, 2):
        a.send("basic.reject", delivery_tag=tag)
    a.settle(grave, ready=3)
    s.drain(a, grave)


@cases(ttl=({"x_message_ttl": 40}, {}), expiration=({}, {"expiration": "40"}))
def expired_messages_die_in_order(s: Stage, how: tuple[dict[str, Any], dict[str, Any]]) -> None:
    arguments, properties = how
    a = s.channel()
    q, grave = dying_queue(s, a, **arguments)
    for number in range(1, 4):
        a.publish(f"m{number}", to=q, properties=properties)
    a.settle(grave, ready=3)
    s.drain(a, grave)


@cases(ttl=({"x_message_ttl": 0}, {}), expiration=({}, {"expiration": "0"}))
def a_ttl_of_0_dead_letters_at_once(s: Stage, how: tuple[dict[str, Any], dict[str, Any]]) -> None:
    arguments, properties = how
    a = s.channel()
    q, grave = dying_queue(s, a, **arguments)
    a.publish("m1", to=q, properties=properties)
    a.settle(grave, ready=1)
    s.drain(a, grave, q)


@scenario
def messages_over_the_length_limit_die_oldest_first(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a, x_max_length=2)
    for number in range(1, 5):
        a.publish(f"m{number}", to=q)
    a.settle(grave, ready=2)
    s.drain(a, grave, q)


@scenario
def messages_over_the_limit_of_bytes_die_too(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a, x_max_length_bytes=10)
    for body in ("12345678", "1234", "12345678"):
        a.publish(body, to=q)
    a.settle(grave, ready=2)
    s.drain(a, grave, q)


@scenario
def dead_letters_are_delivered_to_consumers(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a)
    a.call("basic.consume", queue=grave, consumer_tag="dead")
    s.fill(a, q, 2)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(2)
    a.send("basic.nack", delivery_tag=2, multiple=True)
    a.deliveries(2)


@scenario
def the_routing_key_stays_without_another(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "topic", "dlx")
    d = s.bound_queue(a, x, "orders.*", "d")
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": x})
    a.call("queue.bind", queue=q, exchange="amq.topic", routing_key=f"orders.{q}")
    a.call("queue.bind", queue=d, exchange=x, routing_key=f"orders.{q}")
    a.publish("m1", exchange="amq.topic", to=f"orders.{q}")
    reject_next(a, q)
    a.settle(d, ready=1)
    s.drain(a, d)


@cases(plain="elsewhere", empty="")
def a_dead_letter_routing_key_replaces_it(s: Stage, key: str) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct", "dlx")
    d = s.bound_queue(a, x, key, "d")
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": x, "x-dead-letter-routing-key": key})
    a.publish("m1", to=q)
    reject_next(a, q)
    a.settle(d, ready=1)
    s.drain(a, d)


@scenario
def the_default_exchange_takes_dead_letters_to_a_queue(s: Stage) -> None:
    a = s.channel()
    d = s.declared_queue(a, "d")
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": d})
    a.publish("m1", to=q)
    reject_next(a, q)
    a.settle(d, ready=1)
    s.drain(a, d)


@scenario
def a_dead_letter_goes_to_every_queue_of_its_exchange(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "fanout", "dlx")
    d, e = s.bound_queue(a, x, "", "d"), s.bound_queue(a, x, "", "e")
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": x})
    a.publish("m1", to=q)
    reject_next(a, q)
    a.settle(d, ready=1)
    a.settle(e, ready=1)
    s.drain(a, d, e)


@scenario
def a_headers_exchange_routes_dead_letters_by_their_headers(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "headers", "dlx")
    d = s.bound_queue(a, x, "", "d", **{"x-match": "all", "colour": "blue"})
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": x})
    a.publish("red", to=q, properties={"headers": {"colour": "red"}})
    a.publish("blue", to=q, properties={"headers": {"colour": "blue"}})
    reject_next(a, q)
    reject_next(a, q)
    a.settle(d, ready=1)
    s.drain(a, d)


@scenario
def an_internal_exchange_takes_dead_letters(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "fanout", "dlx", internal=True)
    d = s.bound_queue(a, x, "", "d")
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": x})
    a.publish("m1", to=q)
    reject_next(a, q)
    a.settle(d, ready=1)
    s.drain(a, d)


@scenario
def the_alternate_of_the_exchange_takes_unroutable_dead_letters(s: Stage) -> None:
    a = s.channel()
    other = s.declared_exchange(a, "fanout", "other")
    x = s.declared_exchange(a, "direct", "dlx", arguments={"alternate-exchange": other})
    d = s.bound_queue(a, other, "", "d")
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": x})
    a.publish("m1", to=q)
    reject_next(a, q)
    a.settle(d, ready=1)
    s.drain(a, d)


@scenario
def an_unroutable_dead_letter_is_lost_and_not_returned(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "direct", "dlx")
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": x})
    a.publish("m1", to=q, mandatory=True)
    reject_next(a, q)
    a.barrier()
    s.drain(a, q)


@scenario
def a_missing_exchange_loses_dead_letters(s: Stage) -> None:
    a = s.channel()
    x = s.exchange("dlx")
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": x, "x-dead-letter-routing-key": "k"})
    a.publish("lost", to=q)
    reject_next(a, q)
    a.barrier()
    a.settle(q, ready=0)
    a.call("exchange.declare", exchange=x, exchange_type="fanout")
    d = s.bound_queue(a, x, "", "d")
    a.publish("kept", to=q)
    reject_next(a, q)
    a.settle(d, ready=1)
    s.drain(a, d)
    a.call("exchange.delete", exchange=x)
    a.publish("lost too", to=q)
    reject_next(a, q)
    a.barrier()
    s.drain(a, d, q)


@scenario
def rejections_in_a_transaction_wait_for_the_commit(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q, grave = dying_queue(s, b)
    s.fill(b, q, 2)
    a.call("tx.select")
    a.call("basic.get", queue=q)
    a.call("basic.get", queue=q)
    a.send("basic.reject", delivery_tag=1)
    a.barrier()
    s.drain(b, grave)
    a.call("tx.rollback")
    a.send("basic.reject", delivery_tag=2)
    a.call("tx.commit")
    b.settle(grave, ready=1)
    s.drain(b, grave)


@scenario
def a_full_queue_of_dead_letters_refuses_them_silently(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "fanout", "dlx")
    limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
    d = s.declared_queue(a, "d", arguments=limits)
    a.call_unseen("queue.bind", queue=d, exchange=x)
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": x})
    s.fill(a, q, 2)
    reject_next(a, q)
    a.settle(d, ready=1)
    reject_next(a, q)
    a.barrier()
    a.settle(q, ready=0)
    s.drain(a, d)


@scenario
def the_publisher_is_confirmed_when_its_message_dies(s: Stage) -> None:
    a = s.channel()
    q, grave = dying_queue(s, a, x_message_ttl=0)
    a.call("confirm.select")
    a.publish("m1", to=q, properties={"delivery_mode": 2}, mandatory=True)
    a.confirms()
    a.settle(grave, ready=1)
    s.drain(a, grave)


@cases(
    name="somewhere",
    default="",
    any_text="a b $ \u00e4",
    octets=b"bytes",
    number=5,
    byte=Typed("b", 5),
    true=True,
    nothing=None,
    table={"a": 1},
    array=["dlx"],
)
def dead_letter_exchange_argument_values(s: Stage, value: Any) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments={"x-dead-letter-exchange": value})


@cases(name="somewhere", empty="", octets=b"bytes", number=5, true=True, nothing=None, table={"a": 1}, array=["key"])
def dead_letter_routing_key_argument_values(s: Stage, value: Any) -> None:
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": value}
    s.channel().call("queue.declare", queue=s.queue(), arguments=arguments)


@cases(text="key", number=5)
def a_dead_letter_routing_key_needs_an_exchange(s: Stage, value: Any) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments={"x-dead-letter-routing-key": value})


@cases(
    equal={"x-dead-letter-exchange": "dlx", "x-dead-letter-routing-key": "k"},
    other_exchange={"x-dead-letter-exchange": "other", "x-dead-letter-routing-key": "k"},
    other_key={"x-dead-letter-exchange": "dlx", "x-dead-letter-routing-key": "other"},
    both_other={"x-dead-letter-routing-key": "other", "x-dead-letter-exchange": "other"},
    no_key={"x-dead-letter-exchange": "dlx"},
    none={},
    number={"x-dead-letter-exchange": 5, "x-dead-letter-routing-key": "k"},
)
def redeclare_of_a_queue_with_dead_lettering(s: Stage, arguments: dict[str, Any]) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": "dlx", "x-dead-letter-routing-key": "k"})
    a.call("queue.declare", queue=q, arguments=arguments)
