"""Consumers that are cancelled, messages that come twice, messages that come back in another order."""

from __future__ import annotations

import asyncio

import aio_pika
from pamqp.commands import Basic, Channel, Queue

from amqpy_broker.testing import Broker
from tests.server.loops import SocketClient, on_each_loop
from tests.testing.faults.clients import bodies_in, connected, declared, named, publish_all
from tests.wire import method


@on_each_loop
async def test_consumers_are_cancelled_and_what_they_hold_they_may_acknowledge() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        await publish_all(client, "q", b"1")
        await client.call(Basic.Consume, queue="q", consumer_tag="c")
        assert (await client.hear()).name == "Basic.Deliver"
        fault = broker.faults.cancel_consumers(queue="q")
        said = await client.hear()
        assert (said.name, said["consumer_tag"], fault.fired) == ("Basic.Cancel", "c", 1)
        await client.send(method(1, Basic.Ack, delivery_tag=1))
        said = await client.call(Queue.Declare, queue="q", passive=True)
        assert (said["consumer_count"], said["message_count"]) == (0, 0)
        assert broker.core.vhosts["/"].queues["q"].unacked_count == 0


@on_each_loop
async def test_in_a_scope_who_consumes_is_cancelled_at_once() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q", "other")
        with broker.faults.cancel_consumers(queue="q"):
            assert (await client.call(Basic.Consume, queue="q", consumer_tag="c")).name == "Basic.ConsumeOk"
            assert (await client.hear()).name == "Basic.Cancel"
            assert (await client.call(Basic.Consume, queue="other", consumer_tag="d")).name == "Basic.ConsumeOk"
            await publish_all(client, "other", b"1")
            assert (await client.hear()).name == "Basic.Deliver"


@on_each_loop
async def test_who_consumes_without_waiting_for_an_answer_is_cancelled_as_well() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        with broker.faults.cancel_consumers():
            said = await client.call(Basic.Consume, queue="q", consumer_tag="c", nowait=True)
            assert (said.name, said["consumer_tag"]) == ("Basic.Cancel", "c")


@on_each_loop
async def test_only_so_many_consumers_are_cancelled() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        for tag in ("a", "b", "c"):
            await client.call(Basic.Consume, queue="q", consumer_tag=tag)
        broker.faults.cancel_consumers(times=2)
        assert [(await client.hear())["consumer_tag"] for _ in range(2)] == ["a", "b"]
        assert broker.core.vhosts["/"].queues["q"].consumer_count == 1


@on_each_loop
async def test_what_is_acknowledged_comes_once_more() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        await client.call(Basic.Consume, queue="q", consumer_tag="c")
        with broker.faults.duplicate_deliveries(queue="q"):
            await publish_all(client, "q", b"1")
            assert (await client.hear())["redelivered"] is False
            await client.send(method(1, Basic.Ack, delivery_tag=1))
            said = await client.hear()
            assert (said.body, said["delivery_tag"], said["redelivered"]) == (b"1", 2, True)
        await client.send(method(1, Basic.Ack, delivery_tag=2))
        assert await bodies_in(client, "q") == []
        assert broker.core.vhosts["/"].queues["q"].unacked_count == 0


async def test_a_consumer_of_aio_pika_does_its_work_twice() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("payments")
        done: asyncio.Queue[bytes] = asyncio.Queue()

        async def pay(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            async with message.process():
                await done.put(message.body)

        await queue.consume(pay)
        with broker.faults.duplicate_deliveries(queue="payments"):
            await channel.default_exchange.publish(aio_pika.Message(b"5 EUR"), "payments")
            assert [await done.get(), await done.get()] == [b"5 EUR", b"5 EUR"]


async def _deliveries(client: SocketClient, count: int) -> list[bytes]:
    await client.call(Basic.Consume, queue="q", consumer_tag="c")
    return [(await client.hear()).body for _ in range(count)]


async def _order_after_a_channel_is_closed(broker: Broker, queue_type: str, seed: int) -> list[bytes]:
    async with connected(broker.port) as client:
        await client.call(Queue.Declare, queue="q", durable=True, arguments={"x-queue-type": queue_type})
        await publish_all(client, "q", *(b"%d" % number for number in range(5)))
        await _deliveries(client, 5)
        with broker.faults.reorder_redeliveries(queue="q", seed=seed):
            await client.call(Channel.Close)
        await client.call(Channel.Open)
        return await bodies_in(client, "q")


@on_each_loop
async def test_what_returns_changes_places_and_the_seed_repeats_it() -> None:
    for queue_type in ("classic", "quorum"):
        orders = []
        for seed in (1, 1, 2):
            async with Broker() as broker:
                orders.append(await _order_after_a_channel_is_closed(broker, queue_type, seed))
        assert orders[0] == orders[1] != orders[2]
        assert sorted(orders[0]) == [b"0", b"1", b"2", b"3", b"4"] != orders[0]


@on_each_loop
async def test_what_a_lost_connection_held_changes_places() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        await publish_all(client, "q", b"1", b"2", b"3")
        async with named(broker, "worker") as worker:
            await _deliveries(worker, 3)
            with broker.faults.reorder_redeliveries(connection="worker") as fault:
                broker.faults.drop_connection(connection="worker")
                assert await worker.ended()
                await broker.settled()
            assert fault.fired == 1
        bodies = await bodies_in(client, "q")
        assert sorted(bodies) == [b"1", b"2", b"3"] != bodies


@on_each_loop
async def test_other_queues_keep_their_order() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q", "other")
        await publish_all(client, "q", b"1", b"2", b"3")
        await _deliveries(client, 3)
        with broker.faults.reorder_redeliveries(queue="other", may_not_fire=True):
            await client.call(Channel.Close)
        await client.call(Channel.Open)
        assert await bodies_in(client, "q") == [b"1", b"2", b"3"]
