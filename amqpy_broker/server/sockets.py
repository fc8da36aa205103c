"""What the operating system knows of a socket, and what it does when it is closed; no stream offers either."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final

from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

_LINGER_NOT_AT_ALL: Final = struct.pack("ii", 1, 0)


def undelivered_bytes(stream: ByteStream) -> int:
    """Count what was sent and has not reached the other end yet. Only Linux tells; elsewhere it is 0."""
    raw = stream.extra(SocketAttribute.raw_socket, None)
    if sys.platform != "linux" or raw is None or raw.fileno() < 0:
        return 0
    import fcntl  # noqa: PLC0415 - not everywhere
    import termios  # noqa: PLC0415 - not everywhere

    return int(struct.unpack("i", fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, bytes(4)))[0])


def reset_on_close(stream: ByteStream) -> bool:
    """Let the peer get a reset when the stream is closed, and lose what is on its way; only TCP can do that."""
    raw = stream.extra(SocketAttribute.raw_socket, None)
    if raw is None or raw.family == getattr(socket, "AF_UNIX", None):
        return False
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
    return True


async def reset(stream: ByteStream) -> None:
    """Close a stream so that its peer gets a reset, and loses what is on its way; what is not TCP is just closed."""
    lowest = stream
    while isinstance(lowest, TLSStream) and isinstance(lowest.transport_stream, ByteStream):
        lowest = lowest.transport_stream
    if reset_on_close(lowest):
        # On asyncio, closing a stream says goodbye first; its transport can do without.
        abort = getattr(getattr(lowest, "_transport", None), "abort", None)
        if callable(abort):
            abort()
    await lowest.aclose()
