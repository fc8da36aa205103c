"""Tests that run on each event loop, and a client on a socket."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from pamqp import base
from pamqp.commands import Channel

from tests.wire import METHOD, Said, handshake, method, read

TIMEOUT_S = 20


def on_each_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make one test for each event loop out of an async one."""

    async def guarded(**fixtures: Any) -> None:
        with anyio.fail_after(TIMEOUT_S):
            await test(**fixtures)

    def run(backend: str, **fixtures: Any) -> None:
        anyio.run(partial(guarded, **fixtures), backend=backend)

    parameters = list(inspect.signature(test).parameters.values())
    backend = inspect.Parameter("backend", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([backend, *parameters])  # type: ignore[attr-defined]
    run.__name__ = test.__name__  # type: ignore[attr-defined]
    run.__doc__ = test.__doc__
    return pytest.mark.parametrize("backend", ["asyncio", "trio"])(run)


class SocketClient:
    """A client on a socket that speaks frames."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def open(self, *, channels: int = 1, **options: Any) -> SocketClient:
        """Open the connection, and channels 1 and on."""
        await self.send(b"".join(handshake(**options)))
        for name in ("Connection.Start", "Connection.Tune", "Connection.OpenOk"):
            assert (await self.hear()).name == name
        for number in range(1, channels + 1):
            assert (await self.call(Channel.Open, channel=number)).name == "Channel.OpenOk"
        return self

    async def send(self, octets: bytes) -> None:
        await self.stream.send(octets)

    async def call(self, shape: type[base.Frame], *, channel: int = 1, **fields: Any) -> Said:
        """Say a method, and return what comes next."""
        await self.send(method(channel, shape, **fields))
        return await self.hear()

    async def hear(self) -> Said:
        """Return the next thing that the broker says."""
        octets = await self._frame()
        if octets[0] == METHOD and read_needs_content(octets):
            header = await self._frame()
            octets += header
            missing = int.from_bytes(header[11:19], "big")
            while missing:
                body = await self._frame()
                octets += body
                missing -= len(body) - 8
        (said,) = read(octets)
        return said

    async def ended(self) -> bool:
        """Say whether the broker has closed the socket; wait until it does or says something."""
        try:
            self._buffer += await self.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return True
        return False

    async def _frame(self) -> bytes:
        while True:
            size = 8 + int.from_bytes(self._buffer[3:7], "big")
            if len(self._buffer) >= max(size, 8):
                frame, self._buffer = self._buffer[:size], self._buffer[size:]
                return frame
            self._buffer += await self.stream.receive()


def read_needs_content(octets: bytes) -> bool:
    """Say whether a content follows: deliver, get-ok, return."""
    return octets[7:11] in (b"\x00\x3c\x00\x3c", b"\x00\x3c\x00\x47", b"\x00\x3c\x00\x32")


@asynccontextmanager
async def connected(port: int, **options: Any) -> AsyncIterator[SocketClient]:
    """Connect a client, and open it."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield await SocketClient(stream).open(**options)


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until something is so."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await anyio.sleep(0.001)
