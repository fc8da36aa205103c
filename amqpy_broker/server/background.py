"""Something that serves in the background: started in one task, stopped in another, on asyncio and on trio."""

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
        """Serve until told to stop; call `started` once clients can come."""

    def _ask_to_stop(self) -> None:
        """Let `_serve` come to its end."""
        assert self._scope is not None
        self._scope.cancel()

    def _failed(self, failure: Exception) -> None:  # noqa: B027 - not everybody cares
        """Learn that `_serve` has failed, before anybody else does."""

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
        try:
            await self._begin()
        except BaseException:
            # Who is cancelled here will never call `stop`.
            await self.stop()
            raise
        self._raise_failure()

    async def stop(self) -> None:
        """End at once, all connections too. Stopping twice is fine."""
        if self._ended is not None:
            await self._end()

    async def wait_stopped(self) -> None:
        """Wait until it has stopped.

        Raises:
            Exception: what it failed of, if it did not stop because it was told to.
        """
        if self._ended is not None:
            await self._ended.wait()
        self._raise_failure()

    async def _begin(self) -> None:
        """Serve in a new task; on return clients can come, or it has failed."""
        self._started, self._ended, self._failure = anyio.Event(), anyio.Event(), None
        self._scope = anyio.CancelScope()
        self._spawn()
        await self._started.wait()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _end(self) -> None:
        """End the task that `_begin` has made."""
        assert self._ended is not None
        self._ask_to_stop()
        with anyio.CancelScope(shield=True):
            await self._ended.wait()

    def _spawn(self) -> None:
        # A task of its own, and not a task group entered here: fixtures leave it in another task than they came in.
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            import trio  # noqa: PLC0415 - only where it runs already

            trio.lowlevel.spawn_system_task(self._run)
        else:
            self._task = loop.create_task(self._run(), name="amqpy-broker")

    async def _run(self) -> None:
        assert self._started is not None
        assert self._ended is not None
        assert self._scope is not None
        try:
            with self._scope:
                await self._serve(self._started.set)
        except Exception as failure:
            self._failure = failure
            self._failed(failure)
        finally:
            self._started.set()
            self._ended.set()
