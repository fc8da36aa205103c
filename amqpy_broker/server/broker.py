"""The broker as an object: `async with Broker() as broker`, in whatever event loop runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

from anyio.abc import TaskStatus

from amqpy_broker.core.broker import DEFAULT_USER, DEFAULT_VHOST, BrokerCore
from amqpy_broker.core.clock import Clock
from amqpy_broker.core.journal import Journal, JournalFailed
from amqpy_broker.core.limits import DISK_FREE_LIMIT_BYTES
from amqpy_broker.core.profile import DEFAULT_PROFILE, profile_named
from amqpy_broker.core.quotas import Limits
from amqpy_broker.protocols.amqp091.own_messages import make_message
from amqpy_broker.server.background import Background
from amqpy_broker.server.durability import Durability
from amqpy_broker.server.server import SHUTDOWN_GRACE_S, Server
from amqpy_broker.server.session import MakeConnection, make_connection

logger = logging.getLogger(__name__)

DEFAULT_HOST: Final = "127.0.0.1"
# Who listens everywhere is found here.
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Broker(Background):
    """An AMQP 0-9-1 broker in this process.

        async with Broker() as broker:
            connection = await aio_pika.connect(broker.url)

    It works on asyncio and on trio, and may be started in one task and stopped in another, as test fixtures do.

    Args:
        host: address to listen on.
        port: port to listen on; 0 is any free one.
        unix_path: also listen on a Unix socket at this path.
        profile: the RabbitMQ version to stand in for: "3.10", "4.0", "4.1", "4.2" or "4.3".
        data_dir: keep what is durable in this directory, which is opened at once and closed by `stop`. Without it
            nothing outlives the broker.
        recover: go on without what is damaged in the directory; it is set aside.
        disk_free_limit_bytes: publishers wait when the directory's disk has less room.
        memory_watermark_bytes: publishers wait when messages hold more; by default 60 % of the machine's memory.
        limits: how many connections, channels, queues and so on there may be.
        tracing: copy all messages of the vhost `/` to the exchange `amq.rabbitmq.trace`.
        events: publish what happens to the exchange `amq.rabbitmq.event` of the vhost `/`.
        seed: makes the names that the broker gives out repeat.

    Raises:
        ValueError: there is no such profile.
        JournalFailed: the directory is in use, damaged, or of a newer version; the text says what to do.
        OSError: the directory cannot be used.
    """

    # How long clients may take to answer when the broker stops.
    shutdown_grace_s: ClassVar[float] = SHUTDOWN_GRACE_S

    def __init__(
        self,
        *,
        host: str = DEFAULT_HOST,
        port: int = 0,
        unix_path: str | None = None,
        profile: str = DEFAULT_PROFILE,
        data_dir: str | Path | None = None,
        recover: bool = False,
        disk_free_limit_bytes: int = DISK_FREE_LIMIT_BYTES,
        memory_watermark_bytes: int | None = None,
        limits: Limits | None = None,
        tracing: bool = False,
        events: bool = False,
        clock: Clock | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        known_profile = profile_named(profile)

        def make_core(journal: Journal | None) -> BrokerCore:
            return BrokerCore(
                known_profile,
                clock=clock,
                memory_watermark_bytes=memory_watermark_bytes,
                seed=seed,
                journal=journal,
                limits=limits,
            )

        self._durability: Durability | None = None
        if data_dir is None:
            self.core = make_core(None)
        else:
            # Whoever keeps everything in memory need not load a database.
            from amqpy_broker.server.data_directory import open_directory  # noqa: PLC0415

            self.core, self._durability = open_directory(
                Path(data_dir), make_core, disk_free_limit_bytes, recover=recover
            )
        if tracing:
            self.trace_on()
        if events:
            self.core.publish_events(make_message)
        self.host = host
        # What is said when it cannot be had.
        self.wanted_address = f"{host}:{port}"
        self._server = self._make_server(port, unix_path)

    def _make_server(self, port: int, unix_path: str | None) -> Server:
        return Server(
            self.core,
            host=self.host,
            port=port,
            unix_path=unix_path,
            make_connection=self._connection_maker(),
            durability=self._durability,
            shutdown_grace_s=self.shutdown_grace_s,
        )

    def _connection_maker(self) -> MakeConnection:
        """Return what makes the protocol side of each client's session."""
        return make_connection

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.port

    @property
    def url(self) -> str:
        """What a client connects to: user guest, unless there is none, and vhost `/`."""
        host = _ANY_ADDRESS.get(self.host, self.host)
        login = f"{DEFAULT_USER}:{DEFAULT_USER}@" if self.core.users.find(DEFAULT_USER) else ""
        return f"amqp://{login}{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def connection_count(self) -> int:
        """Clients that are connected."""
        return self._server.connection_count

    def trace_on(self, vhost: str = DEFAULT_VHOST) -> None:
        """Copy all messages of a vhost to its exchange `amq.rabbitmq.trace`, from now on.

        Raises:
            KeyError: there is no such vhost.
        """
        self.core.vhosts[vhost].trace_on(make_message)

    def trace_off(self, vhost: str = DEFAULT_VHOST) -> None:
        """Copy messages no longer.

        Raises:
            KeyError: there is no such vhost.
        """
        self.core.vhosts[vhost].trace_off()

    async def start(self) -> None:
        """Listen; on return clients can connect.

        Raises:
            OSError: the address cannot be listened on.
            RuntimeError: it was started before.
        """
        await super().start()
        if self._durability is None:
            logger.info("everything is kept in memory: without a data directory nothing outlives the broker")

    async def stop(self) -> None:
        """Close all connections with CONNECTION_FORCED, stop listening, and close the data directory.

        Stopping twice is fine.
        """
        if self._ended is None:
            self.core.close()
        await super().stop()

    def _ask_to_stop(self) -> None:
        self._server.stop()

    async def _serve(self, started: Callable[[], None]) -> None:
        try:
            await self._server.run(task_status=_Starting(started))
        finally:
            self._close_core()

    def _close_core(self) -> None:
        try:
            self.core.close()
        except JournalFailed as failure:
            logger.critical("%s", failure)
            raise

    def _failed(self, failure: Exception) -> None:
        assert self._started is not None
        # The end of the journal was logged already, when it happened.
        if self._started.is_set() and not isinstance(failure, JournalFailed):
            logger.error("the broker failed", exc_info=failure)


class _Starting(TaskStatus[None]):
    """Tells that the server has started."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def started(self, value: None = None) -> None:
        """Tell it."""
        self._tell()
