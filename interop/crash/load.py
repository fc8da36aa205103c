"""Traffic with promises: publishers wait for confirms, consumers acknowledge. It ends when the broker does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading
from collections.abc import Iterator

import aio_pika
import pika
from aio_pika.abc import AbstractIncomingMessage

from interop.crash.ledger import Ledger

# A fan-out to both kinds of durable queue: one message on disk, two places.
EXCHANGE = "crash"
QUEUES = {"crash.classic": "classic", "crash.quorum": "quorum"}
NAMES = tuple(QUEUES)
IN_FLIGHT = 100
PREFETCH = 50
# Sizes of bodies: mostly small, sometimes larger than a frame.
SIZES = (10, 100, 1000, 5000, 200_000)
WEIGHTS = (30, 50, 15, 4, 1)
_GONE = (aio_pika.exceptions.AMQPError, pika.exceptions.AMQPError, ConnectionError, OSError, RuntimeError)


class Numbers:
    """The numbers of one publisher's messages, over all lives of the broker."""

    def __init__(self, publisher: str, rng: random.Random) -> None:
        self.publisher = publisher
        self._numbers: Iterator[int] = itertools.count(1)
        self._rng = rng

    def next(self) -> tuple[int, bytes]:
        """Make the next message: its number, and its body."""
        number = next(self._numbers)
        size = self._rng.choices(SIZES, WEIGHTS)[0]
        return number, f"{self.publisher} {number} ".encode().ljust(size, b".")


async def declare(url: str) -> None:
    """Create what the load needs."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EXCHANGE, "fanout", durable=True)
        for name, kind in QUEUES.items():
            arguments = {"x-queue-type": kind, **({"x-delivery-limit": -1} if kind == "quorum" else {})}
            queue = await channel.declare_queue(name, durable=True, arguments=arguments)
            await queue.bind(exchange)


async def publish_many(url: str, numbers: Numbers, ledger: Ledger) -> None:
    """Publish with many confirms outstanding, until the broker is gone."""
    with contextlib.suppress(*_GONE):
        connection = await aio_pika.connect(url)
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange(EXCHANGE)
        room = asyncio.Semaphore(IN_FLIGHT)

        async def publish(number: int, body: bytes) -> None:
            await exchange.publish(aio_pika.Message(body, delivery_mode=2), "")
            ledger.confirmed(NAMES, numbers.publisher, number)
            room.release()

        with contextlib.suppress(BaseExceptionGroup):
            async with asyncio.TaskGroup() as tasks:
                # The first failure ends the group: the broker is gone.
                while True:
                    await room.acquire()
                    tasks.create_task(publish(*numbers.next()))


def publish_one_by_one(url: str, numbers: Numbers, ledger: Ledger, lock: threading.Lock) -> None:
    """Publish with pika, each when the one before is confirmed, until the broker is gone."""
    with contextlib.suppress(*_GONE):
        channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
        channel.confirm_delivery()
        while True:
            number, body = numbers.next()
            channel.basic_publish(EXCHANGE, "", body, pika.BasicProperties(delivery_mode=2))
            with lock:
                ledger.confirmed(NAMES, numbers.publisher, number)


async def consume(url: str, name: str, ledger: Ledger, *, until_empty: bool = False) -> None:
    """Take messages and acknowledge them, until cancelled or, if asked for, until the queue is empty."""
    account = ledger.queue(name)
    with contextlib.suppress(*_GONE):
        connection = await aio_pika.connect(url)
        channel = await connection.channel()
        await channel.set_qos(PREFETCH)
        queue = await channel.get_queue(name)

        async def take(message: AbstractIncomingMessage) -> None:
            publisher, number = message.body.split(b" ")[:2]
            account.came(publisher.decode(), int(number), redelivered=bool(message.redelivered))
            await message.ack()
            account.acknowledged.add((publisher.decode(), int(number)))

        tag = await queue.consume(take)
        if until_empty:
            # All that is ready goes to us: when nothing is, the last of it is under way.
            while (await channel.declare_queue(name, passive=True)).declaration_result.message_count:
                pass
            await queue.cancel(tag)
            # The acknowledgements are there before the answer to this.
            await channel.declare_queue(name, passive=True)
            await connection.close()
            return
        await asyncio.Event().wait()
