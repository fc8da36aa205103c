"""Something that serves while a test runs: started in one task, stopped in another, on asyncio and on trio."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio


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
