"""Dead letters that come back to a queue where they died before: dropped if nobody rejected them on the way."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.scenarios.dead_letter import reject_next

DEFAULT_EXCHANGE = {"x-dead-letter-exchange": ""}


def ring(s: Stage, a: Channel, *kinds: dict[str, Any]) -> list[str]:
    """Declare queues each of which dead-letters to the next, and the last to the first."""
    names = [s.queue(f"q{number}") for number in range(len(kinds))]
    for place, (name, arguments) in enumerate(zip(names, kinds, strict=True)):
        onward = {"x-dead-letter-routing-key": names[(place + 1) % len(names)]}
        a.call_unseen("queue.declare", queue=name, arguments=DEFAULT_EXCHANGE | onward | arguments)
    return names


@scenario
def expired_back_into_the_same_queue_is_dropped(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments=DEFAULT_EXCHANGE | {"x-message-ttl": 20})
    a.publish("m1", to=q)
    s.wait(100)
    a.call("basic.get", queue=q)


@scenario
def its_own_expiration_back_into_the_same_queue_is_dropped(s: Stage) -> None:
    """Its expiration is taken from it, so it would stay."""
    a = s.channel()
    q = s.declared_queue(a, arguments=DEFAULT_EXCHANGE)
    a.publish("m1", to=q, properties={"expiration": "20"})
    s.wait(100)
    a.call("basic.get", queue=q)


@scenario
def rejected_back_into_the_same_queue_stays(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments=DEFAULT_EXCHANGE)
    a.publish("m1", to=q)
    for _ in range(3):
        reject_next(a, q)
        a.settle(q, ready=1)
    s.drain(a, q)


@scenario
def over_the_limit_back_into_the_same_queue_is_dropped(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, arguments=DEFAULT_EXCHANGE | {"x-max-length": 1})
    a.publish("m1", to=q)
    a.publish("m2", to=q)
    a.settle(q, ready=1)
    s.drain(a, q)


@scenario
def expiring_round_a_ring_ends_where_it_began(s: Stage) -> None:
    a = s.channel()
    names = ring(s, a, {"x-message-ttl": 20}, {"x-message-ttl": 20}, {"x-message-ttl": 20})
    a.publish("m1", to=names[0])
    s.wait(200)
    s.drain(a, *names)


@scenario
def expiring_into_a_ring_from_outside(s: Stage) -> None:
    """It may come to each queue of the ring once."""
    a = s.channel()
    names = ring(s, a, {"x-message-ttl": 20}, {"x-message-ttl": 20})
    entry = s.declared_queue(
        a, "entry", arguments=DEFAULT_EXCHANGE | {"x-dead-letter-routing-key": names[0], "x-message-ttl": 0}
    )
    a.publish("m1", to=entry)
    s.wait(200)
    s.drain(a, entry, *names)


@scenario
def a_rejection_before_the_same_queue_lets_it_pass(s: Stage) -> None:
    a = s.channel()
    first, second = ring(s, a, {"x-message-ttl": 20}, {})
    a.publish("m1", to=first)
    a.settle(second, ready=1)
    reject_next(a, second)
    a.settle(second, ready=1)
    s.drain(a, second)


@scenario
def a_rejection_long_ago_and_a_ring_of_expiry(s: Stage) -> None:
    """Rejected once, then only expiring: the second time round the ring."""
    a = s.channel()
    first, second = ring(s, a, {"x-message-ttl": 20}, {"x-message-ttl": 250})
    entry = s.declared_queue(a, "entry", arguments=DEFAULT_EXCHANGE | {"x-dead-letter-routing-key": first})
    a.publish("m1", to=entry)
    reject_next(a, entry)
    s.wait(400)
    s.drain(a, entry, first, second)


@scenario
def over_the_limit_round_a_ring(s: Stage) -> None:
    a = s.channel()
    first, second = ring(s, a, {"x-max-length": 1}, {"x-max-length": 1})
    for number in range(1, 5):
        a.publish(f"m{number}", to=first)
        a.ask(first)
        a.ask(second)
    s.wait(50)
    s.drain(a, first, second)


@scenario
def a_cycle_is_dropped_but_other_queues_get_it(s: Stage) -> None:
    a = s.channel()
    x = s.declared_exchange(a, "fanout", "dlx")
    d = s.bound_queue(a, x, "", "d")
    q = s.declared_queue(a, arguments={"x-dead-letter-exchange": x, "x-message-ttl": 20})
    a.call_unseen("queue.bind", queue=q, exchange=x)
    a.publish("m1", to=q)
    a.settle(d, ready=1)
    s.wait(60)
    s.drain(a, d, q)


@cases(expired=True, rejected=False)
def a_message_with_the_history_of_a_client(s: Stage, by_expiry: bool) -> None:
    """A client may send an x-death that looks like a cycle."""
    a = s.channel()
    q = s.declared_queue(a, arguments=DEFAULT_EXCHANGE)
    d = s.declared_queue(a, "d", arguments=DEFAULT_EXCHANGE | {"x-dead-letter-routing-key": q})
    entry = {"queue": q, "reason": "expired" if by_expiry else "rejected", "count": 1, "exchange": ""}
    properties = {"headers": {"x-death": [entry]}, "expiration": "20"}
    a.publish("m1", to=d, properties=properties)
    s.wait(100)
    s.drain(a, q)
