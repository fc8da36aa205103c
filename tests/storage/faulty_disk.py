"""A disk that fails: what a crash may leave of files, and connections on which commits fail."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from amqpy_broker.storage.layout import FILE_NAME
from amqpy_broker.storage.log import log_path

SECTOR_BYTES = 512
_LOG_HEADER_BYTES = 32


class Files:
    """The database and its log at one moment."""

    def __init__(self, database: bytes, log: bytes | None) -> None:
        self.database = database
        self.log = log

    @classmethod
    def of(cls, directory: Path) -> Files:
        path = directory / FILE_NAME
        log = log_path(path)
        return cls(path.read_bytes(), log.read_bytes() if log.exists() else None)

    def put(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        for file in directory.iterdir():
            if file.is_file():
                file.unlink()
        (directory / FILE_NAME).write_bytes(self.database)
        if self.log is not None:
            log_path(directory / FILE_NAME).write_bytes(self.log)


def crashed(random: Random, before: Files, after: Files) -> Files:
    """What the disk may hold when the power fails between two moments with one sync, or one copy of the log, between.

    The log is synced before it is copied, and cut or begun anew only when the copy is synced.
    """
    if before.log is None or after.log is None:
        return after
    if before.database != after.database:
        if random.random() < 0.3:
            return after
        return Files(torn(random, before.database, after.database), before.log)
    if len(after.log) < len(before.log):
        # Cutting a file is a change of its length alone: it is done or not.
        return random.choice((before, after))
    if before.log[:_LOG_HEADER_BYTES] != after.log[:_LOG_HEADER_BYTES] and len(after.log) > _LOG_HEADER_BYTES:
        # A log that begins anew: its head is synced before anything that follows.
        begun = after.log[:_LOG_HEADER_BYTES] + before.log[_LOG_HEADER_BYTES:]
        if random.random() < 0.2:
            return random.choice((before, Files(before.database, begun)))
        rest = torn(random, begun[_LOG_HEADER_BYTES:], after.log[_LOG_HEADER_BYTES:])
        return Files(before.database, after.log[:_LOG_HEADER_BYTES] + rest)
    return Files(before.database, torn(random, before.log, after.log))


def torn(random: Random, before: bytes, after: bytes) -> bytes:
    """Some of the sectors that changed are written, some are not, some hold neither."""
    how = random.random()
    if how < 0.15:
        return before
    if how < 0.3:
        return after
    if how < 0.5 and len(after) > len(before):
        # A prefix, which is what most disks leave.
        return after[: random.randint(len(before), len(after))]
    length = random.choice((len(after), random.randint(*sorted((len(before), len(after))))))
    octets = bytearray(before[:length].ljust(length, b"\0"))
    for sector in range(0, length, SECTOR_BYTES):
        at, end = sector, min(sector + SECTOR_BYTES, length)
        if before[at:end] == after[at:end]:
            continue
        # What was synced stays, though it be in the same sector: SQLite calls that a powersafe overwrite.
        while at < len(before) and before[at : at + 1] == after[at : at + 1]:
            at += 1
        fate = random.random()
        if fate < 0.6:
            octets[at:end] = after[at:end].ljust(end - at, b"\0")
        elif fate < 0.7:
            octets[at:end] = flipped(random, bytes(octets[at:end]), 3)
        elif fate < 0.8:
            octets[at:end] = bytes(end - at)
    return bytes(octets)


def flipped(random: Random, octets: bytes, count: int) -> bytes:
    """Change some octets."""
    changed = bytearray(octets)
    for _ in range(count):
        changed[random.randrange(len(changed))] ^= random.randint(1, 255)
    return bytes(changed)


class Fault:
    """What the next commit does. Handed to every connection that a test opens."""

    def __init__(self) -> None:
        self.code: int | None = None
        # Whether all is written before it fails, as a sync does that fails.
        self.late = False
        # How often it fails yet.
        self.times = 0

    def arm(self, code: int, *, late: bool = False, times: int = 1) -> None:
        self.code, self.late, self.times = code, late, times

    def strike(self, sql: str, act: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        if self.times == 0 or not sql.startswith(("COMMIT", "INSERT", "DELETE")):
            return act()
        self.times -= 1
        if self.late:
            act()
        failure = sqlite3.OperationalError("the test's disk failed")
        assert self.code is not None
        failure.sqlite_errorcode = self.code
        failure.sqlite_errorname = "SQLITE_TEST"
        raise failure

    def connect(self, uri: str) -> sqlite3.Connection:
        """Open a database of which writes may fail. Nothing is synced: the crashes are made by us."""
        fault = self

        class FaultyConnection(sqlite3.Connection):
            def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
                sql = sql.replace("PRAGMA synchronous=FULL", "PRAGMA synchronous=OFF")
                return fault.strike(sql, lambda: sqlite3.Connection.execute(self, sql, parameters))

        return sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, factory=FaultyConnection, timeout=0.0
        )
