"""A journal's directory, opened: everything the engine does, step by step, on the thread that calls."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from amqpy_broker.core.journal import Batch, JournalFailed, MessageFormat, Page, Recovered, Stored
from amqpy_broker.storage.errors import UNREADABLE
from amqpy_broker.storage.layout import (
    FILE_NAME,
    Connect,
    State,
    bring_up_to_date,
    connect,
    create_tables,
    forget_spilled,
    open_for_reading,
    open_for_writing,
    write_state,
)
from amqpy_broker.storage.lock import DirectoryLock, InUse
from amqpy_broker.storage.log import log_path
from amqpy_broker.storage.pieces import PIECE_BYTES
from amqpy_broker.storage.reader import PieceReader
from amqpy_broker.storage.salvage import set_aside, sync_folder
from amqpy_broker.storage.space import BERTHS_MISSED_MAX, Space
from amqpy_broker.storage.survey import Survey, survey
from amqpy_broker.storage.writer import BatchWriter, Plan, transaction

logger = logging.getLogger(__name__)


class Store:
    """A journal that belongs to this process until it is closed."""

    def __init__(
        self,
        directory: Path,
        message_format: MessageFormat,
        *,
        recover: bool = False,
        connect: Connect = connect,
        piece_bytes: int = PIECE_BYTES,
        berths_missed_max: int = BERTHS_MISSED_MAX,
    ) -> None:
        """Open a directory, look at everything in it, and take it.

        Raises:
            JournalFailed: somebody else has it, or what is there is damaged and `recover` does not say to go on.
        """
        self.path = directory / FILE_NAME
        _make_directory(directory)
        try:
            self._lock = DirectoryLock(directory)
        except InUse as failure:
            raise JournalFailed(str(failure)) from None
        try:
            found = _look(self.path, connect, recover=recover)
            self._writing, self._reading = _open_both(self.path, connect)
        except (*UNREADABLE, OSError) as failure:
            self._lock.release()
            raise JournalFailed(f"the journal in {directory} cannot be opened: {failure}") from failure
        except BaseException:
            self._lock.release()
            raise
        self.recovered = Recovered(found.documents, found.pages, found.next_batch, found.closed_cleanly)
        self._last_batch = found.next_batch - 1
        self._reader = PieceReader(self._reading, message_format.load)
        self._writer = BatchWriter(
            self._writing,
            found.index,
            found.berths,
            message_format.dump,
            numbers_until=int(found.state.get("next_batch", "1")),
            piece_bytes=piece_bytes,
        )
        self._space = Space(self._writing, self._writer, berths_missed_max)

    # --- batches ----------------------------------------------------------------------------------------------------

    def plan(self, batch: Batch) -> Plan:
        """Say what a batch does; then `execute` it, as often as it takes."""
        return self._writer.plan(batch)

    def execute(self, plan: Plan) -> None:
        """Make a batch durable."""
        self._writer.execute(plan)
        self._last_batch = max(self._last_batch, plan.batch.number)
        self._space.note(plan.batch.number, list(plan.touched.values()))

    def read(self, page: Page) -> list[Stored]:
        """Read the messages of a page. It may be called on another thread than the rest."""
        return self._reader.read(page)

    def tidy(self, *, idle: bool) -> bool:
        """Give some space back; say whether there may be more."""
        return self._space.tidy(idle=idle)

    def copy_log_back(self, *, cut: bool) -> None:
        """Copy the log into the file, which may have room when the disk has none; cut it, or leave it as long."""
        self._space.copy_log_back(cut=cut)

    # --- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Note that nothing is missing, and let go of the files.

        After a crash the note needs a batch: who opened it and did nothing knows no more than there was to know before.
        """
        clean = self.recovered.closed_cleanly or self._last_batch >= self.recovered.next_batch
        try:
            with transaction(self._writing):
                write_state(self._writing, "open", (State.CLOSED if clean else State.COPY).value)
                write_state(self._writing, "next_batch", str(self._last_batch + 1))
            self._reading.close()
            self._writing.close()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the files as they are."""
        # Whoever closes a file last copies the log back and deletes it. The reader cannot: the log stays.
        self._writing.close()
        self._reading.close()
        self._lock.release()


def _make_directory(directory: Path) -> None:
    if not directory.is_dir():
        directory.mkdir(parents=True, mode=0o700)
        sync_folder(directory.parent)


def _open_both(path: Path, connect: Connect) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Open a file to write and to read, say that it is open, and forget what was spilled."""
    writing = open_for_writing(path, connect)
    reading = None
    try:
        reading = open_for_reading(path, connect)
        # From its first read on it keeps the log alive, whoever else lets go of the file.
        reading.execute("SELECT 1 FROM state").fetchone()
        # A crash may have left the torn end of a commit in the log. Were the log gone on with, what is not written over
        # could be mistaken after the next crash for a commit that was lost.
        writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        with transaction(writing):
            bring_up_to_date(writing)
            forget_spilled(writing)
            write_state(writing, "open", State.OPEN.value)
        # The file itself says so, too: without its log it is not taken for all there is.
        writing.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    except BaseException:
        writing.close()
        if reading is not None:
            reading.close()
        raise
    return writing, reading


def _look(path: Path, connect: Connect, *, recover: bool) -> Survey:
    """Survey a file, and set aside what is damaged if told to."""
    found = _survey(path, connect)
    if not found.findings:
        return found
    if not recover:
        raise JournalFailed(found.explain(path.parent))
    folder = set_aside(path, found, connect)
    logger.warning("%s: %s; it was set aside in %s", path, "; ".join(f.text for f in found.findings), folder)
    again = _survey(path, connect)
    if again.findings:
        raise JournalFailed(f"{again.explain(path.parent)}; that was tried, and did not help")
    return again


def _survey(path: Path, connect: Connect) -> Survey:
    if not path.exists():
        if log_path(path).exists():
            raise JournalFailed(f"{path} is missing, and its log is there: put it back, or delete the log")
        _begin(path, connect)
    had_log = log_path(path).exists()
    connection = open_for_reading(path, connect)
    try:
        return survey(connection, path, had_log=had_log)
    finally:
        connection.close()


def _begin(path: Path, connect: Connect) -> None:
    connection = open_for_writing(path, connect)
    try:
        create_tables(connection)
    finally:
        connection.close()
    sync_folder(path.parent)
