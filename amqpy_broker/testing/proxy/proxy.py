"""A proxy before a broker: everything passes through it, is heard, and can be meddled with.

    async with Proxy("amqp://guest:guest@localhost/", on_event=lambda event: print(show(event))) as proxy:
        connection = await aio_pika.connect(proxy.url)

What is told is what the client sees: what it said, and what came to it, with all that filters did.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from types import TracebackType
from typing import Final, TypeVar

import anyio
from anyio.abc import ByteStream

from amqpy_broker.core.clock import Clock, SystemClock
from amqpy_broker.server.listener import Listener
from amqpy_broker.server.session import READ_SIZE_BYTES, describe_peer
from amqpy_broker.server.sockets import reset
from amqpy_broker.testing.conversation.decoder import BODY_KEPT_BYTES, Conversation
from amqpy_broker.testing.conversation.events import Event
from amqpy_broker.testing.faults.desk import Desk
from amqpy_broker.testing.faults.faults import Faults
from amqpy_broker.testing.faults.proxied import ProxiedConnections
from amqpy_broker.testing.link.link import Direction, Ending, Link, LinkFilter
from amqpy_broker.testing.proxy.upstream import parse_url

T = TypeVar("T")

logger = logging.getLogger(__name__)

# How much may wait for a side that reads slowly before the other is not read from.
_WAITING_MAX_BYTES: Final = 1024 * 1024
# Who listens everywhere is found here.
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_LOST: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class Proxy(Listener):
    """Stands before a broker.

    Args:
        to: the broker's URL; with `amqps` TLS is spoken to the broker, and none to clients.
        host: address to listen on.
        port: port to listen on; 0 is any free one.
        on_event: told of everything, as it happens.
        filters: asked about every frame of every connection.
        on_link: called with the link of each new connection, before anything is said on it.
        clock: what delays and the times of events are measured with.
        body_kept_bytes: how much of a body events hold.
        ssl_context: how to check the broker's certificate.
        seed: makes what is random in faults repeat.

    Raises:
        ValueError: `to` is no URL of a broker.
    """

    def __init__(
        self,
        to: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        on_event: Callable[[Event], None] | None = None,
        filters: Sequence[LinkFilter] = (),
        on_link: Callable[[Link], None] | None = None,
        clock: Clock | None = None,
        body_kept_bytes: int = BODY_KEPT_BYTES,
        ssl_context: ssl.SSLContext | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(host, port)
        self.upstream = parse_url(to)
        self.links: list[Link] = []
        self._on_event = on_event
        self._filters = tuple(filters)
        self._on_link = on_link
        self._clock = clock or SystemClock()
        self._body_kept_bytes = body_kept_bytes
        self._ssl_context = ssl_context
        self._numbers = count(1)
        self._connections = ProxiedConnections()
        self._fault_desk = Desk(self._connections, seed)

    @property
    def url(self) -> str:
        """What clients connect to: the broker's own URL, but for the address."""
        return self.url_for(self.upstream.login)

    def url_for(self, login: str) -> str:
        """Return the URL for who logs in otherwise, as in `user:password@`."""
        host = _ANY_ADDRESS.get(self.host, self.host)
        return f"amqp://{login}{f'[{host}]' if ':' in host else host}:{self.port}{self.upstream.rest}"

    @property
    def faults(self) -> Faults:
        """What can go wrong, when a test wants it to: `with proxy.faults.drop_connection(method="basic.ack"): …`."""
        return Faults(self._fault_desk, self)

    def run_in_broker(self, action: Callable[[], T]) -> T:
        """Do something between the proxy's steps: here that is at once."""
        return action()

    async def stop(self) -> None:
        """End at once, all connections too, and warn of faults that never happened. Stopping twice is fine."""
        self._fault_desk.close()
        await super().stop()
        self._fault_desk.complain()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._fault_desk.forgive()
        await self.stop()

    @property
    def connection_count(self) -> int:
        """Clients whose connections pass through."""
        return len(self.links)

    async def _serve_client(self, client: ByteStream) -> None:
        """Serve one client; nothing that happens here may reach another."""
        name, _ = describe_peer(client)
        conversation = Conversation(
            self._clock,
            next(self._numbers),
            name=f"{name} -> {self.upstream.address}",
            body_kept_bytes=self._body_kept_bytes,
        )
        async with client:
            self._tell([conversation.opened])
            how = "the proxy was stopped"
            try:
                how = await self._serve_conversation(client, conversation)
            except Exception:
                logger.exception("%s: the proxy or a filter failed", name)
                how = "the proxy or a filter failed"
            finally:
                self._tell(conversation.ended(how))

    async def _serve_conversation(self, client: ByteStream, conversation: Conversation) -> str:
        link = self._new_link(conversation.opened.name)
        try:
            if link.ending is not None:
                # It was turned away before anything was said.
                return await _turn_away(client, link.ending)
            try:
                server = await self.upstream.connect(self._ssl_context)
            except OSError as failure:
                return f"cannot connect to {self.upstream.address}: {failure}"
            async with server:
                return await _Session(link, client, server, conversation, self._tell).run()
        finally:
            self.links.remove(link)
            self._connections.ended(link)

    def _new_link(self, name: str) -> Link:
        link = Link(self._clock, name=name)
        self.links.append(link)
        end = self._connections.connected(link)
        self._fault_desk.connected(lambda: end)
        for one in self._filters:
            link.add(one)
        if self._on_link is not None:
            self._on_link(link)
        return link

    def _tell(self, events: Iterable[Event]) -> None:
        if self._on_event is not None:
            for event in events:
                self._on_event(event)


