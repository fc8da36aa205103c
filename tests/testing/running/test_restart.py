"""Restarts: clients lose their connections, what is durable stays, the rest is lost."""

from __future__ import annotations

import asyncio
import socket

import aio_pika
import anyio
import pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from pamqp.commands import Basic, Connection, Exchange, Queue

from amqpy_broker.testing import Broker, BrokerThread, Misuse
from tests import wire
from tests.server.loops import SocketClient, connected, on_each_loop, until

WAYS = ("shutdown", "kill")
SHUTDOWN = (320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'")


async def declare(client: SocketClient, name: str, **asked: object) -> None:
    assert (await client.call(Queue.Declare, queue=name, **asked)).name == "Queue.DeclareOk"


async def publish(client: SocketClient, queue: str, body: bytes, *, persistent: bool) -> None:
    await client.send(wire.publish(1, "", queue, body, delivery_mode=2 if persistent else 1))


async def get(client: SocketClient, queue: str) -> tuple[bytes, bool] | str:
    """Return the body of the first message, and whether it is marked redelivered; or else what was said."""
    said = await client.call(Basic.Get, queue=queue, no_ack=True)
    return (said.body, said.fields["redelivered"]) if said.name == "Basic.GetOk" else said.name


async def restart(broker: Broker, client: SocketClient, how: str) -> None:
    """Restart a broker, as its client sees it."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave, client, how)
        if how == "kill":
            await broker.restart(how="kill")
        else:
            await broker.restart()


async def leave(client: SocketClient, how: str) -> None:
    if how == "shutdown":
        said = await client.hear()
        assert (said.fields["reply_code"], said.fields["reply_text"]) == SHUTDOWN
        await client.send(wire.method(0, Connection.CloseOk))
    assert await client.ended()


@pytest.mark.parametrize("how", WAYS)
@on_each_loop
async def test_only_durable_queues_and_persistent_messages_are_there_afterwards_on_the_same_port(how: str) -> None:
    async with Broker() as broker:
        port = broker.port
        async with connected(port) as client:
            await declare(client, "durable", durable=True)
            await declare(client, "transient")
            said = await client.call(Exchange.Declare, exchange="e", exchange_type="topic", durable=True)
            assert said.name == "Exchange.DeclareOk"
            bound = await client.call(Queue.Bind, queue="durable", exchange="e", routing_key="k")
            assert bound.name == "Queue.BindOk"
            await publish(client, "durable", b"transient", persistent=False)
            await publish(client, "durable", b"persistent", persistent=True)
            await broker.settled()
            await restart(broker, client, how)
        assert broker.port == port
        async with connected(port, channels=2) as client:
            assert await get(client, "durable") == (b"persistent", False)
            await client.send(wire.publish(1, "e", "k", b"routed"))
            assert await get(client, "durable") == (b"routed", False)
            assert await get(client, "transient") == "Channel.Close"


@pytest.mark.parametrize("how", WAYS)
@on_each_loop
async def test_what_was_delivered_and_not_acknowledged_comes_back_marked(how: str) -> None:
    async with Broker() as broker:
        async with connected(broker.port) as client:
            await declare(client, "q", durable=True)
            for body in (b"a", b"b"):
                await publish(client, "q", body, persistent=True)
            assert (await client.call(Basic.Get, queue="q")).body == b"a"
            await restart(broker, client, how)
        async with connected(broker.port) as client:
            assert [await get(client, "q"), await get(client, "q")] == [(b"a", True), (b"b", False)]


@pytest.mark.parametrize(("how", "there"), [("shutdown", False), ("kill", True)])
@on_each_loop
async def test_a_durable_auto_delete_queue_survives_only_what_its_consumer_cannot_notice(how: str, there: bool) -> None:
    async with Broker() as broker:
        async with connected(broker.port) as client:
            await declare(client, "q", durable=True, auto_delete=True)
            assert (await client.call(Basic.Consume, queue="q", consumer_tag="c")).name == "Basic.ConsumeOk"
            await restart(broker, client, how)
        assert ("q" in broker.core.vhosts["/"].queues) is there


@on_each_loop
async def test_exclusive_queues_go_with_their_connections() -> None:
    async with Broker() as broker:
        async with connected(broker.port) as client:
            await declare(client, "mine", exclusive=True)
            await restart(broker, client, "kill")
        assert not broker.core.vhosts["/"].queues


@on_each_loop
async def test_while_it_is_down_connections_are_refused_and_nobody_else_gets_the_port() -> None:
    async with Broker() as broker:
        async with broker.down():
            with socket.socket() as client, pytest.raises(ConnectionRefusedError):
                client.connect(("127.0.0.1", broker.port))
            with socket.socket() as greedy, pytest.raises(OSError, match="in use"):
                greedy.bind(("127.0.0.1", broker.port))
            assert broker.connection_count == 0
        async with connected(broker.port):
            assert broker.connection_count == 1


@on_each_loop
async def test_time_passes_while_it_is_down_but_a_lease_begins_anew() -> None:
    async with Broker(virtual_time=True) as broker:
        async with connected(broker.port) as client:
            await declare(client, "dying", durable=True, arguments={"x-message-ttl": 60_000})
            await declare(client, "leased", durable=True, arguments={"x-expires": 60_000})
            await publish(client, "dying", b"a", persistent=True)
            await broker.settled()
            await restart(broker, client, "kill")
        broker.clock.advance(seconds=30)
        async with broker.down():
            broker.clock.advance(seconds=50)
        async with connected(broker.port) as client:
            assert await get(client, "dying") == "Basic.GetEmpty"
            assert (await client.call(Queue.Declare, queue="leased", passive=True)).name == "Queue.DeclareOk"


@on_each_loop
async def test_it_comes_up_again_whatever_happens_in_the_block() -> None:
    async with Broker() as broker:
        with pytest.raises(ZeroDivisionError):
            await fail_while_down(broker)
        async with connected(broker.port):
            pass


async def fail_while_down(broker: Broker) -> None:
    async with broker.down():
        raise ZeroDivisionError


@on_each_loop
async def test_it_may_go_down_again_and_again() -> None:
    async with Broker() as broker:
        for _ in range(5):
            await broker.restart(how="kill")
            async with connected(broker.port) as client:
                await declare(client, "q", durable=True)


@on_each_loop
async def test_a_broker_that_does_not_run_cannot_go_down() -> None:
    broker = Broker()
    with pytest.raises(Misuse, match="does not run"):
        await broker.restart()
    async with broker:
        async with broker.down():
            with pytest.raises(Misuse, match="does not run"):
                await broker.restart()
        with pytest.raises(Misuse, match="by one of shutdown, kill, not by 'magic'"):
            await broker.restart(how="magic")  # type: ignore[arg-type]


@on_each_loop
async def test_an_alarm_that_is_still_on_afterwards_ends_when_there_is_room() -> None:
    async with Broker(memory_watermark_bytes=5000) as broker:
        broker.declare_queue("q", durable=True)
        for _ in range(5):
            broker.publish("", "q", bytes(1000), properties={"delivery_mode": 2})
        await broker.restart()
        assert broker.core.alarms.raised
        broker.purge("q")
        await until(lambda: not broker.core.alarms.raised)


@pytest.mark.parametrize("how", WAYS)
async def test_a_robust_connection_of_aio_pika_recovers(how: str) -> None:
    async with Broker() as broker:
        connection = await aio_pika.connect_robust(broker.url, reconnect_interval=0.01)
        channel = await connection.channel()
        queue = await channel.declare_queue("q", durable=True)
        got: asyncio.Queue[tuple[bytes, bool | None]] = asyncio.Queue()

        async def take(message: AbstractIncomingMessage) -> None:
            await got.put((message.body, message.redelivered))
            if message.redelivered:
                await message.ack()

        await queue.consume(take)
        message = aio_pika.Message(b"a", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "q")
        assert await asyncio.wait_for(got.get(), 10) == (b"a", False)
        await broker.restart(how="kill" if how == "kill" else "shutdown")
        assert await asyncio.wait_for(got.get(), 10) == (b"a", True)
        await broker.settled()
        assert broker.core.vhosts["/"].queues["q"].ready_count == 0
        await connection.close()


@pytest.mark.parametrize("how", WAYS)
def test_a_broker_in_a_thread_restarts(how: str) -> None:
    with BrokerThread() as broker:
        first = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = first.channel()
        channel.queue_declare("q", durable=True)
        channel.confirm_delivery()
        channel.basic_publish("", "q", b"a", pika.BasicProperties(delivery_mode=2))
        broker.restart(how="kill" if how == "kill" else "shutdown")
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            channel.basic_get("q")
        second = pika.BlockingConnection(pika.URLParameters(broker.url))
        assert second.channel().basic_get("q", auto_ack=True)[2] == b"a"
        second.close()


def test_a_broker_in_a_thread_stays_down_as_long_as_the_block_lasts() -> None:
    with BrokerThread() as broker:
        with broker.down(), pytest.raises(pika.exceptions.AMQPConnectionError):
            pika.BlockingConnection(pika.URLParameters(broker.url))
        pika.BlockingConnection(pika.URLParameters(broker.url)).close()


def test_a_broker_in_a_thread_that_does_not_run_cannot_go_down() -> None:
    with pytest.raises(Misuse, match="does not run"):
        BrokerThread().restart()
    with pytest.raises(Misuse, match="does not run"):
        BrokerThread().down()
