"""Berths: a few rows for the pieces of the last batches, which are written over where they are, again and again.

Where consumers keep up, nearly each commit brings a piece and settles another. To insert one and to delete one changes
SQLite's tree and its list of free pages, too. A row that is written over with octets of the same number changes only
the pages that it is on (https://www.sqlite.org/src/file/src/btree.c, `btreeOverwriteCell`): about half as many.

Rule 1: a row keeps its length: what is shorter is padded. Only what is longer, or much shorter, makes it another.
Rule 2: a piece gets a berth if one is vacant, or if it can have that of a piece which goes in the same commit. New ones
        are made only while pieces go: what nobody consumes has no use for them.
Rule 3: a berth is vacant while its id is that of its last piece, negated. Its head's checksum is over the id, so that
        no flipped bit makes a piece a vacant berth, or the other way round.
Rule 4: what stays for long leaves its berth to others, when they miss one: see `Space`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Final, NamedTuple

from amqpy_broker.storage.log import PAGE_BYTES
from amqpy_broker.storage.pieces import PIECE_BYTES, berth_of

# As many as there are pieces alive where consumers keep up, and some more. All of them together are about a megabyte.
BERTHS_MAX: Final = 8
# A piece, its head, and the sizes of its messages.
BERTH_BYTES_MAX: Final = PIECE_BYTES + PIECE_BYTES // 8
# Several of the smallest share a page; each of the others has as many as it takes, and all of them are full.
_SMALLEST_BYTES: Final = 480
_STEP_BYTES: Final = PAGE_BYTES - 4
# What is shorter than this share of its row does not fill the rest of it with nothing.
_MUCH_SHORTER: Final = 4


class Berth(NamedTuple):
    """A row for a piece."""

    number: int
    # Octets of head and body, padding included.
    length: int


class Berths:
    """Knows of each berth how long it is, and whose it is."""

    def __init__(self) -> None:
        # Pieces that wanted a berth, and found none, though another piece went at the same time.
        self.missed_count = 0
        self._lengths: dict[int, int] = {}
        # The pieces that have one, by its number.
        self._rows: dict[int, int] = {}

    def add(self, number: int, length: int) -> None:
        """Learn of a berth; it is vacant until it is taken."""
        self._lengths[number] = length

    def take(self, row: int) -> None:
        """Learn whose a berth is."""
        self._rows[berth_of(row)] = row

    def leave(self, row: int) -> None:
        """Learn that a piece is gone from its berth."""
        self._rows.pop(berth_of(row), None)

    def choose(self, size: int, leaving: Iterable[int], *, may_be_new: bool) -> Berth | None:
        """Find a berth for so many octets of head and body.

        Args:
            size: how long the piece is.
            leaving: pieces with berths that go in the same commit: these come first.
            may_be_new: whether it may be one that is not there yet.
        """
        if size > BERTH_BYTES_MAX:
            return None
        candidates = [berth_of(row) for row in leaving] or [one for one in self._lengths if one not in self._rows]
        fitting = [one for one in candidates if self._fits(size, one)]
        if fitting:
            return Berth(fitting[0], self._lengths[fitting[0]])
        if may_be_new and len(self._lengths) < BERTHS_MAX:
            return Berth(self._unused(), _rounded(size))
        if candidates:
            return Berth(candidates[0], _rounded(size))
        self.missed_count += may_be_new
        return None

    def has(self, row: int) -> bool:
        """Whether a piece has its berth."""
        return self._rows.get(berth_of(row)) == row

    @property
    def taken_by(self) -> list[int]:
        """List the pieces that have berths."""
        return list(self._rows.values())

    def _unused(self) -> int:
        return next(number for number in count(1) if number not in self._lengths)

    def _fits(self, size: int, number: int) -> bool:
        length = self._lengths[number]
        return size <= length <= max(_SMALLEST_BYTES, _MUCH_SHORTER * size)


def _rounded(size: int) -> int:
    steps = -(-max(0, size - _SMALLEST_BYTES) // _STEP_BYTES)
    return _SMALLEST_BYTES + steps * _STEP_BYTES
