"""Flow: who publishes to a queue whose disk lags behind is not read from; everybody else is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from pamqp.commands import Basic, Confirm, Connection, Queue

from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES, QUEUE_UNSYNCED_MAX_BYTES
from amqpy_broker.server.credit import LARGEST_READ_BYTES
from tests.server.durable import Served, persistent, served
from tests.server.loops import SocketClient, connected, on_each_loop, until
from tests.wire import method, publish

BODY = b"x" * 10_000
BLOCK_COUNT = 10
# More than a queue takes, and what is on its way besides.
COUNT = 2 * QUEUE_UNSYNCED_MAX_BYTES // (len(BODY) * BLOCK_COUNT) * BLOCK_COUNT


class Flood:
    """Somebody who publishes persistent messages to the queue a, and does not listen."""

    def __init__(self, client: SocketClient) -> None:
        self.client = client
        self.sent = 0

    async def run(self) -> None:
        while self.sent < COUNT:
            await self.client.send(persistent(BODY, "a") * BLOCK_COUNT)
            self.sent += BLOCK_COUNT


@asynccontextmanager
async def flooded(durable: Served, client: SocketClient) -> AsyncIterator[Flood]:
    """Flood the durable queue a, whose disk does not answer, until its publisher has to wait."""
    await client.call(Queue.Declare, queue="a", durable=True)
    await client.call(Confirm.Select)
    await until(lambda: not durable.journal.under_way)
    durable.journal.slow = True
    flood = Flood(client)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(flood.run)
        await until(lambda: waits_for_sync(durable))
        yield flood
        tasks.cancel_scope.cancel()


def waits_for_sync(durable: Served) -> bool:
    """Whether the queue a has taken what it may, and its publisher waits; it may wait for a turn before."""
    message_bytes = len(persistent(BODY, "a")) + MESSAGE_OVERHEAD_BYTES
    held_bytes = durable.core.vhosts["/"].queues["a"].ready_count * message_bytes
    return held_bytes >= QUEUE_UNSYNCED_MAX_BYTES and bool(durable.server.in_flow)


def catch_up(durable: Served) -> None:
    durable.journal.slow = False
    durable.journal.catch_up()


@on_each_loop
async def test_a_publisher_waits_for_the_disk_of_its_queue_and_goes_on_when_that_has_caught_up() -> None:
    async with served() as durable, connected(durable.server.port) as publisher:
        await publisher.call(Queue.Declare, queue="a", durable=True)
        await publisher.call(Confirm.Select)
        await until(lambda: not durable.journal.under_way)
        durable.journal.slow = True
        flood = Flood(publisher)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flood.run)
            await until(lambda: waits_for_sync(durable))
            assert durable.core.vhosts["/"].queues["a"].ready_count < COUNT

            catch_up(durable)

            while (await publisher.hear())["delivery_tag"] < COUNT:
                pass
        assert durable.core.vhosts["/"].queues["a"].ready_count == COUNT
        assert not durable.server.in_flow


@on_each_loop
async def test_what_waits_for_a_disk_is_bounded() -> None:
    async with (
        served() as durable,
        connected(durable.server.port) as publisher,
        connected(durable.server.port) as other,
        flooded(durable, publisher),
    ):
        # Whatever the loop does meanwhile.
        await other.call(Queue.Declare, queue="a", passive=True)
        await anyio.wait_all_tasks_blocked()

        queue = durable.core.vhosts["/"].queues["a"]
        most_bytes = QUEUE_UNSYNCED_MAX_BYTES + LARGEST_READ_BYTES
        assert queue.ready_count * len(BODY) <= most_bytes


@on_each_loop
async def test_publishers_of_other_queues_and_consumers_of_this_one_go_on_meanwhile() -> None:
    async with (
        served() as durable,
        connected(durable.server.port) as publisher,
        connected(durable.server.port) as other,
        connected(durable.server.port) as consumer,
        flooded(durable, publisher),
    ):
        await other.call(Queue.Declare, queue="b")
        await other.call(Confirm.Select)
        for number in range(1, 6):
            await other.send(publish(1, "", "b"))
            assert (await other.hear())["delivery_tag"] == number

        got = await consumer.call(Basic.Get, queue="a")
        await consumer.send(method(1, Basic.Ack, delivery_tag=got["delivery_tag"]))
        assert (await consumer.call(Basic.Get, queue="a")).body == BODY
        assert [connection.published_to.name for connection in durable.server.in_flow] == ["a"]


@on_each_loop
async def test_who_publishes_to_the_queue_for_the_first_time_waits_from_the_second_read_on() -> None:
    async with (
        served() as durable,
        connected(durable.server.port) as publisher,
        connected(durable.server.port) as late,
        flooded(durable, publisher),
    ):
        queue = durable.core.vhosts["/"].queues["a"]
        before = queue.ready_count
        await late.send(persistent(b"1", "a"))
        await until(lambda: queue.ready_count > before)
        assert len(durable.server.in_flow) == 1

        await late.send(persistent(b"2", "a"))
        await until(lambda: len(durable.server.in_flow) == 2)


@on_each_loop
async def test_an_alarm_takes_over_and_is_told() -> None:
    async with (
        served() as durable,
        connected(durable.server.port) as publisher,
        flooded(durable, publisher),
    ):
        durable.journal.on_stalled(True)

        blocked = await publisher.hear()
        assert (blocked.name, blocked["reason"]) == ("Connection.Blocked", "low on disk")
        await until(lambda: not durable.server.in_flow)


@on_each_loop
async def test_a_broker_that_stops_waits_for_nobody_who_waits() -> None:
    async with (
        served() as durable,
        connected(durable.server.port) as publisher,
        flooded(durable, publisher) as flood,
    ):
        durable.server.stop()

        assert (await publisher.hear()).name == "Connection.Close"
        await until(lambda: not durable.server.in_flow)
        # What it sends is read again, and ignored.
        await until(lambda: flood.sent == COUNT)
        await publisher.send(method(0, Connection.CloseOk))
        await until(lambda: durable.server.connection_count == 0)


@on_each_loop
async def test_who_vanishes_while_it_waits_is_let_go_and_what_it_had_sent_counts() -> None:
    async with served() as durable, connected(durable.server.port) as other:
        async with connected(durable.server.port) as publisher, flooded(durable, publisher):
            before = durable.core.vhosts["/"].queues["a"].ready_count

        catch_up(durable)

        await until(lambda: durable.server.connection_count == 1)
        answer = await other.call(Queue.Declare, queue="a", passive=True)
        assert answer["message_count"] > before


@on_each_loop
async def test_a_queue_that_is_deleted_keeps_nobody_waiting() -> None:
    async with (
        served() as durable,
        connected(durable.server.port) as publisher,
        connected(durable.server.port) as other,
        flooded(durable, publisher),
    ):
        await other.send(method(1, Queue.Delete, queue="a"))
        await until(lambda: "a" not in durable.core.vhosts["/"].queues)

        catch_up(durable)

        await until(lambda: not durable.server.in_flow)
