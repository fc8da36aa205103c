"""The write-ahead log, looked at from outside: whether commits are missing that were synced.

SQLite reads the log up to the first frame that is wrong, and takes what follows for the torn end of a last commit. That
is right for a crash. If octets went bad in the middle, commits behind them are gone without a word. They can be told
apart: a commit begins only when the one before it is synced. So behind the first wrong frame there may be the end of
one commit, not of two. The layout is SQLite's: https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Final

# magic, version, page size, checkpoint number, salt, salt, checksum, checksum
_HEADER: Final = struct.Struct(">8I")
# page, size of the database after a commit or 0, salt, salt, checksum, checksum
_FRAME: Final = struct.Struct(">6I")
_TORN_COMMITS_MAX: Final = 1
_MAGIC_LITTLE: Final = 0x377F0682
_INDEX_FRAMES_AT: Final = 16
# The size of pages of every journal: large bodies take fewer writes than with the usual 4096, small batches no more.
PAGE_BYTES: Final = 8192


def log_path(database: Path) -> Path:
    """Say where a database's log is."""
    return database.with_name(database.name + "-wal")


def valid_frames(database: Path) -> int:
    """Say how many frames of the log SQLite reads. A transaction must be open: it made SQLite look.

    The number stands in the log's index, see https://www.sqlite.org/walformat.html#the_wal_index_header.
    """
    try:
        with database.with_name(database.name + "-shm").open("rb") as file:
            header = file.read(_INDEX_FRAMES_AT + 4)
    except FileNotFoundError:
        return 0
    return int.from_bytes(header[_INDEX_FRAMES_AT:], sys.byteorder)


def lost_commits(database: Path, valid_frames: int) -> int:
    """Count commits that were synced once and that SQLite does not see, in a log of which it reads so many frames.

    It looks at the first octets of each frame behind: salts that are the log's own, and the sign of a commit.
    """
    try:
        file = log_path(database).open("rb")
    except FileNotFoundError:
        return 0
    with file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return 0
        page_bytes, salts = _read_header(header)
        commits = 0
        at = _HEADER.size + valid_frames * (_FRAME.size + page_bytes)
        while True:
            file.seek(at)
            frame = file.read(_FRAME.size)
            if len(frame) < _FRAME.size:
                return commits if commits > _TORN_COMMITS_MAX else 0
            _page, size, *found = _FRAME.unpack(frame)[:4]
            # Without a header that can be trusted the first frame tells which generation it is.
            salts = salts or found
            commits += size != 0 and found == salts
            at += _FRAME.size + page_bytes


def _read_header(octets: bytes) -> tuple[int, list[int]]:
    """Read the size of pages and the salts; no salts if the header is damaged."""
    magic, _version, page_bytes, _checkpoint, *rest = _HEADER.unpack(octets)
    words = struct.unpack("<6I" if magic == _MAGIC_LITTLE else ">6I", octets[:24])
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = first + even + second & 0xFFFFFFFF
        second = second + odd + first & 0xFFFFFFFF
    if rest[2:] != [first, second]:
        return PAGE_BYTES, []
    return page_bytes, rest[:2]
