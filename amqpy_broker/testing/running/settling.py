"""Waiting until nothing is left to do, without guessing how long that takes.

Every step of a connection is counted. When nothing has stepped for so many turns of the event loop, clients in this
loop have done all they were going to do. Clients elsewhere cannot be seen thinking: they must be quiet for a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import anyio
import anyio.lowlevel

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.protocols.amqp091.frames import HEARTBEAT_FRAME
from amqpy_broker.server.server import Server
from amqpy_broker.testing.errors import NotSettled

# aio-pika needs some ten turns of the loop from a delivery to its acknowledgement.
_QUIET_TURNS: Final = 40
# Then this long, for what comes from other threads and processes; tests of clients elsewhere pass more.
_QUIET_S: Final = 0.002
# While consumers hold deliveries, how often to look whether they still do.
_LOOK_AGAIN_S: Final = 0.001


class Settling:
    """Counts steps, and waits until there are none."""

    def __init__(self, quiet_s: float = _QUIET_S) -> None:
        # Every time bytes came in, went out, or a connection began or ended.
        self.steps = 0
        # Called after every step, and when something else has changed.
        self._watchers: dict[Callable[[], None], None] = {}
        self._is_telling = False
        self.quiet_s = quiet_s

    def step(self) -> None:
        """Count a step, after it was done."""
        self.steps += 1
        self.tell()

    def tell(self) -> None:
        """Tell who watches that something may have changed, though no client had a part in it.

        What they do then, to look, is no change.
        """
        if self._is_telling:
            return
        self._is_telling = True
        try:
            for watcher in tuple(self._watchers):
                watcher()
        finally:
            self._is_telling = False

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call somebody whenever something may have changed, from now on."""
        self._watchers[watcher] = None

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Call somebody no more."""
        del self._watchers[watcher]

    async def wait(self, core: BrokerCore, server: Server, *, timeout_s: float, unacked_ok: bool) -> None:
        """Wait until nothing is left to do.

        Raises:
            NotSettled: that took too long.
        """
        with anyio.move_on_after(timeout_s):
            while True:
                await self._quiet(server)
                if unacked_ok or not any(_unacked(core)):
                    return
                await anyio.sleep(_LOOK_AGAIN_S)
        raise NotSettled(
            f"not settled after {timeout_s:g} s: " + ("; ".join(self._left_to_do(core, server)) or "clients never rest")
        )

    def is_busy(self, server: Server) -> bool:
        """Say whether the broker itself has something left to do, or to say but heartbeats."""
        return (
            server.is_sending
            or bool(server.in_flow)
            or any(
                connection.paused or any(piece != HEARTBEAT_FRAME for piece in connection.output.pieces)
                for connection in server.connections
            )
        )

    async def _quiet(self, server: Server) -> None:
        while True:
            before = self.steps
            for _ in range(_QUIET_TURNS):
                await anyio.lowlevel.checkpoint()
            if self.steps == before and not self.is_busy(server):
                await anyio.sleep(self.quiet_s)
                if self.steps == before:
                    return

    def _left_to_do(self, core: BrokerCore, server: Server) -> Iterator[str]:
        for connection in server.connections:
            if connection.output.pieces or server.is_sending:
                yield f"{connection.name} does not read what it is sent ({connection.output.size} bytes wait)"
        for connection in server.in_flow:
            yield f"{connection.name} waits for credit of the queue that it publishes to"
        yield from _unacked(core)


def _unacked(core: BrokerCore) -> Iterator[str]:
    """Name the queues of which clients hold messages."""
    for vhost in core.vhosts.values():
        for queue in vhost.queues.values():
            if queue.unacked_count:
                yield (
                    f"{queue}: {queue.unacked_count} deliveries are not acknowledged (if that is meant to be, pass"
                    " unacked_ok=True)"
                )
