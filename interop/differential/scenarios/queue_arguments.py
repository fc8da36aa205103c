"""Arguments of queue.declare that belong to one type of queue, or that ask for nothing that a client could see."""

from __future__ import annotations

from typing import Any

from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed

STREAM = {"x-queue-type": "stream"}


def declare(s: Stage, arguments: Any, **fields: Any) -> None:
    s.channel().call("queue.declare", queue=s.queue(), arguments=arguments, **fields)


@cases(
    default="default", lazy="lazy", other="foo", capitals="Lazy", empty="", number=1, true=True, void=None,
    octets=b"lazy",
)  # fmt: skip
def queue_mode(s: Stage, value: Any) -> None:
    declare(s, {"x-queue-mode": value})


@cases(
    one=1, two=2, three=3, zero=0, negative=-1, long=Typed("l", 2), digits="2", true=True, double=2.0, void=None,
    octets=b"2", large=2**40,
)  # fmt: skip
def queue_version(s: Stage, value: Any) -> None:
    declare(s, {"x-queue-version": value})


@cases(
    client_local="client-local", min_masters="min-masters", random="random", other="foo", number=1
)  # fmt: skip
def master_locator(s: Stage, value: Any) -> None:
    declare(s, {"x-queue-master-locator": value})


@cases(
    client_local="client-local", balanced="balanced", random="random", least_leaders="least-leaders", other="foo",
    number=1,
)  # fmt: skip
def leader_locator_of_a_classic_queue(s: Stage, value: Any) -> None:
    declare(s, {"x-queue-leader-locator": value})


@cases(
    classic="classic", capitals="Classic", module="rabbit_classic_queue", empty="", octets=b"classic", true=True,
    void=None, table={"a": 1}, array=["classic"], with_space="classic ", default="default",
)  # fmt: skip
def queue_type(s: Stage, value: Any) -> None:
    declare(s, {"x-queue-type": value})


@cases(
    delivery_limit=("x-delivery-limit", 5), initial_group_size=("x-quorum-initial-group-size", 1),
    dead_letter_strategy=("x-dead-letter-strategy", "at-most-once"), max_age=("x-max-age", "1D"),
    segment_size=("x-stream-max-segment-size-bytes", 1000), initial_cluster_size=("x-initial-cluster-size", 1),
    max_in_memory_length=("x-max-in-memory-length", 5), max_in_memory_bytes=("x-max-in-memory-bytes", 5),
    filter_size=("x-stream-filter-size-bytes", 16), consumer_timeout=("x-consumer-timeout", 60_000),
    target_group_size=("x-quorum-target-group-size", 3), ha_policy=("x-ha-policy", "all"),
    wrong_value_too=("x-delivery-limit", "abc"),
    void=("x-delivery-limit", None), priority=("x-priority", 5), offset=("x-stream-offset", "first"),
    upper_case=("X-Message-TTL", "abc"), deduplication=("x-message-deduplication", True),
)  # fmt: skip
def arguments_a_classic_queue_does_not_know(s: Stage, argument: tuple[str, Any]) -> None:
    declare(s, dict([argument]))


@cases(
    ttl_then_expires=[("x-message-ttl", -1), ("x-expires", 0)],
    expires_then_ttl=[("x-expires", 0), ("x-message-ttl", -1)],
    priority_then_length=[("x-max-priority", 256), ("x-max-length", -1)],
    dead_letter_key_then_ttl=[("x-dead-letter-routing-key", "k"), ("x-message-ttl", -1)],
    exchange_and_ttl=[("x-dead-letter-exchange", 5), ("x-message-ttl", -1)],
    exchange_and_key=[("x-dead-letter-exchange", 5), ("x-dead-letter-routing-key", 5)],
    unknown_to_the_type_and_ttl=[("x-message-ttl", -1), ("x-delivery-limit", 5)],
    two_unknown_to_the_type=[("x-max-age", "1D"), ("x-delivery-limit", 5)],
    two_unknown_in_the_other_order=[("x-delivery-limit", 5), ("x-max-age", "1D")],
    type_and_ttl=[("x-queue-type", "foo"), ("x-message-ttl", -1)],
    type_and_type=[("x-queue-type", "classic"), ("x-queue-type", "quorum")],
    the_same_twice=[("x-message-ttl", 5000), ("x-message-ttl", -1)],
    overflow_and_mode=[("x-overflow", "foo"), ("x-queue-mode", "foo")],
    single_and_locator=[("x-single-active-consumer", 1), ("x-queue-master-locator", "foo")],
)
def which_of_several_refusals_is_told(s: Stage, arguments: list[tuple[str, Any]]) -> None:
    declare(s, arguments)


