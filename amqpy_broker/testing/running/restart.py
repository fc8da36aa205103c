"""A broker that can be restarted: all clients lose their connections, what is durable stays, the rest is lost.

Rule 1: it comes back on the same port; while it is down connections are refused.
Rule 2: what was handed out and not settled comes back ready, marked redelivered.
Rule 3: time passes while it is down: a message whose time has come is gone, or dead-lettered, when it is up again.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Final, Literal, TypeAlias

import anyio

from amqpy_broker.core.snapshot import Snapshot, restore, take
from amqpy_broker.server.broker import Broker as PlainBroker
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.link.connection import LinkedConnection

# Clients are told (320, CONNECTION_FORCED), or their sockets are just closed.
How: TypeAlias = Literal["shutdown", "kill"]
_WAYS: Final = ("shutdown", "kill")


class RestartableBroker(PlainBroker):
    """A broker that keeps its clients on their toes."""

    async def restart(self, *, how: How = "shutdown") -> None:
        """Stop, lose what is not durable, and start again on the same port.

        Args:
            how: "shutdown" tells clients (320, CONNECTION_FORCED); with "kill" their sockets are just closed.

        Raises:
            Misuse: the broker does not run, or there is no such way.
            OSError: somebody else has taken the port.
        """
        async with self.down(how=how):
            pass

    @asynccontextmanager
    async def down(self, *, how: How = "shutdown") -> AsyncIterator[None]:
        """Stop, and start again at the end of the block: `async with broker.down(): ...`.

        In between connections are refused, and the broker holds nothing that could be looked at.

        Args:
            how: as for `restart`.

        Raises:
            Misuse: the broker does not run, or there is no such way.
            OSError: somebody else has taken the port.
        """
        if how not in _WAYS:
            raise Misuse(f"a broker goes down by one of {', '.join(_WAYS)}, not by {how!r}")
        if self._ended is None or self._ended.is_set():
            raise Misuse("this broker does not run, so it cannot go down")
        port = self.port
        kept = await self._go_down(how)
        with ExitStack() as sockets:
            for held in _hold(self.host, port):
                sockets.enter_context(held)
            try:
                yield
            finally:
                sockets.close()
                with anyio.CancelScope(shield=True):
                    await self._come_up(kept, port)

    async def _go_down(self, how: How) -> Snapshot:
        kept = take(self.core, durable_only=True)
        if how == "kill":
            for connection in tuple(self._server.connections):
                if isinstance(connection, LinkedConnection):
                    connection.link.drop()
        await self._end()
        if how == "shutdown":
            # What clients had is in its queues again, and auto-delete queues have gone with their consumers.
            kept = take(self.core, durable_only=True)
        restore(self.core, kept.bare)
        return kept

    async def _come_up(self, kept: Snapshot, port: int) -> None:
        restore(self.core, kept, time_stood_still=False)
        self._server = self._make_server(port, None)
        await self._begin()
        self._raise_failure()


def _hold(host: str, port: int) -> list[socket.socket]:
    """Keep a port without listening on it: nobody else gets it, not even a client that looks for us there.

    A client that connects to a free port of its own machine may by chance connect from that very port, to itself.
    """
    held = []
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        place_holder = socket.socket(family, kind, protocol)
        place_holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.append(place_holder)
        # Without it connections are refused as well.
        with suppress(OSError):
            place_holder.bind(address)
    return held
