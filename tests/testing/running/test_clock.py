"""Virtual time: it stands still until it is turned; then everything happens at its time and in order."""

from __future__ import annotations

from datetime import timedelta

import aio_pika
import anyio
import pika
import pytest
from pamqp.commands import Basic, Queue

from amqpy_broker.testing import Broker, BrokerThread, Misuse, NotSettled
from tests.server.loops import connected, on_each_loop
from tests.wire import publish


@on_each_loop
async def test_time_stands_still_until_it_is_turned() -> None:
    async with Broker(virtual_time=True) as broker:
        before = broker.clock.now
        await anyio.sleep(0.01)
        assert broker.clock.now == before
        broker.clock.advance(hours=1, minutes=1)
        assert broker.clock.now == before + timedelta(minutes=61)


@on_each_loop
async def test_messages_expire_when_time_is_turned() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port) as client:
        await client.call(Queue.Declare, queue="q", arguments={"x-message-ttl": 60_000})
        await client.send(publish(1, "", "q", b"m"))
        await broker.settled()
        queue = broker.core.vhosts["/"].queues["q"]

        broker.clock.advance(seconds=59.999)
        assert queue.ready_count == 1
        broker.clock.advance(milliseconds=1)
        assert queue.ready_count == 0


@on_each_loop
async def test_steps_of_fractions_add_up() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port) as client:
        await client.call(Queue.Declare, queue="q", arguments={"x-expires": 1_000})
        for _ in range(10):
            assert "q" in broker.core.vhosts["/"].queues
            broker.clock.advance(seconds=0.1)
        assert "q" not in broker.core.vhosts["/"].queues


@on_each_loop
async def test_what_is_due_happens_in_order_and_at_its_time() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port) as client:
        # A message waits in `first`, then in `second`, and is gone after both times together, not before.
        for name, ttl_ms, after in (("first", 1_000, "second"), ("second", 2_000, "third")):
            arguments = {"x-message-ttl": ttl_ms, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": after}
            await client.call(Queue.Declare, queue=name, arguments=arguments)
        await client.call(Queue.Declare, queue="third")
        await client.send(publish(1, "", "first", b"m"))
        await broker.settled()
        queues = broker.core.vhosts["/"].queues

        broker.clock.advance(seconds=2.9)
        assert [queues[name].ready_count for name in ("first", "second", "third")] == [0, 1, 0]
        broker.clock.advance(seconds=0.1)
        assert [queues[name].ready_count for name in ("first", "second", "third")] == [0, 0, 1]


@on_each_loop
async def test_clients_that_are_there_survive_any_time() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port, heartbeat=10) as client:
        broker.clock.advance(days=1)
        await broker.advance(hours=1)
        assert broker.connection_count == 1
        assert client is not None


@on_each_loop
async def test_a_delivery_that_is_not_acknowledged_times_out() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port) as client:
        await client.call(Queue.Declare, queue="q")
        await client.call(Basic.Consume, queue="q", consumer_tag="c")
        await client.send(publish(1, "", "q", b"m"))
        await broker.settled(unacked_ok=True)
        broker.clock.advance(minutes=29)
        assert broker.core.vhosts["/"].queues["q"].unacked_count == 1
        broker.clock.advance(minutes=5)
        assert broker.core.vhosts["/"].queues["q"].unacked_count == 0


@on_each_loop
async def test_real_time_cannot_be_turned() -> None:
    async with Broker() as broker:
        assert not broker.clock.is_virtual
        with pytest.raises(Misuse, match="virtual_time=True"):
            broker.clock.advance(seconds=1)
        with pytest.raises(Misuse, match="virtual_time=True"):
            await broker.advance(seconds=1)


@on_each_loop
async def test_time_does_not_go_back() -> None:
    async with Broker(virtual_time=True) as broker:
        with pytest.raises(Misuse, match="does not go back"):
            broker.clock.advance(seconds=-1)


async def test_clients_act_at_the_time_when_something_happens() -> None:
    """A consumer that fails is tried again after a minute, three times, in one turn of three minutes."""
    async with Broker(virtual_time=True) as broker:
        connection = await aio_pika.connect(broker.url)
        channel = await connection.channel()
        to_work = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "work"}
        to_wait = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "wait"}
        work = await channel.declare_queue("work", arguments=to_wait)
        await channel.declare_queue("wait", arguments={"x-message-ttl": 60_000, **to_work})
        tried = []

        async def fail(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            tried.append(broker.clock.now)
            await message.reject()

        await work.consume(fail)
        await channel.default_exchange.publish(aio_pika.Message(b"m"), "work")
        await broker.settled()
        await broker.advance(minutes=3)

        assert [at - tried[0] for at in tried] == [timedelta(minutes=minute) for minute in range(4)]
        await connection.close()


async def test_settled_waits_for_what_consumers_hold() -> None:
    async with Broker() as broker:
        connection = await aio_pika.connect(broker.url)
        channel = await connection.channel()
        queue = await channel.declare_queue("q")
        may_go_on = anyio.Event()
        done = []

        async def work(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            await may_go_on.wait()
            await message.ack()
            done.append(message.body)

        await queue.consume(work)
        await channel.default_exchange.publish(aio_pika.Message(b"m"), "q")
        with pytest.raises(NotSettled, match="queue 'q' in vhost '/': 1 deliveries are not acknowledged"):
            await broker.settled(timeout_s=0.1)
        await broker.settled(unacked_ok=True)
        may_go_on.set()
        await broker.settled()
        assert done == [b"m"]
        await connection.close()


def test_a_thread_has_the_same() -> None:
    with BrokerThread(virtual_time=True) as broker:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = connection.channel()
        channel.queue_declare("q", arguments={"x-message-ttl": 1_000})
        channel.basic_publish("", "q", b"m")
        broker.settled()
        before = broker.clock.now
        broker.clock.advance(milliseconds=999)
        broker.advance(milliseconds=1)
        assert broker.clock.now == before + timedelta(seconds=1)
        assert channel.queue_declare("q", passive=True).method.message_count == 0
        connection.close()


async def test_time_waits_for_consumers_if_asked_to() -> None:
    async with Broker(virtual_time=True) as broker:
        connection = await aio_pika.connect(broker.url)
        channel = await connection.channel()
        queue = await channel.declare_queue("q", arguments={"x-message-ttl": 60_000})
        done = []

        async def work(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            await anyio.sleep(0.05)
            await message.ack()
            done.append(broker.clock.now)

        await queue.consume(work)
        before = broker.clock.now
        broker.publish("", "q", b"m")
        await broker.advance(hours=1, unacked_ok=False)
        assert done == [before]
        await connection.close()