@scenario
def a_refused_queue_does_not_exist(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.queue()
    a.call("queue.declare", queue=q, arguments={"x-message-ttl": -1})
    b.call("queue.declare", queue=q, passive=True)


@scenario
def a_refused_server_named_queue(s: Stage) -> None:
    s.channel().call("queue.declare", queue="", exclusive=True, arguments={"x-message-ttl": -1})


@scenario
def a_refused_queue_without_waiting(s: Stage) -> None:
    a = s.channel()
    a.call("queue.declare", queue=s.queue(), nowait=True, arguments={"x-message-ttl": -1})
    a.expect("channel.close")


@scenario
def passive_declare_ignores_bad_arguments(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("queue.declare", queue=q, passive=True, arguments={"x-message-ttl": -1, "x-queue-type": "foo"})


@cases(
    bad_value={"x-message-ttl": "abc"},
    bad_exchange={"x-dead-letter-exchange": 5},
    key_without_exchange={"x-dead-letter-routing-key": "k"},
    not_of_this_type={"x-delivery-limit": 5},
    bad_type={"x-queue-type": "foo"},
    bad_mode={"x-queue-mode": "foo"},
)
def redeclare_with_arguments_that_would_be_refused(s: Stage, arguments: dict[str, Any]) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("queue.declare", queue=q, arguments=arguments)


@scenario
def redeclare_with_another_durability_and_bad_arguments(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.call("queue.declare", queue=q, durable=True, arguments={"x-message-ttl": -1})


@cases(
    mode_equal=({"x-queue-mode": "lazy"}, {"x-queue-mode": "lazy"}),
    mode_other=({"x-queue-mode": "lazy"}, {"x-queue-mode": "default"}),
    mode_none=({"x-queue-mode": "lazy"}, {}),
    mode_new=({}, {"x-queue-mode": "lazy"}),
    mode_new_default=({}, {"x-queue-mode": "default"}),
    version_equal=({"x-queue-version": 2}, {"x-queue-version": Typed("l", 2)}),
    version_other=({"x-queue-version": 1}, {"x-queue-version": 2}),
    version_none=({"x-queue-version": 2}, {}),
    version_new=({}, {"x-queue-version": 2}),
    locator_other=({"x-queue-master-locator": "min-masters"}, {"x-queue-master-locator": "random"}),
    locator_new=({}, {"x-queue-master-locator": "random"}),
    leader_locator_new=({}, {"x-queue-leader-locator": "balanced"}),
    type_none=({"x-queue-type": "classic"}, {}),
    type_new=({}, {"x-queue-type": "classic"}),
    type_stream=({}, {"x-queue-type": "stream"}),
    unknown_other=({"x-foo": 1}, {"x-foo": 2}),
    two_differences=({"x-message-ttl": 1000, "x-expires": 60_000}, {"x-message-ttl": 2000, "x-expires": 50_000}),
    two_new=({}, {"x-max-length": 5, "x-expires": 60_000}),
)
def redeclare_with_other_arguments(s: Stage, arguments: tuple[dict[str, Any], dict[str, Any]]) -> None:
    before, after = arguments
    a = s.channel()
    q = s.declared_queue(a, arguments=before)
    a.call("queue.declare", queue=q, arguments=after)


@cases(
    durable={"durable": True},
    transient={},
    exclusive={"durable": True, "exclusive": True},
    auto_delete={"durable": True, "auto_delete": True},
)
def declaring_a_stream(s: Stage, fields: dict[str, Any]) -> None:
    declare(s, STREAM, **fields)


@scenario
def a_stream_needs_a_name(s: Stage) -> None:
    s.channel().call("queue.declare", queue="", durable=True, arguments=STREAM)


@cases(
    ttl={"x-message-ttl": 1000},
    priority={"x-max-priority": 5},
    dead_letter={"x-dead-letter-exchange": ""},
    delivery_limit={"x-delivery-limit": 5},
    single={"x-single-active-consumer": True},
)
def arguments_a_stream_does_not_know(s: Stage, arguments: dict[str, Any]) -> None:
    declare(s, STREAM | arguments, durable=True)
