"""Policies: which one counts, what is refused, and what they do to queues and exchanges that are there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.core.arguments import Argument, arguments
from amqpy_broker.core.events import Detail
from amqpy_broker.core.limits import DEATHS_AT_ONCE_MAX
from amqpy_broker.core.policies import Policy, PolicyRefused, check_policy
from amqpy_broker.core.profile import PROFILES, profile_named
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.vhost import VirtualHost
from tests.core.durable import Durable, fill
from tests.fakes import (
    FakeConsumer,
    FakeMessage,
    ManualClock,
    a_vhost,
    an_actor,
    declare_queue,
    drained,
    filled,
    routed,
)

ANY = ""


def a_policy(name: str = "p", pattern: str = ANY, priority: float = 0, apply_to: str = "all", **sets: object) -> Policy:
    """A policy; in names of what it sets an underscore stands for a hyphen."""
    return Policy(name, pattern, {key.replace("_", "-"): value for key, value in sets.items()}, priority, apply_to)


def refusal(policy: Policy, profile: str = "4.0", *, operators: bool = False) -> str:
    with pytest.raises(PolicyRefused) as caught:
        check_policy(policy, profile_named(profile), operators=operators)
    return str(caught.value)


def what_counts(vhost: VirtualHost, name: str = "q", queue_type: str = "classic") -> str | None:
    policy = vhost.policies.of_queue(name, queue_type).policy
    return None if policy is None else policy.name


# Which one counts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("^orders", "orders.new", True),
        ("ders", "orders.new", True),
        ("", "orders.new", True),
        ("^new", "orders.new", False),
        ("", "", True),
        # A name is octets: this one has two.
        ("^.$", "ü", False),
        ("^..$", "ü", True),
        ("^ü$", "ü", True),
    ],
)
def test_a_pattern_may_match_anywhere_in_a_name(pattern: str, name: str, matches: bool) -> None:
    policy = a_policy(pattern=pattern, max_length=1)
    assert policy.is_for_queue(name, "classic") is matches
    assert policy.is_for_exchange(name) is matches


@pytest.mark.parametrize(
    ("apply_to", "kinds"),
    [
        ("all", "classic quorum exchange"),
        ("queues", "classic quorum"),
        ("classic_queues", "classic"),
        ("quorum_queues", "quorum"),
        ("streams", ""),
        ("exchanges", "exchange"),
    ],
)
def test_a_policy_says_what_it_applies_to(apply_to: str, kinds: str) -> None:
    policy = a_policy(apply_to=apply_to, max_length=1)
    found = [kind for kind in ("classic", "quorum") if policy.is_for_queue("q", kind)]
    found += ["exchange"] if policy.is_for_exchange("x") else []
    assert " ".join(found) == kinds


def test_the_highest_priority_counts_alone_and_of_equals_the_first_by_name() -> None:
    vhost = a_vhost()
    queue = vhost.create_queue("q", durable=True)
    for policy in (
        a_policy("low", priority=-1, message_ttl=5),
        a_policy("b", priority=1.5, max_length=2),
        a_policy("a", priority=1.5, max_length=1),
        a_policy("other", "^x", priority=9, max_length=0),
    ):
        vhost.policies.set(policy)
    assert what_counts(vhost) == "a"
    assert (queue.settings.max_length, queue.settings.message_ttl_ms) == (1, None)
    vhost.policies.clear("a")
    assert queue.settings.max_length == 2
    vhost.policies.clear("b")
    assert (queue.settings.max_length, queue.settings.message_ttl_ms) == (None, 5)


def test_a_policy_with_a_setting_that_a_type_does_not_have_is_not_for_that_type() -> None:
    vhost = a_vhost()
    vhost.policies.set(a_policy("quorum", priority=1, max_length=5, delivery_limit=3))
    vhost.policies.set(a_policy("both", max_length=9))
    assert (what_counts(vhost), what_counts(vhost, queue_type="quorum")) == ("both", "quorum")


def test_of_a_policy_and_an_operator_policy_the_lower_limit_counts_and_else_what_the_operator_says() -> None:
    vhost = a_vhost()
    queue = vhost.create_queue("q", durable=True)
    vhost.policies.set(a_policy(max_length=5, message_ttl=100, overflow="reject-publish", dead_letter_exchange="dlx"))
    vhost.policies.set_operator(a_policy(max_length=9, message_ttl=50, expires=7, overflow="drop-head"))
    settings = queue.settings
    assert (settings.max_length, settings.message_ttl_ms, settings.expires_ms) == (5, 50, 7)
    assert (settings.overflow.value, settings.dead_letter_exchange) == ("drop-head", "dlx")
    vhost.policies.clear_operator("p")
    assert (queue.settings.message_ttl_ms, queue.settings.overflow.value) == (100, "reject-publish")


@pytest.mark.parametrize(("user", "operator", "counts"), [(5, 3, 3), (3, 5, 3), (-1, 3, 3), (3, -1, 3), (-1, -2, -1)])
def test_a_negative_delivery_limit_is_none(user: int, operator: int, counts: int) -> None:
    vhost = a_vhost()
    queue = vhost.create_queue("q", durable=True, arguments=arguments({"x-queue-type": "quorum"}))
    vhost.policies.set(a_policy(delivery_limit=user))
    vhost.policies.set_operator(a_policy(delivery_limit=operator))
    assert queue.settings.delivery_limit == counts


# An argument and a policy ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["message-ttl", "expires", "max-length", "max-length-bytes"])
@pytest.mark.parametrize(("asked", "policy", "counts"), [(5, 3, 3), (3, 5, 3), (None, 3, 3), (3, None, 3)])
def test_of_a_limit_the_lower_one_counts(key: str, asked: int | None, policy: int | None, counts: int) -> None:
    vhost = a_vhost()
    vhost.policies.set(Policy("p", ANY, {"dead-letter-exchange": "x"} if policy is None else {key: policy}))
    table = {} if asked is None else arguments({f"x-{key}": asked})
    settings = vhost.create_queue("q", durable=True, arguments=table).settings
    found = (settings.message_ttl_ms, settings.expires_ms, settings.max_length, settings.max_length_bytes)
    assert [limit for limit in found if limit is not None] == [counts]


def test_of_everything_else_the_argument_counts_each_for_itself() -> None:
    vhost = a_vhost()
    vhost.policies.set(a_policy(dead_letter_exchange="its", dead_letter_routing_key="key", overflow="reject-publish"))
    asked = {"x-dead-letter-exchange": "mine", "x-overflow": "drop-head"}
    settings = vhost.create_queue("q", durable=True, arguments=arguments(asked)).settings
    assert (settings.dead_letter_exchange, settings.dead_letter_routing_key) == ("mine", "key")
    assert settings.overflow.value == "drop-head"


@pytest.mark.parametrize(("profile", "expires_ms"), [("3.10", 9), ("4.0", 5)])
def test_quorum_queues_differ(profile: str, expires_ms: int) -> None:
    vhost = a_vhost(profile)
    vhost.policies.set(a_policy(expires=9, overflow="reject-publish"))
    asked = {"x-queue-type": "quorum", "x-expires": 5, "x-overflow": "drop-head"}
    settings = vhost.create_queue("q", durable=True, arguments=arguments(asked)).settings
    assert (settings.expires_ms, settings.overflow.value) == (expires_ms, "reject-publish")


def test_a_policy_does_not_hinder_declaring_again() -> None:
    vhost, actor = a_vhost(), an_actor()
    queue = declare_queue(vhost, actor, "q")
    vhost.policies.set(a_policy(max_length=1))
    assert declare_queue(vhost, actor, "q") is queue


# Changes under messages -----------------------------------------------------------------------------------------------


def test_what_is_too_much_goes_at_once_to_where_the_policy_says() -> None:
    vhost = a_vhost()
    dead = vhost.create_queue("dead", durable=True)
    queue = filled(vhost.create_queue("q", durable=True), "1", "2", "3")
    vhost.policies.set(a_policy(pattern="^q$", max_length=1, dead_letter_exchange="", dead_letter_routing_key="dead"))
    vhost.timers.handle_deadline()
    assert (drained(queue), drained(dead)) == (["3"], ["1", "2"])


@pytest.mark.parametrize(("kind", "kept"), [("classic", ["3"]), ("quorum", ["1", "2", "3"])])
def test_a_limit_that_comes_with_rejecting_still_drops_from_a_classic_queue_that_dropped(
    kind: str, kept: list[str]
) -> None:
    vhost = a_vhost()
    queue = vhost.create_queue("q", durable=True, arguments=arguments({"x-queue-type": kind}))
    filled(queue, "1", "2", "3")
    vhost.policies.set(a_policy(max_length=1, overflow="reject-publish"))
    assert queue.enqueue(FakeMessage("too many")) is False
    assert drained(queue) == kept


@pytest.mark.parametrize(("kind", "dead"), [("classic", ["1", "2"]), ("quorum", ["2", "1"])])
def test_a_quorum_queue_tells_of_the_youngest_first_that_a_limit_drops(kind: str, dead: list[str]) -> None:
    vhost = a_vhost()
    grave = vhost.create_queue("dead", durable=True)
    queue = vhost.create_queue("q", durable=True, arguments=arguments({"x-queue-type": kind}))
    filled(queue, "1", "2", "3")
    vhost.policies.set(a_policy(pattern="^q$", max_length=1, dead_letter_exchange="", dead_letter_routing_key="dead"))
    vhost.timers.handle_deadline()
    assert drained(grave) == dead


def test_a_lower_limit_drops_nothing_from_a_queue_that_rejected_before() -> None:
    vhost = a_vhost()
    queue = vhost.create_queue("q", durable=True)
    vhost.policies.set(a_policy(max_length=3, overflow="reject-publish"))
    filled(queue, "1", "2", "3")
    vhost.policies.set(a_policy(max_length=1, overflow="reject-publish"))
    assert drained(queue) == ["1", "2", "3"]


def test_bodies_that_were_there_before_the_limit_are_counted() -> None:
    vhost = a_vhost()
    queue = filled(vhost.create_queue("q", durable=True), "aa", "bb", "cc")
    vhost.policies.set(a_policy(max_length_bytes=5))
    assert queue.ready_count == 2
    queue.enqueue(FakeMessage("d"))
    assert drained(queue) == ["bb", "cc", "d"]


def test_what_died_under_a_policy_goes_where_that_said_even_if_it_is_cleared_before_its_turn() -> None:
    """One dead letter drives out so many that some of their letters are sent later."""
    clock = ManualClock()
    vhost = a_vhost(clock=clock)
    dead, full = (vhost.create_queue(name, durable=True) for name in ("dead", "full"))
    to_full = {"x-max-length": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "full"}
    door = vhost.create_queue("door", durable=True, arguments=arguments(to_full))
    sets = {"max-length-bytes": 10_000, "dead-letter-exchange": "", "dead-letter-routing-key": "dead"}
    vhost.policies.set(Policy("p", "^full$", sets))
    count = DEATHS_AT_ONCE_MAX + 500
    filled(full, *("1" for _ in range(count)))
    filled(door, "x" * 10_000)
    assert 0 < dead.ready_count < count
    vhost.policies.clear("p")
    for _ in range(3):
        clock.now_s += 1
        vhost.timers.handle_deadline()
    assert (full.ready_count, dead.ready_count) == (1, count)


def test_with_the_policy_the_limit_goes() -> None:
    vhost = a_vhost()
    queue = vhost.create_queue("q", durable=True)
    vhost.policies.set(a_policy(max_length=1, max_length_bytes=1))
    filled(queue, "1", "2")
    vhost.policies.clear("p")
    filled(queue, "333", "444")
    assert drained(queue) == ["2", "333", "444"]


def test_when_a_message_expires_was_settled_when_it_came() -> None:
    clock = ManualClock()
    vhost = a_vhost(clock=clock)
    queue = filled(vhost.create_queue("q", durable=True), "lasts")
    vhost.policies.set(a_policy(message_ttl=100))
    consumer = FakeConsumer(queue, prefetch_count=1).start()
    filled(queue, "expires")
    vhost.policies.clear("p")
    filled(queue, "lasts too")
    clock.now_s += 0.2
    vhost.timers.handle_deadline()
    assert [queued.message.body for queued in consumer.unacked] == [b"lasts"]
    assert drained(queue) == ["lasts too"]


def test_a_queue_expires_from_the_change_on() -> None:
    clock = ManualClock()
    vhost = a_vhost(clock=clock)
    vhost.create_queue("q", durable=True)
    clock.now_s += 100
    vhost.policies.set(a_policy(expires=1000))
    clock.now_s += 0.9
    vhost.timers.handle_deadline()
    assert "q" in vhost.queues
    vhost.policies.set(a_policy(expires=1000, max_length=5))
    clock.now_s += 0.9
    vhost.timers.handle_deadline()
    assert "q" in vhost.queues
    vhost.policies.set(a_policy(max_length=5))
    clock.now_s += 100
    vhost.timers.handle_deadline()
    assert "q" in vhost.queues
    vhost.policies.set(a_policy(expires=1000))
    clock.now_s += 1.1
    vhost.timers.handle_deadline()
    assert "q" not in vhost.queues


def test_the_same_policy_again_changes_nothing() -> None:
    clock = ManualClock()
    vhost = a_vhost(clock=clock)
    vhost.create_queue("q", durable=True)
    vhost.policies.set(a_policy(expires=1000))
    clock.now_s += 0.9
    vhost.policies.set(a_policy(expires=1000))
    clock.now_s += 0.2
    vhost.timers.handle_deadline()
    assert "q" not in vhost.queues


def test_a_delivery_limit_counts_from_the_next_return_on() -> None:
    vhost = a_vhost()
    queue = vhost.create_queue("q", durable=True, arguments=arguments({"x-queue-type": "quorum"}))
    filled(queue, "1")
    for _ in range(3):
        queue.requeue([taken(queue)])
    vhost.policies.set(a_policy(delivery_limit=1))
    assert queue.ready_count == 1
    queue.requeue([taken(queue)])
    assert queue.ready_count == 0


def taken(queue: object) -> object:
    assert isinstance(queue, ClassicQueue)
    queued = queue.get()
    assert queued is not None
    return queued


def test_whoever_remembers_a_route_looks_again() -> None:
    vhost = a_vhost()
    before = vhost.generation
    vhost.policies.set(a_policy(max_length=1))
    assert vhost.generation > before


@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize("durable", [True, False])
def test_a_queue_under_a_policy_is_as_one_that_asked_for_it(kind: str, durable: bool) -> None:
    """Whether the policy was there first, or came later."""
    sets = {"message-ttl": 5, "max-length": 7, "overflow": "reject-publish", "dead-letter-exchange": "x", "expires": 9}
    table = arguments({"x-queue-type": kind})
    asked = arguments({f"x-{key}": value for key, value in sets.items()})
    vhost = Durable().vhost if durable else a_vhost()
    vhost.policies.set(Policy("p", "^governed", sets))
    queues = [
        vhost.create_queue("governed first", durable=True, arguments=table),
        vhost.create_queue("later", durable=True, arguments=table),
        vhost.create_queue("asked", durable=True, arguments={**table, **asked}),
    ]
    vhost.policies.set(Policy("p2", "^later", sets))
    assert queues[0].settings == queues[1].settings == queues[2].settings


# Exchanges ------------------------------------------------------------------------------------------------------------


def test_an_alternate_exchange_comes_and_goes_with_a_policy() -> None:
    vhost, actor = a_vhost(), an_actor()
    vhost.create_queue("rest", durable=True)
    vhost.bind_queue(actor, "rest", "amq.fanout", "", {})
    vhost.create_exchange("x", "direct", durable=True)
    vhost.create_exchange("mine", "direct", durable=True, arguments=arguments({"alternate-exchange": "nowhere"}))
    names = ("x", "mine", "amq.direct", "")
    vhost.policies.set(a_policy(apply_to="exchanges", alternate_exchange="amq.fanout"))
    # What was declared goes first, and the default exchange has none.
    assert [routed(vhost, name, "?") for name in names] == [["rest"], [], ["rest"], []]
    vhost.policies.clear("p")
    assert [routed(vhost, name, "?") for name in names] == [[], [], [], []]


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sets", "text"),
    [
        ({}, "no policy provided"),
        ({"message-ttl": -1}, "-1 is not a valid message TTL"),
        ({"message-ttl": "5"}, '<<"5">> is not a valid message TTL'),
        ({"message-ttl": True}, "true is not a valid message TTL"),
        ({"message-ttl": None}, "null is not a valid message TTL"),
        ({"expires": 0}, "0 is not a valid queue expiry"),
        ({"max-length": 1.5}, "1.5 is not a valid maximum length"),
        ({"max-length-bytes": [1]}, "[1] is not a valid maximum length in bytes"),
        ({"overflow": "x"}, '<<"x">> is not a valid overflow value'),
        ({"dead-letter-exchange": {"a": 1}}, '#{<<"a">> => 1} is not a valid dead letter exchange name'),
        ({"queue-version": 3}, "3 is not a valid queue-version value"),
        ({"max-priority": 5}, '[{<<"max-priority">>,5}] are not recognised policy settings'),
        ({"b": 1, "a": "x"}, '[{<<"a">>,<<"x">>},{<<"b">>,1}] are not recognised policy settings'),
        ({"zzz": 1, "max-length": -1}, "-1 is not a valid maximum length"),
    ],
)
def test_a_setting_is_refused_in_rabbitmqs_words(sets: dict[str, object], text: str) -> None:
    assert refusal(Policy("p", ANY, sets)) == text


def test_everything_that_is_wrong_is_told() -> None:
    assert refusal(Policy("p", "(", {"max-length": -1}, apply_to="things")).splitlines()[:2] == [
        "-1 is not a valid maximum length",
        "apply-to 'things' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams',"
        " 'exchanges', or 'all'",
    ]
    assert "pattern should be regular expression but is invalid: {" in refusal(a_policy(pattern="(", max_length=1))


@pytest.mark.parametrize(("profile", "ready_count"), [("3.10", 0), ("4.0", 1)])
@pytest.mark.parametrize("policy_limit", [None, 3])
def test_a_negative_delivery_limit_is_none_where_there_is_a_usual_one(
    profile: str, ready_count: int, policy_limit: int | None
) -> None:
    vhost = a_vhost(profile)
    if policy_limit is not None:
        vhost.policies.set(a_policy(delivery_limit=policy_limit))
    negative = arguments({"x-queue-type": "quorum", "x-delivery-limit": -1})
    queue = filled(vhost.create_queue("q", durable=True, arguments=negative), "1")
    queue.requeue([taken(queue)])
    assert queue.ready_count == ready_count


def test_versions_differ() -> None:
    assert refusal(a_policy(apply_to="streams", max_length=1), "3.10") == (
        "apply-to 'streams' unrecognised; should be 'queues', 'exchanges' or 'all'"
    )
    assert refusal(a_policy(delivery_limit=-1), "3.10") == "-1 is not a valid delivery limit"
    check_policy(a_policy(delivery_limit=-1), profile_named("4.0"), operators=False)
    assert "not recognised" in refusal(a_policy(ha_mode="all"), "4.0")
    check_policy(a_policy(ha_mode="all"), profile_named("3.10"), operators=False)
    assert "not recognised" in refusal(a_policy(consumer_timeout=5), "3.10")


def test_an_operator_sets_limits_and_little_else() -> None:
    assert refusal(a_policy(dead_letter_exchange="x"), operators=True) == (
        '[{<<"dead-letter-exchange">>,<<"x">>}] are not recognised policy settings'
    )
    assert "not recognised" in refusal(a_policy(overflow="drop-head"), "3.10", operators=True)
    check_policy(a_policy(overflow="drop-head", max_length=1), profile_named("4.0"), operators=True)


@given(
    sets=st.dictionaries(
        st.sampled_from(["max-length", "overflow", "expires", "ha-mode", "x", "alternate-exchange", "max-age"]),
        st.recursive(
            st.none() | st.booleans() | st.integers(-2, 3) | st.floats(allow_nan=False) | st.text(max_size=3),
            lambda values: st.lists(values, max_size=2) | st.dictionaries(st.text(max_size=2), values, max_size=2),
            max_leaves=4,
        ),
    ),
    pattern=st.text(alphabet="a.*([\\^$|?+{1,}", max_size=6),
    profile=st.sampled_from(sorted(PROFILES)),
    operators=st.booleans(),
)
def test_any_policy_is_taken_or_refused_and_does_what_it_may(
    sets: dict[str, object], pattern: str, profile: str, operators: bool
) -> None:
    vhost = a_vhost(profile)
    queue = vhost.create_queue("aa", durable=True)
    put = vhost.policies.set_operator if operators else vhost.policies.set
    try:
        put(Policy("p", pattern, sets))
    except PolicyRefused:
        assert not vhost.policies
        return
    vhost.policies.clear_operator("p") if operators else vhost.policies.clear("p")
    assert queue.settings == queue.asked


def test_clearing_what_is_not_there_is_an_error_and_changes_nothing() -> None:
    vhost = a_vhost()
    vhost.policies.set(a_policy(max_length=1))
    for clear in (vhost.policies.clear_operator, vhost.policies.clear_operator, lambda name: vhost.policies.clear("x")):
        with pytest.raises(KeyError):
            clear("p")
    assert what_counts(vhost) == "p"


def test_a_policy_does_not_change_with_what_it_was_made_of() -> None:
    vhost, sets = a_vhost(), {"max-length": 5}
    vhost.policies.set(Policy("p", ANY, sets))
    sets["max-length"] = -1
    assert vhost.create_queue("q", durable=True).settings.max_length == 5


# Restarts -------------------------------------------------------------------------------------------------------------


def stop_and_start(broker: Durable) -> None:
    broker.stop_and_start()


def crash_and_start(broker: Durable) -> None:
    broker.sync()
    broker.crash_and_start()


@pytest.mark.parametrize("restart", [stop_and_start, crash_and_start])
def test_policies_outlive_the_broker(restart: Callable[[Durable], None]) -> None:
    broker = Durable()
    policies = broker.vhost.policies
    broker.vhost.create_queue("q", durable=True)
    policies.set(a_policy("kept", "^q", 1.5, "queues", max_length=2, dead_letter_exchange="é"))
    policies.set(a_policy("changed", max_length=1))
    policies.set(a_policy("changed", "^nothing", max_length=3))
    policies.set(a_policy("gone", max_length=1))
    policies.clear("gone")
    policies.set_operator(a_policy("kept", message_ttl=1000))
    policies.set_operator(a_policy("gone", message_ttl=10))
    policies.clear_operator("gone")
    fill(broker.queue(), "1", "2", "3")
    before = [*policies.users, *policies.operators]

    restart(broker)

    after = broker.vhost.policies
    assert [*after.users, *after.operators] == before
    assert (broker.queue().settings.max_length, broker.queue().settings.message_ttl_ms) == (2, 1000)
    assert broker.queue().ready_count == 2
    fill(broker.queue(), "4")
    assert broker.queue().ready_count == 2


def test_a_time_to_live_beyond_all_clocks_is_a_long_one() -> None:
    broker = Durable()
    queue = broker.vhost.create_queue("q", durable=True)
    broker.vhost.policies.set(a_policy(message_ttl=10**30, expires=10**30))
    fill(queue, "1")
    broker.stop_and_start()
    assert drained(broker.queue()) == ["1"]


def test_a_policy_of_another_version_is_no_reason_not_to_start() -> None:
    broker = Durable("4.0")
    broker.vhost.create_queue("q", durable=True)
    broker.vhost.policies.set(a_policy(apply_to="classic_queues", consumer_timeout=5, max_length=3))
    broker.core.close()
    broker.profile = "3.10"
    broker.start()
    assert broker.queue().settings.max_length == 3


def test_policies_go_with_their_vhost() -> None:
    broker = Durable()
    broker.core.add_vhost("other").policies.set(a_policy(max_length=1))
    broker.core.vhosts["other"].policies.set_operator(a_policy(max_length=1))
    broker.core.remove_vhost("other")
    broker.stop_and_start()
    assert not broker.core.add_vhost("other").policies


def test_what_is_on_disk_only_is_counted_when_a_limit_comes() -> None:
    broker = Durable()
    vhost = broker.vhost
    queue = vhost.create_queue("q", durable=True)
    fill(queue, *["12345"] * 100)
    broker.stop_and_start()
    broker.vhost.policies.set(a_policy(max_length_bytes=52))
    assert broker.queue().ready_count == 10


# Events ---------------------------------------------------------------------------------------------------------------


def test_events_tell_of_policies_and_of_the_queues_for_which_they_count() -> None:
    vhost, heard = a_vhost(), list[tuple[str, dict[str, Detail]]]()
    for name in ("q", "other"):
        vhost.create_queue(name, durable=True)
    vhost.events.listen(lambda event, details: heard.append((event, details)))
    policy = a_policy(pattern="^q", apply_to="queues", max_length=5)
    vhost.policies.set(policy, by="op")
    vhost.policies.set(policy, by="op")
    vhost.policies.clear("p", by="op")
    vhost.policies.set_operator(policy)
    vhost.policies.clear_operator("p")
    assert [(event, details["name"]) for event, details in heard] == [
        ("queue.policy.updated", "q"),
        ("policy.set", "p"),
        ("queue.policy.cleared", "q"),
        ("policy.cleared", "p"),
        ("parameter.set", "p"),
        ("queue.policy.updated", "q"),
        ("policy.set", "p"),
        ("parameter.cleared", "p"),
        ("queue.policy.cleared", "q"),
        ("operator.policy.cleared", "p"),
    ]
    assert heard[1][1] == {
        "name": "p",
        "vhost": "/",
        "user_who_performed_action": "op",
        "pattern": Argument("longstr", "^q"),
        "apply-to": Argument("longstr", "queues"),
        "priority": Argument("long", 0),
        "definition": Argument("table", {"max-length": Argument("long", 5)}),
    }


@pytest.mark.parametrize("number", [10**20, -(10**20)])
def test_events_tell_of_numbers_beyond_all_tables(number: int) -> None:
    vhost, heard = a_vhost(), list[Detail]()
    vhost.events.listen(lambda event, details: heard.append(details["definition"]))
    vhost.policies.set(a_policy(delivery_limit=number))
    assert heard == [Argument("table", {"delivery-limit": Argument("long", (2**63 - 1) * (1 if number > 0 else -1))})]
