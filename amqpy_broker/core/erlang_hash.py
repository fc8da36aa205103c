"""Erlang's hash of a term, and the random numbers that RabbitMQ picks a queue with.

The hash exchanges put every message into the very queue that RabbitMQ would put it into, so that what belongs together
stays together when brokers are exchanged. Erlang promises the same `phash2` in all releases and on all machines.
"""

from struct import Struct
from typing import Final

from amqpy_broker.core.erlang_terms import Atom, Term

_MASK: Final = 0xFFFF_FFFF
_MASK_64: Final = 0xFFFF_FFFF_FFFF_FFFF
_GOLDEN_RATIO: Final = 0x9E37_79B9
# What keeps terms of different types apart: multiples of the golden ratio, as in Erlang's erl_term_hashing.c.
_NIL, _ATOM, _TUPLE, _NEGATIVE, _POSITIVE, _FLOAT, _BINARY = (
    number * _GOLDEN_RATIO & _MASK for number in (2, 3, 9, 10, 11, 12, 13)
)
_EMPTY_LIST: Final = 3_468_870_702
_NIL_WORD: Final = 2
_BLOCK_SIZE: Final = 12
# Integers of up to 28 bits are hashed in a way of their own.
_SMALL_END: Final = 1 << 27
_PHASH2_MASK: Final = (1 << 27) - 1
_double_words: Final = Struct(">II").unpack
_pack_double: Final = Struct(">d").pack
_TWO_TO_64: Final = 2.0**64


def phash2(term: Term) -> int:
    """Return `erlang:phash2(Term)`, a number of 27 bits."""
    return _hash(term, 0) & _PHASH2_MASK


def _hash(term: Term, seed: int) -> int:
    match term:
        case Atom() | bool():
            return _hash_atom(("true" if term else "false") if isinstance(term, bool) else term, seed)
        case bytes():
            start = _BINARY + seed & _MASK
            return _hash_octets(term, start) if term else start
        case int():
            return _hash_integer(term, seed)
        case float():
            high, low = _double_words(_pack_double(term or 0.0))
            return _mix_in(high, low, _FLOAT, seed)
        case tuple():
            return _hash_all(term, _mix_in(len(term), 0, _TUPLE, seed))
        case list():
            end = _hash_all(term, seed)
            return _mix_in(_NIL_WORD, 0, _NIL, end) if end else _EMPTY_LIST
        case _:
            raise TypeError(f"{term!r} is not hashed anywhere")


def _hash_all(terms: "tuple[Term, ...] | list[Term]", seed: int) -> int:
    for term in terms:
        seed = _hash(term, seed)
    return seed


def _hash_atom(name: str, seed: int) -> int:
    """Hash the name of an atom as Erlang's table of atoms does (`hashpjw`)."""
    number = 0
    for octet in name.encode("latin-1"):
        number = (number << 4) + octet
        carried = number & 0xF000_0000
        number = (number ^ carried >> 24 ^ carried) & _MASK
    return _mix_in(number, 0, _ATOM, seed) if seed else number


def _hash_integer(number: int, seed: int) -> int:
    size = abs(number)
    if -_SMALL_END <= number < _SMALL_END:
        if number < 0:
            seed = _mix_in(size, 0, _GOLDEN_RATIO, seed)
        return _mix_in(number & _MASK, 0, _GOLDEN_RATIO, seed)
    sign = _NEGATIVE if number < 0 else _POSITIVE
    while True:
        seed = _mix_in(size & _MASK, size >> 32 & _MASK, sign, seed)
        size >>= 64
        if not size:
            return seed


def _hash_octets(octets: bytes, seed: int) -> int:
    """Hash blocks of twelve octets, three words each (Bob Jenkins, 1996)."""
    a = b = _GOLDEN_RATIO
    c, at, count = seed, 0, len(octets)
    while count - at >= _BLOCK_SIZE:
        a = a + int.from_bytes(octets[at : at + 4], "little") & _MASK
        b = b + int.from_bytes(octets[at + 4 : at + 8], "little") & _MASK
        c = c + int.from_bytes(octets[at + 8 : at + 12], "little") & _MASK
        a, b, c = _mix(a, b, c)
        at += _BLOCK_SIZE
    rest = octets[at:]
    a = a + int.from_bytes(rest[:4], "little") & _MASK
    b = b + int.from_bytes(rest[4:8], "little") & _MASK
    # The first octet of the third word is the length's.
    c = c + count + (int.from_bytes(rest[8:], "little") << 8) & _MASK
    return _mix(a, b, c)[2]


def _mix_in(first: int, second: int, constant: int, seed: int) -> int:
    return _mix(constant + first & _MASK, constant + second & _MASK, seed)[2]


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = a - b - c & _MASK ^ c >> 13
    b = (b - c - a ^ a << 8) & _MASK
    c = c - a - b & _MASK ^ b >> 13
    a = a - b - c & _MASK ^ c >> 12
    b = (b - c - a ^ a << 16) & _MASK
    c = c - a - b & _MASK ^ b >> 5
    a = a - b - c & _MASK ^ c >> 3
    b = (b - c - a ^ a << 10) & _MASK
    c = c - a - b & _MASK ^ b >> 15
    return a, b, c


def jump_hash(key: int, count: int) -> int:
    """Choose one of `count` buckets: adding one moves as few keys as can be, all of them into the new one.

    Jump consistent hashing (Lamping and Veach, 2014, https://arxiv.org/abs/1406.2294).
    """
    if count == 1:
        return 0
    randoms = _Exs1024(key)
    bucket, jump = -1, 0
    while jump < count:
        bucket = jump
        jump = int((bucket + 1) / randoms.uniform())
    return bucket


class _Exs1024:
    """Erlang's generator `exs1024` (xorshift1024*), seeded with `{Key, Key, Key}`: a ring of sixteen numbers."""

    __slots__ = ("_at", "_ring")

    def __init__(self, key: int) -> None:
        low = (key & 0x1F_FFFF) + 1
        first, second, third = (low * prime & 0x1F_FFFF for prime in (2_097_131, 2_097_133, 2_097_143))
        number = first << 43 | second << 22 | third << 1 | 1
        numbers = []
        for _ in range(16):
            number ^= number >> 12
            number ^= number << 25 & _MASK_64
            number ^= number >> 27
            numbers.append(number * 2_685_821_657_736_338_717 & _MASK_64)
        # The one that was made last comes first.
        self._ring = numbers[::-1]
        self._at = 0

    def uniform(self) -> float:
        """Return a number above 0 that is at most 1."""
        ring, last = self._ring, self._ring[self._at]
        at = self._at = (self._at + 1) % 16
        number = ring[at]
        number ^= number << 31 & _MASK_64
        number ^= number >> 11
        number = ring[at] = number ^ last ^ last >> 30
        # Erlang would divide by zero, once in 2**64 times.
        return (number * 1_181_783_497_276_652_981 & _MASK_64 or 1) / _TWO_TO_64
