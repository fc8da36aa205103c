"""What the writer knows of every piece: how much of it is alive, and which queues are in it. About 150 octets each."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

from amqpy_broker.storage.pieces import batch_of, is_recent, is_spilled, piece_id

# A queue's list of pieces is cleaned when it doubled since it was cleaned last.
_CLEAN_AT_LEAST: Final = 64


class PieceIndex:
    """Finds the pieces of a batch, and those of a queue."""

    def __init__(self) -> None:
        # How many slots of a piece are not settled, by its row. Pieces that are not here are gone.
        self.live: dict[int, int] = {}
        # Batches of more than one piece of a kind.
        self._spread: dict[int, _BatchRows] = {}
        # Pieces that have a berth, by their batches.
        self._recent: dict[int, int] = {}
        self._rows_by_queue: dict[int, _QueueRows] = {}

    def add(self, row: int, queues: Iterable[int], live: int) -> None:
        """Learn of a piece; those of one batch in the order of their rows."""
        batch = batch_of(row)
        spread = self._spread.get(batch)
        if is_recent(row):
            self._recent[batch] = row
        elif spread is None and row != piece_id(batch, 0, spilled=is_spilled(row)):
            spread = self._spread[batch] = _BatchRows(self.of_batch(batch))
        if spread is not None:
            spread.add(row)
        self.live[row] = live
        for queue in queues:
            self._rows_by_queue.setdefault(queue, _QueueRows()).add(row, self.live)

    def remove(self, row: int) -> None:
        """Forget a piece."""
        if self.live.pop(row, None) is None:
            return
        batch = batch_of(row)
        if is_recent(row):
            del self._recent[batch]
        spread = self._spread.get(batch)
        if spread is not None:
            spread.left_count -= 1
            if not spread.left_count:
                del self._spread[batch]

    def remove_queue(self, queue: int) -> None:
        """Forget a queue."""
        self._rows_by_queue.pop(queue, None)

    def of_batch(self, batch: int, near: int = 0) -> Iterator[int]:
        """Find the pieces of a batch that are left: first those from the row `near` on, then those before it."""
        live = self.live
        spread = self._spread.get(batch)
        rows: Iterable[int]
        if spread is None:
            rows = (self._recent.get(batch, 0), piece_id(batch, 0), piece_id(batch, 0, spilled=True))
        else:
            rows = spread.rows_from(near)
        for row in rows:
            if row in live:
                yield row

    def of_queue(self, queue: int) -> list[int]:
        """Find the pieces in which a queue had messages."""
        rows = self._rows_by_queue.get(queue)
        return [row for row in rows.rows if row in self.live] if rows else []


class _BatchRows:
    """The pieces of a batch, with those that are gone: nobody scans a large batch for each of its pieces."""

    __slots__ = ("_rows", "left_count")

    def __init__(self, rows: Iterable[int]) -> None:
        self._rows = array("q", rows)
        self.left_count = len(self._rows)

    def add(self, row: int) -> None:
        self._rows.append(row)
        self.left_count += 1

    def rows_from(self, row: int) -> Iterator[int]:
        begin = bisect_left(self._rows, row)
        return chain(islice(self._rows, begin, None), islice(self._rows, begin))


class _QueueRows:
    """The pieces of a queue, with some that are gone."""

    __slots__ = ("_clean_at", "rows")

    def __init__(self) -> None:
        self.rows = array("q")
        self._clean_at = _CLEAN_AT_LEAST

    def add(self, row: int, live: dict[int, int]) -> None:
        self.rows.append(row)
        if len(self.rows) >= self._clean_at:
            self.rows = array("q", [row for row in self.rows if row in live])
            self._clean_at = max(_CLEAN_AT_LEAST, 2 * len(self.rows))
