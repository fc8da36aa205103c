"""A recording can stand in for a client, and for a broker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import aio_pika
import anyio
import anyio.to_thread
import pika
import pytest
from pamqp.commands import Basic, Channel, Confirm, Connection, Queue

from amqpy_broker import Broker
from amqpy_broker.testing.conversation.events import Event, Said
from amqpy_broker.testing.conversation.recording import Recorder, load_recording
from amqpy_broker.testing.proxy.proxy import Proxy
from amqpy_broker.testing.replay import Mismatch, RecordedBroker, replay
from tests.server.loops import connected, on_each_loop
from tests.wire import method, publish

Work = Callable[[str], Awaitable[None]]


async def recorded(work: Work, path: Path, *, profile: str = "4.0") -> list[Event]:
    """Record what clients and a broker say, and read it from the file."""
    with Recorder(path) as recorder:
        async with Broker(profile=profile, seed=1) as broker, Proxy(broker.url, on_event=recorder.record) as proxy:
            await work(proxy.url)
    return load_recording(path).events


async def rpc(url: str) -> None:
    """A client of aio-pika that asks itself a question: names made up on both sides, confirms, deliveries, replies."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        requests = await channel.declare_queue("requests", auto_delete=True)
        replies = await channel.declare_queue(exclusive=True)
        question = aio_pika.Message(b"6 * 7", reply_to=replies.name, correlation_id=f"from {id(connection)}")
        await channel.default_exchange.publish(question, "requests")
        async with requests.iterator() as asked:
            async for message in asked:
                assert message.reply_to is not None
                answer = aio_pika.Message(b"42", correlation_id=message.correlation_id)
                await channel.default_exchange.publish(answer, message.reply_to)
                await message.ack()
                break
        answered = await replies.get()
        assert answered is not None
        assert (answered.body, answered.correlation_id) == (b"42", question.correlation_id)
        await answered.ack()


