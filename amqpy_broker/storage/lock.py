"""One broker a directory: a locked file that names the process. The system lets go of it when the process ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

LOCK_NAME: Final = "lock"
# On Windows a locked octet cannot be read: this one is far behind the number that others read.
_LOCKED_OCTET: Final = 1 << 20


class InUse(Exception):
    """Another process has the directory."""

    def __init__(self, directory: Path, pid: str) -> None:
        super().__init__(f"{directory} is in use by " + (f"process {pid}" if pid else "another process"))
        self.pid = pid


class DirectoryLock:
    """Holds a directory until it is released, or the process ends, however it ends."""

    def __init__(self, directory: Path) -> None:
        """Take it.

        Raises:
            InUse: another broker has it, here or in another process.
        """
        self._file = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(self._file)
        except OSError:
            os.close(self._file)
            raise InUse(directory, _holder(directory)) from None
        os.truncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let others have it. The file stays: deleting it would let two take it at once."""
        if self._file >= 0:
            os.truncate(self._file, 0)
            os.close(self._file)
            self._file = -1


def _holder(directory: Path) -> str:
    try:
        return (directory / LOCK_NAME).read_text().strip()
    except OSError:
        return ""


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, _LOCKED_OCTET, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
