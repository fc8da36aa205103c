"""Consumers with priorities: x-priority [rabbitmq.com/docs/consumer-priority]."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed


def consume(a: Channel, queue: str, tag: str, priority: int | None = None, **fields: Any) -> None:
    arguments = {} if priority is None else {"x-priority": priority}
    a.call("basic.consume", queue=queue, consumer_tag=tag, arguments=arguments, **fields)


@scenario
def the_most_important_consumer_gets_everything(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    consume(a, q, "low", 1)
    consume(a, q, "high", 10)
    consume(a, q, "middle", 5)
    for number in range(1, 4):
        a.publish(f"m{number}", to=q)
    a.deliveries(3)


@scenario
def a_busy_one_leaves_the_rest_to_the_next(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.qos", prefetch_count=1)
    consume(a, q, "low", 1)
    consume(a, q, "high", 10)
    consume(a, q, "middle", 5)
    for number in range(1, 5):
        a.publish(f"m{number}", to=q)
    a.deliveries(3)
    a.settle(q, ready=1)
    a.send("basic.ack", delivery_tag=2)
    a.deliveries(1)


@scenario
def a_free_high_one_comes_first_again(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.qos", prefetch_count=1)
    consume(a, q, "high", 10)
    consume(a, q, "low", 1)
    a.publish("m1", to=q)
    a.publish("m2", to=q)
    a.deliveries(2)
    a.send("basic.ack", delivery_tag=2, multiple=True)
    a.barrier()
    a.ask(q)
    a.publish("m3", to=q)
    a.deliveries(1)


@scenario
def equal_priorities_take_turns(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    consume(a, q, "one", 5)
    consume(a, q, "two", 5)
    consume(a, q, "low", 1)
    for number in range(1, 5):
        a.publish(f"m{number}", to=q)
    a.deliveries(4)


@scenario
def no_priority_is_priority_0(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.qos", prefetch_count=1)
    consume(a, q, "negative", -1)
    consume(a, q, "none")
    consume(a, q, "zero", 0)
    for number in range(1, 4):
        a.publish(f"m{number}", to=q)
    a.deliveries(3)


@scenario
def a_cancelled_high_one_makes_way(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    consume(a, q, "low", 1)
    consume(a, q, "high", 10)
    a.publish("m1", to=q)
    a.deliveries(1)
    a.call("basic.cancel", consumer_tag="high")
    a.publish("m2", to=q)
    a.deliveries(1)


@scenario
def consumers_on_two_channels(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(a)
    consume(a, q, "low", 1)
    consume(b, q, "high", 2)
    for number in range(1, 3):
        a.publish(f"m{number}", to=q)
    b.deliveries(2)
    b.connection.close()
    a.deliveries(2)


@scenario
def waiting_messages_go_to_the_first_consumer_that_comes(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=3)
    a.call("basic.qos", prefetch_count=1)
    consume(a, q, "low", 1)
    a.deliveries(1)
    consume(a, q, "high", 10)
    a.deliveries(1)


@scenario
def a_rejected_message_comes_to_the_most_important_free_consumer(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.qos", prefetch_count=1)
    consume(a, q, "high", 10)
    consume(a, q, "low", 1)
    a.publish("m1", to=q)
    a.publish("m2", to=q)
    a.deliveries(2)
    a.send("basic.reject", delivery_tag=2, requeue=True)
    a.deliveries(1)


@scenario
def no_ack_consumers_have_priorities_too(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    consume(a, q, "low", 1, no_ack=True)
    consume(a, q, "high", 10, no_ack=True)
    a.publish("m1", to=q)
    a.publish("m2", to=q)
    a.deliveries(2)


@cases(
    zero=0, negative=-5, large=2**31 - 1, long=Typed("l", 2**40), byte=Typed("b", -1), octet=Typed("B", 200),
    short=Typed("s", 5), unsigned=Typed("i", 5), digits="5", word="high", true=True, double=1.5, void=None, octets=b"5",
    table={"a": 1}, array=[5], timestamp=Typed("T", 5), decimal=Typed("D", (0, 5)),
)  # fmt: skip
def argument_values(s: Stage, value: Any) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("basic.consume", queue=q, consumer_tag="c", arguments={"x-priority": value})


@cases(
    unknown={"x-foo": 1},
    stream_offset={"x-stream-offset": "first"},
    cancel_on_ha_failover={"x-cancel-on-ha-failover": True},
    cancel_on_ha_failover_text={"x-cancel-on-ha-failover": "true"},
    cancel_on_ha_failover_number={"x-cancel-on-ha-failover": 1},
    credit={"x-credit": {"credit": 1, "drain": False}},
)
def other_arguments_of_consume(s: Stage, arguments: dict[str, Any]) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=1)
    a.call("basic.consume", queue=q, consumer_tag="c", arguments=arguments)
    a.ask(q)
    a.barrier()
