"""Policies that are refused, and with which words."""

from __future__ import annotations

from interop.differential.scenario import Stage, cases, scenario


def try_both(s: Stage, definition: dict[str, object]) -> None:
    """Try it as a policy and as an operator policy, on nothing that there is."""
    for operators in (False, True):
        s.set_policy(definition, operators=operators)


_VALUES: dict[str, list[object]] = {
    "message-ttl": [-1, 0, "a", 1.5, 10**20, None, True, [1], [], {"a": 1}],
    "expires": [-1, 0, 1, "1"],
    "max-length": [-1, 0, 5.0, "5"],
    "max-length-bytes": [-1, 0, "x"],
    "max-in-memory-length": [-1, 0],
    "max-in-memory-bytes": [-1, 0],
    "overflow": ["x", "", 1, "drop-head", "reject-publish", "reject-publish-dlx"],
    "dead-letter-exchange": ["", "x", 1, None],
    "dead-letter-routing-key": ["", "x", 1],
    "dead-letter-strategy": ["x", "at-most-once", "at-least-once"],
    "delivery-limit": [-2, -1, 0, 5, "a"],
    "alternate-exchange": ["", "x", 1],
    "queue-mode": ["default", "lazy", "x"],
    "queue-version": [0, 1, 2, 3, "2"],
    "consumer-timeout": [-1, 0, 5, "x"],
    "queue-leader-locator": ["x", "balanced", "client-local", "random", "least-leaders"],
    "queue-master-locator": ["x", "min-masters", "client-local", "random"],
    "initial-cluster-size": [-1, 0, 3, "x"],
    "target-group-size": [-1, 0, 3, "x"],
    "stream-max-segment-size-bytes": [-1, 0, 3_000_000_000, 3_000_000_001, "x"],
    "stream-filter-size-bytes": [15, 16, 255, 256],
    "ha-mode": ["all", "x", "exactly", "nodes"],
    "ha-sync-mode": ["automatic", "x"],
    "max-priority": [5, "x"],
    "single-active-consumer": [True],
    "nonsense": [1, "x", [{"a": "b"}, None]],
}


@cases(**{key.replace("-", "_"): (key, values) for key, values in _VALUES.items()})
def values(s: Stage, given: tuple[str, list[object]]) -> None:
    key, tried = given
    for value in tried:
        try_both(s, {key: value})


@cases(
    nothing={},
    unknown={"nonsense": 1},
    unknown_among_known={"other": "a", "max-length": 5, "nonsense": 1},
    wrong_and_unknown={"aa": 1, "max-length": "x", "zz": 1},
    several_wrong={"message-ttl": -1, "max-length": "x", "expires": 0},
    mirrored={"ha-mode": "all", "ha-sync-mode": "automatic", "ha-promote-on-shutdown": "always"},
    mirrored_twice={"ha-mode": "exactly", "ha-params": 2},
    mirrored_with_parameters={"ha-mode": "all", "ha-params": 2},
    mirrored_zero_times={"ha-mode": "exactly", "ha-params": 0},
    mirrored_nowhere={"ha-mode": "nodes", "ha-params": []},
    mirrored_somewhere={"ha-mode": "nodes", "ha-params": ["a", 5, None]},
    mirrored_on_nodes={"ha-mode": "nodes", "ha-params": ["a", "b"]},
    mirrored_in_odd_batches={"ha-mode": "all", "ha-sync-batch-size": 0},
    mirrored_in_an_odd_way={"ha-mode": "all", "ha-sync-mode": "x"},
    mirrored_and_odd_at_shutdown={"ha-mode": "all", "ha-promote-on-shutdown": "x"},
    mirrored_and_odd_after_failures={"ha-mode": "all", "ha-promote-on-failure": 1},
    mirrored_without_mode={"ha-params": 2, "max-length": 5},
    no_operators={"max-length": 5, "dead-letter-exchange": "x"},
)
def definitions(s: Stage, definition: dict[str, object]) -> None:
    try_both(s, definition)


@cases(parenthesis="(", bracket="[a", nothing_to_repeat="*", closing="a)", backslash="a\\", braces="a{2,1}")
def patterns(s: Stage, pattern: str) -> None:
    s.set_policy({"max-length": 5}, on=pattern)


@scenario
def the_order_of_complaints(s: Stage) -> None:
    s.set_policy({"max-length": -1, "nonsense": 1}, on="(", apply_to="nothing")


@cases(nothing="", nonsense="nonsense", capitals="Queues")
def targets(s: Stage, apply_to: str) -> None:
    s.set_policy({"max-length": 5}, on="^none$", apply_to=apply_to)


@scenario
def a_refused_policy_leaves_the_one_before(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    s.set_policy({"max-length": 2})
    s.set_policy({"max-length": -1})
    for number in range(1, 5):
        a.publish(f"m{number}", to=q)
    s.drain(a, q)


@scenario
def clearing_what_is_not_there(s: Stage) -> None:
    s.clear_policy()
    s.clear_policy(operators=True)
    s.set_policy({"max-length": 2})
    s.clear_policy(operators=True)
    s.clear_policy()
    s.clear_policy()
