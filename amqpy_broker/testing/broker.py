"""The broker of the test kit: `async with Broker() as broker`, with everything a test may want to know and to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from types import TracebackType
from typing import ClassVar, TypeVar

import anyio.lowlevel
from anyio.abc import ByteStream

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.clock import VirtualClock
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.protocols.amqp091.connection import Connection
from amqpy_broker.protocols.amqp091.output import Output
from amqpy_broker.server.session import MakeConnection
from amqpy_broker.testing.asserting.waits import Waits
from amqpy_broker.testing.faults.desk import Desk
from amqpy_broker.testing.faults.embedded import EmbeddedBroker
from amqpy_broker.testing.history.history import History
from amqpy_broker.testing.history.witness import PublishListener, VhostWitness
from amqpy_broker.testing.inside import Inside
from amqpy_broker.testing.kit import Kit
from amqpy_broker.testing.link.connection import LinkedConnection
from amqpy_broker.testing.link.listening import Listener
from amqpy_broker.testing.link.memory_stream import MemoryStream, memory_streams
from amqpy_broker.testing.looking.viewing import client_name
from amqpy_broker.testing.running.clock import Clock
from amqpy_broker.testing.running.register import RUNNING, place_of_caller
from amqpy_broker.testing.running.restart import RestartableBroker
from amqpy_broker.testing.running.settling import Settling
from amqpy_broker.testing.strict.strict import Strict, level_named
from amqpy_broker.testing.vhost_kit import VhostKit

T = TypeVar("T")


class Broker(RestartableBroker, Waits, Kit):
    """An AMQP 0-9-1 broker in the test's own event loop, asyncio or trio.

        async with Broker(virtual_time=True) as broker:
            connection = await aio_pika.connect(broker.url)
            ...
            broker.clock.advance(minutes=30)
            await broker.settled()

    Args:
        profile: the RabbitMQ version to stand in for.
        virtual_time: time stands still for the broker until `clock.advance`.
        strict: "warn" or "error": judge what clients do, and warn or fail at the end (docs/testing/strict.md).
        ignore: rules of strict mode that are not asked, by name.
        seed: makes the names that the broker gives out, and all else that is random, repeat.
        host: address to listen on.
        port: port to listen on; 0 is any free one.
    """

    # Tests often leave blocking clients open, which will never answer.
    shutdown_grace_s: ClassVar[float] = 0.1

    def __init__(
        self,
        *,
        profile: str = "4.0",
        virtual_time: bool = False,
        strict: str | None = None,
        ignore: Iterable[str] = (),
        seed: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        memory_watermark_bytes: int | None = None,
        settling: Settling | None = None,
    ) -> None:
        self._settling = settling or Settling()
        self._listeners: list[Listener] = []
        # What users see of it, and where it was started: for complaints.
        self.facade: Kit = self
        self.started_at = ""
        super().__init__(
            host=host,
            port=port,
            profile=profile,
            clock=VirtualClock() if virtual_time else None,
            memory_watermark_bytes=memory_watermark_bytes,
            seed=seed,
        )
        self._strict = Strict(self.core, level_named(strict), ignore) if strict is not None else None
        if self._strict is not None:
            self._listeners.append(self._strict)
        self._history = History()
        self._publish_listeners: list[PublishListener] = [] if self._strict is None else [self._strict]
        self.core.watch(self._witness_of)
        self._embedded = EmbeddedBroker(self.core, lambda: self._server)
        self._fault_desk = Desk(self._embedded, seed)
        self.clock = Clock(self)

    def _witness_of(self, vhost: VirtualHost) -> VhostWitness:
        return VhostWitness(self.core, vhost, self._history, self._publish_listeners, self._client_name)

    def _client_name(self, connection_name: str) -> str:
        for connection in self._server.connections:
            if connection.name == connection_name:
                return client_name(connection)
        return ""

    def _connection_maker(self) -> MakeConnection:
        return self._make_connection

    def _make_connection(
        self,
        broker: BrokerCore,
        output: Output,
        stream: ByteStream,
        *,
        name: str,
        peer_is_local: bool,
        sooner: Callable[[], None],
    ) -> Connection:
        connection = LinkedConnection(
            broker,
            output,
            stream,
            self._settling,
            self._listeners,
            name=name,
            peer_is_local=peer_is_local,
            sooner=sooner,
        )
        self._fault_desk.connected(lambda: self._embedded.end(connection))
        return connection

    def inside(self) -> Inside:
        """Return what is inside, for the kit's own parts."""
        return Inside(
            self.core,
            self._server,
            self._settling,
            self._listeners,
            self._history,
            self._publish_listeners,
            self._strict,
            self._fault_desk,
        )

    def run_in_broker(self, action: Callable[[], T]) -> T:
        """Do something between the broker's steps: here that is at once."""
        __tracebackhide__ = True
        done = action()
        self._settling.tell()
        return done

    async def start(self) -> None:
        """Listen; on return clients can connect.

        Raises:
            OSError: the address cannot be listened on.
            RuntimeError: it was started before.
        """
        if self._started is None:
            RUNNING.add(self.facade, self.started_at or place_of_caller())
        try:
            await super().start()
        except OSError:
            RUNNING.remove(self.facade)
            raise

    async def stop(self) -> None:
        """Close all connections with CONNECTION_FORCED, and stop listening. Stopping twice is fine."""
        RUNNING.remove(self.facade)
        self._fault_desk.close()
        await super().stop()
        self._fault_desk.complain()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._fault_desk.forgive()
        await self.stop()
        # What went wrong first is what is to be seen.
        if self._strict is not None and error is None:
            self._strict.tell_at_end()

    # --- time -------------------------------------------------------------------------------------------------------

    async def settled(self, *, timeout_s: float = 5.0, unacked_ok: bool = False) -> None:
        """Wait until nothing is left to do: what clients sent is acted on, what they were sent is settled.

        Clients in this event loop are waited for turn by turn of the loop; others, in threads or processes, until they
        have been quiet for a moment.

        Args:
            timeout_s: how long to wait, in real seconds.
            unacked_ok: do not wait for deliveries that consumers keep without acknowledging them.

        Raises:
            NotSettled: something is still left to do; the text says what.
        """
        await self._settling.wait(self.core, self._server, timeout_s=timeout_s, unacked_ok=unacked_ok)

    async def advance(
        self,
        by: timedelta | None = None,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        milliseconds: float = 0,
        unacked_ok: bool = True,
    ) -> None:
        """Let time pass, as `clock.advance` does, but let clients act on what happens at the time when it happens.

        Args:
            by: how long; or in parts.
            unacked_ok: go on while consumers keep deliveries; False waits until their work is done, each time.

        Raises:
            Misuse: the broker's time is real, or it would go back.
            NotSettled: clients do not come to rest.
        """
        step = (by or timedelta()) + timedelta(
            days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
        )
        target_s = self.clock.after(step)
        await self.settled(unacked_ok=unacked_ok)
        while (next_s := self._server.next_deadline_s) < target_s:
            before = self._settling.steps
            self.clock.turn_to(next_s)
            if self._settling.steps != before or self._settling.is_busy(self._server):
                await self.settled(unacked_ok=unacked_ok)
        self.clock.turn_to(target_s)
        await self.settled(unacked_ok=unacked_ok)

    def vhost(self, name: str) -> VhostKit:
        """Return the kit at home in one vhost, whether there is such a vhost yet or not."""
        return VhostKit(self, name)

    # --- without sockets --------------------------------------------------------------------------------------------

    async def connect_in_memory(self) -> MemoryStream:
        """Connect without a socket: what is returned is the client's end, an anyio byte stream.

        Raises:
            RuntimeError: the broker does not run.
        """
        ours, theirs = memory_streams()
        self._server.adopt(ours)
        await anyio.lowlevel.checkpoint()
        return theirs
