"""aiormq, the library under aio-pika, without aio-pika: the raw answers of every method."""

import asyncio
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version

import pytest

pytest.importorskip("aiormq")

import aiormq
import aiormq.exceptions
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

Namer = Callable[[str], str]


@pytest.fixture
async def aiormq_connection(broker_url: str) -> AsyncIterator[AbstractConnection]:
    connection = await aiormq.connect(broker_url)
    yield connection
    await connection.close()


@pytest.fixture
async def aiormq_channel(aiormq_connection: AbstractConnection) -> AbstractChannel:
    return await aiormq_connection.channel()


async def test_declare_bind_publish_consume_ack_cancel(aiormq_channel: AbstractChannel, name: Namer) -> None:
    await aiormq_channel.exchange_declare(exchange=name("logs"), exchange_type="direct", auto_delete=True)
    declared = await aiormq_channel.queue_declare(exclusive=True)
    assert (declared.message_count, declared.consumer_count) == (0, 0)
    queue = declared.queue
    await aiormq_channel.queue_bind(queue, name("logs"), routing_key="info")
    await aiormq_channel.basic_qos(prefetch_count=1)
    messages: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
    consumed = await aiormq_channel.basic_consume(queue, messages.put)
    for number in range(5):
        properties = aiormq.spec.Basic.Properties(headers={"n": number}, delivery_mode=1)
        body = str(number).encode()
        confirm = await aiormq_channel.basic_publish(
            body, exchange=name("logs"), routing_key="info", properties=properties
        )
        assert isinstance(confirm, aiormq.spec.Basic.Ack)
        assert confirm.delivery_tag == number + 1
    for number in range(5):
        message = await asyncio.wait_for(messages.get(), 10)
        assert (message.body, message.header.properties.headers) == (str(number).encode(), {"n": number})
        assert message.delivery.delivery_tag == number + 1
        await aiormq_channel.basic_ack(message.delivery.delivery_tag)
    cancelled = await aiormq_channel.basic_cancel(consumed.consumer_tag)
    assert cancelled.consumer_tag == consumed.consumer_tag
    await aiormq_channel.queue_unbind(queue, name("logs"), routing_key="info")
    assert (await aiormq_channel.queue_delete(queue)).message_count == 0


async def test_get_counts_down_and_ends_empty(aiormq_channel: AbstractChannel) -> None:
    queue = (await aiormq_channel.queue_declare(exclusive=True)).queue
    for _ in range(3):
        await aiormq_channel.basic_publish(b"x", routing_key=queue)
    counts = []
    for _ in range(3):
        message = await aiormq_channel.basic_get(queue, no_ack=True)
        assert isinstance(message.delivery, aiormq.spec.Basic.GetOk)
        counts.append(message.delivery.message_count)
    assert counts == [2, 1, 0]
    assert isinstance((await aiormq_channel.basic_get(queue)).delivery, aiormq.spec.Basic.GetEmpty)


@pytest.mark.skipif(version("aiormq") < "7", reason="aiormq 6 awaits an answer all the same")
async def test_no_wait_methods_are_not_answered(aiormq_channel: AbstractChannel, name: Namer) -> None:
    await aiormq_channel.exchange_declare(exchange=name("quiet"), auto_delete=True, nowait=True)
    await aiormq_channel.queue_declare(queue=name("quiet"), exclusive=True, nowait=True)
    await aiormq_channel.queue_bind(name("quiet"), name("quiet"), routing_key="key", nowait=True)
    await aiormq_channel.basic_publish(b"x", exchange=name("quiet"), routing_key="key")
    declared = await aiormq_channel.queue_declare(queue=name("quiet"), passive=True)
    assert (declared.queue, declared.message_count) == (name("quiet"), 1)


async def test_flow_and_recover(aiormq_channel: AbstractChannel) -> None:
    assert (await aiormq_channel.flow(active=True)).active is True
    queue = (await aiormq_channel.queue_declare(exclusive=True)).queue
    await aiormq_channel.basic_publish(b"x", routing_key=queue)
    await aiormq_channel.basic_get(queue)
    await aiormq_channel.basic_recover(requeue=True)
    message = await aiormq_channel.basic_get(queue)
    assert isinstance(message.delivery, aiormq.spec.Basic.GetOk)
    assert message.delivery.redelivered is True


async def test_transactions(aiormq_connection: AbstractConnection) -> None:
    channel = await aiormq_connection.channel(publisher_confirms=False)
    queue = (await channel.queue_declare(exclusive=True)).queue
    await channel.tx_select()
    await channel.basic_publish(b"lost", routing_key=queue)
    await channel.tx_rollback()
    await channel.basic_publish(b"kept", routing_key=queue)
    await channel.tx_commit()
    assert (await channel.basic_get(queue, no_ack=True)).body == b"kept"


async def test_exchange_bindings_and_deletion(aiormq_channel: AbstractChannel, name: Namer) -> None:
    for stem in ("source", "destination"):
        await aiormq_channel.exchange_declare(exchange=name(stem), exchange_type="fanout")
    await aiormq_channel.exchange_bind(destination=name("destination"), source=name("source"))
    with pytest.raises(aiormq.exceptions.ChannelPreconditionFailed, match="in use"):
        await aiormq_channel.exchange_delete(name("source"), if_unused=True)


async def test_an_unacknowledged_message_returns_when_the_connection_goes(broker_url: str, name: Namer) -> None:
    first, second = await aiormq.connect(broker_url), await aiormq.connect(broker_url)
    channel = await first.channel()
    await channel.queue_declare(name("returned"))
    await channel.basic_publish(b"x", routing_key=name("returned"))
    await channel.basic_get(name("returned"))
    await first.close()
    other = await second.channel()
    message = await other.basic_get(name("returned"), no_ack=True)
    assert isinstance(message.delivery, aiormq.spec.Basic.GetOk)
    assert (message.body, message.delivery.redelivered) == (b"x", True)
    await other.queue_delete(name("returned"))
    await second.close()
