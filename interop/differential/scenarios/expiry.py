"""Messages that expire: x-message-ttl of a queue, expiration of a message [rabbitmq.com/docs/ttl]."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed

LONG_MS = 60_000


def queue_with_ttl(s: Stage, a: Channel, milliseconds: int, label: str = "q") -> str:
    return s.declared_queue(a, label, arguments={"x-message-ttl": milliseconds})


def expiring(milliseconds: int) -> dict[str, Any]:
    return {"expiration": str(milliseconds)}


@scenario
def messages_expire_after_the_ttl_of_their_queue(s: Stage) -> None:
    a = s.channel()
    q = queue_with_ttl(s, a, 40)
    a.publish("m1", to=q)
    a.publish("m2", to=q)
    s.wait(120)
    a.call("basic.get", queue=q)


@scenario
def messages_expire_after_their_own_expiration(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m1", to=q, properties=expiring(40))
    a.publish("m2", to=q, properties=expiring(40))
    s.wait(120)
    a.call("basic.get", queue=q)


@cases(
    short_queue=(40, LONG_MS),
    short_message=(LONG_MS, 40),
    both_short=(40, 40),
    both_long=(LONG_MS, LONG_MS),
    queue_zero=(0, LONG_MS),
    message_zero=(LONG_MS, 0),
)
def the_smaller_of_ttl_and_expiration_counts(s: Stage, times: tuple[int, int]) -> None:
    of_queue, of_message = times
    a = s.channel()
    q = queue_with_ttl(s, a, of_queue)
    a.publish("m1", to=q, properties=expiring(of_message))
    s.wait(120)
    a.call("queue.declare", queue=q, passive=True)
    a.call("basic.get", queue=q)


@scenario
def a_ttl_leaves_no_trace_in_the_message(s: Stage) -> None:
    a = s.channel()
    q = queue_with_ttl(s, a, LONG_MS)
    a.publish("plain", to=q)
    a.publish("own", to=q, properties=expiring(LONG_MS))
    s.drain(a, q)


@cases(ttl=({"x-message-ttl": 0}, {}), expiration=({}, expiring(0)))
def zero_without_a_consumer_drops_at_once(s: Stage, how: tuple[dict[str, Any], dict[str, Any]]) -> None:
    arguments, properties = how
    a = s.channel()
    q = s.declared_queue(a, arguments=arguments)
    a.call("confirm.select")
    a.publish("m1", to=q, properties=properties)
    a.publish("m2", to=q, properties=properties, mandatory=True)
    a.confirms()
    a.call("queue.declare", queue=q, passive=True)
    a.call("basic.get", queue=q)


@cases(ttl=({"x-message-ttl": 0}, {}), expiration=({}, expiring(0)))
def zero_with_a_consumer_delivers(s: Stage, how: tuple[dict[str, Any], dict[str, Any]]) -> None:
    arguments, properties = how
    a = s.channel()
    q = s.declared_queue(a, arguments=arguments)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.publish("m1", to=q, properties=properties)
    a.publish("m2", to=q, properties=properties)
    a.deliveries(2)
    a.send("basic.ack", delivery_tag=2, multiple=True)


@cases(ttl=({"x-message-ttl": 0}, {}), expiration=({}, expiring(0)))
def zero_with_a_busy_consumer_drops(s: Stage, how: tuple[dict[str, Any], dict[str, Any]]) -> None:
    arguments, properties = how
    a = s.channel()
    q = s.declared_queue(a, arguments=arguments)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.publish("m1", to=q, properties=properties)
    a.deliveries(1)
    a.publish("m2", to=q, properties=properties)
    a.call("queue.declare", queue=q, passive=True)
    a.send("basic.ack", delivery_tag=1)
    a.barrier()
    a.publish("m3", to=q, properties=properties)
    a.deliveries(1)


@scenario
def a_requeued_message_with_ttl_0_goes_to_the_next_consumer_or_nowhere(s: Stage) -> None:
    a = s.channel()
    q = queue_with_ttl(s, a, 0)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.publish("m1", to=q)
    a.deliveries(1)
    a.send("basic.nack", delivery_tag=1, requeue=True)
    a.barrier()
    a.settle(q, ready=0)
    a.call("basic.cancel", consumer_tag="c")
    a.call("basic.get", queue=q)


@scenario
def an_expired_message_behind_another_stays_until_it_is_the_head(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m1", to=q)
    a.publish("m2", to=q, properties=expiring(40))
    a.publish("m3", to=q)
    s.wait(120)
    a.call("queue.declare", queue=q, passive=True)
    s.drain(a, q)


@scenario
def an_expired_message_behind_a_longer_lasting_one(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m1", to=q, properties=expiring(LONG_MS))
    a.publish("m2", to=q, properties=expiring(40))
    s.wait(120)
    a.call("queue.declare", queue=q, passive=True)
    s.drain(a, q)


@scenario
def expired_messages_at_the_head_leave_together(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    for number in range(1, 4):
        a.publish(f"m{number}", to=q, properties=expiring(40))
    a.publish("m4", to=q)
    s.wait(120)
    a.call("queue.declare", queue=q, passive=True)
    s.drain(a, q)


@scenario
def an_unacknowledged_message_does_not_expire(s: Stage) -> None:
    a = s.channel()
    q = queue_with_ttl(s, a, 60)
    a.publish("m1", to=q)
    a.call("basic.get", queue=q)
    s.wait(150)
    a.send("basic.ack", delivery_tag=1)
    a.barrier()
    a.call("queue.declare", queue=q, passive=True)


@cases(ttl=({"x-message-ttl": 100}, {}), expiration=({}, expiring(100)))
def a_message_requeued_after_its_time_is_gone(s: Stage, how: tuple[dict[str, Any], dict[str, Any]]) -> None:
    arguments, properties = how
    a = s.channel()
    q = s.declared_queue(a, arguments=arguments)
    a.publish("m1", to=q, properties=properties)
    a.call("basic.get", queue=q)
    s.wait(200)
    a.send("basic.nack", delivery_tag=1, requeue=True)
    a.barrier()
    a.call("basic.get", queue=q)


@scenario
def a_message_requeued_in_time_keeps_its_time(s: Stage) -> None:
    a = s.channel()
    q = queue_with_ttl(s, a, 300)
    a.publish("m1", to=q)
    a.call("basic.get", queue=q)
    s.wait(150)
    a.send("basic.nack", delivery_tag=1, requeue=True)
    a.settle(q, ready=1)
    s.wait(250)
    a.call("basic.get", queue=q)


@scenario
def messages_of_a_closed_connection_expire_if_their_time_is_over(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a)
    a.publish("m1", to=q, properties=expiring(200))
    a.publish("m2", to=q)
    a.settle(q, ready=2)
    b.call("basic.get", queue=q)
    b.call("basic.get", queue=q)
    s.wait(300)
    b.connection.close()
    a.settle(q, ready=1)
    s.drain(a, q)


@scenario
def a_message_that_waits_for_a_busy_consumer_expires(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.publish("m1", to=q)
    a.deliveries(1)
    a.publish("m2", to=q, properties=expiring(40))
    s.wait(120)
    a.publish("m3", to=q)
    a.send("basic.ack", delivery_tag=1)
    a.deliveries(1)


@scenario
def purge_does_not_count_what_expired(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m1", to=q, properties=expiring(40))
    a.publish("m2", to=q, properties=expiring(40))
    a.publish("m3", to=q)
    a.publish("m4", to=q, properties=expiring(40))
    s.wait(120)
    a.call("queue.purge", queue=q)


@scenario
def a_queue_whose_messages_expired_is_empty_for_delete(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m1", to=q, properties=expiring(40))
    s.wait(120)
    a.call("queue.delete", queue=q, if_empty=True)


@scenario
def each_queue_expires_its_own_copy(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "fanout")
    short, long = queue_with_ttl(s, a, 40, "short"), s.declared_queue(a, "long")
    for q in (short, long):
        a.call_unseen("queue.bind", queue=q, exchange=x)
    a.publish("m1", exchange=x)
    s.wait(120)
    s.drain(a, short, long)


@scenario
def persistent_messages_of_a_durable_queue_expire_too(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, durable=True, arguments={"x-message-ttl": 40})
    a.call("confirm.select")
    a.publish("m1", to=q, properties={"delivery_mode": 2})
    a.confirms()
    s.wait(120)
    a.call("basic.get", queue=q)


@scenario
def the_time_of_a_message_in_a_transaction_starts_with_the_commit(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("tx.select")
    a.publish("m1", to=q, properties=expiring(150))
    s.wait(220)
    a.call("tx.commit")
    a.call("basic.get", queue=q)


@cases(
    empty="",
    word="abc",
    unit="10ms",
    negative="-1",
    minus_zero="-0",
    fraction="1.5",
    exponent="1e3",
    hexadecimal="0x10",
    leading_space=" 5",
    trailing_space="60000 ",
    underscore="60_000",
    other_digits="\u0663\u0660\u0660\u0660\u0660",
    largest="315360000000",
    one_too_large="315360000001",
    beyond_64_bits="99999999999999999999",
    beyond_32_bits="4294967296",
)
def expiration_values(s: Stage, value: str) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m1", to=q, properties={"expiration": value})
    a.call("basic.get", queue=q)


@scenario
def a_bad_expiration_is_refused_even_if_nobody_gets_the_message(s: Stage) -> None:
    a = s.channel()
    a.publish("m1", to=s.queue("nope"), properties={"expiration": "abc"})
    a.expect("channel.close")


@scenario
def a_missing_exchange_is_told_before_a_bad_expiration(s: Stage) -> None:
    a = s.channel()
    a.publish("m1", exchange=s.exchange("nope"), properties={"expiration": "abc"})
    a.expect("channel.close")


@scenario
def a_bad_expiration_in_a_transaction_is_refused_when_published(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("tx.select")
    a.publish("m1", to=q, properties={"expiration": "abc"})
    a.expect("channel.close")


@cases(
    zero=0,
    byte=Typed("b", 50),
    octet=Typed("B", 200),
    short=Typed("s", 5000),
    unsigned_short=Typed("u", 50_000),
    unsigned_int=Typed("i", 3_000_000_000),
    long=Typed("l", 5000),
    java_long=Typed("L", 5000),
    largest=315_360_000_000,
    one_too_large=315_360_000_001,
    largest_of_32_bits=4_294_967_295,
    beyond_32_bits=4_294_967_296,
    negative=-1,
    very_negative=-(2**40),
    digits="5000",
    word="abc",
    octets=b"5000",
    true=True,
    double=5000.0,
    float=Typed("f", 5000.0),
    decimal=Typed("D", (0, 5000)),
    timestamp=Typed("T", 5000),
    nothing=None,
    table={"a": 1},
    array=[5000],
)
def ttl_argument_values(s: Stage, value: Any) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments={"x-message-ttl": value})


@cases(
    equal=5000,
    equal_as_long=Typed("l", 5000),
    equal_as_short=Typed("s", 5000),
    other=6000,
    other_as_long=Typed("l", 6000),
    none=...,
    digits="5000",
    double=5000.0,
    negative=-1,
)
def redeclare_of_a_queue_with_a_ttl(s: Stage, value: Any) -> None:
    a = s.channel()
    q = queue_with_ttl(s, a, 5000)
    a.call("queue.declare", queue=q, arguments={} if value is ... else {"x-message-ttl": value})


@cases(int=5000, short=Typed("s", 5000), long=Typed("l", 5000))
def redeclare_of_a_queue_without_a_ttl(s: Stage, value: Any) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("queue.declare", queue=q, arguments={"x-message-ttl": value})
