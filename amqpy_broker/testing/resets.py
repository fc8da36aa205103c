"""The end of a stream by a reset, which no stream offers."""

import socket
import struct
from typing import Final

from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

_LINGER_NOT_AT_ALL: Final = struct.pack("ii", 1, 0)


async def reset(stream: ByteStream) -> None:
    """Close a stream so that its peer gets a reset, and loses what is on its way; what is not TCP is just closed."""
    lowest = stream
    while isinstance(lowest, TLSStream) and isinstance(lowest.transport_stream, ByteStream):
        lowest = lowest.transport_stream
    raw = lowest.extra(SocketAttribute.raw_socket, None)
    if raw is not None and raw.family != getattr(socket, "AF_UNIX", None):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
        # On asyncio, closing a stream says goodbye first; its transport can do without.
        abort = getattr(getattr(lowest, "_transport", None), "abort", None)
        if callable(abort):
            abort()
    await lowest.aclose()
