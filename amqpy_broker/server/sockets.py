"""What the operating system knows of a socket."""

from __future__ import annotations

import struct
import sys

from anyio.abc import ByteStream, SocketAttribute


def undelivered_bytes(stream: ByteStream) -> int:
    """Count what was sent and has not reached the other end yet. Only Linux tells; elsewhere it is 0."""
    raw = stream.extra(SocketAttribute.raw_socket, None)
    if sys.platform != "linux" or raw is None or raw.fileno() < 0:
        return 0
    import fcntl  # noqa: PLC0415 - not everywhere
    import termios  # noqa: PLC0415 - not everywhere

    return int(struct.unpack("i", fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
