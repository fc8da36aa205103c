"""A proxy is not noticed, hears everything, and lets filters meddle."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import aio_pika
import anyio
import anyio.to_thread
import pika
import pytest
from anyio.abc import ByteStream
from pamqp.commands import Basic, Channel, Connection, Queue

from amqpy_broker import Broker
from amqpy_broker.testing.conversation.events import Ended, Event, Opened, Said
from amqpy_broker.testing.link.link import DROP, PASS, Direction, Hold, Link, Verdict, WireFrame
from amqpy_broker.testing.proxy.proxy import Proxy
from amqpy_broker.testing.proxy.upstream import parse_url
from tests.server.loops import SocketClient, connected, on_each_loop, until
from tests.wire import method, publish


class Filter:
    def __init__(self, decide: Callable[[Link, WireFrame], Verdict]) -> None:
        self.filter = decide


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events if isinstance(event, Said)]


# Real clients ---------------------------------------------------------------------------------------------------------


async def test_aio_pika_does_not_notice_it_and_is_heard() -> None:
    events: list[Event] = []
    async with Broker() as broker, Proxy(broker.url, on_event=events.append) as proxy:
        async with await aio_pika.connect(proxy.url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("q")
            await channel.default_exchange.publish(aio_pika.Message(b"x" * 300_000, headers={"a": 1}), "q")
            message = await queue.get()
            assert message is not None
            assert len(message.body) == 300_000
            await message.ack()
        await until(lambda: isinstance(events[-1], Ended))
    said = [event for event in events if isinstance(event, Said) and event.content is not None]
    assert [(event.name, event.content and event.content.body_size) for event in said] == [
        ("basic.publish", 300_000),
        ("basic.get-ok", 300_000),
    ]
    assert names(events)[:6] == [
        "connection.start",
        "connection.start-ok",
        "connection.tune",
        "connection.tune-ok",
        "connection.open",
        "connection.open-ok",
    ]
    assert {"basic.ack", "confirm.select", "connection.close", "connection.close-ok"} <= {*names(events)}


async def test_pika_does_not_notice_it_and_is_heard() -> None:
    events: list[Event] = []

    def work(url: str) -> bytes:
        connection = pika.BlockingConnection(pika.URLParameters(url))
        channel = connection.channel()
        channel.queue_declare("q")
        channel.basic_publish("", "q", b"hello")
        _, _, body = channel.basic_get("q", auto_ack=True)
        connection.close()
        assert isinstance(body, bytes)
        return body

    async with Broker() as broker, Proxy(broker.url, on_event=events.append) as proxy:
        assert await anyio.to_thread.run_sync(work, proxy.url) == b"hello"
        await until(lambda: isinstance(events[-1], Ended))
    assert "basic.get-ok" in names(events)


# Bytes ----------------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_connections_are_numbered_and_their_ends_are_told() -> None:
    events: list[Event] = []
    async with Broker() as broker, Proxy(broker.url, on_event=events.append) as proxy:
        async with connected(proxy.port), connected(proxy.port):
            assert len(proxy.links) == 2
        await until(lambda: sum(isinstance(event, Ended) for event in events) == 2)
        assert proxy.links == []
    assert [event.connection for event in events if isinstance(event, Opened)] == [1, 2]
    assert {event.how for event in events if isinstance(event, Ended)} == {"closed by the client"}


@on_each_loop
async def test_what_the_broker_says_last_arrives_before_the_socket_closes() -> None:
    async with (
        Broker() as broker,
        Proxy(broker.url) as proxy,
        await anyio.connect_tcp("127.0.0.1", proxy.port) as stream,
    ):
        await stream.send(b"AMQP\x00\x00\x0a\x00")
        assert await stream.receive() == b"AMQP\x00\x00\x09\x01"
        assert await SocketClient(stream).ended()


@on_each_loop
async def test_a_broker_that_is_not_there_is_told() -> None:
    events: list[Event] = []
    async with Broker() as broker:
        url = broker.url
    async with Proxy(url, on_event=events.append) as proxy:
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            assert await SocketClient(stream).ended()
        await until(lambda: len(events) == 2)
    assert isinstance(events[1], Ended)
    assert events[1].how.startswith(f"cannot connect to 127.0.0.1:{broker.port}: ")


@on_each_loop
async def test_a_side_that_does_not_read_holds_the_other_back() -> None:
    async def pour(stream: ByteStream) -> None:
        while True:
            await stream.send(bytes(65_536))

    # The system accepts for it, and takes as much as its buffers hold.
    with socket.create_server(("127.0.0.1", 0)) as never_reads:
        async with (
            Proxy(f"amqp://127.0.0.1:{never_reads.getsockname()[1]}/") as proxy,
            await anyio.connect_tcp("127.0.0.1", proxy.port) as stream,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(pour, stream)
            await until(lambda: bool(proxy.links))
            (link,) = proxy.links
            await until(lambda: link.ready_size(Direction.TO_SERVER) > 1_000_000)
            for _ in range(100):
                await anyio.lowlevel.checkpoint()
            assert link.ready_size(Direction.TO_SERVER) < 2_000_000
            tasks.cancel_scope.cancel()


@on_each_loop
async def test_stopping_ends_connections_and_leaves_nothing() -> None:
    events: list[Event] = []
    async with Broker() as broker:
        proxy = Proxy(broker.url, on_event=events.append)
        await proxy.start()
        async with connected(proxy.port) as client:
            await proxy.stop()
            assert await client.ended()
        await proxy.stop()
        with pytest.raises(RuntimeError, match="this Proxy was started before"):
            await proxy.start()
    assert isinstance(events[-1], Ended)
    assert events[-1].how == "the proxy was stopped"


@on_each_loop
async def test_a_port_in_use_is_an_os_error() -> None:
    async with Broker() as broker:
        with pytest.raises(OSError, match="in use"):
            await Proxy(broker.url, port=broker.port).start()


# Filters --------------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_a_filter_swallows_a_publish() -> None:
    swallow = Filter(lambda _, frame: DROP if frame.arguments.get("routing_key") == "lost" else PASS)
    async with Broker() as broker, Proxy(broker.url, filters=[swallow]) as proxy, connected(proxy.port) as client:
        await client.call(Queue.Declare, queue="q")
        await client.send(publish(1, "", "lost", b"lost") + publish(1, "", "q", b"kept"))
        assert (await client.call(Basic.Get, queue="q")).body == b"kept"


@on_each_loop
async def test_a_delay_is_measured_with_the_clock_and_then_ends() -> None:
    events: list[Event] = []

    def delay(link: Link, frame: WireFrame) -> Verdict:
        return Hold(until_s=link.clock.monotonic_s() + 0.02) if frame.name == "queue.declare" else PASS

    async with Broker() as broker, Proxy(broker.url, filters=[Filter(delay)]) as proxy, connected(proxy.port) as client:
        assert (await client.call(Queue.Declare, queue="q")).name == "Queue.DeclareOk"
    assert events == []


@on_each_loop
async def test_what_is_held_when_the_broker_closes_still_arrives() -> None:
    hold = Hold()
    late = Filter(lambda _, frame: hold if frame.name == "connection.close-ok" else PASS)
    async with Broker() as broker, Proxy(broker.url, filters=[late]) as proxy, connected(proxy.port) as client:
        await client.send(method(0, Connection.Close))
        await until(lambda: not proxy.links[0].is_empty(Direction.TO_CLIENT))
        hold.release()
        assert (await client.hear()).name == "Connection.CloseOk"


@on_each_loop
async def test_the_client_sees_a_reset_and_so_does_the_broker() -> None:
    def drop(link: Link, frame: WireFrame) -> Verdict:
        if frame.name == "queue.declare":
            link.drop(reset=True)
        return PASS

    events: list[Event] = []
    async with (
        Broker() as broker,
        Proxy(broker.url, filters=[Filter(drop)], on_event=events.append) as proxy,
        connected(proxy.port) as client,
    ):
        await client.send(method(1, Queue.Declare, queue="q"))
        with pytest.raises(anyio.BrokenResourceError):
            await client.stream.receive()
        await until(lambda: broker.connection_count == 0)
    assert isinstance(events[-1], Ended)
    assert events[-1].how == "reset by a filter"


@on_each_loop
async def test_the_client_sees_a_clean_end_after_what_was_said() -> None:
    def drop(link: Link, frame: WireFrame) -> Verdict:
        if frame.name == "queue.declare":
            link.to_client(method(1, Channel.Close, reply_code=541, reply_text="INTERNAL_ERROR"))
            link.drop()
        return PASS

    async with Broker() as broker, Proxy(broker.url, filters=[Filter(drop)]) as proxy, connected(proxy.port) as client:
        await client.send(method(1, Queue.Declare, queue="q"))
        assert (await client.hear())["reply_code"] == 541
        assert await client.ended()


@on_each_loop
async def test_each_new_link_can_be_had() -> None:
    links: list[Link] = []
    async with Broker() as broker, Proxy(broker.url, on_link=links.append) as proxy, connected(proxy.port) as client:
        (link,) = links
        assert proxy.links == links
        link.to_client(method(0, Connection.Blocked, reason="low on patience"))
        assert (await client.hear())["reason"] == "low on patience"


@on_each_loop
async def test_a_filter_that_fails_ends_its_connection_alone() -> None:
    def fail(link: Link, frame: WireFrame) -> Verdict:
        if frame.name == "queue.declare":
            raise ZeroDivisionError
        return PASS

    logging.getLogger("amqpy_broker.testing.proxy.proxy").disabled = True
    try:
        async with (
            Broker() as broker,
            Proxy(broker.url, filters=[Filter(fail)]) as proxy,
            connected(proxy.port) as client,
            connected(proxy.port) as other,
        ):
            await client.send(method(1, Queue.Declare, queue="q"))
            assert await client.ended()
            assert (await other.call(Basic.Get, queue="q")).name == "Channel.Close"
    finally:
        logging.getLogger("amqpy_broker.testing.proxy.proxy").disabled = False


# URLs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "address", "is_tls", "proxied"),
    [
        ("amqp://localhost", "localhost:5672", False, "amqp://127.0.0.1:1/"),
        ("amqps://u:p%40@mq.example/v?heartbeat=5", "mq.example:5671", True, "amqp://u:p%40@127.0.0.1:1/v?heartbeat=5"),
        ("amqp://u@[::1]:7/%2f", "::1:7", False, "amqp://u@127.0.0.1:1/%2f"),
    ],
)
def test_the_url_is_the_brokers_but_for_the_address(url: str, address: str, is_tls: bool, proxied: str) -> None:
    proxy = Proxy(url, port=1)
    assert (proxy.upstream.address, proxy.upstream.is_tls, proxy.url) == (address, is_tls, proxied)


@pytest.mark.parametrize("url", ["localhost", "http://localhost/", "amqp:localhost", ""])
def test_what_is_no_url_of_a_broker_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no URL of a broker; one begins with amqp:// or amqps://"):
        parse_url(url)
