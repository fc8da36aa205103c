"""Copies a journal while its broker goes on: what is durable at one moment, complete in one file."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Final

from amqpy_broker.core.journal import JournalFailed
from amqpy_broker.storage.layout import (
    FILE_NAME,
    Connect,
    State,
    connect,
    forget_spilled,
    open_for_reading,
    open_for_writing,
    read_state,
    write_state,
)
from amqpy_broker.storage.log import log_path
from amqpy_broker.storage.salvage import sync_folder
from amqpy_broker.storage.writer import transaction

_PARTIAL_SUFFIX: Final = ".partial"


def back_up(source: Path, target: Path, connect: Connect = connect) -> None:
    """Copy the journal of one directory to another, which a broker can be started with.

    It reads, and takes no lock: the broker that writes does not wait.

    Raises:
        JournalFailed: there is a journal already where the copy is to be, or none where it is to come from.
        sqlite3.Error: it cannot be read, or there is no room for the copy.
    """
    if not (source / FILE_NAME).exists():
        raise JournalFailed(f"there is no journal in {source}")
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    final = target / FILE_NAME
    if final.exists() or log_path(final).exists():
        raise JournalFailed(f"there is a journal already in {target}")
    partial = target / (FILE_NAME + _PARTIAL_SUFFIX)
    partial.unlink(missing_ok=True)
    try:
        with closing(open_for_reading(source / FILE_NAME, connect)) as connection:
            connection.execute("VACUUM INTO ?", (str(partial),))
        _finish(partial, connect)
    except BaseException:
        partial.unlink(missing_ok=True)
        log_path(partial).unlink(missing_ok=True)
        raise
    # The name comes last: half a copy has none that a broker would take.
    os.replace(partial, final)
    sync_folder(target)


def _finish(path: Path, connect: Connect) -> None:
    """Leave what is no part of a copy, and say that it is one."""
    with closing(open_for_writing(path, connect)) as connection, transaction(connection):
        forget_spilled(connection)
        if read_state(connection).get("open") != State.CLOSED.value:
            write_state(connection, "open", State.COPY.value)