async def _turn_away(client: ByteStream, ending: Ending) -> str:
    if ending is Ending.RESET:
        await reset(client)
        return "reset by a filter"
    return "dropped by a filter"


class _Way:
    """One direction between two sockets."""

    def __init__(self, direction: Direction, source: ByteStream, sink: ByteStream) -> None:
        self.direction = direction
        self.source = source
        self.sink = sink
        self.source_ended = False
        self.is_sending = False
        # Something to send, or the end; and room to read on.
        self.changed = anyio.Event()
        self.room = anyio.Event()


class _Session:
    """One client and its broker."""

    def __init__(
        self,
        link: Link,
        client: ByteStream,
        server: ByteStream,
        conversation: Conversation,
        tell: Callable[[Iterable[Event]], None],
    ) -> None:
        self._link = link
        self._conversation = conversation
        self._tell = tell
        self._ways = {
            Direction.TO_SERVER: _Way(Direction.TO_SERVER, client, server),
            Direction.TO_CLIENT: _Way(Direction.TO_CLIENT, server, client),
        }
        self._how = ""
        self._over = anyio.Event()
        self._sooner = anyio.Event()
        self._woken_at_s = float("inf")
        link.wake = self._wake

    def _wake(self, direction: Direction) -> None:
        self._ways[direction].changed.set()
        if self._link.ending is not None:
            self._sooner.set()

    async def run(self) -> str:
        """Carry bytes until one side ends; return how it did."""
        async with anyio.create_task_group() as tasks:
            for way in self._ways.values():
                tasks.start_soon(self._read, way)
                tasks.start_soon(self._write, way)
            tasks.start_soon(self._watch_deadlines)
            await self._over.wait()
            tasks.cancel_scope.cancel()
        return self._how

    async def _read(self, way: _Way) -> None:
        link = self._link
        try:
            while True:
                octets = await way.source.receive(READ_SIZE_BYTES)
                if way.direction is Direction.TO_SERVER:
                    self._tell(self._conversation.client_sent(octets))
                    link.client_sent(octets)
                else:
                    link.server_sent(octets)
                if link.next_deadline_s < self._woken_at_s:
                    self._sooner.set()
                while link.ready_size(way.direction) > _WAITING_MAX_BYTES or link.is_full(way.direction):
                    way.room = anyio.Event()
                    await way.room.wait()
        except anyio.EndOfStream:
            way.source_ended = True
            way.changed.set()
        except _LOST:
            await self._end(f"reset by the {way.direction.value}", with_reset=True)

    async def _write(self, way: _Way) -> None:
        while not self._over.is_set():
            way.changed = anyio.Event()
            try:
                await self._send_what_is_ready(way)
            except _LOST:
                await self._end(f"the {way.direction.opposite.value} is gone", with_reset=True)
                return
            way.room.set()
            if self._link.ending is Ending.CLOSED:
                if all(self._is_done(one) for one in self._ways.values()):
                    await self._end("dropped by a filter")
            elif way.source_ended and self._is_done(way):
                await self._end(f"closed by the {way.direction.value}")
            await way.changed.wait()

    async def _send_what_is_ready(self, way: _Way) -> None:
        while octets := self._link.take(way.direction):
            way.is_sending = True
            if way.direction is Direction.TO_CLIENT:
                self._tell(self._conversation.server_sent(octets))
            await way.sink.send(octets)
            way.is_sending = False

    def _is_done(self, way: _Way) -> bool:
        return not way.is_sending and self._link.is_empty(way.direction)

    async def _watch_deadlines(self) -> None:
        link = self._link
        while True:
            link.handle_deadline()
            if link.ending is Ending.RESET:
                # A writer may wait for ever for a side that does not read.
                await self._end("reset by a filter", with_reset=True)
            self._sooner = anyio.Event()
            self._woken_at_s = link.next_deadline_s
            with anyio.move_on_after(max(self._woken_at_s - link.clock.monotonic_s(), 0)):
                await self._sooner.wait()

    async def _end(self, how: str, *, with_reset: bool = False) -> None:
        if self._over.is_set():
            return
        self._how = how
        self._over.set()
        if with_reset:
            with anyio.CancelScope(shield=True):
                for way in self._ways.values():
                    await reset(way.source)
