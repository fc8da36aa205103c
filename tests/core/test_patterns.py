"""Patterns of names: PCRE's, written as Python has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.core.patterns import BadPattern, compiled


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("^orders", ["orders", "orders.new"], ["old.orders", "Orders"]),
        ("(?i)^orders", ["ORDERS"], []),
        ("^[[:alpha:]]+$", ["aZ"], ["a1", "a:", "["]),
        ("^[^[:digit:]x]+$", ["ab[", ":"], ["1", "x"]),
        ("^[[:upper:][:digit:]_-]+$", ["A1_-"], ["a", ":"]),
        ("^[[:punct:]]+$", ["[]^_`{|}~!/\\-"], ["a", "1", " "]),
        ("^[]a]+$", ["]a"], ["b"]),
        ("^[^]a]+$", ["b["], ["]", "a"]),
        ("^[[a]+$", ["[a"], ["b", "]"]),
        (r"^[\]a]+$", ["]a"], ["\\", "b"]),
        (r"^[a\[]+$", ["a["], ["\\"]),
        ("^[a&&b||c~~d]+$", ["a&|~d"], ["e"]),
        ("^[+--]+$", ["+,-"], ["."]),
        (r"^\Qa.b[\E$", ["a.b["], ["axb["]),
        (r"^\Qa.b", ["a.b"], ["axb"]),
        (r"^a\\Qb", ["a\\Qb"], ["ab"]),
        ("^(?<first>a)(?P=first)$", ["aa"], ["ab"]),
        ("(?<=a)b", ["ab"], ["b"]),
        ("(?<!a)b", ["b"], ["ab"]),
        ("^.$", ["a"], ["ü"]),
        ("^ü$", ["ü"], ["u"]),
        ("", ["", "a"], []),
    ],
)
def test_a_pattern_matches_what_it_matches_in_pcre(pattern: str, matching: list[str], others: list[str]) -> None:
    found = compiled(pattern)
    assert [name for name in matching if not found.search(name.encode())] == []
    assert [name for name in others if found.search(name.encode())] == []


@pytest.mark.parametrize(
    ("pattern", "words", "offset"),
    [
        ("(", "missing )", 1),
        ("a(b", "missing )", 3),
        ("[a", "missing terminating ] for character class", 2),
        ("a)", "unmatched parentheses", 1),
        ("a\\", "\\ at end of pattern", 2),
        ("a{2,1}", "numbers out of order in {} quantifier", 5),
        ("*", "nothing to repeat", 0),
        ("a**", "nothing to repeat", 2),
    ],
)
def test_what_is_wrong_is_told_in_the_words_of_pcre(pattern: str, words: str, offset: int) -> None:
    with pytest.raises(BadPattern) as caught:
        compiled(pattern)
    assert (caught.value.words, caught.value.offset) == (words, offset)


@given(st.text(alphabet="a:-&~|.*([])\\^$?<QEP{1,}", max_size=10))
def test_any_text_is_a_pattern_or_refused_and_never_a_warning(pattern: str) -> None:
    refused = None
    try:
        compiled(pattern).search(b"name")
    except BadPattern as refusal:
        refused = refusal
    assert refused is None or (refused.words and refused.offset >= 0)
