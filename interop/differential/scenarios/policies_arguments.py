"""A queue's or exchange's own argument and a policy that says something else: which of them counts."""

from __future__ import annotations

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.scenarios.policies_matching import confirming, queue_of, show_kept

SHORT_MS, LONG_MS = 100, 60_000
# Quorum queues look every 5 s whether they are still used.
QUORUM_TICKS_MS = 11_000


def grave(s: Stage, a: Channel, label: str) -> tuple[str, str]:
    """Declare an exchange for dead letters and a queue that takes them all; return both names."""
    x = s.declared_exchange(a, "fanout", f"x.{label}")
    return x, s.bound_queue(a, x, label=f"q.{label}")


def reject_one(a: Channel, queue: str) -> None:
    """Publish a message, get it and reject it."""
    a.publish("rejected", to=queue)
    a.confirms()
    reply = a.call("basic.get", queue=queue)
    if reply is not None and reply.name == "basic.get-ok":
        a.send("basic.reject", delivery_tag=reply["delivery_tag"])
    a.barrier()


@cases(
    classic_lower=("classic", 2, 4),
    classic_higher=("classic", 4, 2),
    quorum_lower=("quorum", 2, 4),
    quorum_higher=("quorum", 4, 2),
)
def max_length(s: Stage, given: tuple[str, int, int]) -> None:
    kind, of_policy, of_queue = given
    a = confirming(s)
    s.set_policy({"max-length": of_policy})
    show_kept(a, queue_of(s, a, kind, x_max_length=of_queue))


@cases(
    classic_lower=("classic", 4, 8),
    classic_higher=("classic", 8, 4),
    quorum_lower=("quorum", 4, 8),
    quorum_higher=("quorum", 8, 4),
)
def max_length_bytes(s: Stage, given: tuple[str, int, int]) -> None:
    """Each message has two bytes."""
    kind, of_policy, of_queue = given
    a = confirming(s)
    s.set_policy({"max-length-bytes": of_policy})
    show_kept(a, queue_of(s, a, kind, x_max_length_bytes=of_queue))


@cases(
    classic_lower=("classic", SHORT_MS, LONG_MS),
    classic_higher=("classic", LONG_MS, SHORT_MS),
    quorum_lower=("quorum", SHORT_MS, LONG_MS),
    quorum_higher=("quorum", LONG_MS, SHORT_MS),
)
def message_ttl(s: Stage, given: tuple[str, int, int]) -> None:
    kind, of_policy, of_queue = given
    a = confirming(s)
    s.set_policy({"message-ttl": of_policy})
    q = queue_of(s, a, kind, x_message_ttl=of_queue)
    a.publish("m1", to=q)
    a.confirms()
    s.wait(300)
    s.drain(a, q)


@cases(lower=(SHORT_MS, LONG_MS), higher=(LONG_MS, SHORT_MS))
def expires(s: Stage, given: tuple[int, int]) -> None:
    of_policy, of_queue = given
    a = s.channel()
    s.set_policy({"expires": of_policy})
    q = queue_of(s, a, "classic", x_expires=of_queue)
    s.wait(300)
    a.call("queue.declare", queue=q, passive=True)


@cases(lower=(SHORT_MS, LONG_MS), higher=(LONG_MS, SHORT_MS))
def expires_of_a_quorum_queue(s: Stage, given: tuple[int, int]) -> None:
    """3.10 takes the policy's, 4.0 the lower."""
    of_policy, of_queue = given
    a = s.channel()
    s.set_policy({"expires": of_policy})
    q = queue_of(s, a, "quorum", x_expires=of_queue)
    s.wait(QUORUM_TICKS_MS)
    a.call("queue.declare", queue=q, passive=True)


@cases(
    rejecting_policy=("reject-publish", "drop-head"),
    dropping_policy=("drop-head", "reject-publish"),
    dead_lettering_policy=("reject-publish-dlx", "reject-publish"),
    rejecting_policy_alone=("reject-publish", None),
)
def overflow(s: Stage, given: tuple[str, str | None]) -> None:
    of_policy, of_queue = given
    a = confirming(s)
    x, dead = grave(s, a, "dead")
    s.set_policy({"overflow": of_policy, "max-length": 2, "dead-letter-exchange": x}, on=s.pattern("q"))
    q = queue_of(s, a, "classic", **({} if of_queue is None else {"x_overflow": of_queue}))
    for number in range(1, 5):
        a.publish(f"m{number}", to=q)
        a.confirms()
    s.drain(a, q, dead)


