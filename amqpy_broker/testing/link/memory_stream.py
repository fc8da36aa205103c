"""A connection without a socket: two byte streams in memory, each other's ends."""

from __future__ import annotations

from collections import deque
from typing import Final

import anyio
from anyio.abc import ByteStream

# What one end may have sent that the other has not read yet: as a socket's buffers hold.
_BUFFER_BYTES: Final = 262_144


class _Pipe:
    """One direction."""

    def __init__(self) -> None:
        self.pieces: deque[bytes] = deque()
        self.size = 0
        self.closed = False
        self.changed = anyio.Event()

    def change(self) -> None:
        """Wake who waits for anything to change."""
        self.changed.set()
        self.changed = anyio.Event()


class MemoryStream(ByteStream):
    """One end of a connection in memory."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._in = incoming
        self._out = outgoing
        self._closed = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Receive at most so many bytes.

        Raises:
            EndOfStream: the other end was closed.
            ClosedResourceError: this end was.
        """
        await anyio.lowlevel.checkpoint()
        pipe = self._in
        while not pipe.pieces:
            if self._closed:
                raise anyio.ClosedResourceError
            if pipe.closed:
                raise anyio.EndOfStream
            await pipe.changed.wait()
        piece = pipe.pieces.popleft()
        if len(piece) > max_bytes:
            pipe.pieces.appendleft(piece[max_bytes:])
            piece = piece[:max_bytes]
        pipe.size -= len(piece)
        pipe.change()
        return piece

    async def send(self, item: bytes) -> None:
        """Send bytes; waits while the other end does not read.

        Raises:
            BrokenResourceError: the other end was closed.
            ClosedResourceError: this end was.
        """
        await anyio.lowlevel.checkpoint()
        pipe = self._out
        while pipe.size >= _BUFFER_BYTES and not pipe.closed and not self._closed:
            await pipe.changed.wait()
        if self._closed:
            raise anyio.ClosedResourceError
        if pipe.closed:
            raise anyio.BrokenResourceError
        pipe.pieces.append(bytes(item))
        pipe.size += len(item)
        pipe.change()

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        self._out.closed = True
        self._out.change()

    async def aclose(self) -> None:
        """Close both directions."""
        self._closed = True
        for pipe in (self._in, self._out):
            pipe.closed = True
            pipe.change()
        await anyio.lowlevel.checkpoint()


def memory_streams() -> tuple[MemoryStream, MemoryStream]:
    """Make both ends of a connection."""
    there, back = _Pipe(), _Pipe()
    return MemoryStream(back, there), MemoryStream(there, back)
