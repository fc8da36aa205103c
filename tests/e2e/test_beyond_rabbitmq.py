"""What RabbitMQ does not have, with a real client in the same process."""

import asyncio
from collections.abc import Awaitable, Callable

import aio_pika
import aiormq
import pytest
from aio_pika.exceptions import ChannelPreconditionFailed
from aiormq.abc import FieldValue

from amqpy_broker import Broker


async def test_a_message_that_is_sent_twice_arrives_once_and_is_confirmed_twice() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        queue = await channel.declare_queue(
            "orders", arguments={"x-message-deduplication": True, "x-cache-ttl": 60_000}
        )

        for _ in range(2):
            message = aio_pika.Message(b"order", headers={"x-deduplication-header": "order-1"})
            confirmation = await channel.default_exchange.publish(message, "orders")
            assert type(confirmation).__name__ == "Ack"

        assert (await queue.get(no_ack=True)).body == b"order"
        assert await queue.get(no_ack=True, fail=False) is None


@pytest.mark.parametrize("way", ["reject", "nack"])
async def test_a_message_that_comes_back_waits_as_its_queue_asks(way: str) -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        inbox: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        for name, retry_type in (("waits", "all"), ("failed", "failed"), ("returned", "returned")):
            arguments: dict[str, FieldValue] = {"x-delayed-retry-type": retry_type, "x-delayed-retry-min": 1000}
            queue = await channel.declare_queue(name, arguments=arguments)
            await channel.default_exchange.publish(aio_pika.Message(name.encode()), name)
            await queue.consume(inbox.put)
        for _ in range(3):
            message = await inbox.get()
            await getattr(message, way)(requeue=True)

        again = [await asyncio.wait_for(inbox.get(), 30) for _ in range(3)]

        assert all(message.redelivered for message in again)
        assert again[0].body == (b"returned" if way == "reject" else b"failed")


async def test_of_messages_with_the_same_key_the_newest_waits() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("prices", arguments={"x-last-value-key": "stock"})
        for stock, price in (("a", b"1"), ("b", b"2"), ("a", b"3")):
            await channel.default_exchange.publish(aio_pika.Message(price, headers={"stock": stock}), "prices")

        assert (await channel.declare_queue("prices", passive=True)).declaration_result.message_count == 2
        assert [(await queue.get(no_ack=True)).body for _ in range(2)] == [b"3", b"2"]


async def test_a_browser_sees_messages_without_taking_them_and_is_told_when_that_was_all() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("tasks")
        for body in (b"1", b"2"):
            await channel.default_exchange.publish(aio_pika.Message(body), "tasks")
        seen: list[bytes] = []

        async def look(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            seen.append(message.body)

        tag = await queue.consume(look, no_ack=True, arguments={"x-queue-browse": True})
        # The answer to this comes after all the browser was sent.
        counts = (await channel.declare_queue("tasks")).declaration_result
        assert (counts.message_count, counts.consumer_count) == (2, 0)
        await asyncio.sleep(0)
        assert seen == [b"1", b"2"]
        underlay = await channel.get_underlay_channel()
        assert isinstance(underlay, aiormq.Channel)
        assert tag not in underlay.consumers
        assert [(await queue.get(no_ack=True)).redelivered for _ in range(2)] == [False, False]


async def test_a_browser_that_wants_to_acknowledge_is_refused() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("tasks")
        inbox: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()

        with pytest.raises(ChannelPreconditionFailed, match="no_ack is needed"):
            await queue.consume(inbox.put, arguments={"x-queue-browse": True})


async def test_a_group_goes_to_one_consumer_in_order() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        queue = await channel.declare_queue("orders", arguments={"x-message-groups": True})
        done: list[tuple[int, bytes]] = []
        all_done = asyncio.Event()

        def worker(number: int) -> Callable[[aio_pika.abc.AbstractIncomingMessage], Awaitable[None]]:
            async def work(message: aio_pika.abc.AbstractIncomingMessage) -> None:
                done.append((number, message.body))
                await message.ack()
                if len(done) == 40:
                    all_done.set()

            return work

        for number in range(3):
            await queue.consume(worker(number))
        for number in range(40):
            group = f"customer {number % 4}"
            message = aio_pika.Message(b"%d" % number, headers={"x-message-group": group})
            await channel.default_exchange.publish(message, "orders")
        await asyncio.wait_for(all_done.wait(), 30)

        for group_number in range(4):
            of_group = [(number, int(body)) for number, body in done if int(body) % 4 == group_number]
            assert [body for _, body in of_group] == list(range(group_number, 40, 4))
            assert len({number for number, _ in of_group}) == 1
