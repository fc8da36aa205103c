"""Channels and connections that the broker closes, in its own way."""

from __future__ import annotations

import aio_pika
import anyio
import pytest
from aio_pika.exceptions import ChannelPreconditionFailed
from pamqp.commands import Basic, Channel, Connection, Queue

from amqpy_broker.testing import Broker
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.proxy.proxy import Proxy
from tests.server.loops import on_each_loop
from tests.testing.faults.clients import bodies_in, connected, declared, publish_all
from tests.wire import method, publish


@on_each_loop
async def test_a_channel_is_closed_in_place_of_acting_on_a_method_which_is_blamed() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        with broker.faults.close_channel(406, "no more of this", method="queue.declare"):
            said = await client.call(Queue.Declare, queue="q")
        assert said.name == "Channel.Close"
        assert (said["reply_code"], said["reply_text"]) == (406, "PRECONDITION_FAILED - no more of this")
        assert (said["class_id"], said["method_id"]) == (50, 10)
        await client.send(method(1, Channel.CloseOk))
        assert (await client.call(Channel.Open)).name == "Channel.OpenOk"
        assert "q" not in broker.core.vhosts["/"].queues


@on_each_loop
async def test_what_came_before_in_the_same_piece_is_acted_on_first() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        with broker.faults.close_channel(method="queue.purge"):
            await client.send(publish(1, "", "q", b"1") + method(1, Queue.Purge, queue="q"))
            assert (await client.hear()).name == "Channel.Close"
        await client.send(method(1, Channel.CloseOk))
        await client.call(Channel.Open)
        assert await bodies_in(client, "q") == [b"1"]


@on_each_loop
async def test_a_publish_for_which_its_channel_is_closed_takes_its_message_with_it() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        with broker.faults.close_channel(404, "gone", method="basic.publish", routing_key="q"):
            await publish_all(client, "q", b"1", b"2")
            assert (await client.hear())["reply_text"] == "NOT_FOUND - gone"
        await client.send(method(1, Channel.CloseOk))
        await client.call(Channel.Open)
        assert await bodies_in(client, "q") == []


@on_each_loop
async def test_open_channels_can_be_closed_at_once_and_any_code_and_text_will_do() -> None:
    async with Broker() as broker, connected(broker.port, channels=2) as client:
        fault = broker.faults.close_channel(999, "because", channel=2)
        said = await client.hear()
        assert (said.name, said.channel) == ("Channel.Close", 2)
        assert (said["reply_code"], said["reply_text"], said["class_id"]) == (999, "because", 0)
        assert fault.fired == 1
        await declared(client, "q")


@on_each_loop
async def test_what_the_broker_says_is_said_before_the_channel_closes() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        await client.call(Basic.Consume, queue="q", consumer_tag="c")
        with broker.faults.close_channel(method="basic.deliver", queue="q"):
            await publish_all(client, "q", b"1")
            assert (await client.hear()).body == b"1"
            assert (await client.hear()).name == "Channel.Close"


@on_each_loop
async def test_a_connection_is_closed_and_the_socket_after_close_ok() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        broker.faults.close_connection(320, "maintenance")
        said = await client.hear()
        assert (said.name, said["reply_code"]) == ("Connection.Close", 320)
        assert said["reply_text"] == "CONNECTION_FORCED - maintenance"
        await client.send(method(0, Connection.CloseOk))
        assert await client.ended()


@on_each_loop
async def test_a_connection_that_is_never_answered_is_given_up() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port) as client:
        broker.faults.close_connection(541, "INTERNAL_ERROR - oops")
        assert (await client.hear())["reply_text"] == "INTERNAL_ERROR - oops"
        await broker.settled()
        broker.clock.advance(minutes=1)
        with anyio.fail_after(5):
            assert await client.ended()


@on_each_loop
async def test_connections_are_closed_for_a_method() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        with broker.faults.close_connection(530, method="basic.consume", queue="q"):
            said = await client.call(Basic.Consume, queue="q")
        assert (said.name, said["reply_text"]) == ("Connection.Close", "NOT_ALLOWED")
        assert (said["class_id"], said["method_id"]) == (60, 20)


async def test_aio_pika_sees_the_exception_of_the_code() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        with (
            broker.faults.close_channel(406, "inequivalent arg", method="queue.declare"),
            pytest.raises(ChannelPreconditionFailed, match="PRECONDITION_FAILED - inequivalent arg"),
        ):
            await channel.declare_queue("q")


async def test_a_robust_connection_comes_back_after_it_was_forced_to_close() -> None:
    async with Broker() as broker, await aio_pika.connect_robust(broker.url, reconnect_interval=0.01) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("work")
        with (
            broker.faults.close_connection(320, "maintenance", method="basic.get", times=1),
            pytest.raises(aio_pika.exceptions.AMQPError),
        ):
            await queue.get()
        await channel.ready()
        await channel.default_exchange.publish(aio_pika.Message(b"1"), "work")
        assert (await queue.get()).body == b"1"


@on_each_loop
async def test_a_proxy_closes_for_frames_only_and_says_so() -> None:
    async with Broker() as broker, Proxy(broker.url) as proxy, connected(proxy.port) as client:
        with pytest.raises(Misuse, match=r"a proxy cannot do .*close_channel.*; it can for frames"):
            proxy.faults.close_channel(406)
        await declared(client, "q")
