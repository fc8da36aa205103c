"""One client's socket: a task that reads, a task that writes, and the pure connection between them.

Rule 1: the writer sends once a turn of the loop whatever has gathered.
Rule 2: a client that does not read what we send is not read from either.
Rule 3: a publisher is not read from while an alarm is raised.
Rule 4: those who flood share the time of a turn of the loop.
Rule 5: who publishes to a queue that has no credit is not read from, and waits with what was read already.
"""

import logging
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, Protocol

import anyio
from anyio.abc import ByteStream, SocketAttribute

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.protocols.amqp091.connection import Connection, State
from amqpy_broker.protocols.amqp091.output import Output
from amqpy_broker.server.credit import LARGEST_READ_BYTES
from amqpy_broker.server.deadlines import Deadlines
from amqpy_broker.server.queue_credit import Publisher, QueueCredits
from amqpy_broker.server.sockets import undelivered_bytes

logger = logging.getLogger(__name__)

READ_SIZE_BYTES: Final = LARGEST_READ_BYTES
_LOST: Final = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class MakeConnection(Protocol):
    """Makes the protocol side of a session: a `Connection`, or what stands before one."""

    def __call__(
        self,
        broker: BrokerCore,
        output: Output,
        stream: ByteStream,
        *,
        name: str,
        peer_is_local: bool,
        sooner: Callable[[], None],
    ) -> Connection:
        """Make it for a socket that was accepted; `sooner` is to be called when its deadline moves earlier."""
        ...


def make_connection(
    broker: BrokerCore,
    output: Output,
    stream: ByteStream,
    *,
    name: str,
    peer_is_local: bool,
    sooner: Callable[[], None],
) -> Connection:
    """Make a connection that needs nothing but its bytes."""
    return Connection(broker, output, name=name, peer_is_local=peer_is_local)


class ClientSession:
    """Carries bytes between a socket and a `Connection` until one of them ends."""

    def __init__(
        self,
        broker: BrokerCore,
        stream: ByteStream,
        deadlines: Deadlines,
        credits_of_queues: QueueCredits,
        make_connection: MakeConnection = make_connection,
    ) -> None:
        self._publisher = Publisher(credits_of_queues)
        self._alarms = broker.alarms
        self._stream = stream
        self._deadlines = deadlines
        self._something_to_send = anyio.Event()
        self._may_read = anyio.Event()
        # Set when the queue that is published to has credit again, or something is more important.
        self._may_publish = anyio.Event()
        self._scope: anyio.CancelScope | None = None
        # Whether there is something that the socket has not taken yet.
        self._sending = False
        self._output = Output(self._wake_writer)
        name, peer_is_local = describe_peer(stream)
        self.connection = make_connection(
            broker,
            self._output,
            stream,
            name=name,
            peer_is_local=peer_is_local,
            sooner=lambda: deadlines.sooner(self),
        )

    @property
    def is_sending(self) -> bool:
        """Whether something is on its way to the client that has not reached it yet."""
        return self._sending or undelivered_bytes(self._stream) > 0

    @property
    def is_in_flow(self) -> bool:
        """Whether the client waits for credit of the queue that it publishes to: RabbitMQ's connection state `flow`."""
        return self._publisher.is_waiting

    @property
    def next_deadline_s(self) -> float:
        """When `handle_deadline` is due."""
        return self.connection.next_deadline_s

    def handle_deadline(self) -> None:
        """Let the connection do what is due."""
        self.connection.handle_deadline()
        if self.connection.closed and self._scope is not None:
            # The writer may wait for ever for a client that does not read.
            self._scope.cancel()
        self._wake_writer()

    def shut_down(self) -> None:
        """Tell the client that the broker stops."""
        self.connection.shut_down()
        self._may_read.set()
        self._may_publish.set()
        self._after_change()

    def alarm_changed(self, *, raised: bool) -> None:
        """Hold the client back when it publishes, or no longer."""
        self.connection.alarm_changed(raised=raised)
        self._may_read.set()
        # Whoever publishes is told of the alarm, and is held back by that.
        self._may_publish.set()

    async def run(self) -> None:
        """Serve the client until the connection is over; the socket is closed then."""
        self._deadlines.add(self)
        try:
            async with self._stream, anyio.create_task_group() as tasks:
                self._scope = tasks.cancel_scope
                tasks.start_soon(self._write, tasks.cancel_scope)
                await self._read()
                tasks.cancel_scope.cancel()
        finally:
            self._deadlines.remove(self)
            self._publisher.close()
            self.connection.lost()

    async def _read(self) -> None:
        connection, stream = self.connection, self._stream
        publisher, client = self._publisher, self._publisher.client
        while True:
            try:
                data = await stream.receive(client.read_size_bytes)
            except _LOST:
                return
            if not publisher.may_go_on(len(data)):
                await self._wait_for_credit()
            publisher.begin(connection.held_bytes)
            state = connection.state
            connection.receive(data)
            publisher.end(connection.published_to, connection.held_bytes)
            while True:
                if connection.state is not state:
                    state = connection.state
                    self._after_change()
                if self._must_wait():
                    await self._hold_back()
                elif connection.paused:
                    connection.resume()
                else:
                    break

    async def _wait_for_credit(self) -> None:
        """Wait until the queue that the client publishes to has credit, or something is more important than that."""
        connection, publisher = self.connection, self._publisher
        if self._alarms.raised or connection.state is not State.RUNNING:
            return
        self._may_publish = anyio.Event()
        connection.hold_back(True)
        publisher.wait(self._may_publish.set)
        try:
            await self._may_publish.wait()
        finally:
            publisher.leave()
        connection.hold_back(False)

    async def _hold_back(self) -> None:
        """Wait until something changes: the client has read, or the alarm."""
        connection = self.connection
        connection.hold_back(True)
        self._publisher.client.rest()
        self._may_read = anyio.Event()
        await self._may_read.wait()
        connection.hold_back(False)

    def _must_wait(self) -> bool:
        connection = self.connection
        return self._output.congested or (self._alarms.raised and connection.publishes)

    def _after_change(self) -> None:
        self._deadlines.sooner(self)
        self._wake_writer()

    async def _write(self, scope: anyio.CancelScope) -> None:
        connection, output, stream = self.connection, self._output, self._stream
        while True:
            while output.pieces:
                data = connection.data_to_send()
                if not data:
                    continue
                self._sending = True
                try:
                    await stream.send(data)
                except _LOST:
                    scope.cancel()
                    return
                self._sending = False
                self._may_read.set()
            if connection.closed:
                scope.cancel()
                return
            self._something_to_send = anyio.Event()
            await self._something_to_send.wait()

    def _wake_writer(self) -> None:
        self._something_to_send.set()


def describe_peer(stream: ByteStream) -> tuple[str, bool]:
    """Name both ends of a socket as RabbitMQ does, and say whether the peer is on this machine."""
    remote = stream.extra(SocketAttribute.remote_address, None)
    local = stream.extra(SocketAttribute.local_address, None)
    if not isinstance(remote, tuple):
        return f"unix:{local}" if local is not None else "in memory", True
    is_loopback = ip_address(str(remote[0]).partition("%")[0]).is_loopback
    return f"{_endpoint(remote)} -> {_endpoint(local)}", is_loopback


def _endpoint(address: object) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
