"""Listeners, their clients, the deadlines and the alarms of one broker."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketListener, TaskGroup, TaskStatus

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.clock import VirtualClock
from amqpy_broker.core.journal import JournalFailed
from amqpy_broker.core.limits import CONNECTIONS_MAX
from amqpy_broker.protocols.amqp091.connection import Connection
from amqpy_broker.server.credit import Credit
from amqpy_broker.server.deadlines import Deadlines
from amqpy_broker.server.durability import Durability
from amqpy_broker.server.listener import accept_clients
from amqpy_broker.server.loop_calls import LoopCalls
from amqpy_broker.server.queue_credit import QueueCredits
from amqpy_broker.server.session import ClientSession, MakeConnection, make_connection
from amqpy_broker.server.unix import listen_on_unix, remove_unix

logger = logging.getLogger(__name__)


# How long clients may take to answer when the broker stops.
SHUTDOWN_GRACE_S: Final = 3.0
# How often memory is measured while publishers wait for it.
ALARM_INTERVAL_S: Final = 0.1
# Times are sums of fractions of a second: what is due by less than this is due.
_ROUNDING_S: Final = 1e-6


class Server:
    """Serves a broker core to the world. `run` ends after `stop`."""

    def __init__(
        self,
        core: BrokerCore,
        *,
        host: str,
        port: int,
        unix_path: str | None = None,
        make_connection: MakeConnection = make_connection,
        durability: Durability | None = None,
        shutdown_grace_s: float = SHUTDOWN_GRACE_S,
    ) -> None:
        self._core = core
        self._durability = durability
        self._failure: JournalFailed | None = None
        self._make_connection = make_connection
        self._shutdown_grace_s = shutdown_grace_s
        self._host = host
        self._port = port
        self._unix_path = unix_path
        # A dict for its order.
        self._sessions: dict[ClientSession, None] = {}
        self._calls = LoopCalls()
        self._credits = QueueCredits(Credit(core.clock), self._after_turn, core.journal)
        self._deadlines: Deadlines | None = None
        self._tasks: TaskGroup | None = None
        self._stop_asked = False
        self._stopping: anyio.Event | None = None
        self._alarm_raised: anyio.Event | None = None
        self._all_gone: anyio.Event | None = None
        self.port = 0

    @property
    def connection_count(self) -> int:
        """Clients that are connected."""
        return len(self._sessions)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Listen and serve; says it has started once clients can connect.

        Raises:
            OSError: the address cannot be listened on.
            JournalFailed: nothing is durable any more, so nothing was served any more.
        """
        self._calls.begin()
        self._deadlines = Deadlines(self._core.clock)
        self._stopping = anyio.Event()
        if self._stop_asked:
            self._stopping.set()
        self._alarm_raised = anyio.Event()
        self._all_gone = anyio.Event()
        self._core.alarms.on_change = self._alarm_changed
        if self._core.alarms.raised:
            self._alarm_raised.set()
        timers, deadlines = self._core.timers, self._deadlines
        deadlines.add(timers)
        timers.on_sooner = lambda: deadlines.sooner(timers)
        listeners = await self._listen()
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                tasks.start_soon(self._deadlines.run)
                tasks.start_soon(self._watch_memory)
                if self._durability is not None:
                    self._durability.begin(self._journal_failed)
                    tasks.start_soon(self._durability.watch_disk)
                    tasks.start_soon(self._durability.write_at_leisure)
                for listener in listeners:
                    tasks.start_soon(accept_clients, listener, self._serve, tasks)
                task_status.started()
                await self._stopping.wait()
                await _close_all(listeners)
                await self._say_goodbye()
                tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            with anyio.CancelScope(shield=True):
                await _close_all(listeners)
            if self._unix_path is not None:
                remove_unix(self._unix_path)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End `run`: no new clients, and a word to those that are there."""
        self._stop_asked = True
        if self._stopping is not None:
            self._stopping.set()

    def turn(self, clock: VirtualClock, to_s: float) -> None:
        """Turn the clock, and let everything happen on the way: deadline by deadline, each at its time.

        Clients' own clocks are not turned with it: whoever is there now is taken to be there all the time.
        """
        deadlines = self._deadlines
        while deadlines is not None and deadlines.first_s <= to_s + _ROUNDING_S:
            clock.set(deadlines.first_s)
            for session in self._sessions:
                session.connection.note_alive()
            deadlines.wake_due()
        clock.set(to_s)

    @property
    def next_deadline_s(self) -> float:
        """When something is due next, at the earliest."""
        return self._deadlines.first_s if self._deadlines is not None else float("inf")

    def adopt(self, stream: ByteStream) -> None:
        """Serve one more client, over a stream that was not accepted here.

        Raises:
            RuntimeError: the server does not run.
        """
        if self._tasks is None:
            raise RuntimeError("the broker does not run")
        self._tasks.start_soon(self._serve, stream)

    @property
    def is_sending(self) -> bool:
        """Whether anything is on its way to any client that has not reached it yet."""
        return any(session.is_sending for session in self._sessions)

    @property
    def in_flow(self) -> tuple[Connection, ...]:
        """Those that wait for credit of the queue that they publish to: RabbitMQ's connection state `flow`."""
        return tuple(session.connection for session in self._sessions if session.is_in_flow)

    @property
    def connections(self) -> Iterator[Connection]:
        """The clients' connections, the oldest first."""
        return (session.connection for session in self._sessions)

    async def _listen(self) -> Sequence[SocketListener]:
        listeners: list[SocketListener] = []
        try:
            tcp = await anyio.create_tcp_listener(local_host=self._host, local_port=self._port)
            listeners += [listener for listener in tcp.listeners if isinstance(listener, SocketListener)]
            self.port = int(tcp.extra(SocketAttribute.local_port))
            if self._unix_path is not None:
                listeners.append(await listen_on_unix(self._unix_path))
        except BaseException:
            await _close_all(listeners)
            raise
        return listeners

    async def _serve(self, stream: ByteStream) -> None:
        """Serve one client; nothing that happens here may reach another."""
        assert self._deadlines is not None
        assert self._all_gone is not None
        # Those that are not open yet are too many only here: they hold little, and not for long.
        limit = self._core.limits.connection_max
        if limit is not None and len(self._sessions) >= max(limit, CONNECTIONS_MAX):
            logger.error("connection refused: node connection limit (%d) is reached", limit)
            await stream.aclose()
            return
        session = ClientSession(self._core, stream, self._deadlines, self._credits, self._make_connection)
        self._sessions[session] = None
        try:
            await session.run()
        except Exception:
            logger.exception("%s: internal error in the server", session.connection.name)
        finally:
            del self._sessions[session]
            if not self._sessions:
                self._all_gone.set()

    def _after_turn(self, function: Callable[[], None]) -> None:
        """Call a function when each client had its turn: it is read from in one step, and heard in the next."""
        self._calls.after_this_step(lambda: self._calls.after_this_step(function))

    async def _say_goodbye(self) -> None:
        assert self._all_gone is not None
        for session in tuple(self._sessions):
            session.shut_down()
        if self._sessions:
            self._all_gone = anyio.Event()
            with anyio.move_on_after(self._shutdown_grace_s):
                await self._all_gone.wait()

    def _journal_failed(self, failure: JournalFailed) -> None:
        """Serve nobody any more: what cannot be kept must not be confirmed."""
        logger.critical("%s; the broker stops", failure)
        self._failure = failure
        self.stop()

    def _alarm_changed(self, raised: bool) -> None:
        assert self._alarm_raised is not None
        if raised:
            logger.warning("alarm raised, publishers wait: %s", self._core.alarms.reason)
            self._alarm_raised.set()
        else:
            logger.warning("alarm ended: publishers go on")
        for session in tuple(self._sessions):
            session.alarm_changed(raised=raised)

    async def _watch_memory(self) -> None:
        """Notice that memory is free again: consumers that need not acknowledge send nothing that would show it."""
        assert self._alarm_raised is not None
        while True:
            await self._alarm_raised.wait()
            while self._core.alarms.raised:
                await anyio.sleep(ALARM_INTERVAL_S)
                self._core.memory.measure()
            self._alarm_raised = anyio.Event()


async def _close_all(listeners: Sequence[SocketListener]) -> None:
    for listener in listeners:
        await listener.aclose()
