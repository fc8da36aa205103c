"""Goes on without what is damaged: it is set aside in a folder of its own, and the rest is kept.

Damaged rows are written to files and deleted. If the file's structure or its log is damaged, the whole file is set
aside, and what can be read and verified is copied to a new one.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from amqpy_broker.core.journal import JournalFailed
from amqpy_broker.storage.berths import BERTHS_MAX
from amqpy_broker.storage.errors import UNREADABLE, Damaged
from amqpy_broker.storage.layout import (
    DAMAGED_FOLDER,
    Connect,
    State,
    create_tables,
    format_of_tables,
    has_recent,
    is_sound,
    open_for_reading,
    open_for_writing,
    write_state,
)
from amqpy_broker.storage.log import log_path
from amqpy_broker.storage.notes import read_notes
from amqpy_broker.storage.pieces import batch_of, berth_of, is_recent, read_body, read_head, rows_of
from amqpy_broker.storage.survey import Finding, Survey
from amqpy_broker.storage.writer import transaction

# Where rows cannot be listed they are asked for one by one; so many batches at most.
_PROBES_MAX: Final = 100_000
# How far the number of the next batch may have been ahead of what can still be read.
_NUMBERS_LOST: Final = 1_000_000
_NEW_SUFFIX: Final = ".new"


def set_aside(path: Path, found: Survey, connect: Connect) -> Path:
    """Set aside what a survey found to be damaged, and repair the rest; return the folder."""
    folder = _new_folder(path.parent)
    (folder / "findings.txt").write_text("".join(f"{finding.text}\n" for finding in found.findings))
    if all(finding.is_one_row for finding in found.findings):
        _delete_rows(path, found.findings, folder, connect)
    else:
        _copy_the_rest(path, found, folder, connect)
    return folder


def _new_folder(directory: Path) -> Path:
    number = 1
    while (folder := directory / DAMAGED_FOLDER / str(number)).exists():
        number += 1
    folder.mkdir(parents=True)
    return folder


# --- single rows --------------------------------------------------------------------------------------------------


def _delete_rows(path: Path, findings: list[Finding], folder: Path, connect: Connect) -> None:
    with closing(open_for_writing(path, connect)) as connection:
        for number, finding in enumerate(findings):
            _save_row(connection, finding, folder / f"{finding.table}-{number}")
        sync_folder(folder)
        with transaction(connection):
            # The log goes when this is closed, and nobody shall miss it.
            write_state(connection, "open", State.COPY.value)
            for finding in findings:
                connection.execute(f"DELETE FROM {finding.table} WHERE {_key(finding)} = ?", (finding.id,))


def _save_row(connection: sqlite3.Connection, finding: Finding, target: Path) -> None:
    cursor = connection.execute(f"SELECT * FROM {finding.table} WHERE {_key(finding)} = ?", (finding.id,))
    columns = [description[0] for description in cursor.description]
    for values in cursor.fetchall():
        for column, value in zip(columns, values, strict=True):
            target.with_suffix(f".{column}").write_bytes(value if isinstance(value, bytes) else str(value).encode())


def _key(finding: Finding) -> str:
    return {"documents": "key", "recent": "berth"}.get(str(finding.table), "id")


# --- the whole file -----------------------------------------------------------------------------------------------


def _copy_the_rest(path: Path, found: Survey, folder: Path, connect: Connect) -> None:
    for file in (path, log_path(path)):
        if file.exists():
            shutil.copy2(file, folder)
    sync_folder(folder)
    new = path.with_name(path.name + _NEW_SUFFIX)
    for file in (new, log_path(new)):
        file.unlink(missing_ok=True)
    with closing(open_for_reading(path, connect)) as old, closing(open_for_writing(new, connect)) as target:
        if not _can_be_read(old):
            raise JournalFailed(f"nothing can be read from {path}; it is kept in {folder}, too: restore a backup")
        create_tables(target)
        with transaction(target):
            last = _copy_pieces(old, target, found)
            _copy_documents(old, target)
            number = max(found.next_batch, last + 1) if "next_batch" in found.state else last + _NUMBERS_LOST
            write_state(target, "next_batch", str(number))
            write_state(target, "open", State.COPY.value)
    # The old log must not meet the new file. Whoever stops here finds a file without its log, and is told.
    for file in (log_path(path), path.with_name(path.name + "-shm")):
        file.unlink(missing_ok=True)
    os.replace(new, path)
    sync_folder(path.parent)


def _can_be_read(old: sqlite3.Connection) -> bool:
    with suppress(*UNREADABLE):
        return format_of_tables(old) is not None
    return False


def _copy_documents(old: sqlite3.Connection, target: sqlite3.Connection) -> None:
    for order in ("ASC", "DESC"):
        with suppress(*UNREADABLE):
            for row in old.execute(f"SELECT key, data, crc FROM documents ORDER BY key {order}"):
                if is_sound(*row):
                    target.execute("INSERT OR IGNORE INTO documents VALUES (?,?,?)", row)


def _copy_pieces(old: sqlite3.Connection, target: sqlite3.Connection, found: Survey) -> int:
    last = 0
    for row, head_octets, body in _pieces(old, found):
        with suppress(Damaged):
            head = read_head(row, head_octets)
            read_body(head, body)
            if is_recent(row):
                values = (berth_of(row), row, head_octets, body)
                target.execute("INSERT OR IGNORE INTO recent VALUES (?,?,?,?)", values)
            else:
                target.execute("INSERT OR IGNORE INTO pieces VALUES (?,?,?)", (row, head_octets, body))
            last = max(last, batch_of(row))
            notes = _notes(old, row)
            if notes is not None:
                read_notes(row, head.slot_count, notes)
                target.execute("INSERT OR IGNORE INTO notes VALUES (?,?)", (row, notes))
    return last


def _notes(old: sqlite3.Connection, row: int) -> object:
    with suppress(*UNREADABLE):
        for (data,) in old.execute("SELECT data FROM notes WHERE id = ?", (row,)):
            return data
    return None


_PieceRow = tuple[int, object, object]


def _pieces(old: sqlite3.Connection, found: Survey) -> Iterator[_PieceRow]:
    """List what can be read: from the beginning, from the end, and what is between, batch by batch."""
    yield from _pieces_in_berths(old)
    low = high = -1
    try:
        for row in _ascending(old, "SELECT id, head, body FROM pieces ORDER BY id"):
            low = row[0]
            yield row
        return
    except UNREADABLE:
        # It goes on below.
        pass
    with suppress(*UNREADABLE):
        for row in old.execute("SELECT id, head, body FROM pieces ORDER BY id DESC"):
            if row[0] <= low or (high >= 0 and row[0] >= high):
                break
            high = row[0]
            yield row
    first = batch_of(max(low, 0))
    last = batch_of(high) if high > 0 else found.next_batch
    for batch in range(first, min(last, first + _PROBES_MAX) + 1):
        with suppress(*UNREADABLE):
            yield from _ascending(old, "SELECT id, head, body FROM pieces WHERE id BETWEEN ? AND ?", rows_of(batch))


def _pieces_in_berths(old: sqlite3.Connection) -> Iterator[_PieceRow]:
    with suppress(*UNREADABLE):
        if not has_recent(old):
            return
    for berth in range(1, BERTHS_MAX + 1):
        with suppress(*UNREADABLE):
            # What is vacant is no piece.
            yield from old.execute("SELECT id, head, body FROM recent WHERE berth = ? AND id > 0", (berth,))


def _ascending(old: sqlite3.Connection, sql: str, values: tuple[int, ...] = ()) -> Iterator[_PieceRow]:
    before = -1
    for row in old.execute(sql, values):
        if row[0] <= before:
            raise sqlite3.DatabaseError("rows do not ascend")
        before = row[0]
        yield row


def sync_folder(folder: Path) -> None:
    """Make a folder and the files in it durable."""
    for file in (*(file for file in folder.iterdir() if file.is_file()), folder):
        _sync(file)


def _sync(path: Path) -> None:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        # Windows does not open folders.
        return
    try:
        with suppress(OSError):
            os.fsync(file)
    finally:
        os.close(file)
