"""Exchanges against the plainest matchers there are, under any sequence of binding and unbinding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.core.arguments import Argument, Arguments
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.bindings import Binding, Destination
from amqpy_broker.core.exchanges.router import route
from amqpy_broker.core.exchanges.topic import TopicExchange
from amqpy_broker.core.queues.base import Queue
from tests.fakes import FakeDestination, a_queue, an_exchange

DESTINATIONS = [FakeDestination(name) for name in ("q1", "q2", "q3")]
destinations = st.sampled_from(DESTINATIONS)
# Few words, so that they meet; any number of dots, anywhere.
binding_keys = st.lists(st.sampled_from(["", "a", "b", "*", "#"]), max_size=7).map(".".join)
routing_keys = st.lists(st.sampled_from(["", "a", "b", "c", "*", "#"]), max_size=7).map(".".join)
exchange_types = st.sampled_from(["direct", "fanout", "topic", "headers"])


def matched(exchange: Exchange, key: str, headers: Arguments) -> set[Destination]:
    found: dict[Destination, None] = {}
    exchange.route(key, headers, found)
    return set(found)


def topic_matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Say whether words fit a pattern, as one would explain it."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(topic_matches(pattern[1:], words[count:]) for count in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and topic_matches(pattern[1:], words[1:])


def words_of(key: str) -> list[str]:
    return key.split(".") if key else []


@given(binding_keys, routing_keys)
def test_a_topic_pattern_matches_what_the_naive_matcher_matches(binding_key: str, routing_key: str) -> None:
    x, q = an_exchange("topic"), DESTINATIONS[0]
    x.add_binding(Binding("x", q, binding_key, {}))

    expected = topic_matches(words_of(binding_key), words_of(routing_key))
    assert matched(x, routing_key, {}) == ({q} if expected else set())


# Header tables of few names and values, some of which are equal in one profile only.
values = st.sampled_from(
    [
        Argument("signedint", 1),
        Argument("long", 1),
        Argument("long", 1000),
        Argument("double", 1.0),
        Argument("timestamp", 1),
        Argument("bool", True),
        Argument("longstr", "1"),
        Argument("binary", b"1"),
        Argument("void", None),
    ]
)
headers = st.dictionaries(st.sampled_from(["a", "b", "x-c", "x-match"]), values, max_size=4)
conditions = st.builds(
    lambda table, mode: {**table, "x-match": Argument("longstr", mode)} if mode else table,
    st.dictionaries(st.sampled_from(["a", "b", "x-c"]), values, max_size=3),
    st.sampled_from(["all", "any", "all-with-x", "any-with-x", ""]),
)


def headers_match(wanted: Arguments, given: Arguments, profile: str) -> bool:
    """Say whether a header table fulfils the conditions of a binding, as one would explain it."""
    mode = str(wanted["x-match"].value) if "x-match" in wanted else "all"
    names = [name for name in wanted if name != "x-match" and (mode.endswith("-with-x") or not name.startswith("x-"))]
    holding = [name for name in names if name in given and fits(wanted[name], given[name], profile)]
    return holding == names if mode.startswith("all") else bool(holding)


def fits(wanted: Argument, given: Argument, profile: str) -> bool:
    # 4.0 counts the timestamps of messages in milliseconds.
    if given.kind == "timestamp" and profile == "4.0":
        given = Argument("long", int(str(given.value)) * 1000)
    return wanted.kind == "void" or meaning(wanted, profile) == meaning(given, profile)


def meaning(argument: Argument, profile: str) -> tuple[object, ...]:
    match argument.kind:
        case "signedint" | "long" | "timestamp":
            return ("number" if profile == "3.10" else "integer", argument.value)
        case "double":
            return ("number" if profile == "3.10" else "float", argument.value)
        case "longstr" | "binary":
            return ("text", argument.value if isinstance(argument.value, bytes) else str(argument.value).encode())
        case kind:
            return (kind, argument.value)


@given(conditions, headers, st.sampled_from(["3.10", "4.0"]))
def test_headers_match_as_the_naive_matcher_says(wanted: Arguments, given: Arguments, profile: str) -> None:
    x, q = an_exchange("headers", profile=profile), DESTINATIONS[0]
    x.add_binding(Binding("x", q, "", wanted))

    assert matched(x, "", given) == ({q} if headers_match(wanted, given, profile) else set())


# Bindings that come and go --------------------------------------------------------------------------------------------


def naive(exchange: Exchange, key: str, headers: Arguments) -> set[Destination]:
    """Look at every binding that there is."""
    return {binding.destination for binding in exchange.bindings if leads_there(exchange.type, binding, key, headers)}


def leads_there(exchange_type: str, binding: Binding, key: str, headers: Arguments) -> bool:
    match exchange_type:
        case "direct":
            return binding.key == key
        case "topic":
            return topic_matches(words_of(binding.key), words_of(key))
        case "headers":
            return headers_match(binding.arguments, headers, "4.0")
        case _:
            return True


bindings = st.builds(lambda to, key, table: Binding("x", to, key, table), destinations, binding_keys, conditions)


@given(exchange_types, st.data())
def test_an_index_follows_its_bindings(exchange_type: str, data: st.DataObject) -> None:
    x = an_exchange(exchange_type)
    asked = data.draw(st.lists(st.tuples(routing_keys, headers), min_size=1, max_size=3))
    for _ in range(data.draw(st.integers(1, 12))):
        here = list(x.bindings)
        remove = data.draw(st.booleans())
        if here and remove:
            x.remove_binding(data.draw(st.sampled_from(here)))
        else:
            x.add_binding(data.draw(bindings))
        for key, table in asked:
            assert matched(x, key, table) == naive(x, key, table)

    for binding in list(x.bindings):
        x.remove_binding(binding)
    assert not x.in_use
    assert all(not matched(x, key, table) for key, table in asked)
    if isinstance(x, TopicExchange):
        assert not x._root.children


# The router -----------------------------------------------------------------------------------------------------------

NAMES = ["x0", "x1", "x2", "x3", "x4"]
KEYS = ["", "a", "a.b"]


def reachable(start: Exchange, key: str, exchanges: dict[str, Exchange]) -> set[Queue]:
    """Grow the set of what is reached until it grows no more."""
    reached: set[Destination] = {start}
    while True:
        found: set[Destination] = set()
        for exchange in reached:
            if isinstance(exchange, Exchange):
                next_ones = naive(exchange, key, {})
                if not next_ones and exchange.alternate in exchanges:
                    next_ones = {exchanges[exchange.alternate]}
                found |= next_ones
        if found <= reached:
            return {destination for destination in reached if isinstance(destination, Queue)}
        reached |= found


@given(st.data())
def test_a_message_reaches_each_queue_that_a_way_leads_to_once(data: st.DataObject) -> None:
    queues = [a_queue(name) for name in ("q0", "q1", "q2")]
    alternates = st.sampled_from([*NAMES, "nowhere"]) | st.none()
    exchanges = {name: an_exchange(data.draw(exchange_types), name, alternate=data.draw(alternates)) for name in NAMES}
    ends: list[Destination] = [*exchanges.values(), *queues]
    for _ in range(data.draw(st.integers(0, 12))):
        source = data.draw(st.sampled_from(NAMES))
        key = data.draw(st.sampled_from([*KEYS, "#", "a.*"]))
        exchanges[source].add_binding(Binding(source, data.draw(st.sampled_from(ends)), key, {}))

    for name, key in product(NAMES, KEYS):
        reached = route(exchanges[name], key, {}, exchanges).queues
        assert len(set(reached)) == len(reached)
        assert set(reached) == reachable(exchanges[name], key, exchanges)
