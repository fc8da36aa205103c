"""Why a message goes where it goes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amqpy_broker.testing import Broker, Explanation, Misuse, NoSuchThing
from tests.testing.brokers import new_broker, pass_time


def bound(exchange_type: str, *bindings: tuple[str, dict[str, object]], **arguments: object) -> Broker:
    """Make a broker with an exchange `e`, and a queue for each binding: q0, q1, ..."""
    broker = new_broker()
    broker.declare_exchange("e", exchange_type, arguments=arguments)
    for number, (key, table) in enumerate(bindings):
        broker.declare_queue(f"q{number}")
        broker.bind(f"q{number}", "e", key, table)
    return broker


def whys(explanation: Explanation) -> list[str]:
    return [binding.why for binding in explanation.exchanges[0].bindings]


# --- direct, fanout, default ------------------------------------------------------------------------------------------


def test_a_direct_exchange_compares_the_key() -> None:
    broker = bound("direct", ("a", {}), ("A ", {}), ("a.*", {}))
    explanation = broker.explain("e", "a")
    assert explanation.queues == ("q0",)
    assert whys(explanation) == [
        "it matches",
        "the key differs: 'a' != 'A ' (by case or white space only)",
        "the key differs: 'a' != 'a.*' (a direct exchange knows no wildcards)",
    ]


def test_a_fanout_exchange_takes_everything() -> None:
    explanation = bound("fanout", ("a", {}), ("b", {})).explain("e", "x")
    assert explanation.queues == ("q0", "q1")
    assert str(explanation) == (
        "routing key 'x': goes to q0, q1\n"
        "fanout exchange 'e':\n"
        "  + 'a' -> q0: it takes everything\n"
        "  + 'b' -> q1: it takes everything"
    )


def test_the_default_exchange_goes_by_the_name_of_the_queue() -> None:
    broker = new_broker()
    broker.declare_queue("orders")
    assert broker.explain("", "orders").queues == ("orders",)
    explanation = broker.explain("", "order")
    assert explanation.exchanges[0].notes == ("no queue is named 'order'; near: 'orders'",)
    assert explanation.outcome == "reaches no queue: returned if it is mandatory, else dropped without a word"


# --- topic ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "key", "why"),
    [
        ("order.*.us", "order.new.eu", "word 3 'eu' != 'us'"),
        ("order.*", "invoice.new", "word 1 'invoice' != 'order'"),
        ("order.*", "order", "the key has 1 word, the pattern wants 2"),
        ("order", "order.new.eu", "the key has 3 words, the pattern wants 1"),
        ("a.#.b.c", "a.b", "the key has 2 words, the pattern wants at least 3"),
        ("a.#", "b.c", "word 1 'b' != 'a'"),
        ("#.c", "a.b", "word 2 'b' != 'c'"),
        ("a.#.x.#.b", "a.y.z.b", "'#.x.#' is not in 'y.z'"),
        ("*", "", "the key has 0 words, the pattern wants 1"),
    ],
)
def test_a_topic_exchange_tells_which_word_differs(pattern: str, key: str, why: str) -> None:
    assert whys(bound("topic", (pattern, {})).explain("e", key)) == [why]


def test_more_keys_in_cc_and_bcc_count() -> None:
    broker = bound("topic", ("a.*", {}), ("b", {}), ("c", {}))
    explanation = broker.explain("e", "a.b", {"CC": ["b"], "BCC": ["x"]})
    assert explanation.queues == ("q0", "q1")
    assert whys(explanation)[1] == "it matches 'b', from the headers CC or BCC"
    assert whys(explanation)[2] == "word 1 'a' != 'c'; word 1 'b' != 'c'; word 1 'x' != 'c'"
    with pytest.raises(Misuse, match="unacceptable_type_in_header"):
        broker.explain("e", "a", {"CC": "b"})


# --- headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "headers", "why"),
    [
        ({"x-match": "all", "a": 1, "b": 2}, {"a": 1}, "'b' is missing"),
        ({"a": 1, "b": 2}, {"a": 2, "b": 3}, "'a' is 2, not 1; 'b' is 3, not 2"),
        ({"a": 1}, {"a": "1"}, "'a' is '1' (longstr), not 1 (signedint)"),
        ({"a": 1}, {"a": 1}, "'a' fits"),
        ({"a": 1, "b": "x"}, {"a": 1, "b": "x", "c": 0}, "'a', 'b' fit"),
        ({}, {}, "it asks for no header"),
        ({"x-match": "any"}, {"a": 1}, "any of its headers must fit, and it names none"),
        ({"x-match": "any", "a": 1, "b": 2}, {"c": 1}, "none fits: 'a' is missing; 'b' is missing"),
        ({"x-match": "any", "a": 1, "b": 2}, {"b": 2}, "'b' fits"),
        ({"x-match": "all", "x-a": 1}, {}, "it asks for no header"),
        ({"x-match": "all-with-x", "x-a": 1}, {}, "'x-a' is missing"),
    ],
)
def test_a_headers_exchange_tells_which_header_differs(
    arguments: dict[str, object], headers: dict[str, object], why: str
) -> None:
    assert whys(bound("headers", ("", arguments)).explain("e", "", headers)) == [why]


# --- chance, hashes, delay --------------------------------------------------------------------------------------------


def test_what_is_left_to_chance_is_told_so_and_nothing_is_drawn() -> None:
    broker = bound("x-random", ("", {}), ("", {}), ("", {}))
    twin = bound("x-random", ("", {}), ("", {}), ("", {}))
    explanation = broker.explain("e", "")
    assert explanation.by_chance
    assert explanation.outcome == "goes, by chance, to some of q0, q1, q2"
    assert [broker.publish("e", "") for _ in range(20)] == [twin.publish("e", "") for _ in range(20)]


def test_an_only_choice_is_no_chance() -> None:
    assert bound("x-random", ("", {})).explain("e", "").outcome == "goes to q0"


@pytest.mark.parametrize("exchange_type", ["x-consistent-hash", "x-modulus-hash"])
def test_hash_exchanges_tell_where_a_key_leads(exchange_type: str) -> None:
    broker = bound(exchange_type, ("1", {}), ("1", {}), ("1", {}))
    for key in ("a", "b", "c", "d"):
        explanation = broker.explain("e", key)
        assert explanation.queues == broker.publish("e", key)
        assert whys(explanation) == [f"the hash of the routing key leads to '{explanation.queues[0]}'"] * 3


def test_a_hash_of_a_header_or_a_property_is_told_so() -> None:
    broker = bound("x-consistent-hash", ("1", {}), ("1", {}), **{"hash-header": "h"})
    for value in range(5):
        explanation = broker.explain("e", "", {"h": value})
        assert explanation.queues == broker.publish("e", "", headers={"h": value})
    assert whys(explanation)[0].startswith("the hash of the header 'h' leads to")
    broker = bound("x-consistent-hash", ("1", {}), **{"hash-property": "message_id"})
    assert whys(broker.explain("e")) == [
        "the hash of the property 'message_id', here taken to be missing, leads to 'q0'"
    ]


def test_a_delayed_message_waits_and_nothing_is_kept() -> None:
    broker = bound("x-delayed-message", ("a", {}), ("b", {}), **{"x-delayed-type": "direct"})
    explanation = broker.explain("e", "a", {"x-delay": 5000})
    assert explanation.is_delayed
    assert explanation.outcome == "waits first; then it goes to q0"
    assert explanation.exchanges[0].notes == ("it waits here for 5000 ms, as its header 'x-delay' says",)
    assert broker.exchange("e").waiting == ()
    assert not broker.explain("e", "a").is_delayed
    lost = broker.explain("e", "x", {"x-delay": 5000})
    assert lost.outcome == "waits first; then it reaches no queue: dropped without a word"


def test_a_recent_history_exchange_keeps_nothing_of_what_is_only_asked() -> None:
    broker = bound("x-recent-history", ("", {}))
    assert broker.explain("e", "").queues == ("q0",)
    broker.declare_queue("late")
    broker.bind("late", "e")
    broker.assert_queue_empty("late")


# --- ways -------------------------------------------------------------------------------------------------------------


def test_bindings_between_exchanges_are_followed_once() -> None:
    broker = bound("topic", ("a", {}))
    broker.declare_exchange("next", "fanout")
    broker.declare_queue("far")
    broker.bind_exchange("next", "e", "a")
    broker.bind_exchange("e", "next")
    broker.bind("far", "next")
    explanation = broker.explain("e", "a")
    assert explanation.queues == ("q0", "far")
    assert [(one.name, one.how) for one in explanation.exchanges] == [("e", ""), ("next", "bound to 'e'")]
    assert "+ 'a' -> exchange next: it matches" in str(explanation)


def test_an_alternate_exchange_is_asked_when_nothing_matches() -> None:
    broker = bound("direct", ("a", {}), **{"alternate-exchange": "spare"})
    assert "its alternate exchange 'spare' does not exist" in broker.explain("e", "x").exchanges[0].notes
    broker.declare_exchange("spare", "fanout")
    broker.declare_queue("rest")
    broker.bind("rest", "spare")
    explanation = broker.explain("e", "x")
    assert explanation.queues == ("rest",)
    assert explanation.exchanges[1].how == "alternate exchange of 'e'"
    assert broker.explain("e", "a").queues == ("q0",)


def test_an_exchange_without_bindings_says_so() -> None:
    assert bound("direct").explain("e", "x").exchanges[0].notes == ("nothing is bound to it",)


def test_clients_may_not_publish_to_an_internal_exchange() -> None:
    broker = new_broker()
    broker.declare_exchange("e", "fanout", internal=True)
    explanation = broker.explain("e", "x")
    assert explanation.refused
    assert explanation.outcome.startswith("refused: the exchange is internal")


def test_an_exchange_that_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(NoSuchThing, match=r"no exchange 'amq.topik' in vhost '/'; near: 'amq.topic'"):
        new_broker().explain("amq.topik")


def test_a_delayed_message_goes_where_it_was_said_to_go() -> None:
    broker = bound("x-delayed-message", ("a.*", {}), ("b", {}), **{"x-delayed-type": "topic"})
    told = broker.explain("e", "a.b", {"x-delay": 10})
    broker.publish("e", "a.b", headers={"x-delay": 10})
    pass_time(broker, 1)
    assert broker.sent_on()[0].queues == told.queues == ("q0",)


WORDS = st.lists(st.sampled_from(["a", "b", "*", "#"]), max_size=4).map(".".join)
HEADERS = st.dictionaries(st.sampled_from(["h", "x-h", "i"]), st.sampled_from([1, "1", True, None]), max_size=3)
BINDINGS = st.lists(
    st.tuples(
        WORDS,
        HEADERS,
        st.sampled_from([{}, {"x-match": "any"}, {"x-match": "all-with-x"}, {"x-match": "any-with-x"}]),
    ),
    max_size=4,
)


@given(
    st.sampled_from(["direct", "topic", "headers", "fanout", "x-modulus-hash"]),
    BINDINGS,
    st.lists(st.sampled_from(["a", "b", "c"]), max_size=3).map(".".join),
    HEADERS,
    st.sampled_from(["3.10", "4.0"]),
)
@settings(max_examples=200, deadline=None)
def test_what_is_explained_is_what_happens(
    exchange_type: str, bindings: list[Any], key: str, headers: dict[str, object], profile: str
) -> None:
    broker = new_broker(profile=profile)
    broker.declare_exchange("e", exchange_type)
    for number, (pattern, table, mode) in enumerate(bindings):
        broker.declare_queue(f"q{number}")
        broker.bind(f"q{number}", "e", pattern, {**table, **mode})
    explanation = broker.explain("e", key, headers)
    assert sorted(explanation.queues) == sorted(broker.publish("e", key, headers=headers))
    for binding in explanation.exchanges[0].bindings:
        assert binding.why
        assert binding.matches == (binding.destination in explanation.queues)
