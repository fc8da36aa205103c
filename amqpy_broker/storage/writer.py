"""Writes batches: what a batch does to the tables is planned first, in memory, and then done in one transaction.

Rule 1: a plan can be tried again as it is, when there was no room for it.
Rule 2: memory is changed for good only after the commit, but for ticks: they say what the next commit will hold.
Rule 3: as few statements as can be: at each the interpreter is let go, and a busy loop gives it back late. Where
        consumers keep up it is one: a piece takes the berth of one that is settled, see `berths`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from typing import Final

from amqpy_broker.core.journal import Batch, JournalFailed, Mark, Name
from amqpy_broker.storage.berths import Berth, Berths
from amqpy_broker.storage.errors import Damaged
from amqpy_broker.storage.index import PieceIndex
from amqpy_broker.storage.layout import document_row, state_row
from amqpy_broker.storage.log import PAGE_BYTES
from amqpy_broker.storage.notes import SETTLED, read_notes
from amqpy_broker.storage.pieces import (
    PIECE_BYTES,
    Dump,
    Head,
    Row,
    batch_of,
    berth_of,
    encode,
    is_first,
    is_recent,
    is_spilled,
    read_head,
    recent_id,
    table_of,
)
from amqpy_broker.storage.tallies import Span, Tallies, Tally

# The number of the next batch is written down this many ahead, so that it is written seldom.
_NUMBERS_AHEAD: Final = 65_536
_ROWS_A_STATEMENT: Final = 256
_MOOR: Final = (
    "INSERT INTO recent VALUES (?,?,?,?) "
    "ON CONFLICT(berth) DO UPDATE SET id = excluded.id, head = excluded.head, body = excluded.body"
)
# Bounds what is held twice in memory, by us and by SQLite.
_PIECES_A_STATEMENT: Final = 32

SqlValue = int | bytes | str
Statement = tuple[str, Sequence[SqlValue]]


@dataclass(slots=True)
class Plan:
    """What a transaction does to the tables."""

    batch: Batch
    # Pieces of earlier batches to which something happens.
    touched: dict[int, Tally] = field(default_factory=dict)
    # Pieces of which nothing is left.
    deletes: list[int] = field(default_factory=list)
    # Whether any of these may have notes.
    deletes_notes: bool = False
    # Pieces that were written, and those of them that have marks from the beginning.
    heads: list[Head] = field(default_factory=list)
    marked: list[Tally] = field(default_factory=list)
    # The berth that one of them gets.
    berth: Berth | None = None


class BatchWriter:
    """Turns batches into transactions. It lives on one thread."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        index: PieceIndex,
        berths: Berths,
        dump: Dump,
        *,
        numbers_until: int,
        piece_bytes: int = PIECE_BYTES,
    ) -> None:
        self.index = index
        self.berths = berths
        self.tallies = Tallies(self._load)
        # Octets written since the log was copied back, by estimate.
        self.log_bytes = 0
        self._connection = connection
        self._dump = dump
        self._numbers_until = numbers_until
        self._piece_bytes = piece_bytes

    # --- planning ---------------------------------------------------------------------------------------------------

    def plan(self, batch: Batch) -> Plan:
        """Say what a batch does to earlier ones.

        Raises:
            JournalFailed: what it needs to know for that is damaged.
        """
        plan = Plan(batch)
        self._settle(batch.settled, plan)
        for name, last in batch.settled_ranges:
            for tally in self._pieces(name.batch, plan):
                if tally.settle(name.queue, name.place, last):
                    plan.touched[tally.head.id] = tally
        for queue in batch.dropped_queues:
            self._drop(queue, plan)
        for name, mark in batch.marks.items():
            if name.batch != batch.number:
                self._mark(name, mark, plan)
        self._sort_out(plan)
        return plan

    def _settle(self, names: list[tuple[int, int, int]], plan: Plan) -> None:
        """Tick off messages; those that follow each other in a piece cost little."""
        in_batch = in_queue = -1
        low, high, shift = 1, 0, 0
        flags = bytearray()
        # Where a queue's messages were found last in a batch: the next ones are there, or in the piece that follows.
        near: dict[tuple[int, int], int] = {}
        for batch, queue, place in names:
            if batch != in_batch or queue != in_queue or not low <= place <= high:
                found = self._find(batch, queue, place, plan, near.get((batch, queue), 0))
                if found is None:
                    # It went with its queue, or with others.
                    low, high = 1, 0
                    continue
                tally, (low, high, shift) = found
                in_batch, in_queue, flags = batch, queue, tally.flags
                near[batch, queue] = tally.head.id
                plan.touched[tally.head.id] = tally
            flags[place + shift] = SETTLED

    def _drop(self, queue: int, plan: Plan) -> None:
        for row in self.index.of_queue(queue):
            tally = self._tally(row, plan)
            tally.settle_queue(queue)
            if tally.live:
                plan.touched[row] = tally
            else:
                # There may be many of these: their tallies are not worth remembering.
                plan.touched.pop(row, None)
                plan.deletes.append(row)
                plan.deletes_notes = True
                self.tallies.trim()

    def _mark(self, name: Name, mark: Mark, plan: Plan) -> None:
        found = self._find(name.batch, name.queue, name.place, plan)
        if found is not None:
            tally, span = found
            tally.marks[name.place + span.shift] = mark
            plan.touched[tally.head.id] = tally

    def _find(self, batch: int, queue: int, place: int, plan: Plan, near: int = 0) -> tuple[Tally, Span] | None:
        for tally in self._pieces(batch, plan, near):
            span = tally.span(queue, place)
            if span is not None:
                return tally, span
        return None

    def _pieces(self, batch: int, plan: Plan, near: int = 0) -> Iterator[Tally]:
        return (self._tally(row, plan) for row in self.index.of_batch(batch, near))

    def _tally(self, row: int, plan: Plan) -> Tally:
        # One object a piece: a plan may hold what the cache has let go.
        return plan.touched.get(row) or self.tallies.get(row)

    def _sort_out(self, plan: Plan) -> None:
        """Tell pieces that are gone from those to which something happened."""
        for row, tally in list(plan.touched.items()):
            if not tally.live:
                plan.deletes.append(row)
                plan.deletes_notes |= tally.may_have_notes
                del plan.touched[row]
            else:
                tally.forget_settled_marks()

    def _load(self, row: int) -> Tally:
        sql = f"SELECT head, (SELECT data FROM notes WHERE id = ?1) FROM {table_of(row)} WHERE id = ?1"
        found: tuple[object, object] | None = self._connection.execute(sql, (row,)).fetchone()
        if found is None:
            raise JournalFailed(f"row {row} of the journal is gone")
        try:
            head = read_head(row, found[0])
            flags, marks = read_notes(row, head.slot_count, found[1])
        except Damaged as damage:
            raise JournalFailed(f"row {row} of the journal is damaged: {damage}") from damage
        return Tally(head, flags, marks)

    # --- doing ------------------------------------------------------------------------------------------------------

    def execute(self, plan: Plan) -> None:
        """Do it, in one transaction, and sync. Done or not, it can be done again.

        Raises:
            sqlite3.Error: nothing was done; or perhaps all of it, if a sync failed.
        """
        plan.heads.clear()
        plan.berth = None
        statements = self._statements(plan)
        first = list(islice(statements, 2))
        if len(first) == 1:
            # A statement alone is a transaction.
            self._connection.execute(*first[0])
        elif first:
            with transaction(self._connection):
                for sql, values in chain(first, statements):
                    self._connection.execute(sql, values)
        self._remember(plan)

    def _statements(self, plan: Plan) -> Iterator[Statement]:
        batch = plan.batch
        if batch.parts or batch.spilled:
            yield from self._insertions(plan)
        plan.marked = _marked(plan.heads, batch) if batch.marks else []
        notes = [(tally.head.id, tally.octets()) for tally in (*plan.touched.values(), *plan.marked)]
        yield from many("INSERT OR REPLACE INTO notes VALUES ", "(?,?)", notes)
        yield from self._deletions(plan)
        yield from _document_statements(batch.documents)
        if batch.number >= self._numbers_until:
            ahead = str(batch.number + _NUMBERS_AHEAD)
            yield "INSERT OR REPLACE INTO state VALUES (?,?,?)", state_row("next_batch", ahead)

    def _insertions(self, plan: Plan) -> Iterator[Statement]:
        for spilled, rows in groupby(encode(plan.batch, self._dump, piece_bytes=self._piece_bytes), _is_spilled_row):
            table = "spilled" if spilled else "pieces"
            while some := list(islice(rows, _PIECES_A_STATEMENT)):
                if len(some) == 1 and is_first(some[0].head.id):
                    plan.berth = self._find_berth(plan, some[0])
                    if plan.berth is not None:
                        yield _moor(plan, some[0], plan.berth)
                        continue
                plan.heads.extend(row.head for row in some)
                values = [(row.head.id, row.head_octets, row.body) for row in some]
                yield from many(f"INSERT INTO {table} VALUES ", "(?,?,?)", values)

    def _find_berth(self, plan: Plan, row: Row) -> Berth | None:
        """Find a berth for the only piece of a batch, if there is one for it."""
        leaving = [gone for gone in plan.deletes if is_recent(gone)]
        return self.berths.choose(row.size, leaving, may_be_new=bool(plan.deletes))

    def _deletions(self, plan: Plan) -> Iterator[Statement]:
        """Delete pieces. Where a trigger does not do it, their notes go with them."""
        for table in ("pieces", "spilled"):
            here = [(row,) for row in plan.deletes if table_of(row) == table]
            yield from many(f"DELETE FROM {table} WHERE id IN (", "?", here, ")")
        recent = [row for row in plan.deletes if is_recent(row)]
        # One of them may be written over already.
        taken = None if plan.berth is None else plan.berth.number
        left = [(berth_of(row),) for row in recent if berth_of(row) != taken]
        yield from many("UPDATE recent SET id = -abs(id) WHERE berth IN (", "?", left, ")")
        if plan.deletes_notes:
            yield from many("DELETE FROM notes WHERE id IN (", "?", [(row,) for row in recent], ")")

    def _remember(self, plan: Plan) -> None:
        for row in plan.deletes:
            self.forget(row)
        for head in plan.heads:
            tally = Tally(head)
            tally.may_have_notes = False
            self.know(tally)
            self.log_bytes += head.body_length
        if plan.berth is not None:
            self.berths.add(plan.berth.number, plan.berth.length)
        for tally in (*plan.touched.values(), *plan.marked):
            tally.may_have_notes = True
            self.tallies.put(tally)
            self.index.live[tally.head.id] = tally.live
        for queue in plan.batch.dropped_queues:
            self.index.remove_queue(queue)
        if plan.batch.number >= self._numbers_until:
            self._numbers_until = plan.batch.number + _NUMBERS_AHEAD
        self.tallies.trim()
        # Each commit writes some pages of the trees, each row touched perhaps one of its own.
        trees = 1 if plan.berth is not None else 3 + len(plan.heads)
        self.log_bytes += PAGE_BYTES * (trees + len(plan.touched) + len(plan.deletes) // 16)

    def know(self, tally: Tally) -> None:
        """Learn of a piece that was written."""
        head = tally.head
        self.index.add(head.id, {run.queue for run in head.runs}, head.slot_count)
        self.tallies.put(tally)
        if is_recent(head.id):
            self.berths.take(head.id)

    def forget(self, row: int) -> None:
        """Learn that a piece is gone."""
        self.index.remove(row)
        self.tallies.remove(row)
        if is_recent(row):
            self.berths.leave(row)


class transaction:
    """All of it, or nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, failure: type[BaseException] | None, *_rest: object) -> None:
        try:
            if failure is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                # What failed first is what counts.
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")


def _moor(plan: Plan, row: Row, berth: Berth) -> Statement:
    """Write a piece to its berth."""
    row = row.moved(recent_id(batch_of(row.head.id), berth.number))
    plan.heads.append(row.head)
    head = row.head_octets
    return _MOOR, (berth.number, row.head.id, head, row.body.ljust(berth.length - len(head), b"\0"))


def _document_statements(documents: dict[str, bytes | None]) -> Iterator[Statement]:
    kept = [document_row(key, data) for key, data in documents.items() if data is not None]
    gone = [document_row(key, b"")[:1] for key, data in documents.items() if data is None]
    yield from many("INSERT OR REPLACE INTO documents VALUES ", "(?,?,?)", kept)
    yield from many("DELETE FROM documents WHERE key IN (", "?", gone, ")")


def many(before: str, row: str, rows: Sequence[tuple[SqlValue, ...]], after: str = "") -> Iterator[Statement]:
    """Write one statement for many rows, or a few: their numbers are powers of two, so that few texts serve all."""
    begin = 0
    while begin < len(rows):
        count = min(_ROWS_A_STATEMENT, 1 << (len(rows) - begin).bit_length() - 1)
        values = [value for row_values in rows[begin : begin + count] for value in row_values]
        yield before + ",".join([row] * count) + after, values
        begin += count


def _is_spilled_row(row: Row) -> bool:
    return is_spilled(row.head.id)


def _marked(heads: list[Head], batch: Batch) -> list[Tally]:
    """Note marks on messages of the batch itself."""
    tallies = [Tally(head) for head in heads]
    for name, mark in batch.marks.items():
        if name.batch != batch.number:
            continue
        for tally in tallies:
            span = tally.span(name.queue, name.place)
            if span is not None:
                tally.marks[name.place + span.shift] = mark
    return [tally for tally in tallies if tally.marks]
