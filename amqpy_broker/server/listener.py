"""Listening: clients that connect are served each in a task of its own."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Final

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketListener, TaskGroup

from amqpy_broker.server.background import Background

logger = logging.getLogger(__name__)

# How long to wait before accepting again when the system refuses (most often: too many open files).
ACCEPT_RETRY_S: Final = 0.2


async def accept_clients(
    listener: SocketListener, serve: Callable[[ByteStream], Coroutine[object, object, None]], tasks: TaskGroup
) -> None:
    """Serve whoever connects, until the listener is closed."""
    while True:
        try:
            stream = await listener.accept()
        except anyio.ClosedResourceError:
            return
        except OSError as failure:
            logger.error("cannot accept connections: %s", failure)
            await anyio.sleep(ACCEPT_RETRY_S)
        else:
            tasks.start_soon(serve, stream)


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
                    tasks.start_soon(accept_clients, listener, self._serve_client, tasks)
                started()
        finally:
            with anyio.CancelScope(shield=True):
                await tcp.aclose()
