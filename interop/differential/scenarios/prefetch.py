"""How many unsettled deliveries a consumer and a channel may have [basic.qos, with RabbitMQ's meaning of global]."""

from __future__ import annotations

from interop.differential.scenario import Stage, scenario


@scenario
def prefetch_limits_each_consumer_of_the_channel(s: Stage) -> None:
    a = s.channel()
    q, r = s.declared_queue(a, messages=4), s.declared_queue(a, "r", messages=4)
    a.call("basic.qos", prefetch_count=2)
    a.call("basic.consume", queue=q, consumer_tag="c1")
    a.deliveries(2)
    a.call("basic.consume", queue=r, consumer_tag="c2")
    a.deliveries(2)
    a.settle(q, ready=2)
    a.settle(r, ready=2)
    a.send("basic.ack", delivery_tag=1)
    a.deliveries(1)
    a.send("basic.ack", delivery_tag=4, multiple=True)
    a.unordered_deliveries(3)


@scenario
def prefetch_applies_to_consumers_started_later(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=6)
    a.call("basic.consume", queue=q, consumer_tag="before")
    a.deliveries(6)
    a.call("basic.qos", prefetch_count=1)
    r = s.declared_queue(a, "r", messages=3)
    a.call("basic.consume", queue=r, consumer_tag="after")
    a.deliveries(1)
    a.call("basic.qos", prefetch_count=3)
    a.settle(r, ready=2)


@scenario
def a_global_prefetch_limits_the_channel(s: Stage) -> None:
    a = s.channel()
    q, r = s.declared_queue(a, messages=4), s.declared_queue(a, "r", messages=4)
    a.call("basic.qos", prefetch_count=3, global_=True)
    a.call("basic.consume", queue=q, consumer_tag="c1")
    a.deliveries(3)
    a.call("basic.consume", queue=r, consumer_tag="c2")
    a.barrier()
    a.settle(q, ready=1)
    a.settle(r, ready=4)
    a.send("basic.ack", delivery_tag=3, multiple=True)
    a.unordered_deliveries(3)


@scenario
def a_global_prefetch_does_not_count_unlimited_ones(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=4)
    a.call("basic.qos", prefetch_count=1, global_=True)
    a.call("basic.consume", queue=q, consumer_tag="c1", no_ack=True)
    a.deliveries(4)


@scenario
def global_and_per_consumer_prefetch_together(s: Stage) -> None:
    a = s.channel()
    q, r = s.declared_queue(a, messages=6), s.declared_queue(a, "r", messages=6)
    a.call("basic.qos", prefetch_count=2)
    a.call("basic.qos", prefetch_count=3, global_=True)
    a.call("basic.consume", queue=q, consumer_tag="c1")
    a.deliveries(2)
    a.call("basic.consume", queue=r, consumer_tag="c2")
    a.deliveries(1)
    a.settle(q, ready=4)
    a.settle(r, ready=5)


@scenario
def lifting_the_global_prefetch_lets_messages_flow(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=4)
    a.call("basic.qos", prefetch_count=1, global_=True)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(1)
    a.call("basic.qos", prefetch_count=0, global_=True)
    a.deliveries(3)


@scenario
def get_does_not_count_for_prefetch(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=4)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.get", queue=q)
    a.call("basic.get", queue=q)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(1)
    a.settle(q, ready=1)


@scenario
def prefetch_size_is_not_implemented(s: Stage) -> None:
    s.channel().call("basic.qos", prefetch_size=10, prefetch_count=1)


@scenario
def a_global_prefetch_limits_consumers_that_were_there_before(s: Stage) -> None:
    a = s.channel()
    q, r = s.declared_queue(a), s.declared_queue(a, "r", messages=1)
    a.call("basic.consume", queue=q, consumer_tag="before")
    a.call("basic.qos", prefetch_count=1, global_=True)
    a.call("basic.consume", queue=r, consumer_tag="after")
    a.deliveries(1)
    a.publish("held back", to=q)
    a.settle(q, ready=1)
    a.barrier()
