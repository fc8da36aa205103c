"""Policies that are set, changed and cleared while queues have messages."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.scenarios.policies_arguments import QUORUM_TICKS_MS, grave, reject_one
from interop.differential.scenarios.policies_matching import confirming, queue_of, show_kept

BOTH = {"classic": "classic", "quorum": "quorum"}


def put(a: Channel, queue: str, *bodies: str, **properties: Any) -> None:
    """Publish messages, and wait for their confirms."""
    for body in bodies:
        a.publish(body, to=queue, properties=properties)
    a.confirms()


def dying_queue(s: Stage, a: Channel, kind: str, **arguments: Any) -> tuple[str, str]:
    """Declare a queue whose dead letters go to another one; return both names."""
    x, dead = grave(s, a, "dead")
    return queue_of(s, a, kind, x_dead_letter_exchange=x, **arguments), dead


# Length ---------------------------------------------------------------------------------------------------------------


@cases(**BOTH)
def a_lower_max_length_drops_at_once(s: Stage, kind: str) -> None:
    a = confirming(s)
    q, dead = dying_queue(s, a, kind)
    put(a, q, "m1", "m2", "m3", "m4")
    s.set_policy({"max-length": 2}, on=s.pattern("q"))
    a.settle(q, ready=2)
    a.settle(dead, ready=2)
    s.drain(a, dead, q)


@cases(**BOTH)
def lower_max_bytes_drop_at_once(s: Stage, kind: str) -> None:
    a = confirming(s)
    q, dead = dying_queue(s, a, kind)
    put(a, q, "12345", "678", "90", "1")
    s.set_policy({"max-length-bytes": 4}, on=s.pattern("q"))
    a.settle(q, ready=2)
    a.settle(dead, ready=2)
    s.drain(a, dead, q)


@cases(**BOTH)
def max_length_zero_drops_all(s: Stage, kind: str) -> None:
    a = confirming(s)
    q, dead = dying_queue(s, a, kind)
    put(a, q, "m1", "m2")
    s.set_policy({"max-length": 0}, on=s.pattern("q"))
    a.settle(q, ready=0)
    put(a, q, "m3")
    a.settle(dead, ready=3)
    s.drain(a, dead, q)


@cases(**BOTH)
def an_operators_max_length_drops_at_once(s: Stage, kind: str) -> None:
    a = confirming(s)
    s.set_policy({"max-length": 4})
    q = queue_of(s, a, kind)
    put(a, q, "m1", "m2", "m3", "m4")
    s.set_policy({"max-length": 1}, operators=True)
    a.settle(q, ready=1)
    s.clear_policy(operators=True)
    put(a, q, "m5", "m6", "m7", "m8")
    a.settle(q, ready=4)
    s.drain(a, q)


@cases(**BOTH)
def what_is_handed_out_is_not_dropped(s: Stage, kind: str) -> None:
    a = confirming(s)
    q = queue_of(s, a, kind)
    put(a, q, "m1", "m2", "m3", "m4")
    a.call("basic.get", queue=q)
    a.call("basic.get", queue=q)
    s.set_policy({"max-length": 1})
    a.settle(q, ready=1)
    a.send("basic.nack", delivery_tag=0, multiple=True, requeue=True)
    a.barrier()
    s.wait(100)
    s.drain(a, q)


@cases(**BOTH)
def a_higher_max_length_and_none(s: Stage, kind: str) -> None:
    a = confirming(s)
    s.set_policy({"max-length": 1})
    q = queue_of(s, a, kind)
    show_kept(a, q)
    s.set_policy({"max-length": 3})
    show_kept(a, q)
    s.clear_policy()
    show_kept(a, q)


@scenario
def dropping_gives_way_to_rejecting_and_back(s: Stage) -> None:
    a = confirming(s)
    q = queue_of(s, a, "classic")
    s.set_policy({"max-length": 2})
    put(a, q, "m1", "m2", "m3")
    s.set_policy({"max-length": 2, "overflow": "reject-publish"})
    put(a, q, "m4")
    s.set_policy({"max-length": 1, "overflow": "reject-publish"})
    put(a, q, "m5")
    a.call("queue.declare", queue=q, passive=True)
    s.set_policy({"max-length": 1})
    put(a, q, "m6")
    s.drain(a, q)


@cases(**BOTH)
def a_queue_too_long_for_a_limit_that_rejects(s: Stage, kind: str) -> None:
    """Nothing is dropped until the overflow is drop-head, and then all at once."""
    a = confirming(s)
    q = queue_of(s, a, kind)
    put(a, q, "m1", "m2", "m3", "m4")
    s.set_policy({"max-length": 2, "overflow": "reject-publish"})
    s.wait(100)
    a.call("queue.declare", queue=q, passive=True)
    s.set_policy({"max-length": 2, "overflow": "drop-head"})
    a.settle(q, ready=2)
    s.drain(a, q)


@scenario
def a_policy_that_rejects_is_cleared(s: Stage) -> None:
    a = confirming(s)
    q = queue_of(s, a, "classic", x_max_length=1)
    s.set_policy({"overflow": "reject-publish"})
    put(a, q, "m1", "m2")
    s.clear_policy()
    put(a, q, "m3")
    s.drain(a, q)


# Time to live ---------------------------------------------------------------------------------------------------------


@cases(**BOTH)
def a_message_ttl_is_for_messages_that_come_later(s: Stage, kind: str) -> None:
    a = confirming(s)
    q = queue_of(s, a, kind)
    put(a, q, "before")
    s.set_policy({"message-ttl": 60})
    put(a, q, "after")
    s.wait(200)
    s.drain(a, q)
    put(a, q, "alone")
    s.wait(200)
    s.drain(a, q)


@cases(**BOTH)
def messages_keep_the_ttl_that_they_came_with(s: Stage, kind: str) -> None:
    a = confirming(s)
    q, dead = dying_queue(s, a, kind)
    s.set_policy({"message-ttl": 400}, on=s.pattern("q"))
    put(a, q, "m1")
    s.clear_policy()
    put(a, q, "m2")
    s.wait(100)
    a.call("queue.declare", queue=q, passive=True)
    s.wait(600)
    s.drain(a, dead, q)


@cases(**BOTH)
def a_shorter_ttl_behind_a_longer_one(s: Stage, kind: str) -> None:
    """Messages expire at the head only."""
    a = confirming(s)
    q, dead = dying_queue(s, a, kind)
    s.set_policy({"message-ttl": 600}, on=s.pattern("q"))
    put(a, q, "long")
    s.set_policy({"message-ttl": 60}, on=s.pattern("q"))
    put(a, q, "short")
    s.wait(200)
    a.call("queue.declare", queue=q, passive=True)
    s.wait(800)
    s.drain(a, dead, q)


@cases(**BOTH)
def a_message_with_its_own_expiration(s: Stage, kind: str) -> None:
    a = confirming(s)
    q = queue_of(s, a, kind)
    s.set_policy({"message-ttl": 60})
    put(a, q, "long", expiration="60000")
    put(a, q, "short", expiration="10")
    s.wait(200)
    s.drain(a, q)


@scenario
def a_ttl_of_zero(s: Stage) -> None:
    a = confirming(s)
    q = queue_of(s, a, "classic")
    s.set_policy({"message-ttl": 0})
    put(a, q, "m1")
    s.wait(50)
    s.drain(a, q)
    a.call("basic.consume", queue=q, consumer_tag="c", no_ack=True)
    put(a, q, "m2")
    a.deliveries(1)


# Queues that expire ---------------------------------------------------------------------------------------------------


@scenario
def an_expiry_counts_from_the_policy_on(s: Stage) -> None:
    a = s.channel()
    q = queue_of(s, a, "classic")
    s.wait(300)
    s.set_policy({"expires": 200})
    s.wait(60)
    a.publish("m1", to=q)
    s.wait(400)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def an_expiry_that_is_cleared(s: Stage) -> None:
    a = s.channel()
    q = queue_of(s, a, "classic")
    s.set_policy({"expires": 200})
    s.wait(100)
    s.clear_policy()
    s.wait(300)
    a.call("queue.declare", queue=q, passive=True)


@cases(
    the_same=({"expires": 400}, 0),
    another_time=({"expires": 500}, 0),
    another_setting=({"expires": 400, "max-length": 5}, 0),
    another_priority=({"expires": 400}, 1),
)
def an_expiry_that_is_set_again(s: Stage, again: tuple[dict[str, object], int]) -> None:
    """Any change of the policy lets it count anew; to set the same again is no change."""
    definition, priority = again
    a = s.channel()
    q = queue_of(s, a, "classic")
    s.set_policy({"expires": 400})
    s.wait(250)
    s.set_policy(definition, priority=priority)
    s.wait(250)
    a.call("queue.declare", queue=q, passive=True)


@scenario
def an_expiry_while_consumed(s: Stage) -> None:
    a = s.channel()
    q = queue_of(s, a, "classic")
    a.call("basic.consume", queue=q, consumer_tag="c")
    s.set_policy({"expires": 100})
    s.wait(300)
    a.publish("m1", to=q)
    a.deliveries(1)
    a.call("basic.cancel", consumer_tag="c")
    s.wait(300)
    a.call("queue.declare", queue=q, passive=True)


@cases(set=True, set_and_cleared=False)
def an_expiry_of_a_quorum_queue(s: Stage, stays: bool) -> None:
    a = s.channel()
    q = queue_of(s, a, "quorum")
    s.set_policy({"expires": 100 if stays else 12_000})
    if not stays:
        s.clear_policy()
    s.wait(QUORUM_TICKS_MS)
    a.call("queue.declare", queue=q, passive=True)


# Dead letters ---------------------------------------------------------------------------------------------------------


@cases(**BOTH)
def a_dead_letter_exchange_set_after_the_message(s: Stage, kind: str) -> None:
    a = confirming(s)
    x, dead = grave(s, a, "dead")
    q = queue_of(s, a, kind)
    put(a, q, "rejected")
    a.call("basic.get", queue=q)
    s.set_policy({"dead-letter-exchange": x}, on=s.pattern("q"))
    a.send("basic.reject", delivery_tag=1)
    a.settle(dead, ready=1)
    s.drain(a, dead)


@cases(**BOTH)
def a_dead_letter_exchange_cleared_before_the_death(s: Stage, kind: str) -> None:
    a = confirming(s)
    x, dead = grave(s, a, "dead")
    s.set_policy({"dead-letter-exchange": x}, on=s.pattern("q"))
    q = queue_of(s, a, kind)
    put(a, q, "rejected")
    a.call("basic.get", queue=q)
    s.clear_policy()
    a.send("basic.reject", delivery_tag=1)
    a.barrier()
    s.wait(100)
    s.drain(a, dead, q)


@cases(**BOTH)
def another_dead_letter_exchange(s: Stage, kind: str) -> None:
    a = confirming(s)
    one, dead_one = grave(s, a, "one")
    two, dead_two = grave(s, a, "two")
    s.set_policy({"dead-letter-exchange": one}, on=s.pattern("q"))
    q = queue_of(s, a, kind)
    reject_one(a, q)
    a.settle(dead_one, ready=1)
    s.set_policy({"dead-letter-exchange": two, "dead-letter-routing-key": "key"}, on=s.pattern("q"))
    reject_one(a, q)
    a.settle(dead_two, ready=1)
    s.set_policy({"dead-letter-exchange": two}, on=s.pattern("q"))
    reject_one(a, q)
    a.settle(dead_two, ready=2)
    s.drain(a, dead_one, dead_two)


@cases(**BOTH)
def a_dead_letter_exchange_and_a_limit_in_one_policy(s: Stage, kind: str) -> None:
    """What is dropped because of the policy goes where the policy says."""
    a = confirming(s)
    x, dead = grave(s, a, "dead")
    q = queue_of(s, a, kind)
    put(a, q, "m1", "m2", "m3")
    s.set_policy({"dead-letter-exchange": x, "max-length": 1}, on=s.pattern("q"))
    a.settle(dead, ready=2)
    s.drain(a, dead, q)


@cases(**BOTH)
def expired_messages_of_a_policy_are_dead_lettered(s: Stage, kind: str) -> None:
    a = confirming(s)
    x, dead = grave(s, a, "dead")
    s.set_policy({"dead-letter-exchange": x, "dead-letter-routing-key": "late", "message-ttl": 60}, on=s.pattern("q"))
    q = queue_of(s, a, kind)
    put(a, q, "m1", "m2")
    a.settle(dead, ready=2)
    s.drain(a, dead, q)


# The limit of deliveries ----------------------------------------------------------------------------------------------


@scenario
def a_delivery_limit_counts_deliveries_before_it(s: Stage) -> None:
    a = confirming(s)
    q = queue_of(s, a, "quorum")
    put(a, q, "m1")
    for tag in (1, 2):
        a.call("basic.get", queue=q)
        a.send("basic.reject", delivery_tag=tag, requeue=True)
        a.settle(q, ready=1)
    s.set_policy({"delivery-limit": 1})
    a.call("queue.declare", queue=q, passive=True)
    a.call("basic.get", queue=q)
    a.send("basic.reject", delivery_tag=3, requeue=True)
    a.settle(q, ready=0)
    a.call("basic.get", queue=q)


@scenario
def a_higher_delivery_limit(s: Stage) -> None:
    a = confirming(s)
    s.set_policy({"delivery-limit": 1})
    q = queue_of(s, a, "quorum")
    put(a, q, "m1")
    a.call("basic.get", queue=q)
    a.send("basic.reject", delivery_tag=1, requeue=True)
    a.settle(q, ready=1)
    s.set_policy({"delivery-limit": 2})
    for tag, ready in ((2, 1), (3, 0)):
        a.call("basic.get", queue=q)
        a.send("basic.reject", delivery_tag=tag, requeue=True)
        a.settle(q, ready=ready)
    a.call("basic.get", queue=q)


# Exchanges ------------------------------------------------------------------------------------------------------------


@cases(direct="direct", topic="topic", headers="headers", fanout="fanout")
def an_alternate_exchange_set_and_cleared(s: Stage, kind: str) -> None:
    a = confirming(s)
    lost, sink = grave(s, a, "lost")
    x = s.declared_exchange(a, kind)

    def publish(body: str) -> None:
        a.publish(body, exchange=x, to="nowhere", mandatory=True)
        a.confirms()

    publish("m1")
    s.set_policy({"alternate-exchange": lost}, on=s.pattern("x"))
    publish("m2")
    s.set_policy({"alternate-exchange": "missing"}, on=s.pattern("x"))
    publish("m3")
    s.clear_policy()
    publish("m4")
    s.drain(a, sink)


@scenario
def an_alternate_exchange_of_what_the_broker_declared(s: Stage) -> None:
    """The default exchange is not asked, though its name matches."""
    a = confirming(s)
    lost, sink = grave(s, a, "lost")
    s.set_policy({"alternate-exchange": lost}, on="^(|amq.match)$")
    a.publish("by amq.match", exchange="amq.match", properties={"headers": {"scenario": sink}})
    a.publish("by the default exchange", to="missing." + sink)
    a.confirms()
    s.drain(a, sink)


@scenario
def an_alternate_exchange_by_an_exchange_in_between(s: Stage) -> None:
    a = confirming(s)
    lost, sink = grave(s, a, "lost")
    first, second = s.declared_exchange(a, "fanout", "first"), s.declared_exchange(a, "direct", "second")
    a.call_unseen("exchange.bind", destination=second, source=first)
    s.set_policy({"alternate-exchange": lost}, on=s.pattern("second"))
    a.publish("m1", exchange=first, to="nowhere", mandatory=True)
    a.confirms()
    s.drain(a, sink)


@scenario
def a_circle_of_alternate_exchanges(s: Stage) -> None:
    a = confirming(s)
    one, two = s.declared_exchange(a, "direct", "one"), s.declared_exchange(a, "direct", "two")
    s.set_policy({"alternate-exchange": two}, name="p1", on=s.pattern("one"))
    s.set_policy({"alternate-exchange": one}, name="p2", on=s.pattern("two"))
    a.publish("m1", exchange=one, to="nowhere", mandatory=True)
    a.confirms()


@scenario
def declaring_an_exchange_again_compares_arguments_alone(s: Stage) -> None:
    a = s.channel()
    x = s.exchange()
    s.set_policy({"alternate-exchange": "lost"}, on=s.pattern("x"))
    a.call("exchange.declare", exchange=x, exchange_type="direct")
    a.call("exchange.declare", exchange=x, exchange_type="direct")
    a.call("exchange.declare", exchange=x, exchange_type="direct", arguments={"alternate-exchange": "lost"})
