"""Tens of thousands of messages through aio-pika: nothing lost, nothing doubled, nothing out of order."""

import asyncio
from collections.abc import Callable, Iterable

import pytest

pytest.importorskip("aio_pika")

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

Namer = Callable[[str], str]

# Seconds on a quiet machine, most of them aio-pika's.
pytestmark = pytest.mark.timeout(180)

_MESSAGE_COUNT = 20_000
_BATCH_SIZE = 1000


async def test_twenty_thousand_confirmed_messages_arrive_once_and_in_order(
    connection: AbstractConnection, name: Namer
) -> None:
    publisher = await connection.channel()
    consumer = await connection.channel()
    queue = await consumer.declare_queue(name("load"), exclusive=True)
    await consumer.set_qos(prefetch_count=100)
    received: list[int] = []
    is_complete = asyncio.Event()

    async def on_message(message: AbstractIncomingMessage) -> None:
        received.append(int(message.body))
        await message.ack()
        if len(received) == _MESSAGE_COUNT:
            is_complete.set()

    tag = await queue.consume(on_message)
    for batch in _batches():
        await _publish_batch(publisher, queue, batch)
    await asyncio.wait_for(is_complete.wait(), 120)
    assert received == list(range(_MESSAGE_COUNT))
    await queue.cancel(tag)
    assert await queue.get(fail=False) is None


async def test_a_backlog_of_twenty_thousand_is_consumed_in_order(connection: AbstractConnection, name: Namer) -> None:
    publisher = await connection.channel(publisher_confirms=False)
    consumer = await connection.channel()
    queue = await consumer.declare_queue(name("backlog"), exclusive=True)
    for batch in _batches():
        await _publish_batch(publisher, queue, batch)
    received: list[int] = []
    is_complete = asyncio.Event()

    async def on_message(message: AbstractIncomingMessage) -> None:
        received.append(int(message.body))
        if len(received) == _MESSAGE_COUNT:
            is_complete.set()

    await queue.consume(on_message, no_ack=True)
    await asyncio.wait_for(is_complete.wait(), 120)
    assert received == list(range(_MESSAGE_COUNT))


def _batches() -> Iterable[range]:
    return (range(start, start + _BATCH_SIZE) for start in range(0, _MESSAGE_COUNT, _BATCH_SIZE))


async def _publish_batch(channel: AbstractChannel, queue: AbstractQueue, batch: Iterable[int]) -> None:
    exchange = channel.default_exchange
    await asyncio.gather(*(exchange.publish(Message(str(number).encode()), queue.name) for number in batch))
