"""Programs as the clients' own documentation writes them, with what a careful author adds: nothing is found."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pika
import pytest

from amqpy_broker.testing import Broker
from tests.testing.strict.judged import PERSISTENT, connected, judged, rules


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    async with Broker(strict="error") as broker:
        yield broker


async def test_aio_pika_publishes_and_consumes_with_an_iterator(broker: Broker) -> None:
    connection = await aio_pika.connect_robust(broker.url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=10)
        queue = await channel.declare_queue("work", durable=True)
        for number in range(30):
            message = aio_pika.Message(b"%d" % number, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, "work")
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    if message.body == b"12":
                        break
    broker.assert_no_findings()


async def test_aio_pika_consumes_with_a_callback_and_retries(broker: Broker) -> None:
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        exchange = await channel.declare_exchange("events", aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue("work", durable=True, arguments={"x-dead-letter-exchange": ""})
        await queue.bind(exchange, "order.*")
        done, tries = asyncio.Event(), []

        async def work(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            tries.append(message.redelivered)
            if len(tries) < 3:
                await message.nack(requeue=True)
                return
            await message.ack()
            done.set()

        tag = await queue.consume(work)
        await exchange.publish(aio_pika.Message(b"", delivery_mode=2), "order.new")
        await done.wait()
        await queue.cancel(tag)
    assert tries == [False, True, True]
    broker.assert_no_findings()


async def test_aio_pika_asks_and_answers(broker: Broker) -> None:
    async with await aio_pika.connect(broker.url) as server, await aio_pika.connect(broker.url) as client:
        channel = await server.channel()
        await channel.set_qos(prefetch_count=1)
        server_rpc = await aio_pika.patterns.RPC.create(channel, durable=True)

        async def double(*, number: int) -> int:
            return 2 * number

        await server_rpc.register("double", double, durable=True)
        client_rpc = await aio_pika.patterns.RPC.create(await client.channel(), durable=True)
        assert await client_rpc.call("double", {"number": 21}) == 42
        await client_rpc.close()
        await server_rpc.close()
    broker.assert_no_findings()


def test_pika_publishes_and_consumes() -> None:
    with judged() as broker:
        with connected(broker) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare("work", durable=True)
            for _ in range(20):
                channel.basic_publish("", "work", b"x", PERSISTENT, mandatory=True)
        with connected(broker) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=5)
            for method, _, _ in channel.consume("work", inactivity_timeout=5):
                channel.basic_ack(method.delivery_tag)
                if method.delivery_tag == 7:
                    break
            channel.cancel()
        assert rules(broker) == []


def test_pika_stops_in_a_callback() -> None:
    with judged() as broker:
        with connected(broker) as connection:
            channel = connection.channel()
            channel.queue_declare("work", durable=True)
            for _ in range(20):
                channel.basic_publish("", "work", b"x")
            channel.basic_qos(prefetch_count=5)

            def work(
                channel: pika.adapters.blocking_connection.BlockingChannel, method: pika.spec.Basic.Deliver, *_: object
            ) -> None:
                channel.basic_ack(method.delivery_tag)
                if method.delivery_tag == 7:
                    channel.stop_consuming()

            channel.basic_consume("work", work)
            channel.start_consuming()
        assert rules(broker) == []


def test_kombu_publishes_and_consumes() -> None:
    pytest.importorskip("kombu")
    from kombu import Connection, Exchange, Queue

    exchange = Exchange("media", "direct", durable=True)
    queue = Queue("video", exchange=exchange, routing_key="video")
    seen = []

    def work(body: object, message: object) -> None:
        seen.append(body)
        message.ack()

    with judged() as broker:
        options = {"confirm_publish": True}
        with Connection(broker.url, transport_options=options, heartbeat=60) as connection:
            producer = connection.Producer(serializer="json")
            for number in range(10):
                producer.publish({"n": number}, exchange=exchange, routing_key="video", declare=[queue])
            with connection.Consumer(queue, callbacks=[work], prefetch_count=3):
                while len(seen) < 4:
                    connection.drain_events(timeout=5)
        assert rules(broker) == []


def test_celery_works() -> None:
    pytest.importorskip("celery")
    from celery import Celery
    from celery.contrib.testing.worker import start_worker

    with judged() as broker:
        app = Celery("works", broker=broker.url, backend="rpc://")
        app.conf.update(
            broker_transport_options={"confirm_publish": True},
            worker_send_task_events=True,
            broker_connection_retry_on_startup=True,
        )

        @app.task
        def add(one: int, other: int) -> int:
            return one + other

        with start_worker(app, perform_ping_check=False, pool="threads", loglevel="ERROR"):
            assert add.delay(2, 3).get(timeout=20) == 5
            # The worker sleeps until the broker has something for it: let it be the order to go.
            app.control.shutdown()
        app.backend.result_consumer.stop()
        app.pool.force_close_all()
        app.close()
        assert rules(broker) == []
