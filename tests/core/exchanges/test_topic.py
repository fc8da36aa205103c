"""The topic exchange. What these patterns match was seen on RabbitMQ 3.10.8 and 4.0.5."""

import pytest

from amqpy_broker.core.exchanges.topic import TopicExchange, split_words
from tests.fakes import FakeDestination, an_exchange, bind, matched_by

# Binding key: the routing keys among KEYS that it matches.
KEYS = ("", ".", "..", "a", "a.", ".a", "a.b", "a.b.c", "a..c", "b", "*", "#", "a.#")
MATCHES = {
    "": [""],
    ".": ["."],
    "..": [".."],
    "a": ["a"],
    "*": ["a", "b", "*", "#"],
    "#": list(KEYS),
    "#.#": list(KEYS),
    "*.*": [".", "a.", ".a", "a.b", "a.#"],
    "*.*.*": ["..", "a.b.c", "a..c"],
    "a.*": ["a.", "a.b", "a.#"],
    "a.#": ["a", "a.", "a.b", "a.b.c", "a..c", "a.#"],
    "#.a": ["a", ".a"],
    ".#": [".", "..", ".a"],
    "#.": [".", "..", "a."],
    "*.#": [key for key in KEYS if key],
    "#.*": [key for key in KEYS if key],
    "#.*.#": [key for key in KEYS if key],
    "a.*.c": ["a.b.c", "a..c"],
    "a.#.c": ["a.b.c", "a..c"],
    "a.#.b": ["a.b"],
    "#.b.#": ["a.b", "a.b.c", "b"],
    "A": [],
    "a*": [],
    "a#": [],
    "**": [],
    "##": [],
}


@pytest.mark.parametrize(("binding_key", "expected"), MATCHES.items(), ids=repr)
def test_a_star_is_one_word_and_a_hash_any_number_of_words(binding_key: str, expected: list[str]) -> None:
    x = an_exchange("topic")
    bind(x, FakeDestination("q"), binding_key)

    assert [key for key in KEYS if matched_by(x, key)] == expected


def test_patterns_in_one_trie_do_not_disturb_each_other() -> None:
    x = an_exchange("topic")
    for binding_key in MATCHES:
        bind(x, FakeDestination(binding_key), binding_key)

    for key in KEYS:
        assert matched_by(x, key) == sorted(pattern for pattern, keys in MATCHES.items() if key in keys)


def test_the_empty_key_has_no_words_and_a_dot_has_two_empty_ones() -> None:
    assert split_words("") == []
    assert split_words(".") == ["", ""]


def test_many_ways_to_one_destination_match_it_once() -> None:
    x, q = an_exchange("topic"), FakeDestination("q")
    for binding_key in ("a.b", "a.*", "*.b", "#"):
        bind(x, q, binding_key)

    assert matched_by(x, "a.b") == ["q"]


def test_unbinding_a_prefix_or_a_continuation_leaves_the_rest() -> None:
    x, q = an_exchange("topic"), FakeDestination("q")
    bindings = {key: bind(x, q, key) for key in ("a", "a.b", "a.b.c")}

    x.remove_binding(bindings["a.b"])
    assert [key for key in bindings if matched_by(x, key)] == ["a", "a.b.c"]
    x.remove_binding(bindings["a.b.c"])
    assert [key for key in bindings if matched_by(x, key)] == ["a"]


def test_a_key_of_nothing_but_hashes_is_walked_once_not_in_all_its_ways() -> None:
    x = an_exchange("topic")
    bind(x, FakeDestination("q"), ".".join(["#"] * 127))

    # There are more ways through 127 hashes and 128 words than there are atoms: a walk of each would not end.
    assert matched_by(x, ".".join("a" * 128)) == ["q"]


def test_a_key_of_the_longest_size_does_not_exhaust_the_stack() -> None:
    x = an_exchange("topic")
    bind(x, FakeDestination("q"), "." * 255)

    assert matched_by(x, "." * 255) == ["q"]
    assert matched_by(x, "." * 254) == []


def test_the_trie_keeps_nothing_of_what_was_unbound() -> None:
    x, q = an_exchange("topic"), FakeDestination("q")
    assert isinstance(x, TopicExchange)
    bindings = [bind(x, q, key) for key in MATCHES]

    for binding in bindings:
        x.remove_binding(binding)

    assert not x._root.children
    assert not x._root.bound
