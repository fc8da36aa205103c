"""Looks at all that is in a journal, once, before anybody relies on it: what is there, and what is wrong with it.

It only reads: what is damaged is evidence, until somebody says to go on without it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path
from typing import Final

from amqpy_broker.core.journal import JournalFailed, Page, queue_of
from amqpy_broker.storage.berths import Berths
from amqpy_broker.storage.errors import UNREADABLE, Damaged
from amqpy_broker.storage.index import PieceIndex
from amqpy_broker.storage.layout import (
    State,
    check_version,
    document_key,
    format_of_tables,
    has_first_rows,
    has_recent,
    is_sound,
    read_state,
)
from amqpy_broker.storage.log import log_path, lost_commits, valid_frames
from amqpy_broker.storage.notes import LIVE, live_flags, read_notes
from amqpy_broker.storage.pieces import batch_of, berth_of, is_recent, is_spilled, read_body, read_head, table_of
from amqpy_broker.storage.reader import Piece, live_places, piece_sql

_FINDINGS_TOLD: Final = 10

# A piece as it is in the file: its id, head, body, and notes.
_Found = tuple[int, object, object, object]


@dataclass(slots=True)
class Finding:
    """Something that is wrong, in words; and which row, if it is one row."""

    text: str
    table: str | None = None
    id: int | bytes | None = None

    @property
    def is_one_row(self) -> bool:
        """Whether all else can be read as it is."""
        return self.table is not None


@dataclass(slots=True)
class Survey:
    """What is there."""

    state: dict[str, str] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    pages: list[Page] = field(default_factory=list)
    index: PieceIndex = field(default_factory=PieceIndex)
    berths: Berths = field(default_factory=Berths)
    findings: list[Finding] = field(default_factory=list)
    last_batch: int = 0

    @property
    def next_batch(self) -> int:
        """No batch had this number or a higher one."""
        return max(self.last_batch + 1, int(self.state.get("next_batch", "1")))

    @property
    def closed_cleanly(self) -> bool:
        """Whether nobody stopped without closing it."""
        return self.state.get("open") == State.CLOSED.value

    def explain(self, directory: Path) -> str:
        """Say what is wrong, and what to do."""
        told = "; ".join(finding.text for finding in self.findings[:_FINDINGS_TOLD])
        more = len(self.findings) - _FINDINGS_TOLD
        return (
            f"the journal in {directory} is damaged: {told}"
            + (f"; and {more} more" if more > 0 else "")
            + ". Start with --recover to set aside what is damaged and to go on with the rest"
        )


def survey(connection: sqlite3.Connection, path: Path, *, had_log: bool, judge_log: bool = True) -> Survey:
    """Look at everything, in one transaction.

    `had_log` tells whether there was a log before this connection, `judge_log` whether nobody writes to it meanwhile.

    Raises:
        JournalFailed: this version cannot read it at all.
    """
    found = Survey()
    try:
        connection.execute("BEGIN")
        if judge_log:
            _survey_log(connection, path, found)
        _survey_structure(connection, found)
        tables = format_of_tables(connection)
        if tables is None:
            _refuse_later_format(connection)
            found.findings.append(Finding("its tables are not those of a journal"))
            return found
        if not has_first_rows(connection):
            found.findings.append(Finding("a table is not in its own place"))
        _survey_state(connection, found)
        if found.state and found.state.get("format") != str(tables):
            found.findings.append(Finding("its tables are those of another format than it says"))
        if not had_log and found.state.get("open") == State.OPEN.value:
            # Whoever had it open left a log, however it ended.
            found.findings.append(Finding(f"the log {log_path(path).name} is missing, with the last batches in it"))
        _survey_documents(connection, found)
        _survey_pieces(connection, found)
        _survey_lonely_notes(connection, found)
    except UNREADABLE as failure:
        found.findings.append(Finding(f"the file cannot be read: {failure}"))
    finally:
        with suppress(*UNREADABLE):
            connection.execute("ROLLBACK")
    return found


def _survey_log(connection: sqlite3.Connection, path: Path, found: Survey) -> None:
    # Whoever reads first makes SQLite look at the log.
    connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    lost = lost_commits(path, valid_frames(path))
    if lost:
        found.findings.append(Finding(f"the log is damaged in the middle: the last {lost} batches in it are lost"))


def _refuse_later_format(connection: sqlite3.Connection) -> None:
    """Tell tables that are not known yet from damaged ones.

    Raises:
        JournalFailed: a later version made them.
    """
    try:
        state = read_state(connection)
    except (*UNREADABLE, JournalFailed):
        return
    check_version(state)


def _survey_structure(connection: sqlite3.Connection, found: Survey) -> None:
    wrong: list[tuple[str]] = connection.execute("PRAGMA quick_check(5)").fetchall()
    if wrong != [("ok",)]:
        text = ", ".join(line.replace("\n", " ") for (line,) in wrong)
        found.findings.append(Finding(f"the file's structure is damaged ({text})"))


def _survey_state(connection: sqlite3.Connection, found: Survey) -> None:
    try:
        found.state = read_state(connection)
    except JournalFailed as failure:
        found.findings.append(Finding(str(failure)))
        return
    check_version(found.state)


def _survey_documents(connection: sqlite3.Connection, found: Survey) -> None:
    for name, data, crc in connection.execute("SELECT key, data, crc FROM documents ORDER BY key"):
        if is_sound(name, data, crc):
            found.documents[document_key(name)] = data
        else:
            found.findings.append(Finding(f"document {name!r} is damaged", "documents", name))


def _survey_pieces(connection: sqlite3.Connection, found: Survey) -> None:
    parts: dict[int, _Part] = {}
    batch = 0
    rows: Iterator[_Found] = connection.execute(piece_sql("pieces", "WHERE p.id > 0 ORDER BY p.id"))
    for row, head, body, notes in merge(rows, _survey_berths(connection, found), key=_id):
        if is_spilled(row):
            # A page of the other table stands in the place of one of this one, whose messages are gone.
            text = f"messages of batch {batch_of(row)} are in a place of others, which are lost"
            found.findings.append(Finding(text, "pieces", row))
            continue
        if batch_of(row) != batch:
            found.pages.extend(part.page(batch, queue) for queue, part in parts.items())
            parts.clear()
            batch = batch_of(row)
        piece = _read(row, head, body, notes, found)
        if piece is not None:
            live = piece.flags.count(LIVE)
            found.index.add(row, {run.queue for run in piece.head.runs}, live)
            _gather(piece, live, parts)
    found.pages.extend(part.page(batch, queue) for queue, part in parts.items())
    found.last_batch = batch


def _survey_berths(connection: sqlite3.Connection, found: Survey) -> list[_Found]:
    """List the pieces that have berths."""
    if not has_recent(connection):
        return []
    sql = (
        "SELECT p.berth, p.id, p.head, p.body, n.data FROM recent p LEFT JOIN notes n ON n.id = p.id WHERE p.berth > 0"
    )
    pieces: list[_Found] = []
    for berth, row, head, body, notes in connection.execute(sql):
        try:
            length = _length_of_berth(berth, row, head, body)
        except Damaged as damage:
            text = f"a batch that was among the last: {damage}; it held an unknown number of messages"
            found.findings.append(Finding(text, "recent", berth))
            continue
        found.berths.add(berth, length)
        if row > 0:
            found.berths.take(row)
            pieces.append((row, head, body, notes))
    return sorted(pieces, key=_id)


def _length_of_berth(berth: int, row: object, head: object, body: object) -> int:
    """Verify a berth, but for the body in it."""
    if not isinstance(row, int) or not isinstance(head, bytes) or not isinstance(body, bytes):
        raise Damaged("it is not what was written")
    # A vacant one has the head of the piece that was the last.
    read_head(abs(row), head)
    if not is_recent(abs(row)) or berth_of(abs(row)) != berth:
        raise Damaged("it is in another's berth")
    return len(head) + len(body)


def _id(found: _Found) -> int:
    return found[0]


def _survey_lonely_notes(connection: sqlite3.Connection, found: Survey) -> None:
    """Find notes without a piece: then another piece is without its notes."""
    sql = "SELECT id FROM notes n WHERE id > 0 AND NOT EXISTS ({}) AND NOT EXISTS ({})".format(
        *(f"SELECT 1 FROM {table} p WHERE p.id = n.id" for table in ("pieces", "spilled"))
    )
    for (row,) in connection.execute(sql).fetchall():
        if is_recent(row) and found.berths.has(row):
            continue
        text = f"notes on batch {batch_of(row)} belong to no message: others that were settled may come back"
        found.findings.append(Finding(text, "notes", row))


def _read(row: int, head_octets: object, body_octets: object, notes: object, found: Survey) -> Piece | None:
    """Verify a piece. If its notes alone are damaged, its messages are there, but which are settled is not known."""
    try:
        head = read_head(row, head_octets)
        body = read_body(head, body_octets)
    except Damaged as damage:
        found.findings.append(_finding(table_of(row), row, damage, head_octets))
        return None
    try:
        return Piece(head, body, *read_notes(row, head.slot_count, notes))
    except Damaged as damage:
        found.findings.append(_finding("notes", row, damage, head_octets))
        return Piece(head, body, live_flags(head.slot_count), {})


def _finding(table: str, row: int, damage: Damaged, head: object) -> Finding:
    key = berth_of(row) if table == "recent" else row
    return Finding(f"batch {batch_of(row)}: {damage}; it held {_contents(row, head)}", table, key)


def _contents(row: int, octets: object) -> str:
    """Say what a damaged piece held, if that can still be read."""
    try:
        head = read_head(row, octets)
    except Damaged:
        return "an unknown number of messages"
    counts: dict[int, int] = {}
    for run in head.runs:
        queue = queue_of(run.queue)
        counts[queue] = counts.get(queue, 0) + run.length
    return ", ".join(f"{count} messages of queue {queue}" for queue, count in counts.items())


@dataclass(slots=True)
class _Part:
    """What a batch holds of a queue, as far as its pieces were looked at."""

    first: int
    last: int
    count: int = 0
    body_bytes: int = 0
    special: bool = False
    marked: bool = False

    def page(self, batch: int, queue: int) -> Page:
        return Page(batch, queue, self.first, self.last, self.count, self.body_bytes, self.special, self.marked)

    def add(self, first: int, last: int, count: int, body_bytes: int, *, expires: bool, marked: bool) -> None:
        self.first = min(self.first, first)
        self.last = max(self.last, last)
        self.count += count
        self.body_bytes += body_bytes
        self.special = self.special or expires or marked
        self.marked = self.marked or marked


def _gather(piece: Piece, live: int, parts: dict[int, _Part]) -> None:
    """Add what is live in a piece to the pages of its batch."""
    body_sizes = piece.body.body_sizes
    if live == len(piece.flags) and not piece.marks and not piece.body.expiries:
        for queue, place, message, length in piece.head.runs:
            size = sum(body_sizes[message : message + length])
            last = place + length - 1
            part = parts.setdefault(queue, _Part(place, place))
            part.add(place, last, length, size, expires=False, marked=False)
        return
    for queue, place, slot, message in live_places(piece):
        expires, marked = slot in piece.body.expiries, slot in piece.marks
        part = parts.setdefault(queue, _Part(place, place))
        part.add(place, place, 1, body_sizes[message], expires=expires, marked=marked)
