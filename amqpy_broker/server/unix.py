"""Unix sockets: files that outlive who made them, unlike ports."""

import errno
import os
import socket
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import SocketListener

_SOMEBODY_LISTENS: Final = frozenset((0, errno.EAGAIN, errno.EINPROGRESS))


async def listen_on_unix(path: str) -> SocketListener:
    """Listen at a path; what a broker that died has left there is replaced.

    Raises:
        OSError: it cannot be listened on; the error names the path, which the system's own does not.
    """
    try:
        if _in_use(path):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        return await anyio.create_unix_listener(path)
    except OSError as failure:
        raise OSError(failure.errno, failure.strerror, path) from None


def remove_unix(path: str) -> None:
    """Remove what `listen_on_unix` made, once nobody listens there any more."""
    if not _in_use(path):
        Path(path).unlink(missing_ok=True)


def _in_use(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) in _SOMEBODY_LISTENS
