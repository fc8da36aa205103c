"""Reads messages back, on a connection of its own: a read waits for the disk, never for a sync that is under way."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from amqpy_broker.core.journal import JournalFailed, Mark, Page, Stored
from amqpy_broker.core.message import Message
from amqpy_broker.storage.errors import Damaged
from amqpy_broker.storage.notes import LIVE, read_notes
from amqpy_broker.storage.pieces import Body, Head, read_body, read_head, rows_of, table_of

_HEADS: Final = (
    "SELECT id, head FROM pieces WHERE id BETWEEN ?1 AND ?2 "
    "UNION ALL SELECT id, head FROM spilled WHERE id BETWEEN ?1 AND ?2"
)
_PIECE: Final = "SELECT p.id, p.head, p.body, n.data FROM {} p LEFT JOIN notes n ON n.id = p.id"
# Batches of more than one piece whose pieces are remembered.
_KNOWN_MAX: Final = 64

_BatchSpans = list[tuple[int, dict[int, tuple[int, int]]]]


class Piece(NamedTuple):
    """A piece as it is, with all that is known of it."""

    head: Head
    body: Body
    # A flag a slot, see `notes`.
    flags: bytearray
    marks: dict[int, Mark]


class Place(NamedTuple):
    """A message of a piece: where it is in its queue, and where in the piece."""

    queue: int
    place: int
    slot: int
    message: int


def read_piece(row: int, head_octets: object, body_octets: object, notes: object) -> Piece:
    """Verify a piece.

    Raises:
        Damaged: this is not what was written.
    """
    head = read_head(row, head_octets)
    body = read_body(head, body_octets)
    return Piece(head, body, *read_notes(row, head.slot_count, notes))


def piece_sql(table: str, condition: str) -> str:
    """Say how to select what `read_piece` wants."""
    return f"{_PIECE.format(table)} {condition}"


def live_places(piece: Piece, queue: int | None = None) -> Iterator[Place]:
    """List the messages of a piece that are not settled; of one queue, or of all."""
    slot = 0
    flags = piece.flags
    for run in piece.head.runs:
        if queue is None or run.queue == queue:
            for offset in range(run.length):
                if flags[slot + offset] == LIVE:
                    yield Place(run.queue, run.place + offset, slot + offset, run.message + offset)
        slot += run.length


class PieceReader:
    """Reads pages."""

    def __init__(self, connection: sqlite3.Connection, load: Callable[[bytes], Message]) -> None:
        self._connection = connection
        self._load = load
        self._known: dict[int, _BatchSpans] = {}

    def read(self, page: Page) -> list[Stored]:
        """Read the messages of a page that are not settled, in the order of their places.

        Raises:
            JournalFailed: what is there is damaged.
        """
        try:
            self._connection.execute("BEGIN")
            try:
                found = [stored for piece in self._pieces(page) for stored in self._messages(piece, page)]
            finally:
                self._connection.execute("ROLLBACK")
        except (sqlite3.Error, Damaged, ValueError) as failure:
            raise JournalFailed(f"batch {page.batch} of the journal is damaged: {failure}") from failure
        found.sort(key=_place)
        return found

    def _pieces(self, page: Page) -> Iterator[Piece]:
        """Read the pieces of a page's batch that hold messages of it."""
        for row, spans in self._spans(page.batch):
            first, last = spans.get(page.queue, (0, -1))
            if first <= page.last and last >= page.first:
                sql = piece_sql(table_of(row), "WHERE p.id = ?")
                # It may have gone since its batch was looked at first.
                for found in self._connection.execute(sql, (row,)).fetchall():
                    yield read_piece(*found)

    def _spans(self, batch: int) -> _BatchSpans:
        """Say which pieces a batch has, and from where to where each goes in its queues; later they only shrink."""
        spans = self._known.get(batch)
        if spans is None:
            heads: list[tuple[int, object]] = self._connection.execute(_HEADS, rows_of(batch)).fetchall()
            spans = [(row, _spans(read_head(row, octets))) for row, octets in heads]
            if len(spans) > 1:
                # A large batch is read page by page.
                if len(self._known) >= _KNOWN_MAX:
                    del self._known[next(iter(self._known))]
                self._known[batch] = spans
        return spans

    def _messages(self, piece: Piece, page: Page) -> Iterator[Stored]:
        bounds = piece.body.bounds()
        octets, expiries, marks = piece.body.octets, piece.body.expiries, piece.marks
        first, last = page.first, page.last
        for _queue, place, slot, message in live_places(piece, page.queue):
            if first <= place <= last:
                loaded = self._load(octets[bounds[message] : bounds[message + 1]])
                yield Stored(place, loaded, expiries.get(slot), marks.get(slot))


def _spans(head: Head) -> dict[int, tuple[int, int]]:
    spans: dict[int, tuple[int, int]] = {}
    for run in head.runs:
        first, last = spans.get(run.queue, (run.place, run.place))
        spans[run.queue] = min(first, run.place), max(last, run.place + run.length - 1)
    return spans


def _place(stored: Stored) -> int:
    return stored.place
