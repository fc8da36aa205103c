"""Erlang's hash and random numbers. All numbers were computed by Erlang/OTP 25 and are the same in OTP 27."""

import pytest

from amqpy_broker.core.erlang_hash import jump_hash, phash2
from amqpy_broker.core.erlang_terms import Atom, Term


@pytest.mark.parametrize(
    ("term", "number"),
    [
        (b"", 13708901),
        (b"a", 112802447),
        (b"\x00\x01\x02", 52077566),
        (b"abcdefghijkl", 15432855),
        (b"abcdefghijklmnopqrstuvwxyz", 21348335),
        (b"0123456789abcdef0123456789abcdef0123", 100059438),
        ([b"a"], 53691870),
        ([b"a", b"bb"], 24132291),
        (Atom("undefined"), 45914356),
        (True, 506293),
        (False, 7111573),
        (0, 88723725),
        (5, 5878562),
        (-1, 44071773),
        (134217727, 112602999),
        (134217728, 12354923),
        (-134217728, 69672967),
        (-134217729, 76739502),
        (9223372036854775807, 28179613),
        (-9223372036854775808, 126213383),
        (1700000000000000000000000000, 22630193),
        (0.0, 20875736),
        (-0.0, 20875736),
        (1.5, 10380315),
        ((), 87486268),
        ([], 113427502),
        ((Atom("longstr"), b"a"), 65711459),
        ((Atom("longstr"), "é".encode()), 28428857),
        ((Atom("long"), -5), 54650909),
        ((Atom("long"), 123456789012345), 61026054),
        ((Atom("bool"), True), 32030443),
        ((Atom("double"), -1.5e300), 65682931),
        ((Atom("void"), Atom("undefined")), 27077197),
        ((Atom("decimal"), (2, 314)), 113508173),
        ((Atom("array"), []), 86211673),
        ((Atom("array"), [(Atom("longstr"), b"a"), (Atom("signedint"), 1)]), 40191755),
        ((Atom("table"), [(b"a", Atom("longstr"), b"b")]), 106109854),
    ],
)
def test_a_term_has_erlangs_hash(term: Term, number: int) -> None:
    assert phash2(term) == number


def test_there_is_no_hash_of_a_string_that_is_a_list_of_characters_to_erlang() -> None:
    with pytest.raises(TypeError, match="'text' is not hashed anywhere"):
        phash2("text")


@pytest.mark.parametrize(
    ("key", "buckets"),
    [
        (0, [0, 0, 0, 19, 807, 64444]),
        (1, [0, 0, 2, 3, 856, 856]),
        (5, [0, 0, 2, 4, 125, 45854]),
        (-7, [0, 1, 1, 17, 408, 26917]),
        (112802447, [0, 1, 1, 15, 47, 59500]),
        (134217727, [0, 0, 2, 13, 220, 46231]),
        (1099511627776, [0, 0, 0, 19, 807, 64444]),
        (-4611686018427387904, [0, 0, 0, 19, 807, 64444]),
    ],
)
def test_a_key_falls_into_the_bucket_that_erlangs_random_numbers_choose(key: int, buckets: list[int]) -> None:
    assert [jump_hash(key, count) for count in (1, 2, 3, 20, 1000, 100_000)] == buckets