def pika_work(url: str) -> None:
    """A blocking client."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", queue, b"x" * 200_000, pika.BasicProperties(headers={"n": 1}, delivery_mode=2))
    found, _, body = channel.basic_get(queue)
    assert body == b"x" * 200_000
    channel.basic_ack(found.delivery_tag)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="no exchange 'missing'"):
        channel.exchange_declare("missing", passive=True)
    connection.close()


async def blocking_work(url: str) -> None:
    await anyio.to_thread.run_sync(pika_work, url)


async def refused(url: str) -> None:
    """A client that is refused by the broker that is new."""
    port = int(url.rpartition(":")[2].rstrip("/"))
    async with connected(port) as client:
        await client.call(Queue.Declare, queue="q", arguments={"x-max-length": 5})
        await client.call(Confirm.Select)
        await client.send(publish(1, "", "q", b"body"))
        await client.hear()
        assert (await client.call(Basic.Get, queue="q")).body == b"body"


# The client's side ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("work", [rpc, blocking_work])
async def test_clients_can_be_played_again_to_a_broker_that_answers_the_same(work: Work, tmp_path: Path) -> None:
    events = await recorded(work, tmp_path / "r")
    async with Broker(seed=2) as broker:
        report = await replay(events, broker.url)
        assert broker.core.vhosts["/"].queues == {}
    assert report.differences == []
    assert report.compared_count >= 8
    assert str(report) == f"all {report.compared_count} answers are as recorded"


@on_each_loop
async def test_a_broker_that_answers_otherwise_is_told_line_by_line() -> None:
    async def before(url: str) -> None:
        async with connected(int(url.rpartition(":")[2].rstrip("/"))) as client:
            await client.call(Queue.Declare, queue="q")
            await client.send(publish(1, "", "q", b"left over"))
            await client.call(Queue.Declare, queue="q")

    events: list[Event] = []
    async with Broker() as old, Proxy(old.url, on_event=events.append) as proxy:
        await refused(proxy.url)
    async with Broker() as new:
        await before(new.url)
        report = await replay(events, new.url, timeout_s=0.01)
    assert "connection 1, channel 1:" in str(report)
    assert "  recorded: queue.declare-ok queue='q' message_count=0 consumer_count=0\n" in str(report)
    assert "  now:      !! channel.close 406 PRECONDITION_FAILED - inequivalent arg 'x-max-length'" in str(report)
    assert str(report).startswith(f"{len(report.differences)} differences in {report.compared_count} answers")


@on_each_loop
async def test_how_a_broker_joins_its_confirms_is_no_difference() -> None:
    events: list[Event] = []

    async def publish_twenty(port: int) -> None:
        async with connected(port) as client:
            await client.call(Confirm.Select)
            await client.send(b"".join(publish(1, "", "q", b"x") for _ in range(20)))
            while (await client.hear())["delivery_tag"] < 20:
                pass

    async with Broker() as broker, Proxy(broker.url, on_event=events.append) as proxy:
        await publish_twenty(proxy.port)
        one_by_one: list[Event] = []
        for event in events:
            if isinstance(event, Said) and event.name == "basic.ack":
                tags = range(1, 21) if event.arguments["delivery_tag"] == 20 else ()
                one_by_one += [replace(event, arguments={"delivery_tag": tag, "multiple": False}) for tag in tags]
            else:
                one_by_one.append(event)
        report = await replay(one_by_one, broker.url)
    assert report.differences == []


async def two_calls(port: int) -> None:
    async with connected(port) as client:
        await client.call(Queue.Declare, queue="q")
        await client.call(Queue.Purge, queue="q")


@on_each_loop
async def test_a_broker_that_says_more_or_nothing_is_told() -> None:
    events: list[Event] = []
    async with Broker() as broker, Proxy(broker.url, on_event=events.append) as proxy:
        await two_calls(proxy.port)
    declared, purged = (
        at
        for at, event in enumerate(events)
        if isinstance(event, Said) and event.name in ("queue.declare-ok", "queue.purge-ok")
    )
    async with Broker() as broker:
        more = await replay([*events[:declared], *events[declared + 1 :]], broker.url, timeout_s=2)
        nothing = await replay([*events[: purged + 1], *events[purged:]], broker.url, timeout_s=2)
    assert (more.differences[0].recorded, more.differences[0].actual) == (
        "queue.purge-ok message_count=0",
        "queue.declare-ok queue='q' message_count=0 consumer_count=0",
    )
    assert [(one.recorded, one.actual) for one in nothing.differences] == [
        ("queue.purge-ok message_count=0", "nothing")
    ]


async def test_what_was_cut_cannot_be_said_again(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r", body_max_bytes=10) as recorder:
        async with Broker() as broker, Proxy(broker.url, on_event=recorder.record) as proxy:
            await anyio.to_thread.run_sync(pika_work, proxy.url)
    events = load_recording(tmp_path / "r").events
    async with Broker() as broker:
        with pytest.raises(ValueError, match="cannot be said again: of a body of 200000 octets only 10 were kept"):
            await replay(events, broker.url)
        assert broker.connection_count == 0
    with pytest.raises(ValueError, match="cannot be said again: of a body of 200000 octets only 10 were kept"):
        RecordedBroker(events)


@on_each_loop
async def test_a_broker_that_is_not_there_is_an_os_error() -> None:
    events: list[Event] = []
    async with Broker() as broker, Proxy(broker.url, on_event=events.append) as proxy:
        await two_calls(proxy.port)
    with pytest.raises(OSError, match=r"onnect"):
        await replay(events, broker.url)


# The broker's side ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("work", [rpc, blocking_work])
async def test_clients_do_not_notice_that_the_broker_is_recorded(work: Work, tmp_path: Path) -> None:
    events = await recorded(work, tmp_path / "r")
    async with RecordedBroker(events) as broker:
        await work(broker.url)
    broker.check()


async def recorded_frames(steps: list[bytes], events: list[Event]) -> None:
    async with (
        Broker() as broker,
        Proxy(broker.url, on_event=events.append) as proxy,
        connected(proxy.port) as client,
    ):
        for octets in steps:
            await client.send(octets)
            await client.hear()


@on_each_loop
async def test_a_client_that_says_something_else_is_told_what_was_recorded() -> None:
    events: list[Event] = []
    await recorded_frames([method(1, Queue.Declare, queue="q")], events)
    async with RecordedBroker(events) as broker, connected(broker.port) as client:
        said = await client.call(Queue.Declare, queue="r")
        assert said.name == "Connection.Close"
        assert said["reply_code"] == 541
        assert said["reply_text"].startswith("INTERNAL_ERROR - not as recorded: it says   queue.declare queue='r'")
        await client.send(method(0, Connection.CloseOk))
        assert await client.ended()
    with pytest.raises(Mismatch) as raised:
        broker.check()
    assert str(raised.value) == (
        "the clients did not do what was recorded:\n"
        "connection 1, channel 1: it says   queue.declare queue='r'\n"
        "  recorded: queue.declare queue='q'"
    )


@on_each_loop
async def test_what_a_client_never_said_and_what_it_said_too_much_are_told() -> None:
    events: list[Event] = []
    await recorded_frames([method(1, Queue.Declare, queue="q"), method(1, Queue.Purge, queue="q")], events)
    async with RecordedBroker(events) as broker:
        async with connected(broker.port) as client:
            assert (await client.call(Queue.Declare, queue="q")).name == "Queue.DeclareOk"
        with pytest.raises(Mismatch, match="connection 1, channel 1: it never said queue"):
            broker.check()
    async with RecordedBroker(events) as broker:
        with pytest.raises(Mismatch, match="connection 1 was never made"):
            broker.check()
        async with connected(broker.port) as client:
            await client.call(Queue.Declare, queue="q")
            await client.call(Queue.Purge, queue="q")
            assert (await client.call(Queue.Purge, queue="q")).name == "Connection.Close"
        with pytest.raises(Mismatch, match="it says more than was recorded: queue"):
            broker.check()


@on_each_loop
async def test_channels_need_not_keep_the_recorded_order_among_themselves() -> None:
    events: list[Event] = []
    steps = [method(2, Channel.Open), method(1, Queue.Declare, queue="a"), method(2, Queue.Declare, queue="b")]
    await recorded_frames(steps, events)
    async with RecordedBroker(events) as broker, connected(broker.port, channels=2) as client:
        await client.send(method(2, Queue.Declare, queue="b") + method(1, Queue.Declare, queue="a"))
        assert [(await client.hear())["queue"] for _ in range(2)] == ["a", "b"]
    broker.check()


@on_each_loop
async def test_one_client_too_many_is_told() -> None:
    async with RecordedBroker([]) as broker:
        async with await anyio.connect_tcp("127.0.0.1", broker.port) as stream:
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
        with pytest.raises(Mismatch, match="one connection more than the 0 that were recorded"):
            broker.check()
