"""A few conversations with a real client in the same process; interop/ has the rest."""

import asyncio

import aio_pika
import pytest
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError, ProbableAuthenticationError

from amqpy_broker import Broker


async def test_a_message_goes_from_a_publisher_to_a_consumer() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("tasks", durable=True)

        await channel.default_exchange.publish(
            aio_pika.Message(b"hello", headers={"n": 1, "nested": {"list": [1, "two", None]}}, message_id="id"), "tasks"
        )

        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    assert message.body == b"hello"
                    assert message.headers == {"n": 1, "nested": {"list": [1, "two", None]}}
                    assert (message.message_id, message.redelivered) == ("id", False)
                break


async def test_work_is_shared_in_turn_among_workers_that_acknowledge() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        queue = await channel.declare_queue("work")
        done: list[bytes] = []
        all_done = asyncio.Event()

        async def work(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            async with message.process():
                done.append(message.body)
                if len(done) == 100:
                    all_done.set()

        for _ in range(5):
            await queue.consume(work)
        for number in range(100):
            await channel.default_exchange.publish(aio_pika.Message(str(number).encode()), "work")

        await asyncio.wait_for(all_done.wait(), 10)
        assert sorted(map(int, done)) == list(range(100))


async def test_a_mandatory_message_that_leads_nowhere_is_an_error_of_its_publisher() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel(on_return_raises=True)

        with pytest.raises(DeliveryError):
            await channel.default_exchange.publish(aio_pika.Message(b"lost"), "nowhere", mandatory=True)


async def test_a_missing_queue_closes_the_channel_and_not_the_connection() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()

        with pytest.raises(ChannelNotFoundEntity, match="NOT_FOUND - no queue 'missing' in vhost '/'"):
            await channel.get_queue("missing")

        other = await connection.channel()
        assert (await other.declare_queue("present")).name == "present"


async def test_a_wrong_password_is_told() -> None:
    async with Broker() as broker:
        with pytest.raises(ProbableAuthenticationError):
            await aio_pika.connect(broker.url.replace("guest:guest", "guest:wrong"))


async def test_a_transaction_is_published_at_its_commit() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        queue = await channel.declare_queue("q")

        async with channel.transaction():
            await channel.default_exchange.publish(aio_pika.Message(b"one"), "q")
            assert await queue.get(fail=False) is None

        message = await queue.get()
        assert message is not None
        assert message.body == b"one"
