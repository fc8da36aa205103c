"""What RabbitMQ does not have, with a real client in the same process."""

import aio_pika

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
