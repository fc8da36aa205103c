"""What comes late, or never, and sockets that are slow; on virtual time."""

from __future__ import annotations

import asyncio

import aio_pika
import anyio
import pytest
from pamqp.commands import Basic, Connection, Queue

from amqpy_broker.testing import Broker
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.link.link import Direction
from tests.server.loops import on_each_loop, until
from tests.testing.faults.clients import bodies_in, connected, declared, publish_all
from tests.wire import method, publish


@on_each_loop
async def test_a_delayed_method_comes_at_its_time_and_what_follows_on_its_channel_after_it() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port, channels=2) as client:
        await declared(client, "q")
        queue = broker.core.vhosts["/"].queues["q"]
        broker.faults.delay("basic.publish", 60, times=1)
        await publish_all(client, "q", b"1", b"2")
        await client.send(publish(2, "", "q", b"other channel"))
        await broker.settled()
        assert queue.ready_count == 1
        await broker.advance(seconds=59)
        assert queue.ready_count == 1
        await broker.advance(seconds=1)
        assert await bodies_in(client, "q") == [b"other channel", b"1", b"2"]


@on_each_loop
async def test_what_the_broker_says_can_be_late_as_well() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port) as client:
        broker.faults.delay("queue.declare-ok", 10, times=1)
        await client.send(method(1, Queue.Declare, queue="q"))
        await broker.settled()
        assert "q" in broker.core.vhosts["/"].queues
        (connection,) = broker.inside().connections
        await broker.advance(seconds=9)
        assert not connection.link.is_empty(Direction.TO_CLIENT)
        await broker.advance(seconds=1)
        assert connection.link.is_empty(Direction.TO_CLIENT)
        assert (await client.hear()).name == "Queue.DeclareOk"


@on_each_loop
async def test_without_a_time_methods_wait_for_the_end_of_the_scope() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port) as client:
        await declared(client, "q")
        with broker.faults.delay("basic.publish", queue="q"):
            await publish_all(client, "q", b"1", b"2")
            await broker.advance(hours=1)
            assert broker.core.vhosts["/"].queues["q"].ready_count == 0
        await broker.settled()
        assert await bodies_in(client, "q") == [b"1", b"2"]


@on_each_loop
async def test_what_waits_for_a_fault_without_a_scope_goes_on_when_that_is_stopped() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        fault = broker.faults.delay("queue.declare", times=1)
        await client.send(method(1, Queue.Declare, queue="q"))
        await broker.settled()
        assert fault.fired == 1
        fault.stop()
        assert (await client.hear()).name == "Queue.DeclareOk"


@on_each_loop
async def test_a_random_delay_repeats_with_its_seed() -> None:
    arrivals = []
    for _ in range(2):
        async with Broker(virtual_time=True) as broker, connected(broker.port) as client:
            await declared(client, "q")
            queue = broker.core.vhosts["/"].queues["q"]
            with broker.faults.delay("basic.publish", (0, 100), seed=7):
                await publish_all(client, "q", b"1")
                await broker.settled()
                tenths = 0
                while not queue.ready_count:
                    broker.clock.advance(milliseconds=100)
                    tenths += 1
                arrivals.append(tenths)
    assert arrivals[0] == arrivals[1]
    assert 0 < arrivals[0] < 1000


@on_each_loop
async def test_a_swallowed_method_never_comes() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        with broker.faults.swallow("basic.publish", times=2) as fault:
            await publish_all(client, "q", b"1", b"2", b"3")
            assert await bodies_in(client, "q") == [b"3"]
        assert fault.fired == 2


@on_each_loop
async def test_a_delivery_can_be_swallowed_and_returns_with_its_channel() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        await client.call(Basic.Consume, queue="q", consumer_tag="c")
        with broker.faults.swallow("basic.deliver", queue="q", times=1):
            await publish_all(client, "q", b"lost", b"2")
            assert (await client.hear()).body == b"2"
        assert broker.core.vhosts["/"].queues["q"].unacked_count == 2


async def test_aio_pika_waits_in_vain_for_an_answer_that_is_swallowed() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        with broker.faults.swallow("queue.declare-ok", queue="q") as fault:
            declaring = asyncio.create_task(channel.declare_queue("q"))
            await until(lambda: fault.fired == 1)
        await broker.settled()
        assert not declaring.done()
        declaring.cancel()


@on_each_loop
async def test_a_slow_socket_takes_its_time_for_every_octet() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port) as client:
        await declared(client, "q")
        octets = publish(1, "", "q", b"x" * 1000)
        queue = broker.core.vhosts["/"].queues["q"]
        with broker.faults.slow_socket(100, sent_by="client"):
            await client.send(octets * 2)
            await broker.settled()
            await broker.advance(seconds=len(octets) / 100 - 0.1)
            assert queue.ready_count == 0
            await broker.advance(seconds=0.2)
            assert queue.ready_count == 1
            await broker.advance(seconds=len(octets) / 100)
            assert queue.ready_count == 2


@on_each_loop
async def test_a_brokers_last_words_are_not_held_back() -> None:
    broker = Broker(virtual_time=True)
    await broker.start()
    async with connected(broker.port) as client, anyio.create_task_group() as tasks:
        broker.faults.slow_socket(1)
        broker.faults.delay("connection.*", may_not_fire=True)
        await client.send(method(1, Queue.Declare, queue="q"))
        await broker.settled()
        tasks.start_soon(broker.stop)
        assert (await client.hear()).name == "Queue.DeclareOk"
        assert (await client.hear()).name == "Connection.Close"
        await client.send(method(0, Connection.CloseOk))
        assert await client.ended()


def test_a_dead_socket_is_not_a_slow_one() -> None:
    with pytest.raises(Misuse, match="half-open"):
        Broker().faults.slow_socket(0)


@on_each_loop
async def test_delays_pass_on_real_time_too() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        with broker.faults.delay("queue.declare", 0.01), broker.faults.delay("queue.declare-ok", 0.01):
            await declared(client, "q", confirms=True)
        with broker.faults.delay_confirms(0.01), broker.faults.slow_socket(10_000):
            await publish_all(client, "q", b"1")
            assert (await client.hear()).name == "Basic.Ack"
