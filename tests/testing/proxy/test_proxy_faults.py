"""What can go wrong at a broker of ours can go wrong at any broker behind a proxy, but for what only brokers can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from pamqp.commands import Basic, Channel, Confirm, Connection, Queue

from amqpy_broker import Broker
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.faults.errors import UnusedFaultWarning
from amqpy_broker.testing.link.link import Direction
from amqpy_broker.testing.proxy.proxy import Proxy
from tests.server.loops import SocketClient, connected, on_each_loop, until
from tests.wire import frame, method, publish


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[Proxy, SocketClient]]:
    """Run a broker, a proxy before it, and a client of the proxy."""
    async with Broker() as broker, Proxy(broker.url, seed=1) as proxy, connected(proxy.port) as client:
        await client.call(Queue.Declare, queue="q")
        yield proxy, client


async def is_over(client: SocketClient) -> bool:
    """Wait until the socket is closed."""
    try:
        return await client.ended()
    except anyio.BrokenResourceError:
        return True


@on_each_loop
async def test_a_connection_is_dropped_when_a_method_comes() -> None:
    async with proxied() as (proxy, client):
        with proxy.faults.drop_connection(method="queue.purge", how="reset"):
            assert (await client.call(Queue.Declare, queue="q")).name == "Queue.DeclareOk"
            await client.send(method(1, Queue.Purge, queue="q"))
            assert await is_over(client)


@on_each_loop
async def test_all_connections_are_dropped_at_once() -> None:
    async with proxied() as (proxy, client):
        proxy.faults.drop_connection(times=1)
        assert await is_over(client)


@on_each_loop
async def test_a_half_open_connection_says_nothing_any_more() -> None:
    async with proxied() as (proxy, client):
        fault = proxy.faults.drop_connection(how="half-open", method="basic.get", times=1)
        await client.send(method(1, Basic.Get, queue="q"))
        await until(lambda: fault.fired == 1)
        (link,) = proxy.links
        link.server_sent(frame(8, 0))
        link.client_sent(frame(8, 0))
        assert (link.is_empty(Direction.TO_CLIENT), link.is_empty(Direction.TO_SERVER)) == (True, True)
        assert link.ending is None


@on_each_loop
async def test_connections_are_refused() -> None:
    async with proxied() as (proxy, client):
        with proxy.faults.refuse_connections(how="close"):
            async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
                assert await is_over(SocketClient(stream))
        assert (await client.call(Queue.Declare, queue="q")).name == "Queue.DeclareOk"


@on_each_loop
async def test_publishes_are_refused_and_those_that_follow_keep_their_numbers() -> None:
    async with proxied() as (proxy, client):
        await client.call(Confirm.Select)
        await client.send(publish(1, "", "q", b"1"))
        assert (await client.hear()).name == "Basic.Ack"
        # It begins in the middle of a conversation, and knows how far that was.
        proxy.faults.nack_publishes(queue="q", times=1)
        await client.send(publish(1, "", "q", b"2"))
        refused = await client.hear()
        await client.send(publish(1, "", "q", b"3"))
        taken = await client.hear()
        assert (refused.name, refused["delivery_tag"]) == ("Basic.Nack", 2)
        assert (taken.name, taken["delivery_tag"]) == ("Basic.Ack", 3)
        assert (await client.call(Queue.Purge, queue="q"))["message_count"] == 2


@on_each_loop
async def test_a_channel_is_closed_with_any_code_and_the_broker_agrees() -> None:
    async with proxied() as (proxy, client):
        proxy.faults.close_channel(541, "out of luck", method="basic.get", times=1)
        closed = await client.call(Basic.Get, queue="q")
        assert (closed.name, closed["reply_code"]) == ("Channel.Close", 541)
        await client.send(method(1, Channel.CloseOk))
        assert (await client.call(Channel.Open)).name == "Channel.OpenOk"


@on_each_loop
async def test_a_connection_is_closed_with_any_code() -> None:
    async with proxied() as (proxy, client):
        proxy.faults.close_connection(320, "maintenance", method="basic.get", times=1)
        closed = await client.call(Basic.Get, queue="q")
        assert (closed.name, closed["reply_code"]) == ("Connection.Close", 320)
        await client.send(method(0, Connection.CloseOk))
        assert await is_over(client)


@on_each_loop
async def test_methods_are_delayed_until_the_end_of_a_scope() -> None:
    async with proxied() as (proxy, client):
        with proxy.faults.delay("basic.get-ok", connection="*"):
            await client.send(publish(1, "", "q", b"body") + method(1, Basic.Get, queue="q"))
            await until(lambda: not proxy.links[0].is_empty(Direction.TO_CLIENT))
        assert (await client.hear()).body == b"body"


@on_each_loop
async def test_frames_are_damaged() -> None:
    async with proxied() as (proxy, client):
        proxy.faults.corrupt_frames(method="heartbeat", sent_by="client")
        await client.send(frame(8, 0))
        closed = await client.hear()
        assert (closed.name, closed["reply_code"]) == ("Connection.Close", 501)


@on_each_loop
async def test_what_only_the_broker_can_do_says_so() -> None:
    async with proxied() as (proxy, _):
        for fault in (proxy.faults.memory_alarm, proxy.faults.cancel_consumers, proxy.faults.reorder_redeliveries):
            with pytest.raises(Misuse, match=r"a proxy cannot do .*: that takes a broker of ours"):
                fault()


@on_each_loop
async def test_a_fault_that_never_fired_is_complained_of_at_the_end() -> None:
    async with Broker() as broker:
        proxy = Proxy(broker.url)
        await proxy.start()
        proxy.faults.swallow("basic.publish")
        with pytest.warns(UnusedFaultWarning, match="swallow"):
            await proxy.stop()
