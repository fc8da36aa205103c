"""Connections that break, or cannot be made; real clients come back."""

from __future__ import annotations

import asyncio

import aio_pika
import anyio
import pytest
from pamqp.commands import Basic, Queue

from amqpy_broker.testing import Broker
from tests.server.loops import SocketClient, on_each_loop, until
from tests.testing.faults.clients import bodies_in, connected, declared, named, publish_all
from tests.wire import method


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_robust_connection_recovers_and_consumes_on(how: str) -> None:
    async with (
        Broker() as broker,
        await aio_pika.connect(broker.url) as publisher,
        await aio_pika.connect_robust(broker.url, reconnect_interval=0.01) as connection,
    ):
        exchange = (await publisher.channel()).default_exchange
        channel = await connection.channel()
        queue = await channel.declare_queue("work")
        done: asyncio.Queue[tuple[bytes, bool | None]] = asyncio.Queue()

        async def work(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            async with message.process():
                await done.put((message.body, message.redelivered))

        await queue.consume(work)
        with broker.faults.drop_connection(how=how, method="basic.ack", sent_by="client", times=1) as fault:
            await exchange.publish(aio_pika.Message(b"1"), "work")
            assert await done.get() == (b"1", False)
            assert await done.get() == (b"1", True)
        assert fault.fired == 1


async def test_a_robust_connection_recovers_from_a_half_open_one_when_the_broker_gives_up() -> None:
    async with (
        Broker(virtual_time=True) as broker,
        await aio_pika.connect_robust(broker.url, reconnect_interval=0.01, heartbeat=60) as connection,
    ):
        channel = await connection.channel()
        await channel.declare_queue("work")
        reconnected = asyncio.Event()
        connection.reconnect_callbacks.add(lambda *_: reconnected.set())
        broker.faults.drop_connection(how="half-open")
        broker.clock.advance(seconds=100)
        assert broker.connection_count == 1
        broker.clock.advance(seconds=30)
        await reconnected.wait()
        await channel.ready()
        assert (await channel.declare_queue("work", passive=True)).name == "work"


@on_each_loop
async def test_nothing_gets_through_a_half_open_connection_and_what_it_holds_returns_in_the_end() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port, heartbeat=60) as client:
        await declared(client, "q")
        await publish_all(client, "q", b"1")
        await client.call(Basic.Consume, queue="q", consumer_tag="c")
        assert (await client.hear()).name == "Basic.Deliver"
        broker.faults.drop_connection(how="half-open")
        await client.send(b"\x08\x00\x00\x00\x00\x00\x00\xce")
        queue = broker.core.vhosts["/"].queues["q"]
        broker.clock.advance(seconds=119)
        assert (queue.ready_count, queue.unacked_count) == (0, 1)
        broker.clock.advance(seconds=1)
        await until(lambda: (queue.ready_count, queue.unacked_count) == (1, 0))
        assert await client.ended()


@on_each_loop
async def test_a_broker_stops_at_once_though_a_connection_is_half_open() -> None:
    broker = Broker(virtual_time=True)
    await broker.start()
    async with connected(broker.port) as client:
        broker.faults.drop_connection(how="half-open")
        with anyio.fail_after(2):
            await broker.stop()
        assert await client.ended()


@on_each_loop
async def test_connections_are_chosen_by_the_names_that_clients_give_them() -> None:
    async with Broker() as broker, named(broker, "worker-1") as worker, named(broker, "web") as web:
        fault = broker.faults.drop_connection(connection="worker-*")
        assert fault.fired == 1
        assert await worker.ended()
        assert (await web.call(Queue.Declare, queue="q")).name == "Queue.DeclareOk"


@on_each_loop
async def test_a_connection_can_be_chosen_by_the_address_it_comes_from() -> None:
    async with Broker() as broker, connected(broker.port) as first, connected(broker.port) as second:
        address = first.stream.extra(anyio.abc.SocketAttribute.local_address)
        broker.faults.drop_connection(connection=f"{address[0]}:{address[1]}")
        assert await first.ended()
        assert (await second.call(Queue.Declare, queue="q")).name == "Queue.DeclareOk"


@on_each_loop
async def test_a_scope_breaks_who_comes_back_in_it_as_well() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        with broker.faults.drop_connection() as fault:
            assert await client.ended()
            async with await anyio.connect_tcp("127.0.0.1", broker.port) as stream:
                await stream.send(b"AMQP\x00\x00\x09\x01")
                assert await SocketClient(stream).ended()
            assert fault.fired == 2
        async with connected(broker.port) as again:
            await declared(again, "q")


@on_each_loop
async def test_what_the_frame_asks_for_is_not_done() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        with broker.faults.drop_connection(method="basic.publish", queue="q"):
            await publish_all(client, "q", b"1")
            assert await client.ended()
        async with connected(broker.port) as other:
            assert await bodies_in(other, "q") == []


@on_each_loop
async def test_an_answer_is_lost_though_what_was_asked_for_is_done() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        with broker.faults.drop_connection(method="queue.declare-ok"):
            await client.send(method(1, Queue.Declare, queue="q"))
            assert await client.ended()
        assert "q" in broker.core.vhosts["/"].queues


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_refused_connections_are_tried_again(how: str) -> None:
    async with Broker() as broker:
        broker.faults.refuse_connections(how=how, times=3)
        with pytest.raises((ConnectionError, aio_pika.exceptions.AMQPError)):
            await aio_pika.connect(broker.url)
        async with await aio_pika.connect_robust(broker.url, reconnect_interval=0.01, fail_fast=False) as connection:
            await connection.channel()
        assert not broker.faults.in_force


@on_each_loop
async def test_who_is_connected_stays_while_connections_are_refused() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        with broker.faults.refuse_connections():
            async with await anyio.connect_tcp("127.0.0.1", broker.port) as stream:
                assert await SocketClient(stream).ended()
            await declared(client, "q")


@on_each_loop
async def test_connections_in_memory_break_as_well() -> None:
    async with Broker() as broker, await broker.connect_in_memory() as stream:
        client = await SocketClient(stream).open()
        broker.faults.drop_connection(how="reset")
        assert await client.ended()


@on_each_loop
async def test_faults_outlive_a_restart() -> None:
    async with Broker() as broker:
        with broker.faults.swallow("queue.purge", times=1):
            await broker.restart()
            async with connected(broker.port) as client:
                await declared(client, "q")
                await client.send(method(1, Queue.Purge, queue="q"))
                await declared(client, "q")
