"""One task for all deadlines."""

import gc
import logging
import weakref

import anyio
from pamqp.commands import Basic, Queue

from amqpy_broker import Broker
from amqpy_broker.core.clock import SystemClock
from amqpy_broker.server.deadlines import Deadlines
from tests.server.loops import SocketClient, connected, on_each_loop, until
from tests.wire import ManualClock, publish

NEVER = float("inf")


class Item:
    """Something that wants to be woken."""

    def __init__(self, clock: ManualClock, at_s: float, again_s: float = NEVER) -> None:
        self._clock = clock
        self.next_deadline_s = at_s
        self._again_s = again_s
        self.woken_at_s: list[float] = []

    def handle_deadline(self) -> None:
        self.woken_at_s.append(self._clock.monotonic_s())
        self.next_deadline_s = self._clock.monotonic_s() + self._again_s


def wake_at(deadlines: Deadlines, clock: ManualClock, now_s: float) -> None:
    clock.now_s = now_s
    deadlines.wake_due()


@on_each_loop
async def test_items_are_woken_when_their_time_has_come() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    early, late = Item(clock, 1010.0), Item(clock, 1020.0)
    deadlines.add(late)
    deadlines.add(early)

    wake_at(deadlines, clock, 1009.0)
    assert (early.woken_at_s, late.woken_at_s) == ([], [])
    wake_at(deadlines, clock, 1010.0)
    assert (early.woken_at_s, late.woken_at_s) == ([1010.0], [])
    wake_at(deadlines, clock, 1030.0)

    assert (early.woken_at_s, late.woken_at_s) == ([1010.0], [1030.0])


@on_each_loop
async def test_a_deadline_that_moved_later_is_kept() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    item = Item(clock, 1010.0)
    deadlines.add(item)
    item.next_deadline_s = 1020.0

    wake_at(deadlines, clock, 1015.0)
    assert item.woken_at_s == []
    wake_at(deadlines, clock, 1020.0)

    assert item.woken_at_s == [1020.0]


@on_each_loop
async def test_a_deadline_that_moved_earlier_must_be_told() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    item = Item(clock, 1010.0)
    deadlines.add(item)
    item.next_deadline_s = 1005.0
    deadlines.sooner(item)

    wake_at(deadlines, clock, 1005.0)
    wake_at(deadlines, clock, 1010.0)

    assert item.woken_at_s == [1005.0]


@on_each_loop
async def test_an_item_without_a_deadline_can_get_one() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    item = Item(clock, NEVER)
    deadlines.add(item)
    item.next_deadline_s = 1001.0
    deadlines.sooner(item)

    wake_at(deadlines, clock, 1001.0)

    assert item.woken_at_s == [1001.0]


@on_each_loop
async def test_an_item_is_woken_again_and_again() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    item = Item(clock, 1010.0, again_s=10.0)
    deadlines.add(item)

    for now_s in (1010.0, 1015.0, 1020.0, 1030.0):
        wake_at(deadlines, clock, now_s)

    assert item.woken_at_s == [1010.0, 1020.0, 1030.0]


@on_each_loop
async def test_an_item_that_was_removed_is_not_woken() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    item = Item(clock, 1010.0)
    deadlines.add(item)
    deadlines.remove(item)
    deadlines.sooner(item)
    deadlines.remove(item)

    wake_at(deadlines, clock, 1010.0)

    assert item.woken_at_s == []


@on_each_loop
async def test_an_item_that_was_removed_is_not_kept_alive() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    item = Item(clock, 1010.0)
    alive = weakref.ref(item)
    deadlines.add(item)
    item.next_deadline_s = 1005.0
    deadlines.sooner(item)

    deadlines.remove(item)
    del item
    gc.collect()

    assert alive() is None


@on_each_loop
async def test_the_task_wakes_items_in_time() -> None:
    clock = SystemClock()
    deadlines = Deadlines(clock)
    woken = anyio.Event()

    class Once:
        next_deadline_s = clock.monotonic_s() + 60

        def handle_deadline(self) -> None:
            self.next_deadline_s = NEVER
            woken.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deadlines.run)
        item = Once()
        deadlines.add(item)
        item.next_deadline_s = clock.monotonic_s() + 0.01
        deadlines.sooner(item)
        await woken.wait()
        tasks.cancel_scope.cancel()


@on_each_loop
async def test_a_client_that_is_silent_in_the_handshake_is_closed() -> None:
    clock = ManualClock()
    async with Broker(clock=clock) as broker, await anyio.connect_tcp("127.0.0.1", broker.port) as stream:
        await until(lambda: broker.connection_count == 1)
        clock.advance(11)
        deadlines = broker._server._deadlines
        assert deadlines is not None
        deadlines.wake_due()

        assert await SocketClient(stream).ended()


@on_each_loop
async def test_a_client_that_neither_reads_nor_sends_is_given_up() -> None:
    clock = ManualClock()
    async with (
        Broker(clock=clock) as broker,
        connected(broker.port, heartbeat=10) as stuck,
        connected(broker.port) as publisher,
    ):
        await publisher.call(Queue.Declare, queue="q")
        await stuck.call(Basic.Consume, queue="q", no_ack=True)
        sessions = broker._server._sessions
        session = next(session for session in sessions if session.connection._heartbeats.send_at_s < NEVER)
        # The sockets' buffers are full, and there is a little more to send.
        while not session._output.pieces:
            await publisher.send(publish(1, "", "q", b"x" * 50_000))
            await publisher.call(Queue.Declare, queue="q", passive=True)
        assert not session._output.congested

        clock.advance(21)
        assert broker._server._deadlines is not None
        broker._server._deadlines.wake_due()

        await until(lambda: broker.connection_count == 1)


class FailingItem(Item):
    """Something with a mistake in it."""

    def handle_deadline(self) -> None:
        raise ValueError("a mistake of ours")


@on_each_loop
async def test_an_item_that_fails_is_logged_and_stops_no_other() -> None:
    clock = ManualClock()
    deadlines = Deadlines(clock)
    item = Item(clock, 1010.0)
    deadlines.add(FailingItem(clock, 1005.0))
    deadlines.add(item)
    logger = logging.getLogger("amqpy_broker.server.deadlines")
    logged: list[logging.LogRecord] = []
    logger.propagate, listen = False, logging.Handler()
    listen.emit = logged.append  # type: ignore[method-assign]
    logger.addHandler(listen)
    try:
        wake_at(deadlines, clock, 1010.0)
    finally:
        logger.propagate = True
        logger.removeHandler(listen)

    assert item.woken_at_s == [1010.0]
    assert [str(record.exc_info[1]) for record in logged if record.exc_info] == ["a mistake of ours"]
