"""connect_robust lives through a broken network: the broker stays, every TCP connection to it is reset."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

pytest.importorskip("aio_pika")

from aio_pika import DeliveryMode, ExchangeType, Message, connect_robust
from aio_pika.abc import AbstractRobustConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelInvalidStateError

from interop.clients.python.support.inbox import Inbox
from interop.clients.python.support.proxy import BreakableProxy
from interop.clients.python.support.robust import Recovery

Namer = Callable[[str], str]


@pytest.fixture
async def proxy(broker_url: str) -> AsyncIterator[BreakableProxy]:
    async with BreakableProxy(broker_url) as proxy:
        yield proxy


@pytest.fixture
async def robust(proxy: BreakableProxy) -> AsyncIterator[AbstractRobustConnection]:
    async with await connect_robust(proxy.url, reconnect_interval=0.1) as connection:
        yield connection


async def test_a_consumer_and_its_exclusive_queue_recover_from_a_cut(
    proxy: BreakableProxy, robust: AbstractRobustConnection, name: Namer
) -> None:
    channel = await robust.channel()
    exchange = await channel.declare_exchange(name("exchange"), ExchangeType.TOPIC, auto_delete=True)
    queue = await channel.declare_queue(name("queue"), exclusive=True)
    await queue.bind(exchange, "key.#")
    inbox = Inbox()
    await queue.consume(inbox, no_ack=True)
    for attempt in range(3):
        await exchange.publish(Message(str(attempt).encode()), "key.word")
        assert await inbox.take_bodies(1) == [str(attempt).encode()]
        async with Recovery(robust):
            proxy.cut()
            await proxy.restore()
    await exchange.publish(Message(b"at last"), "key.word")
    assert await inbox.take_bodies(1) == [b"at last"]


async def test_what_was_unacknowledged_at_the_cut_is_delivered_again(
    proxy: BreakableProxy, robust: AbstractRobustConnection, name: Namer
) -> None:
    channel = await robust.channel()
    await channel.set_qos(prefetch_count=2)
    queue = await channel.declare_queue(name("queue"), durable=True)
    inbox = Inbox()
    await queue.consume(inbox)
    for number in range(4):
        await channel.default_exchange.publish(Message(str(number).encode()), queue.name)
    first, _second = await inbox.take(2)
    await first.ack()
    await inbox.take(1)
    async with Recovery(robust):
        proxy.cut()
        await proxy.restore()
    # The first ack may not have reached the broker, and the new consumer may be there before the old one is missed.
    redelivered: dict[bytes, bool | None] = {}
    while not redelivered.keys() >= {b"1", b"2", b"3"}:
        message = await inbox.take_one()
        redelivered[message.body] = message.redelivered
        await message.ack()
    assert redelivered[b"1"]
    assert redelivered[b"2"]
    await channel.queue_delete(queue.name)


async def test_nothing_confirmed_is_lost_while_the_network_breaks_again_and_again(
    proxy: BreakableProxy, robust: AbstractRobustConnection, name: Namer
) -> None:
    total = 300
    received: Counter[bytes] = Counter()
    is_complete = asyncio.Event()
    async with await connect_robust(proxy.url, reconnect_interval=0.1) as consuming:
        consumer_channel = await consuming.channel()
        await consumer_channel.set_qos(prefetch_count=20)
        queue = await consumer_channel.declare_queue(name("queue"), durable=True)

        async def consume() -> None:
            async with queue.iterator() as iterator:
                async for message in iterator:
                    received[message.body] += 1
                    if len(received) == total:
                        is_complete.set()
                    try:
                        await message.ack()
                    except (*CONNECTION_EXCEPTIONS, ChannelInvalidStateError):
                        continue  # it will come again

        consumer = asyncio.create_task(consume())
        channel = await robust.channel()
        for number in range(total):
            if number % 100 == 50:
                proxy.cut()
                await proxy.restore()
            await _publish_until_confirmed(robust, str(number).encode(), queue.name)
        await asyncio.wait_for(is_complete.wait(), 30)
        consumer.cancel()
        await asyncio.gather(consumer, return_exceptions=True)
    assert set(received) == {str(number).encode() for number in range(total)}
    await channel.queue_delete(queue.name)


async def _publish_until_confirmed(connection: AbstractRobustConnection, body: bytes, queue_name: str) -> None:
    message = Message(body, delivery_mode=DeliveryMode.PERSISTENT)
    while True:
        await connection.ready()
        try:
            async with connection.channel() as channel:
                await asyncio.wait_for(channel.default_exchange.publish(message, queue_name), 5)
        except (*CONNECTION_EXCEPTIONS, ChannelInvalidStateError, TimeoutError):
            continue
        return
