"""Bodies of every size come back as they went: empty, odd, around the frame boundary, several megabytes."""

import random
from collections.abc import Callable

import pytest

pytest.importorskip("aio_pika")

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection

from interop.clients.python.support.inbox import Inbox

Namer = Callable[[str], str]

# The frame-max that RabbitMQ proposes, less the seven octets of a frame's head and the one of its end.
_PAYLOAD_MAX = 131072 - 8
_SIZES = [
    *(0, 1, 2, 127, 255, 256, 4095, 4096, 8191, 65535, 65536),
    *(_PAYLOAD_MAX + around for around in (-1, 0, 1)),
    *(2 * _PAYLOAD_MAX + around for around in (-1, 0, 1)),
    131071,
    131072,
    131073,
    1_000_003,
]


async def test_a_body_of_any_size_round_trips(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("sized"), exclusive=True)
    inbox = Inbox()
    await queue.consume(inbox, no_ack=True)
    for size in _SIZES:
        body = random.Random(size).randbytes(size)
        await channel.default_exchange.publish(Message(body), queue.name)
        received = await inbox.take_one()
        assert received.body_size == size
        assert received.body == body, f"the body of {size} octets changed"


async def test_a_body_of_any_size_is_got(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("sized"), exclusive=True)
    for size in (0, 1, _PAYLOAD_MAX, _PAYLOAD_MAX + 1):
        body = random.Random(size).randbytes(size)
        await channel.default_exchange.publish(Message(body), queue.name)
        assert (await queue.get(no_ack=True)).body == body


@pytest.mark.parametrize("size", [3 * 1024 * 1024 + 1, 8_388_607])
async def test_a_body_of_megabytes_round_trips(channel: AbstractChannel, name: Namer, size: int) -> None:
    queue = await channel.declare_queue(name("large"), exclusive=True)
    inbox = Inbox()
    await queue.consume(inbox)
    body = random.Random(size).randbytes(size)
    await channel.default_exchange.publish(Message(body), queue.name)
    message = await inbox.take_one()
    assert message.body == body
    await message.ack()


async def test_large_and_small_bodies_of_many_channels_do_not_mix(connection: AbstractConnection, name: Namer) -> None:
    channels = [await connection.channel() for _ in range(4)]
    queue = await channels[0].declare_queue(name("mixed"), exclusive=True)
    inbox = Inbox()
    await queue.consume(inbox, no_ack=True)
    bodies = []
    for round_number in range(5):
        for number, channel in enumerate(channels):
            body = bytes([number]) * (300_000 if (number + round_number) % 2 else number)
            await channel.default_exchange.publish(Message(body), queue.name)
            bodies.append(body)
    assert await inbox.take_bodies(len(bodies)) == bodies


async def test_an_empty_body_is_returned_got_and_requeued(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("empty"), exclusive=True)
    await channel.default_exchange.publish(Message(b"", headers={"only": "headers"}), queue.name)
    message = await queue.get()
    assert (message.body, message.headers) == (b"", {"only": "headers"})
    await message.nack(requeue=True)
    message = await queue.get(no_ack=True)
    assert (message.body, message.redelivered) == (b"", True)
