"""A TCP proxy in front of a broker that a test can break: every robust client has to live through it."""

import asyncio
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

from interop.clients.python.support.ports import reserve_port

_READ_SIZE: Final = 65536


class BreakableProxy:
    """`async with BreakableProxy(broker_url) as proxy`: connect to `proxy.url`, then `cut()` and `restore()`."""

    def __init__(self, broker_url: str) -> None:
        self._broker_url = urlsplit(broker_url)
        self._port = reserve_port()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        credentials, at, _ = self._broker_url.netloc.rpartition("@")
        return urlunsplit(self._broker_url._replace(netloc=f"{credentials}{at}127.0.0.1:{self._port}"))

    async def restore(self) -> None:
        """Take connections (again), always on the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    def cut(self) -> None:
        """Refuse new connections and reset the open ones, in the middle of whatever they were saying."""
        assert self._server is not None
        self._server.close()
        self._server = None
        for writer in self._writers:
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self.cut()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        broker, to_broker = await asyncio.open_connection(self._broker_url.hostname, self._broker_url.port)
        self._writers |= {to_client, to_broker}
        await asyncio.gather(_pipe(client, to_broker), _pipe(broker, to_client))
        self._writers -= {to_client, to_broker}


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_READ_SIZE):
            target.write(data)
            await target.drain()
    except OSError:
        pass
    finally:
        target.close()