@cases(rejecting_policy=("reject-publish", "drop-head"), dropping_policy=("drop-head", "reject-publish"))
def overflow_of_a_quorum_queue(s: Stage, given: tuple[str, str]) -> None:
    """The policy's counts. A full queue tells its publishers a little late: so they go on for a while."""
    of_policy, of_queue = given
    a = confirming(s)
    s.set_policy({"overflow": of_policy, "max-length": 2}, on=s.pattern("q"))
    q = queue_of(s, a, "quorum", x_overflow=of_queue)
    a.publish("m1", to=q)
    a.publish("m2", to=q)
    a.confirms()
    a.is_quiet = True
    for _ in range(4):
        a.publish("too many", to=q)
        a.confirms()
        s.pace.pass_s(0.05)
    a.is_quiet = False
    reply = a.call_unseen("basic.get", queue=q, no_ack=True)
    a.note(f"the first is {'m1' if reply and reply.content and reply.content.body == b'm1' else 'gone'}")


@cases(
    both=("policy", "argument"),
    policy_alone=("policy", None),
    argument_alone=(None, "argument"),
)
def dead_letter_exchange(s: Stage, given: tuple[str | None, str | None]) -> None:
    for kind in ("classic", "quorum"):
        a = confirming(s)
        exchanges, graves = zip(*(grave(s, a, f"{label}.{kind}") for label in ("policy", "argument")), strict=True)
        definition = {"max-length": 5} | ({"dead-letter-exchange": exchanges[0]} if given[0] else {})
        s.set_policy(definition, on=s.pattern("q"))
        q = queue_of(s, a, kind, **({"x_dead_letter_exchange": exchanges[1]} if given[1] else {}))
        reject_one(a, q)
        a.settle(q, ready=0)
        s.wait(100)
        s.drain(a, *graves)
        a.call_unseen("queue.delete", queue=q)


@cases(
    both=({"dead-letter-routing-key": "policy"}, {"x_dead_letter_routing_key": "argument"}),
    policy_alone=({"dead-letter-routing-key": "policy"}, {}),
    argument_alone=({}, {"x_dead_letter_routing_key": "argument"}),
)
def dead_letter_routing_key(s: Stage, given: tuple[dict[str, object], dict[str, str]]) -> None:
    """The exchange is the policy's or the argument's, the key the other's."""
    of_policy, of_queue = given
    for kind in ("classic", "quorum"):
        for exchange_by_policy in (True, False):
            a = confirming(s)
            x, dead = grave(s, a, f"{kind}.{exchange_by_policy:d}")
            exchange: dict[str, object] = {"dead-letter-exchange": x} if exchange_by_policy else {}
            s.set_policy({"max-length": 5} | of_policy | exchange, on=s.pattern("q"))
            q = queue_of(s, a, kind, **of_queue, **({} if exchange_by_policy else {"x_dead_letter_exchange": x}))
            reject_one(a, q)
            a.settle(dead, ready=1)
            s.drain(a, dead)
            a.call_unseen("queue.delete", queue=q)


@scenario
def a_dead_letter_routing_key_without_an_exchange(s: Stage) -> None:
    for kind in ("classic", "quorum"):
        a = confirming(s)
        dead = s.declared_queue(a, f"dead.{kind}")
        s.set_policy({"dead-letter-routing-key": dead}, on=s.pattern("q"))
        q = queue_of(s, a, kind)
        reject_one(a, q)
        a.settle(q, ready=0)
        s.wait(100)
        s.drain(a, dead)
        a.call_unseen("queue.delete", queue=q)


@cases(
    lower=(1, 3),
    higher=(3, 1),
    policy_alone=(1, None),
    argument_alone=(None, 1),
    negative_argument_alone=(None, -1),
    none_by_policy=(-1, 1),
    none_by_argument=(1, -1),
    zero=(0, 3),
)
def delivery_limit(s: Stage, given: tuple[int | None, int | None]) -> None:
    """3.10 refuses negative limits, 4.0 takes them for none."""
    of_policy, of_queue = given
    a = confirming(s)
    if of_policy is not None:
        s.set_policy({"delivery-limit": of_policy})
    q = s.queue()
    arguments = {"x-queue-type": "quorum"} | ({} if of_queue is None else {"x-delivery-limit": of_queue})
    a.call("queue.declare", queue=q, durable=True, arguments=arguments)
    if not a.is_open:
        return
    a.publish("m1", to=q)
    a.confirms()
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    for _ in range(5):
        s.wait(50)
        a.barrier()
        if a.handed_out:
            a.send("basic.reject", delivery_tag=a.handed_out.pop()["delivery_tag"], requeue=True)
    s.wait(50)
    a.barrier()


@cases(both=("policy", "argument"), policy_alone=("policy", None), argument_alone=(None, "argument"))
def alternate_exchange(s: Stage, given: tuple[str | None, str | None]) -> None:
    a = confirming(s)
    alternates, sinks = zip(*(grave(s, a, label) for label in ("policy", "argument")), strict=True)
    if given[0]:
        s.set_policy({"alternate-exchange": alternates[0]}, on=s.pattern("x"))
    arguments = {"alternate-exchange": alternates[1]} if given[1] else {}
    x = s.declared_exchange(a, "direct", arguments=arguments)
    a.publish("lost", exchange=x, to="nowhere", mandatory=True)
    a.confirms()
    s.drain(a, *sinks)
