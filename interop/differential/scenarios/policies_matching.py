"""Which policy counts for which queue and exchange [rabbitmq.com/docs/policies].

What counts is told by how many of six messages a queue keeps. Policies of equal priority are not here: which of them
counts is up to chance.
"""

from __future__ import annotations

import re
from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.scenarios.quorum import QUORUM

KINDS: dict[str, dict[str, Any]] = {
    "classic": {"arguments": {}},
    "quorum": {"durable": True, "arguments": QUORUM},
}


def confirming(s: Stage) -> Channel:
    channel = s.channel()
    channel.call_unseen("confirm.select")
    return channel


def queue_of(s: Stage, a: Channel, kind: str, label: str = "q", **arguments: Any) -> str:
    """Declare a queue of this kind, unseen; underscores stand for dashes."""
    given = {key.replace("_", "-"): value for key, value in arguments.items()}
    fields = KINDS[kind] | {"arguments": KINDS[kind]["arguments"] | given}
    return s.declared_queue(a, label, **fields)


def show_kept(a: Channel, queue: str) -> None:
    """Publish six messages, and show how many of them stay."""
    for number in range(1, 7):
        a.publish(f"m{number}", to=queue)
    a.confirms()
    a.call("queue.declare", queue=queue, passive=True)
    a.call_unseen("queue.purge", queue=queue)


@cases(classic="classic", quorum="quorum")
def a_policy_limits_queues_that_are_there_and_new_ones(s: Stage, kind: str) -> None:
    a = confirming(s)
    old = queue_of(s, a, kind, "old")
    s.set_policy({"max-length": 2})
    new = queue_of(s, a, kind, "new")
    show_kept(a, old)
    show_kept(a, new)
    s.clear_policy()
    show_kept(a, old)
    show_kept(a, new)


@cases(
    middle="o.*",
    beginning="^f.*",
    not_the_beginning="^o.*",
    end="o",
    empty=".*",
    alternatives="(?:^x|o+)",
    capitals="FOO",
    ignoring_case="(?i)FOO",
    dots="^...",
    too_few_dots="^..",
    posix_class="^[[:alpha:]]{3}",
    quoted=r"^\Qfoo\E",
    named="^(?<name>f)oo",
    possessive="^fo++",
)
def how_patterns_match(s: Stage, pattern: str) -> None:
    """Each is tried on `foo`; what follows is the scenario's own name, so that it matches nothing else."""
    a = confirming(s)
    q = s.declared_queue(a, "foo")
    s.set_policy({"max-length": 2}, on=pattern + re.escape(q.removeprefix("foo")) + "$")
    show_kept(a, q)


@scenario
def a_dot_is_an_octet(s: Stage) -> None:
    a = confirming(s)
    narrow, wide = s.declared_queue(a, "o"), s.declared_queue(a, "ö")
    s.set_policy({"max-length": 2}, on=s.pattern("."))
    show_kept(a, narrow)
    show_kept(a, wide)


@cases(
    above={"a": 1, "b": 2, "c": 0},
    negative={"a": -2, "b": -1, "c": -3},
    between={"a": 1.5, "b": 1, "c": 1.25},
)
def the_highest_priority_counts(s: Stage, priorities: dict[str, float]) -> None:
    a = confirming(s)
    q = s.declared_queue(a)
    for limit, (name, priority) in enumerate(priorities.items(), 1):
        s.set_policy({"max-length": limit}, name=name, priority=priority)
    show_kept(a, q)
    for name in sorted(priorities, key=lambda name: -priorities[name]):
        s.clear_policy(name)
        show_kept(a, q)


@scenario
def a_policy_hides_all_of_another_one(s: Stage) -> None:
    a = confirming(s)
    q = s.declared_queue(a)
    s.set_policy({"max-length": 2}, name="low")
    s.set_policy({"message-ttl": 60_000}, name="high", priority=1)
    show_kept(a, q)


@scenario
def an_operator_policy_counts_beside_a_policy(s: Stage) -> None:
    a = confirming(s)
    q = s.declared_queue(a)
    s.set_policy({"overflow": "reject-publish"})
    s.set_policy({"max-length": 2}, operators=True)
    show_kept(a, q)
    s.clear_policy(operators=True)
    show_kept(a, q)


@cases(lower=(4, 2), higher=(2, 4), same=(3, 3), zero=(2, 0))
def the_lower_of_an_operators_and_another_limit(s: Stage, limits: tuple[int, int]) -> None:
    a = confirming(s)
    q = s.declared_queue(a)
    s.set_policy({"max-length": limits[0]})
    s.set_policy({"max-length": limits[1]}, operators=True)
    show_kept(a, q)
    s.clear_policy()
    show_kept(a, q)


@scenario
def one_operator_policy_counts(s: Stage) -> None:
    a = confirming(s)
    q = s.declared_queue(a)
    s.set_policy({"max-length": 2}, name="low", operators=True)
    s.set_policy({"max-length": 4}, name="high", priority=1, operators=True)
    s.set_policy({"max-length": 3}, name="higher than both", priority=2)
    show_kept(a, q)
    s.clear_policy("high", operators=True)
    show_kept(a, q)


