"""Something that serves while a test runs: started in one task, stopped in another, on asyncio and on trio."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketListener, TaskGroup

from amqpy_broker.server.server import ACCEPT_RETRY_S

logger = logging.getLogger(__name__)


class Background(ABC):
    """Runs `_serve` in a task of its own from `start` to `stop`, as fixtures need it."""

    def __init__(self) -> None:
        self._started: anyio.Event | None = None
        self._ended: anyio.Event | None = None
        self._scope: anyio.CancelScope | None = None
        self._failure: Exception | None = None
        # Keeps the task alive: asyncio holds its tasks weakly.
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def _serve(self, started: Callable[[], None]) -> None:
        """Serve until cancelled; call `started` once clients can come."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Begin to serve; on return clients can come.

        Raises:
            OSError: the address cannot be listened on.
            RuntimeError: it was started before.
        """
        if self._started is not None:
            raise RuntimeError(f"this {type(self).__name__} was started before; a new start needs a new one")
        self._started, self._ended, self._scope = anyio.Event(), anyio.Event(), anyio.CancelScope()
        self._spawn()
        try:
            await self._started.wait()
        except BaseException:
            # Who is cancelled here will never call `stop`.
            await self.stop()
            raise
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """End at once, all connections too. Stopping twice is fine."""
        if self._ended is None or self._scope is None:
            return
        self._scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._ended.wait()

    async def wait_stopped(self) -> None:
        """Wait until it has stopped.

        Raises:
            Exception: what it failed of, if it did not stop because it was told to.
        """
        if self._ended is not None:
            await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    def _spawn(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            import trio  # noqa: PLC0415 - only where it runs already

            trio.lowlevel.spawn_system_task(self._run)
        else:
            self._task = loop.create_task(self._run(), name=type(self).__name__)

    async def _run(self) -> None:
        assert self._started is not None
        assert self._ended is not None
        assert self._scope is not None
        try:
            with self._scope:
                await self._serve(self._started.set)
        except Exception as failure:
            self._failure = failure
        finally:
            self._started.set()
            self._ended.set()


class Listener(Background):
    """Serves clients that connect, each in a task of its own.

    Args:
        host: address to listen on.
        port: port to listen on; 0 is any free one.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self.host = host
        self.port = port
        # What is said when it cannot be had.
        self.wanted_address = f"{host}:{port}"

    @abstractmethod
    async def _serve_client(self, stream: ByteStream) -> None:
        """Serve one client. Nothing that happens here may reach another: it does not raise, and closes the stream."""

    async def _serve(self, started: Callable[[], None]) -> None:
        tcp = await anyio.create_tcp_listener(local_host=self.host, local_port=self.port)
        try:
            self.port = int(tcp.extra(SocketAttribute.local_port))
            async with anyio.create_task_group() as tasks:
                for listener in tcp.listeners:
                    assert isinstance(listener, SocketListener)
                    tasks.start_soon(self._accept, listener, tasks)
                started()
        finally:
            with anyio.CancelScope(shield=True):
                await tcp.aclose()

    async def _accept(self, listener: SocketListener, tasks: TaskGroup) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError as failure:
                logger.error("cannot accept connections: %s", failure)
                await anyio.sleep(ACCEPT_RETRY_S)
            else:
                tasks.start_soon(self._serve_client, stream)
