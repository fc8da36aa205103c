"""The engine: a journal in a SQLite file, written by a thread of its own.

    broker's thread                      writer's thread
    append(batch)  --queue-->            plan, encode, one transaction, sync
    on_synced      <--call_soon--        then tidy up, while nothing waits
    read(page): on a connection of its own

A sync that failed is not tried again: what the system holds in memory may differ from what is on the disk from then on.
See https://wiki.postgresql.org/wiki/Fsync_Errors
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from amqpy_broker.core.journal import Batch, JournalFailed, MessageFormat, Page, Recovered, Stored
from amqpy_broker.storage.backup import back_up
from amqpy_broker.storage.layout import Connect, connect
from amqpy_broker.storage.store import Store
from amqpy_broker.storage.writer import Plan

# What says that there is no room now, and that nothing was written: the disk or its quota is full, or the index of
# the log could not grow; or somebody else has a lock on the file.
_NO_ROOM: Final = frozenset((sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_BUSY))
_TRY_AGAIN_S: Final = 0.2
# When nothing came for so long, there is time to tidy up.
_IDLE_S: Final = 0.25

logger = logging.getLogger(__name__)

CallSoon = Callable[[Callable[[], None]], None]


class SqliteJournal:
    """A journal in a directory. See `core.journal.Journal` for what it promises."""

    def __init__(
        self,
        directory: Path,
        message_format: MessageFormat,
        call_soon: CallSoon,
        *,
        recover: bool = False,
        connect: Connect = connect,
    ) -> None:
        """Name the directory. Nothing is opened before `recover`.

        `call_soon` calls a function in the broker's thread, from any thread. `recover` goes on without what is damaged.
        """
        self.on_synced: Callable[[int], None] = _nobody_hears
        self.on_stalled: Callable[[bool], None] = _nobody_hears
        self.on_failed: Callable[[JournalFailed], None] = _nobody_hears
        self._directory = directory
        self._format = message_format
        self._call_soon = call_soon
        self._recover = recover
        self._connect = connect
        self._store: Store | None = None
        self._thread = threading.Thread(target=self._run, name="amqpy-journal", daemon=True)
        # None ends the thread.
        self._batches: SimpleQueue[Batch | None] = SimpleQueue()
        self._closing = threading.Event()
        # Whether there may be something to tidy up.
        self._untidy = True
        self._failure: JournalFailed | None = None
        # Whether the broker was told of the failure.
        self._told = False

    # --- the broker's thread ----------------------------------------------------------------------------------------

    def recover(self) -> Recovered:
        """Open the directory and say what is there.

        Raises:
            JournalFailed: another broker has it, or it is damaged; the text says what, and what to do.
        """
        self._store = Store(self._directory, self._format, recover=self._recover, connect=self._connect)
        self._thread.start()
        return self._store.recovered

    def append(self, batch: Batch) -> None:
        """Begin to make a batch durable, and return at once."""
        self._batches.put(batch)

    def read(self, page: Page) -> list[Stored]:
        """Read the messages of a page that are not settled, in the order of their places.

        Raises:
            JournalFailed: what is there is damaged.
        """
        return self._opened.read(page)

    def backup(self, directory: Path) -> None:
        """Write a copy of what is durable now, which can be opened as it is; the broker goes on meanwhile.

        It takes as long as copying takes: call it on a thread of its own.
        """
        back_up(self._directory, directory, self._connect)

    def close(self) -> None:
        """Make what was appended durable, note that nothing is missing, and let go of the files.

        Raises:
            JournalFailed: there was no room for what was appended.
        """
        if self._store is None:
            return
        self._closing.set()
        self._batches.put(None)
        self._thread.join()
        store, self._store = self._store, None
        if self._failure is None:
            try:
                store.close()
            except sqlite3.Error as failure:
                # All batches are durable; the next start will take this end for a crash.
                logger.warning("the journal in %s was not closed cleanly: %s", self._directory, failure)
            return
        store.abandon()
        if not self._told:
            raise self._failure

    # --- the writer's thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        store = self._opened
        try:
            while (batch := self._next(store)) is not None:
                self._write(store, batch)
                self._tell(partial(self._synced, batch.number))
                self._untidy = True
                self._tidy(store, idle=False)
        except _GaveUp:
            self._failure = JournalFailed(f"there is no room for the last batches in {self._directory}")
        # Whatever it is, nobody may believe that batches are still written.
        except Exception as failure:
            self._fail(failure)

    def _next(self, store: Store) -> Batch | None:
        """Wait for a batch. If none comes for a while, tidy up step by step meanwhile."""
        patience_s = _IDLE_S
        while self._untidy:
            try:
                return self._batches.get(timeout=patience_s)
            except Empty:
                self._untidy = self._tidy(store, idle=True)
                patience_s = 0
        return self._batches.get()

    def _write(self, store: Store, batch: Batch) -> None:
        """Make a batch durable, however long it takes until there is room for it."""
        plan = store.plan(batch)
        stalled = False
        while not self._try(store, plan):
            if not stalled:
                stalled = True
                self._tell(partial(self._stalled, True))
            if self._closing.wait(_TRY_AGAIN_S) and not self._try(store, plan):
                raise _GaveUp
            self._make_room(store)
        if stalled:
            self._tell(partial(self._stalled, False))

    def _try(self, store: Store, plan: Plan) -> bool:
        try:
            store.execute(plan)
        except sqlite3.Error as failure:
            if _is_no_room(failure):
                return False
            raise
        return True

    def _make_room(self, store: Store) -> None:
        try:
            store.copy_log_back(cut=True)
        except sqlite3.Error as failure:
            if not _is_no_room(failure):
                raise

    def _tidy(self, store: Store, *, idle: bool) -> bool:
        try:
            return store.tidy(idle=idle)
        except sqlite3.Error as failure:
            if _is_no_room(failure):
                # The next batch will say so, if it is still true then.
                return False
            raise

    def _fail(self, failure: Exception) -> None:
        name = f" ({failure.sqlite_errorname})" if isinstance(failure, sqlite3.Error) and _code(failure) else ""
        why = str(failure) or type(failure).__name__
        text = f"the journal in {self._directory} cannot be written any more: {why}{name}"
        failed = JournalFailed(text)
        failed.__cause__ = failure
        self._failure = failed
        self._told = True
        self._tell(partial(self._failed, failed))

    def _tell(self, what: Callable[[], None]) -> None:
        # The broker's loop may have ended before the journal was closed.
        with suppress(RuntimeError):
            self._call_soon(what)

    # --- told in the broker's thread: whoever listens then is told ----------------------------------------------------

    def _synced(self, number: int) -> None:
        self.on_synced(number)

    def _stalled(self, stalled: bool) -> None:
        self.on_stalled(stalled)

    def _failed(self, failure: JournalFailed) -> None:
        self.on_failed(failure)

    @property
    def _opened(self) -> Store:
        if self._store is None:
            raise JournalFailed(f"the journal in {self._directory} is not open")
        return self._store


class _GaveUp(Exception):
    """There was no room for a batch, and no time to wait for it."""


def _is_no_room(failure: sqlite3.Error) -> bool:
    code = _code(failure)
    # The low octet tells the kind, the rest tells more.
    return code in _NO_ROOM or (code is not None and code & 0xFF in _NO_ROOM)


def _code(failure: sqlite3.Error) -> int | None:
    # Only what SQLite itself says has a code.
    return getattr(failure, "sqlite_errorcode", None)


def _nobody_hears(_news: object) -> None:
    """Nobody wants to know."""
