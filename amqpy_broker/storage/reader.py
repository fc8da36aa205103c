"""Reads messages back, on a connection of its own: a read waits for the disk, never for a sync that is under way."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from amqpy_broker.core.journal import JournalFailed, Mark, Page, Stored, queue_of
from amqpy_broker.core.message import Message
from amqpy_broker.storage.errors import Damaged
from amqpy_broker.storage.notes import LIVE, read_notes
from amqpy_broker.storage.pieces import Body, Head, Run, is_recent, read_body, read_head, rows_of, table_of

_HEADS: Final = (
    "SELECT id, head FROM pieces WHERE id BETWEEN ?1 AND ?2 "
    "UNION ALL SELECT id, head FROM spilled WHERE id BETWEEN ?1 AND ?2 "
    "UNION ALL SELECT id, head FROM recent WHERE id BETWEEN ?1 AND ?2"
)
_PIECE: Final = "SELECT p.id, p.head, p.body, n.data FROM {} p LEFT JOIN notes n ON n.id = p.id"
# Pieces that are kept in memory, because queues read page by page; and how long they may be.
_KNOWN_MAX: Final = 16
_KNOWN_BYTES_MAX: Final = 256 * 1024
# Batches of more than one piece of which is remembered what is in which.
_SPREAD_MAX: Final = 64

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
    """List the messages of a piece that are not settled; of one queue, under all its names, or of all."""
    flags = piece.flags
    for run, to_slot, to_message in _placed(piece.head):
        if queue is None or queue_of(run.queue) == queue:
            for place in range(run.place, run.place + run.length):
                if flags[place + to_slot] == LIVE:
                    yield Place(run.queue, place, place + to_slot, place + to_message)


def _placed(head: Head) -> Iterator[tuple[Run, int, int]]:
    """Say of each run what to add to a place to get its slot, and its number in the piece."""
    slot = 0
    for run in head.runs:
        yield run, slot - run.place, run.message - run.place
        slot += run.length


class _Known(NamedTuple):
    """A piece that was read, and may be asked for again: a large one is read page by page."""

    head_octets: object
    head: Head
    body: Body
    bounds: list[int]


class PieceReader:
    """Reads pages."""

    def __init__(self, connection: sqlite3.Connection, load: Callable[[bytes], Message]) -> None:
        self._connection = connection
        self._load = load
        self._known: dict[int, _Known] = {}
        self._spread: dict[int, _BatchSpans] = {}

    def read(self, page: Page) -> list[Stored]:
        """Read the messages of a page that are not settled, in the order of their places.

        Raises:
            JournalFailed: what is there is damaged.
        """
        try:
            self._connection.execute("BEGIN")
            try:
                found = [
                    stored for piece, bounds in self._pieces(page) for stored in self._messages(piece, bounds, page)
                ]
            finally:
                self._connection.execute("ROLLBACK")
        except (sqlite3.Error, Damaged, ValueError) as failure:
            raise JournalFailed(f"batch {page.batch} of the journal is damaged: {failure}") from failure
        found.sort(key=_place)
        return found

    def _pieces(self, page: Page) -> Iterator[tuple[Piece, list[int]]]:
        """Read the pieces of a page's batch that hold messages of it."""
        for row, spans in self._spans(page.batch):
            first, last = spans.get(page.queue, (0, -1))
            if first <= page.last and last >= page.first:
                found = self._piece(row)
                # It may have gone since its batch was looked at first.
                if found is not None:
                    yield found

    def _piece(self, row: int) -> tuple[Piece, list[int]] | None:
        table = table_of(row)
        sql = f"SELECT p.head, n.data FROM {table} p LEFT JOIN notes n ON n.id = p.id WHERE p.id = ?"
        found: tuple[object, object] | None = self._connection.execute(sql, (row,)).fetchone()
        if found is None:
            return None
        known = self._known.pop(row, None)
        # The head tells the checksum of the body: while it is the same, the body is.
        if known is None or known.head_octets != found[0]:
            head = read_head(row, found[0])
            (octets,) = self._connection.execute(f"SELECT body FROM {table} WHERE id = ?", (row,)).fetchone()
            body = read_body(head, octets)
            known = _Known(found[0], head, body, body.bounds())
        if known.head.body_length <= _KNOWN_BYTES_MAX:
            self._known[row] = known
            if len(self._known) > _KNOWN_MAX:
                del self._known[next(iter(self._known))]
        return Piece(known.head, known.body, *read_notes(row, known.head.slot_count, found[1])), known.bounds

    def _spans(self, batch: int) -> _BatchSpans:
        """Say which pieces a batch has, and from where to where each goes in its queues; later they only shrink."""
        spans = self._spread.get(batch)
        if spans is None:
            heads: list[tuple[int, object]] = self._connection.execute(_HEADS, rows_of(batch)).fetchall()
            spans = [(row, _spans(read_head(row, octets))) for row, octets in heads]
            if len(spans) > 1 and not any(is_recent(row) for row, _ in spans):
                # A large batch is read page by page. What has a berth may leave it.
                if len(self._spread) >= _SPREAD_MAX:
                    del self._spread[next(iter(self._spread))]
                self._spread[batch] = spans
        return spans

    def _messages(self, piece: Piece, bounds: list[int], page: Page) -> Iterator[Stored]:
        octets, expiries = piece.body.octets, piece.body.expiries
        flags, marks, load = piece.flags, piece.marks, self._load
        for run, to_slot, to_message in _placed(piece.head):
            if run.queue != page.queue:
                continue
            for place in range(max(page.first, run.place), min(page.last + 1, run.place + run.length)):
                slot, message = place + to_slot, place + to_message
                if flags[slot] == LIVE:
                    loaded = load(octets[bounds[message] : bounds[message + 1]])
                    yield Stored(place, loaded, expiries.get(slot), marks.get(slot))


def _spans(head: Head) -> dict[int, tuple[int, int]]:
    spans: dict[int, tuple[int, int]] = {}
    for run in head.runs:
        first, last = spans.get(run.queue, (run.place, run.place))
        spans[run.queue] = min(first, run.place), max(last, run.place + run.length - 1)
    return spans


def _place(stored: Stored) -> int:
    return stored.place
