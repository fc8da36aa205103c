"""Snapshots from the test: with clients connected, in every event loop, and in a thread."""

from __future__ import annotations

from contextlib import suppress

import pika
import pytest
from pamqp.commands import Basic, Connection, Exchange, Queue

from amqpy_broker.testing import Broker, BrokerThread, Snapshot
from tests import wire
from tests.server.loops import SocketClient, connected, on_each_loop


async def declare(client: SocketClient, queue: str) -> None:
    assert (await client.call(Queue.Declare, queue=queue, durable=True)).name == "Queue.DeclareOk"


async def publish(broker: Broker, client: SocketClient, queue: str, body: bytes) -> None:
    await client.send(wire.publish(1, "", queue, body))
    await broker.settled(unacked_ok=True)


async def ready_count(client: SocketClient, queue: str) -> object:
    said = await client.call(Queue.Declare, queue=queue, passive=True)
    return said.fields["message_count"] if said.name == "Queue.DeclareOk" else said.name


@on_each_loop
async def test_a_snapshot_brings_back_what_was_there_and_the_connection_stays() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declare(client, "q")
        await publish(broker, client, "q", b"a")
        snapshot = broker.snapshot()
        assert isinstance(snapshot, Snapshot)
        assert (await client.call(Queue.Delete, queue="q")).name == "Queue.DeleteOk"
        broker.restore(snapshot)
        assert await ready_count(client, "q") == 1


@on_each_loop
async def test_what_happens_in_a_block_is_undone() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declare(client, "q")
        with broker.restored():
            await publish(broker, client, "q", b"a")
            await declare(client, "new")
        assert await ready_count(client, "q") == 0
        assert await ready_count(client, "new") == "Channel.Close"


@on_each_loop
async def test_a_block_that_fails_is_undone_too() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        with suppress(ZeroDivisionError), broker.restored():
            await declare(client, "new")
            raise ZeroDivisionError
        assert await ready_count(client, "new") == "Channel.Close"


@on_each_loop
async def test_a_consumer_gets_restored_messages_and_its_old_acknowledgements_are_taken() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declare(client, "q")
        await publish(broker, client, "q", b"a")
        snapshot = broker.snapshot()
        assert (await client.call(Basic.Consume, queue="q", consumer_tag="c")).name == "Basic.ConsumeOk"
        first = await client.hear()
        broker.restore(snapshot)
        second = await client.hear()
        assert [said.fields["delivery_tag"] for said in (first, second)] == [1, 2]
        # Tag 1 belongs to what was before: no complaint, and no effect.
        await client.send(wire.method(1, Basic.Ack, delivery_tag=1))
        await broker.settled(unacked_ok=True)
        assert broker.core.vhosts["/"].queues["q"].unacked_count == 1
        await client.send(wire.method(1, Basic.Ack, delivery_tag=2))
        await broker.settled()
        assert await ready_count(client, "q") == 0


@on_each_loop
async def test_a_consumer_of_a_queue_that_goes_is_told() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        snapshot = broker.snapshot()
        await declare(client, "q")
        assert (await client.call(Basic.Consume, queue="q", consumer_tag="c")).name == "Basic.ConsumeOk"
        broker.restore(snapshot)
        said = await client.hear()
        assert (said.name, said.fields["consumer_tag"]) == ("Basic.Cancel", "c")


@on_each_loop
async def test_a_publisher_that_goes_on_reaches_what_is_there_now() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declare(client, "q")
        snapshot = broker.snapshot()
        for body in (b"a", b"b", b"c"):
            await publish(broker, client, "q", body)
        assert (await client.call(Queue.Delete, queue="q")).name == "Queue.DeleteOk"
        broker.restore(snapshot)
        await publish(broker, client, "q", b"d")
        got = await client.call(Basic.Get, queue="q", no_ack=True)
        assert (got.name, got.body) == ("Basic.GetOk", b"d")


@on_each_loop
async def test_exclusive_queues_of_connections_are_left_alone() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        assert (await client.call(Queue.Declare, queue="mine", exclusive=True)).name == "Queue.DeclareOk"
        await publish(broker, client, "mine", b"a")
        broker.reset()
        assert await ready_count(client, "mine") == 1


@on_each_loop
async def test_a_reset_leaves_what_a_broker_begins_with() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        began_with = broker.definitions()
        await declare(client, "q")
        assert (await client.call(Exchange.Declare, exchange="e", exchange_type="topic")).name == "Exchange.DeclareOk"
        broker.load_definitions({"users": [{"name": "clerk", "password": "x", "tags": ""}], "vhosts": [{"name": "v"}]})
        broker.reset()
        now = broker.definitions()
        assert {key: now[key] for key in now if key != "users"} == {
            key: began_with[key] for key in began_with if key != "users"
        }
        assert [user.name for user in broker.core.users] == ["guest"]
        assert broker.core.users.authenticate("guest", "guest") is not None


@on_each_loop
async def test_connections_to_a_vhost_that_goes_are_closed() -> None:
    async with Broker() as broker:
        snapshot = broker.snapshot()
        broker.load_definitions({"vhosts": [{"name": "orders"}]})
        async with connected(broker.port, vhost="orders") as client, connected(broker.port) as other:
            broker.restore(snapshot)
            said = await client.hear()
            assert (said.name, said.fields["reply_text"]) == (
                "Connection.Close",
                "CONNECTION_FORCED - vhost 'orders' is deleted",
            )
            await client.send(wire.method(0, Connection.CloseOk))
            assert await client.ended()
            await declare(other, "q")


@on_each_loop
async def test_virtual_time_stands_still_for_a_snapshot() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port) as client:
        said = await client.call(Queue.Declare, queue="q", arguments={"x-message-ttl": 60_000})
        assert said.name == "Queue.DeclareOk"
        await publish(broker, client, "q", b"a")
        snapshot = broker.snapshot()
        broker.clock.advance(minutes=5)
        assert await ready_count(client, "q") == 0
        broker.restore(snapshot)
        broker.clock.advance(seconds=59)
        assert await ready_count(client, "q") == 1
        broker.clock.advance(seconds=2)
        assert await ready_count(client, "q") == 0


def test_a_broker_in_a_thread_has_snapshots() -> None:
    with BrokerThread() as broker:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = connection.channel()
        channel.queue_declare("q")
        channel.basic_publish("", "q", b"a")
        broker.settled()
        with broker.restored():
            assert channel.basic_get("q", auto_ack=True)[2] == b"a"
            channel.queue_declare("new")
        assert channel.basic_get("q", auto_ack=True)[2] == b"a"
        with pytest.raises(pika.exceptions.ChannelClosedByBroker):
            channel.queue_declare("new", passive=True)
        connection.close()
