"""The file: its tables, how it is opened, and the two kinds of rows that are not messages: state and documents.

pieces     id, head, body          messages of durable queues
recent     berth, id, head, body   the same, of the last batches, in rows that are written over; see `berths`
spilled    id, head, body          messages that left memory only; emptied at each open
notes      id, data                what happened to a piece since
documents  key, data, crc          what the core wrote down about vhosts, users, exchanges, queues, bindings
state      key, data, crc          the format's version, whether somebody has it open, the next batch's number
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Final
from zlib import crc32

from amqpy_broker.core.journal import JournalFailed
from amqpy_broker.storage.log import PAGE_BYTES

FILE_NAME: Final = "journal.db"
DAMAGED_FOLDER: Final = "damaged"
FORMAT_VERSION: Final = 2
# "AMQj": what `file` shows of a journal.
_APPLICATION_ID: Final = 0x414D516A
# Above this the log is cut back when it begins anew.
_LOG_LIMIT_BYTES: Final = 16 * 1024 * 1024
# How long to wait for a lock that somebody else, who has no business here, holds on the file.
_LOCK_TIMEOUT_S: Final = 5.0

_SCHEMA: Final = """
CREATE TABLE state (key TEXT PRIMARY KEY, data BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (key BLOB PRIMARY KEY, data BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE pieces (id INTEGER PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE spilled (id INTEGER PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE notes (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TRIGGER piece_gone AFTER DELETE ON pieces BEGIN DELETE FROM notes WHERE id = old.id; END;
CREATE TRIGGER spilled_gone AFTER DELETE ON spilled BEGIN DELETE FROM notes WHERE id = old.id; END;
"""

# What format 2 has that format 1 had not.
_RECENT: Final = """
CREATE TABLE recent (berth INTEGER PRIMARY KEY, id INTEGER NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL);
CREATE TRIGGER recent_gone AFTER DELETE ON recent BEGIN DELETE FROM notes WHERE id = old.id; END;
"""

_STATEMENTS_1: Final = tuple(_SCHEMA.strip().split("\n"))
_STATEMENTS_RECENT: Final = tuple(_RECENT.strip().split("\n"))
_STATEMENTS: Final = {1: _STATEMENTS_1, FORMAT_VERSION: _STATEMENTS_1 + _STATEMENTS_RECENT}

# How each table of messages begins: with its own name, so that one cannot be taken for another.
_FIRST_ROWS: Final[dict[str, tuple[int | bytes, ...]]] = {
    "pieces": (0, b"pieces", b""),
    "spilled": (0, b"spilled", b""),
    "notes": (0, b"notes"),
    "recent": (0, 0, b"recent", b""),
}

# Opens a database by its URI. Tests hand in their own, to make it fail.
Connect = Callable[[str], sqlite3.Connection]


class State(Enum):
    """Who has the journal open, as it says itself."""

    CLOSED = "closed"
    OPEN = "open"
    # As after a crash, but complete in one file: a backup, and what was repaired.
    COPY = "copy"


def connect(uri: str) -> sqlite3.Connection:
    """Open a database with nothing done behind our back: transactions begin and end where we say."""
    return sqlite3.connect(
        uri,
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=_LOCK_TIMEOUT_S,
        cached_statements=64,
    )


def file_uri(path: Path, mode: str) -> str:
    """Name a file to SQLite; the mode is `ro`, `rw` or `rwc`."""
    return f"{path.absolute().as_uri()}?mode={mode}"


def open_for_writing(path: Path, connect: Connect) -> sqlite3.Connection:
    """Open a journal's file, or begin one. What is durable is synced before anybody hears of it."""
    connection = connect(file_uri(path, "rwc"))
    try:
        # These two mean something only before the first table.
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        # On a Mac a sync that does not say so stays in the disk's cache.
        connection.execute("PRAGMA fullfsync=ON")
        connection.execute("PRAGMA checkpoint_fullfsync=ON")
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("PRAGMA temp_store=MEMORY")
        # The writer copies the log back itself, when it told what is durable. This is for the case that it cannot.
        connection.execute("PRAGMA wal_autocheckpoint=16384")
        connection.execute(f"PRAGMA journal_size_limit={_LOG_LIMIT_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path, connect: Connect) -> sqlite3.Connection:
    """Open a journal's file beside whoever writes it."""
    return connect(file_uri(path, "ro"))


def has_tables(connection: sqlite3.Connection) -> bool:
    """Whether anything was ever written."""
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None


def format_of_tables(connection: sqlite3.Connection) -> int | None:
    """Say which format has these tables, to the letter: a letter more, and a column means something else."""
    found: list[tuple[str]] = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    texts = sorted(f"{sql};" for (sql,) in found)
    return next((number for number, statements in _STATEMENTS.items() if texts == sorted(statements)), None)


def has_recent(connection: sqlite3.Connection) -> bool:
    """Whether there are berths: a journal of format 1 that nobody has opened since has none."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'recent'").fetchone() is not None


def has_first_rows(connection: sqlite3.Connection) -> bool:
    """Whether each table begins with its own name."""
    names = [name for name in _FIRST_ROWS if name != "recent" or has_recent(connection)]
    return all(
        connection.execute(f"SELECT * FROM {name} WHERE rowid = 0").fetchone() == _FIRST_ROWS[name] for name in names
    )


def create_tables(connection: sqlite3.Connection) -> None:
    """Begin a journal."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _STATEMENTS[FORMAT_VERSION]:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
    for name in _FIRST_ROWS:
        _begin_table(connection, name)
    write_state(connection, "format", str(FORMAT_VERSION))
    write_state(connection, "open", State.CLOSED.value)
    write_state(connection, "next_batch", "1")
    connection.execute("COMMIT")


def bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Make of a journal of an earlier format one of this. A transaction must be open."""
    if has_recent(connection):
        return
    for statement in _STATEMENTS_RECENT:
        connection.execute(statement)
    _begin_table(connection, "recent")
    write_state(connection, "format", str(FORMAT_VERSION))


def _begin_table(connection: sqlite3.Connection, name: str) -> None:
    values = _FIRST_ROWS[name]
    connection.execute(f"INSERT INTO {name} VALUES ({','.join('?' * len(values))})", values)


# --- state and documents ------------------------------------------------------------------------------------------


def forget_spilled(connection: sqlite3.Connection) -> None:
    """Delete what left memory only."""
    connection.execute("DELETE FROM spilled WHERE id > 0")


def write_state(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Remember something about the journal itself."""
    connection.execute("INSERT OR REPLACE INTO state VALUES (?,?,?)", state_row(key, value))


def state_row(key: str, value: str) -> tuple[str, bytes, int]:
    """Write a row of the journal's own state."""
    data = value.encode()
    return key, data, _checksum(key.encode(), data)


def read_state(connection: sqlite3.Connection) -> dict[str, str]:
    """Read what is known about the journal itself.

    Raises:
        JournalFailed: it is damaged.
    """
    found = {}
    for key, data, crc in connection.execute("SELECT key, data, crc FROM state"):
        if not isinstance(key, str) or not isinstance(data, bytes) or crc != _checksum(key.encode(), data):
            raise JournalFailed("the journal's own state is damaged")
        found[key] = data.decode()
    return found


def check_version(state: dict[str, str]) -> None:
    """Refuse what a later version wrote.

    Raises:
        JournalFailed: this version cannot read it.
    """
    version = state.get("format")
    if version is None:
        raise JournalFailed("the journal's own state is damaged: it does not say which format it has")
    if version not in map(str, _STATEMENTS):
        raise JournalFailed(
            f"the journal has format {version}, and this version of the broker knows format {FORMAT_VERSION}: "
            "start the version that wrote it, or a later one"
        )


def document_row(key: str, data: bytes) -> tuple[bytes, bytes, int]:
    """Write a document. Names may hold octets that are no text: they pass."""
    name = key.encode("utf-8", "surrogatepass")
    return name, data, _checksum(name, data)


def document_key(name: bytes) -> str:
    """Read a document's key."""
    return name.decode("utf-8", "surrogatepass")


def is_sound(name: object, data: object, crc: object) -> bool:
    """Whether a document is what was written."""
    return isinstance(name, bytes) and isinstance(data, bytes) and crc == _checksum(name, data)


def _checksum(key: bytes, data: bytes) -> int:
    return crc32(data, crc32(len(key).to_bytes(4, "little") + key))