@scenario
def an_operators_overflow(s: Stage) -> None:
    """Only 4.0 lets operators say it."""
    a = confirming(s)
    q = s.declared_queue(a)
    s.set_policy({"max-length": 2, "overflow": "reject-publish"})
    s.set_policy({"overflow": "drop-head"}, operators=True)
    for number in range(1, 5):
        a.publish(f"m{number}", to=q)
    a.confirms()
    s.drain(a, q)


@cases(
    all="all",
    queues="queues",
    exchanges="exchanges",
    classic_queues="classic_queues",
    quorum_queues="quorum_queues",
    streams="streams",
    nonsense="nonsense",
)
def what_a_policy_applies_to(s: Stage, apply_to: str) -> None:
    a = confirming(s)
    x, lost = s.declared_exchange(a, "direct", "x"), s.declared_exchange(a, "fanout", "lost")
    sink = s.bound_queue(a, lost, label="sink")
    queues = [queue_of(s, a, kind, kind) for kind in KINDS]
    s.set_policy({"max-length": 2, "alternate-exchange": lost}, on=s.pattern("x", *KINDS), apply_to=apply_to)
    for queue in queues:
        show_kept(a, queue)
    a.publish("lost", exchange=x)
    a.confirms()
    s.drain(a, sink)


@cases(
    delivery_limit={"delivery-limit": 5},
    dead_letter_strategy={"dead-letter-strategy": "at-most-once"},
    queue_mode={"queue-mode": "lazy"},
    queue_version={"queue-version": 2},
    in_memory_length={"max-in-memory-length": 50},
    leader_locator={"queue-leader-locator": "client-local"},
    master_locator={"queue-master-locator": "client-local"},
    max_age={"max-age": "1h"},
    cluster_size={"initial-cluster-size": 1},
    segment_size={"stream-max-segment-size-bytes": 1_000_000},
    filter_size={"stream-filter-size-bytes": 16},
    group_size={"target-group-size": 1},
    consumer_timeout={"consumer-timeout": 3_600_000},
    alternate_exchange={"alternate-exchange": "nowhere"},
    max_length_bytes={"max-length-bytes": 1_000_000},
    expires={"expires": 3_600_000},
    overflow={"overflow": "drop-head"},
    dead_letter_exchange={"dead-letter-exchange": "nowhere"},
)
def a_setting_that_a_type_does_not_have(s: Stage, setting: dict[str, object]) -> None:
    """A policy with one does not count for queues of the type, and leaves them to the next one."""
    a = confirming(s)
    queues = [queue_of(s, a, kind, kind) for kind in KINDS]
    s.set_policy({"max-length": 4}, name="low")
    s.set_policy({"max-length": 2} | setting, name="high", priority=1)
    for queue in queues:
        show_kept(a, queue)


@scenario
def an_operator_policy_with_a_setting_that_the_type_does_not_have(s: Stage) -> None:
    a = confirming(s)
    queues = [queue_of(s, a, kind, kind) for kind in KINDS]
    s.set_policy({"max-length": 4}, name="low", operators=True)
    s.set_policy({"max-length": 2, "delivery-limit": 5}, name="high", priority=1, operators=True)
    for queue in queues:
        show_kept(a, queue)


@cases(exclusive={"exclusive": True}, auto_delete={"auto_delete": True}, durable={"durable": True})
def queues_of_all_kinds(s: Stage, fields: dict[str, Any]) -> None:
    a = confirming(s)
    s.set_policy({"max-length": 2})
    show_kept(a, s.declared_queue(a, **fields))


@scenario
def a_queue_that_the_server_named(s: Stage) -> None:
    a = confirming(s)
    reply = a.call("queue.declare", exclusive=True)
    assert reply is not None
    s.set_policy({"max-length": 2}, on=f"^{reply['queue']}$")
    show_kept(a, str(reply["queue"]))


@scenario
def a_policy_that_does_not_match_any_more(s: Stage) -> None:
    a = confirming(s)
    q = s.declared_queue(a)
    s.set_policy({"max-length": 2})
    show_kept(a, q)
    s.set_policy({"max-length": 2}, on=s.pattern("other"))
    show_kept(a, q)
    s.set_policy({"max-length": 2}, apply_to="exchanges")
    show_kept(a, q)
    s.set_policy({"max-length": 2}, apply_to="queues")
    show_kept(a, q)


@scenario
def another_policy_takes_over(s: Stage) -> None:
    a = confirming(s)
    q = s.declared_queue(a)
    s.set_policy({"max-length": 2}, name="one")
    s.set_policy({"max-length": 3}, name="two", priority=1)
    show_kept(a, q)
    s.set_policy({"max-length": 2}, name="one", priority=2)
    show_kept(a, q)
    s.set_policy({"max-length": 4}, name="one", priority=2)
    show_kept(a, q)


@cases(classic="classic", quorum="quorum")
def declaring_again_compares_arguments_alone(s: Stage, kind: str) -> None:
    s.set_policy({"max-length": 2, "message-ttl": 60_000, "dead-letter-exchange": "", "overflow": "reject-publish"})
    a = s.channel()
    q = queue_of(s, a, kind)
    for more in ({}, {"x-max-length": 2}, {"x-dead-letter-exchange": ""}):
        fields = KINDS[kind] | {"arguments": KINDS[kind]["arguments"] | more}
        s.channel().call("queue.declare", queue=q, **fields)
