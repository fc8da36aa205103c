"""Gives space back: pieces of which little is left are written anew, the log is copied into the file, the file shrinks.

Each call of `tidy` does one modest step, so that a batch that comes meanwhile does not wait long.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from amqpy_broker.core.journal import JournalFailed
from amqpy_broker.storage.errors import Damaged
from amqpy_broker.storage.log import PAGE_BYTES
from amqpy_broker.storage.pieces import Row, Run, batch_of, is_recent, piece_id, table_of, write_row
from amqpy_broker.storage.reader import Piece, live_places, piece_sql, read_piece
from amqpy_broker.storage.tallies import Tally
from amqpy_broker.storage.writer import BatchWriter, transaction

# A piece is written anew when less than this share of it is alive, and it is longer than this.
_THIN_SHARE: Final = 0.25
_THIN_BYTES: Final = 8 * 1024
# ... and when nothing happened to it for so many batches: a queue that is being emptied will be done with it soon.
_THIN_AFTER_BATCHES: Final = 64
_THIN_AT_ONCE: Final = 16
# When so many pieces found no berth, those that have one for so many batches leave theirs.
BERTHS_MISSED_MAX: Final = 16
_STUCK_AFTER_BATCHES: Final = 64
# The log is copied into the file when it is this long; when nothing else is to do, earlier.
LOG_BYTES: Final = 16 * 1024 * 1024
_LOG_BYTES_IDLE: Final = 256 * 1024
# Under load the file shrinks when more than half of it is free, and more than this.
_FREE_PAGES_BUSY: Final = 16 * 1024 * 1024 // PAGE_BYTES
# When nothing else is to do it shrinks down to this much free space, which the next batches need anyway.
_FREE_PAGES_IDLE: Final = 1024 * 1024 // PAGE_BYTES
_PAGES_A_STEP: Final = 1024
# Asking how much is free costs a statement: under load it is asked once in so many batches.
_ASK_EVERY_BATCHES: Final = 32


class Space:
    """Decides when to give back what."""

    def __init__(
        self, connection: sqlite3.Connection, writer: BatchWriter, berths_missed_max: int = BERTHS_MISSED_MAX
    ) -> None:
        self._connection = connection
        self._writer = writer
        # Pieces that may be thin, by the number of batches there were when something happened to them last.
        self._thin: dict[int, int] = {}
        self._batches = 0
        self._number = 0
        self._missed_max = berths_missed_max
        # Whether the log was copied and is still there: the next commit begins it anew, if there is one.
        self._copied = False

    def note(self, number: int, touched: list[Tally]) -> None:
        """Learn what a batch ticked off."""
        self._batches += 1
        self._number = number
        for tally in touched:
            row = tally.head.id
            self._thin.pop(row, None)
            if is_recent(row):
                # When its berth is another's, all of its room is.
                continue
            if tally.head.body_length > _THIN_BYTES and tally.live < _THIN_SHARE * len(tally.flags):
                self._thin[row] = self._batches

    def tidy(self, *, idle: bool) -> bool:
        """Do one step, if there is one; say whether there may be more.

        Raises:
            sqlite3.Error: it was not done.
            JournalFailed: what it read is damaged.
        """
        if self._writer.log_bytes > LOG_BYTES:
            self.copy_log_back(cut=False)
            return True
        rows = self._ripe(idle=idle)
        if rows:
            self._rewrite(rows)
            return True
        stuck = self._stuck()
        if stuck:
            self._leave_berths(stuck)
            return True
        if (idle or self._batches % _ASK_EVERY_BATCHES == 0) and self._shrink(idle=idle):
            return True
        if idle and (self._copied or self._writer.log_bytes > _LOG_BYTES_IDLE):
            self.copy_log_back(cut=True)
        return False

    def copy_log_back(self, *, cut: bool) -> None:
        """Copy the log into the file; cut it to nothing if nobody minds the wait."""
        self._connection.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if cut else 'PASSIVE'})").fetchall()
        self._writer.log_bytes = 0
        self._copied = not cut

    def _ripe(self, *, idle: bool) -> list[int]:
        """Choose thin pieces to which nothing happens any more. The oldest come first."""
        rows: list[int] = []
        for row, since in self._thin.items():
            if len(rows) == _THIN_AT_ONCE or not (idle or self._batches - since >= _THIN_AFTER_BATCHES):
                break
            rows.append(row)
        for row in rows:
            del self._thin[row]
        return [row for row in rows if row in self._writer.index.live]

    def _rewrite(self, rows: list[int]) -> None:
        """Write pieces anew, without what is settled. Ids and places stay."""
        thinned = [thinned for row in rows if (thinned := self._thinned(row)) is not None]
        if not thinned:
            return
        with transaction(self._connection):
            for row, tally in thinned:
                sql = f"UPDATE {table_of(row.head.id)} SET head = ?, body = ? WHERE id = ?"
                self._connection.execute(sql, (row.head_octets, row.body, row.head.id))
                # The notes that were there count slots that are gone.
                self._connection.execute("REPLACE INTO notes VALUES (?,?)", (row.head.id, tally.octets()))
        for row, tally in thinned:
            self._writer.tallies.put(tally)
            self._writer.log_bytes += len(row.body) + 2 * PAGE_BYTES

    def _stuck(self) -> list[int]:
        """Choose pieces that are in their berths for long, if others miss one."""
        berths = self._writer.berths
        if berths.missed_count < self._missed_max:
            return []
        berths.missed_count = 0
        return [row for row in berths.taken_by if batch_of(row) + _STUCK_AFTER_BATCHES <= self._number]

    def _leave_berths(self, rows: list[int]) -> None:
        """Write pieces that stay among those that stay, so that others can have their berths."""
        written = []
        with transaction(self._connection):
            for row in rows:
                thin, tally = thin_out(self._read(row))
                thin = thin.moved(piece_id(batch_of(row), 0))
                tally = Tally(thin.head, marks=tally.marks)
                values = (thin.head.id, thin.head_octets, thin.body)
                self._connection.execute("INSERT INTO pieces VALUES (?,?,?)", values)
                self._connection.execute("REPLACE INTO notes VALUES (?,?)", (thin.head.id, tally.octets()))
                self._connection.execute("DELETE FROM notes WHERE id = ?", (row,))
                self._connection.execute("UPDATE recent SET id = -abs(id) WHERE id = ?", (row,))
                written.append((row, tally))
        for row, tally in written:
            self._writer.forget(row)
            self._writer.know(tally)
            self._writer.log_bytes += tally.head.body_length + 4 * PAGE_BYTES

    def _read(self, row: int) -> Piece:
        found = self._connection.execute(piece_sql(table_of(row), "WHERE p.id = ?"), (row,)).fetchone()
        try:
            return read_piece(*found)
        except Damaged as damage:
            raise JournalFailed(f"row {row} of the journal is damaged: {damage}") from damage

    def _thinned(self, row: int) -> tuple[Row, Tally] | None:
        piece = self._read(row)
        thin, tally = thin_out(piece)
        if len(thin.body) >= _THIN_SHARE * len(piece.body.octets):
            # What is left is what is large.
            return None
        return thin, tally

    def _shrink(self, *, idle: bool) -> bool:
        free = self._pragma("freelist_count")
        keep = _FREE_PAGES_IDLE if idle else max(_FREE_PAGES_BUSY, self._pragma("page_count") // 2)
        if free <= keep:
            return False
        # It gives back a page a step, and `execute` does one step, since there is nothing to fetch. This does all.
        self._connection.executescript(f"PRAGMA incremental_vacuum({min(free - keep, _PAGES_A_STEP)})")
        # At most so many pages were moved; most often they were free, and are just cut off.
        self._writer.log_bytes += PAGE_BYTES * _PAGES_A_STEP // 2
        return True

    def _pragma(self, name: str) -> int:
        found: tuple[int] = self._connection.execute(f"PRAGMA {name}").fetchone()
        return found[0]


def thin_out(piece: Piece) -> tuple[Row, Tally]:
    """Write a piece with what is live in it."""
    bounds = piece.body.bounds()
    octets: list[bytes] = []
    body_sizes: list[int] = []
    moved: dict[int, int] = {}
    runs: list[Run] = []
    slots: list[int] = []
    for queue, place, slot, message in live_places(piece):
        at = moved.setdefault(message, len(octets))
        if at == len(octets):
            octets.append(piece.body.octets[bounds[message] : bounds[message + 1]])
            body_sizes.append(piece.body.body_sizes[message])
        _extend(runs, Run(queue, place, at, 1))
        slots.append(slot)
    expiries = {new: piece.body.expiries[old] for new, old in enumerate(slots) if old in piece.body.expiries}
    marks = {new: piece.marks[old] for new, old in enumerate(slots) if old in piece.marks}
    row = write_row(piece.head.id, runs, list(map(len, octets)), body_sizes, octets, expiries)
    return row, Tally(row.head, marks=marks)


def _extend(runs: list[Run], run: Run) -> None:
    last = runs[-1] if runs else None
    if (
        last is not None
        and last.queue == run.queue
        and last.place + last.length == run.place
        and last.message + last.length == run.message
    ):
        runs[-1] = last._replace(length=last.length + 1)
    else:
        runs.append(run)
