"""The broker of the test kit in a thread of its own, for tests and clients that block: `with BrokerThread()`."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeVar

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.testing.asserting.waits import BlockingWaits
from amqpy_broker.testing.broker import Broker
from amqpy_broker.testing.errors import Misuse, NotSeen, NotSettled
from amqpy_broker.testing.inside import Inside
from amqpy_broker.testing.kit import Kit
from amqpy_broker.testing.running.clock import Clock
from amqpy_broker.testing.running.register import place_of_caller
from amqpy_broker.testing.running.restart import How
from amqpy_broker.testing.running.settling import Settling
from amqpy_broker.testing.vhost_kit import BlockingVhostKit

T = TypeVar("T")

# How long clients must be quiet to count as having nothing to do: they are in other threads.
QUIET_S: Final = 0.02
# Clients that live in the event loop of a test cannot do what it waits for.
_LOOP_BLOCKED: Final = (
    "The wait blocked this event loop, and clients in it stood still: use `async with Broker()`, or wait in a thread"
    " (`await anyio.to_thread.run_sync(...)`)."
)


class BrokerThread(BlockingWaits, Kit):
    """An AMQP 0-9-1 broker in a thread of its own, with an event loop of its own.

        with BrokerThread() as broker:
            connection = pika.BlockingConnection(pika.URLParameters(broker.url))

    It takes what `Broker` takes, and has all that `Broker` has; what is awaited there blocks here.

    Args:
        quiet_s: how long clients, which are in other threads, must be quiet to count as having nothing to do.
    """

    def __init__(self, *, quiet_s: float = QUIET_S, **options: Any) -> None:  # noqa: ANN401 - Broker's, which checks them
        self._options = {"settling": Settling(quiet_s), **options}
        self._running: AbstractContextManager[BlockingPortal] | None = None
        self._portal: BlockingPortal | None = None
        self._broker: Broker | None = None
        self._thread = 0

    def __enter__(self) -> BrokerThread:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.run_in_broker(self.inside().faults.forgive)
        self.stop()
        strict = self._started().inside().strict
        # What went wrong first is what is to be seen.
        if strict is not None and error is None:
            strict.tell_at_end()

    def start(self) -> None:
        """Start; on return clients can connect.

        Raises:
            OSError: the address cannot be listened on.
            Misuse: it runs already.
        """
        if self._running is not None:
            raise Misuse("this broker runs already")
        running = start_blocking_portal("asyncio", name="amqpy-broker")
        portal = running.__enter__()
        try:
            self._broker = portal.call(partial(Broker, **self._options))
            self._thread = portal.call(threading.get_ident)
            self._broker.facade, self._broker.started_at = self, place_of_caller()
            portal.call(self._broker.start)
        except BaseException:
            self._broker = None
            running.__exit__(None, None, None)
            raise
        self._running, self._portal = running, portal

    def stop(self) -> None:
        """Close all connections, and end the thread. Stopping twice is fine."""
        running, self._running = self._running, None
        if running is None:
            return
        assert self._portal is not None
        try:
            self._portal.call(self._started().stop)
        finally:
            self._portal = None
            running.__exit__(None, None, None)

    def inside(self) -> Inside:
        """Return what is inside the broker, which lives in its own thread: `run_in_broker` goes there.

        Raises:
            Misuse: it was not started.
        """
        return self._started().inside()

    def _started(self) -> Broker:
        if self._broker is None:
            raise Misuse("this broker does not run: use `with BrokerThread() as broker`, or start()")
        return self._broker

    @property
    def core(self) -> BrokerCore:
        """The pure broker."""
        return self._started().core

    @property
    def url(self) -> str:
        """What a client connects to."""
        return self._started().url

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._started().port

    @property
    def clock(self) -> Clock:
        """The broker's clock."""
        return Clock(self)

    def run_in_broker(self, action: Callable[[], T]) -> T:
        """Do something in the broker's thread, between its steps, and return what comes of it."""
        __tracebackhide__ = True
        if threading.get_ident() == self._thread or self._portal is None:
            return action()
        done: list[T] = []
        failures: list[Exception] = []

        def attempt() -> None:
            __tracebackhide__ = True
            try:
                done.append(action())
                self.inside().settling.tell()
            except Exception as failure:
                failures.append(failure)

        self._portal.call(attempt)
        # A failure is raised here: its way through the threads is nobody's interest.
        for failure in failures:
            try:
                raise failure
            finally:
                failures.clear()
        return done[0]

    def settled(self, *, timeout_s: float = 5.0, unacked_ok: bool = False) -> None:
        """Wait until nothing is left to do; see `Broker.settled`.

        Raises:
            NotSettled: something is still left to do; the text says what.
        """
        self._wait(partial(self._started().settled, timeout_s=timeout_s, unacked_ok=unacked_ok))

    def advance(
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
        """Let time pass, and let clients act on what happens at the time when it happens; see `Broker.advance`.

        Raises:
            Misuse: the broker's time is real, or it would go back.
            NotSettled: clients do not come to rest.
        """
        step = (by or timedelta()) + timedelta(
            days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
        )
        self._wait(partial(self._started().advance, step, unacked_ok=unacked_ok))

    def restart(self, *, how: How = "shutdown") -> None:
        """Stop, lose what is not durable, and start again on the same port; see `Broker.restart`.

        Raises:
            Misuse: the broker does not run, or there is no such way.
            OSError: somebody else has taken the port.
        """
        self._wait(partial(self._started().restart, how=how))

    def down(self, *, how: How = "shutdown") -> AbstractContextManager[None]:
        """Stop, and start again at the end of the block: `with broker.down(): ...`; see `Broker.down`.

        Raises:
            Misuse: the broker does not run, or there is no such way.
        """
        broker = self._started()
        if self._portal is None:
            raise Misuse("this broker does not run, so it cannot go down")
        return self._portal.wrap_async_context_manager(broker.down(how=how))

    def vhost(self, name: str) -> BlockingVhostKit:
        """Return the kit at home in one vhost, whether there is such a vhost yet or not."""
        return BlockingVhostKit(self, name)

    def block_on(self, action: Callable[[], Awaitable[T]]) -> T:
        """Await something in the broker's event loop, and return what comes of it.

        Raises:
            Misuse: the broker does not run.
        """
        return self._wait(action)

    def _wait(self, action: Callable[[], Awaitable[T]]) -> T:
        if self._portal is None:
            raise Misuse("this broker does not run: use `with BrokerThread() as broker`, or start()")
        try:
            return self._portal.call(action)
        except (NotSeen, NotSettled) as complaint:
            if _in_event_loop():
                complaint.add_note(_LOOP_BLOCKED)
            raise


def _in_event_loop() -> bool:
    """Say whether the caller runs in an event loop, which stands still while it waits for us."""
    try:
        anyio.get_current_task()
    except RuntimeError:
        return False
    return True
