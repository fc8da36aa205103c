"""What the writer knows of every piece: how much of it is alive, and which queues are in it. About 150 octets each."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Final

from amqpy_broker.storage.pieces import batch_of, is_spilled, piece_id

# A queue's list of pieces is cleaned when it doubled since it was cleaned last.
_CLEAN_AT_LEAST: Final = 64


class PieceIndex:
    """Finds the pieces of a batch, and those of a queue."""

    def __init__(self) -> None:
        # How many slots of a piece are not settled, by its row. Pieces that are not here are gone.
        self.live: dict[int, int] = {}
        # How many pieces a batch had, lasting and spilled, and how many are left; of batches of more than one each.
        self._spread: dict[int, list[int]] = {}
        self._rows_by_queue: dict[int, _QueueRows] = {}

    def add(self, row: int, queues: Iterable[int], live: int) -> None:
        """Learn of a piece; those of one batch in the order of their rows."""
        self.live[row] = live
        for queue in queues:
            self._rows_by_queue.setdefault(queue, _QueueRows()).add(row, self.live)
        batch = batch_of(row)
        number = row - piece_id(batch, 0, spilled=is_spilled(row))
        if number:
            spread = self._spread.setdefault(batch, [1, 1])
            spread[is_spilled(row)] = max(spread[is_spilled(row)], number + 1)

    def remove(self, row: int) -> None:
        """Forget a piece."""
        self.live.pop(row, None)
        batch = batch_of(row)
        if batch in self._spread and not any(True for _ in self.of_batch(batch)):
            del self._spread[batch]

    def remove_queue(self, queue: int) -> None:
        """Forget a queue."""
        self._rows_by_queue.pop(queue, None)

    def of_batch(self, batch: int) -> Iterator[int]:
        """Find the pieces of a batch that are left."""
        lasting, spilled = self._spread.get(batch, (1, 1))
        live = self.live
        for number in range(lasting):
            if (row := piece_id(batch, number)) in live:
                yield row
        for number in range(spilled):
            if (row := piece_id(batch, number, spilled=True)) in live:
                yield row

    def of_queue(self, queue: int) -> list[int]:
        """Find the pieces in which a queue had messages."""
        rows = self._rows_by_queue.get(queue)
        return [row for row in rows.rows if row in self.live] if rows else []


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
