"""A server wakes up for what expires, though no client says anything."""

from pamqp.commands import Basic, Queue

from amqpy_broker import Broker
from tests.server.loops import connected, on_each_loop
from tests.wire import publish


@on_each_loop
async def test_a_message_expires_and_its_dead_letter_is_delivered() -> None:
    arguments = {"x-message-ttl": 20, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    async with Broker() as broker, connected(broker.port) as client:
        await client.call(Queue.Declare, queue="dead")
        await client.call(Queue.Declare, queue="q", arguments=arguments)
        await client.call(Basic.Consume, queue="dead", no_ack=True)
        await client.send(publish(1, "", "q", b"hello"))

        delivery = await client.hear()

        assert delivery.body == b"hello"
