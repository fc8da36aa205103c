"""Waiting for a robust connection to have reconnected and restored all it had declared."""

import asyncio
from types import TracebackType
from typing import Final, Self

from aio_pika.abc import AbstractRobustConnection

_PATIENCE_S: Final = 30.0


class Recovery:
    """`async with Recovery(connection): break the network` returns when every connection has recovered."""

    def __init__(self, *connections: AbstractRobustConnection) -> None:
        self._connections = connections
        self._recovered = [asyncio.Event() for _ in connections]
        self._callbacks = [lambda *_, event=event: event.set() for event in self._recovered]

    async def __aenter__(self) -> Self:
        for connection, callback in zip(self._connections, self._callbacks, strict=True):
            connection.reconnect_callbacks.add(callback)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            async with asyncio.timeout(_PATIENCE_S):
                await asyncio.gather(*(event.wait() for event in self._recovered))
        for connection, callback in zip(self._connections, self._callbacks, strict=True):
            connection.reconnect_callbacks.remove(callback)
