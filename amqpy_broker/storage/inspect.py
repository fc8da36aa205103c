"""Looks into a journal's directory from outside: for people, beside a broker or without one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path
from typing import NamedTuple

from amqpy_broker.core.journal import JournalFailed, Mark, MessageFormat, queue_of
from amqpy_broker.core.message import Message
from amqpy_broker.storage.errors import UNREADABLE, Damaged
from amqpy_broker.storage.layout import (
    FILE_NAME,
    State,
    connect,
    document_key,
    has_recent,
    open_for_reading,
    open_for_writing,
    write_state,
)
from amqpy_broker.storage.lock import DirectoryLock, InUse
from amqpy_broker.storage.log import PAGE_BYTES, log_path
from amqpy_broker.storage.pieces import batch_of
from amqpy_broker.storage.reader import live_places, piece_sql, read_piece
from amqpy_broker.storage.space import thin_out
from amqpy_broker.storage.survey import Survey, survey
from amqpy_broker.storage.writer import transaction


@dataclass(slots=True)
class QueueStats:
    """What a queue has in the journal."""

    batches: int = 0
    messages: int = 0
    body_bytes: int = 0


@dataclass(slots=True)
class Inspection:
    """What was found in a directory."""

    survey: Survey
    # The process that has it open, if one has, as far as it is known.
    in_use_by: str | None
    file_bytes: int
    log_bytes: int
    free_bytes: int
    queues: dict[int, QueueStats] = field(default_factory=dict)


class StoredMessage(NamedTuple):
    """A message with all that is known of it."""

    batch: int
    queue: int
    place: int
    message: Message
    expires_at_unix_ms: int | None
    mark: Mark | None


def inspect(directory: Path) -> Inspection:
    """Read and verify everything, and add it up. Beside a broker it sees what was durable at one moment.

    Raises:
        JournalFailed: there is no journal, or this version cannot read it.
    """
    path = _existing(directory)
    with ExitStack() as stack:
        in_use_by = _hold(directory, stack)
        # A broker's log is there, and grows meanwhile: only one that nobody writes to can be judged.
        had_log = in_use_by is not None or log_path(path).exists()
        connection = stack.enter_context(closing(open_for_reading(path, connect)))
        try:
            found = survey(connection, path, had_log=had_log, judge_log=in_use_by is None)
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        except UNREADABLE:
            free = 0
        sizes = [file.stat().st_size if file.exists() else 0 for file in (path, log_path(path))]
    inspection = Inspection(found, in_use_by, sizes[0], sizes[1], free * PAGE_BYTES)
    # A queue may have several pages in a batch, under several names.
    known: set[tuple[int, int]] = set()
    for page in found.pages:
        queue = queue_of(page.queue)
        stats = inspection.queues.setdefault(queue, QueueStats())
        stats.batches += (page.batch, queue) not in known
        known.add((page.batch, queue))
        stats.messages += page.count
        stats.body_bytes += page.body_bytes
    return inspection


def documents(directory: Path) -> Iterator[tuple[str, bytes]]:
    """List all documents."""
    with closing(open_for_reading(_existing(directory), connect)) as connection:
        for name, data in connection.execute("SELECT key, data FROM documents ORDER BY key"):
            yield document_key(name), data


def messages(directory: Path, message_format: MessageFormat, queue: int | None = None) -> Iterator[StoredMessage]:
    """List all messages that are not settled, batch by batch; of one queue, or of all.

    Raises:
        JournalFailed: one of them is damaged.
    """
    with closing(open_for_reading(_existing(directory), connect)) as connection:
        for found in _pieces(connection):
            batch = batch_of(found[0])
            try:
                piece = read_piece(*found)
                bounds = piece.body.bounds()
                for holder, place, slot, at in live_places(piece, queue):
                    message = message_format.load(piece.body.octets[bounds[at] : bounds[at + 1]])
                    expires = piece.body.expiries.get(slot)
                    yield StoredMessage(batch, queue_of(holder), place, message, expires, piece.marks.get(slot))
            except (Damaged, ValueError) as failure:
                raise JournalFailed(f"batch {batch} is damaged: {failure}") from failure


_Found = tuple[int, object, object, object]


def _pieces(connection: sqlite3.Connection) -> Iterator[_Found]:
    """List all pieces, those in berths among the others."""
    recent: list[_Found] = []
    if has_recent(connection):
        recent = connection.execute(piece_sql("recent", "WHERE p.id > 0 AND p.berth > 0")).fetchall()
    if not all(isinstance(row, int) for row, *_ in recent):
        raise JournalFailed("a batch that was among the last is damaged")
    pieces: Iterator[_Found] = connection.execute(piece_sql("pieces", "WHERE p.id > 0 ORDER BY p.id"))
    return merge(pieces, sorted(recent, key=_id), key=_id)


def _id(found: _Found) -> int:
    return found[0]


def compact(directory: Path) -> tuple[int, int]:
    """Write everything anew, without what is settled and without gaps; return the octets before and after.

    Raises:
        JournalFailed: somebody has it open, or it is damaged.
    """
    path = _existing(directory)
    before = inspect(directory)
    if before.survey.findings:
        raise JournalFailed(before.survey.explain(directory))
    with ExitStack() as stack:
        pid = _hold(directory, stack)
        if pid is not None:
            raise JournalFailed(str(InUse(directory, pid)))
        connection = stack.enter_context(closing(open_for_writing(path, connect)))
        with transaction(connection):
            if before.survey.state.get("open") == State.OPEN.value:
                # The log goes when this is closed, and nobody shall miss it.
                write_state(connection, "open", State.COPY.value)
            if has_recent(connection):
                connection.execute("DELETE FROM recent WHERE berth > 0 AND id < 0")
            rows: list[tuple[int]] = connection.execute("SELECT id FROM notes WHERE id > 0").fetchall()
            for (row,) in rows:
                found = connection.execute(piece_sql("pieces", "WHERE p.id = ?"), (row,)).fetchone()
                if found is not None:
                    thin, tally = thin_out(read_piece(*found))
                    values = (thin.head_octets, thin.body, row)
                    connection.execute("UPDATE pieces SET head = ?, body = ? WHERE id = ?", values)
                    connection.execute("REPLACE INTO notes VALUES (?, ?)", (row, tally.octets()))
        connection.execute("VACUUM")
    return before.file_bytes + before.log_bytes, path.stat().st_size


def _existing(directory: Path) -> Path:
    path = directory / FILE_NAME
    if not path.exists():
        raise JournalFailed(f"there is no journal in {directory}")
    return path


def _hold(directory: Path, stack: ExitStack) -> str | None:
    """Keep brokers out meanwhile; or say which process is there already."""
    try:
        lock = DirectoryLock(directory)
    except InUse as failure:
        return failure.pid
    stack.callback(lock.release)
    return None
