"""Backpressure: who publishes too much is not read from, who reads too little is not written to."""

import anyio
from pamqp.commands import Basic, Confirm, Queue

from amqpy_broker import Broker
from amqpy_broker.core.limits import OUTPUT_HIGH_WATERMARK_BYTES
from tests.server.loops import connected, on_each_loop, until
from tests.wire import method, publish

MESSAGE = b"x" * 10_000


@on_each_loop
async def test_a_publisher_is_told_of_the_alarm_not_read_from_and_told_of_its_end() -> None:
    async with (
        Broker(memory_watermark_bytes=1_000_000) as broker,
        connected(broker.port) as publisher,
        connected(broker.port) as consumer,
    ):
        await publisher.call(Queue.Declare, queue="q")
        await publisher.call(Confirm.Select)
        while not broker.core.memory.alarm:
            await publisher.send(publish(1, "", "q", MESSAGE))
            await anyio.lowlevel.checkpoint()

        # It is told when it publishes again.
        await publisher.send(publish(1, "", "q", MESSAGE))
        while (said := await publisher.hear()).name == "Basic.Ack":
            pass
        assert (said.name, said["reason"]) == ("Connection.Blocked", "low on memory")

        # Others are served meanwhile, and what the publisher sends now must wait.
        await publisher.send(publish(1, "", "q", b"last"))
        ready = (await consumer.call(Queue.Declare, queue="q", passive=True))["message_count"]
        assert (await consumer.call(Basic.Consume, queue="q", no_ack=True)).name == "Basic.ConsumeOk"
        bodies = [(await consumer.hear()).body for _ in range(ready)]
        assert set(bodies) == {MESSAGE}

        while (said := await publisher.hear()).name == "Basic.Ack":
            pass
        assert said.name == "Connection.Unblocked"
        while (await consumer.hear()).body != b"last":
            pass


@on_each_loop
async def test_who_has_published_and_now_only_consumes_is_read_from() -> None:
    async with Broker(memory_watermark_bytes=100_000) as broker, connected(broker.port) as client:
        await client.call(Queue.Declare, queue="q")
        await client.send(publish(1, "", "q", b"x" * 200_000))
        got = await client.call(Basic.Get, queue="q")
        assert broker.core.alarms.raised

        await client.send(method(1, Basic.Ack, delivery_tag=got["delivery_tag"]))

        await until(lambda: not broker.core.alarms.raised)


@on_each_loop
async def test_memory_stays_near_the_watermark_whatever_a_publisher_sends() -> None:
    async with Broker(memory_watermark_bytes=2_000_000) as broker, connected(broker.port) as publisher:
        await publisher.call(Queue.Declare, queue="q")
        with anyio.move_on_after(1):
            while True:
                await publisher.send(publish(1, "", "q", MESSAGE) * 20)

        assert broker.core.memory.alarm
        assert broker.core.memory.used_bytes < 3_000_000


@on_each_loop
async def test_a_consumer_that_does_not_publish_is_not_held_back() -> None:
    async with (
        Broker(memory_watermark_bytes=100_000) as broker,
        connected(broker.port) as publisher,
        connected(broker.port) as consumer,
    ):
        await publisher.call(Queue.Declare, queue="q")
        await publisher.send(publish(1, "", "q", b"x" * 200_000))
        await until(lambda: broker.core.alarms.raised)
        await publisher.send(publish(1, "", "elsewhere"))
        assert (await publisher.hear()).name == "Connection.Blocked"

        got = await consumer.call(Basic.Get, queue="q")
        await consumer.send(method(1, Basic.Ack, delivery_tag=got["delivery_tag"]))

        assert (await publisher.hear()).name == "Connection.Unblocked"


@on_each_loop
async def test_a_consumer_that_does_not_read_leaves_the_rest_in_the_queue() -> None:
    count = 3000
    async with Broker() as broker, connected(broker.port) as slow, connected(broker.port) as publisher:
        await slow.call(Queue.Declare, queue="q")
        await slow.call(Basic.Consume, queue="q", no_ack=True)
        queue = broker.core.vhosts["/"].queues["q"]

        await publisher.call(Confirm.Select)
        for _ in range(count // 100):
            await publisher.send(publish(1, "", "q", MESSAGE) * 100)
        confirmed = 0
        while confirmed < count:
            confirmed = (await publisher.hear())["delivery_tag"]

        # What is not in the queue is in the sockets' buffers and below the watermark.
        assert queue.ready_count > 0
        session = next(session for session in broker._server._sessions if session._output.congested)
        assert session._output.size <= OUTPUT_HIGH_WATERMARK_BYTES + 2 * len(MESSAGE)

        for _ in range(count):
            assert len((await slow.hear()).body) == len(MESSAGE)
        assert queue.ready_count == 0


@on_each_loop
async def test_who_does_not_read_is_not_read_from() -> None:
    count = 2000
    asked = b"".join(
        method(1, Basic.Get, queue="q") + method(1, Basic.Reject, delivery_tag=tag, requeue=True)
        for tag in range(1, count + 1)
    )
    async with Broker() as broker, connected(broker.port) as client:
        await client.call(Queue.Declare, queue="q")
        await client.send(publish(1, "", "q", b"x" * 100_000))

        # Less than one read, and 200 MB to be said.
        await client.send(asked)
        (session,) = broker._server._sessions
        await until(lambda: session.connection.paused)
        assert session._output.size < 2 * OUTPUT_HIGH_WATERMARK_BYTES

        for tag in range(1, count + 1):
            assert (await client.hear())["delivery_tag"] == tag


@on_each_loop
async def test_a_client_that_vanishes_while_it_is_written_to_is_gone() -> None:
    async with Broker() as broker, connected(broker.port) as publisher:
        await publisher.call(Queue.Declare, queue="q")
        async with connected(broker.port) as gone:
            await gone.call(Basic.Consume, queue="q")
            for _ in range(30):
                await publisher.send(publish(1, "", "q", MESSAGE) * 100)
            assert (await publisher.call(Queue.Declare, queue="q", passive=True))["consumer_count"] == 1
        await until(lambda: broker.connection_count == 1)

        answer = await publisher.call(Queue.Declare, queue="q", passive=True)

        assert (answer["message_count"], answer["consumer_count"]) == (3000, 0)
