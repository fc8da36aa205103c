"""A price service over RPC, and its client: one queue of requests, a queue of replies for each client."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustConnection

REQUESTS: Final = "prices"
# Requests that nobody takes in time, or that the service fails on, come back from here to whoever asked.
UNANSWERED: Final = "prices.unanswered"


class NoAnswer(Exception):
    """The request came back; the text says why."""


async def declare(channel: AbstractRobustChannel) -> aio_pika.abc.AbstractQueue:
    """Declare what client and service share."""
    await channel.declare_exchange(UNANSWERED, "fanout", durable=True)
    return await channel.declare_queue(REQUESTS, durable=True, arguments={"x-dead-letter-exchange": UNANSWERED})


async def serve(connection: AbstractRobustConnection, price_of: Callable[[str], Awaitable[int]]) -> None:
    """Answer requests from now on, one at a time."""
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=1)

    async def answer(request: AbstractIncomingMessage) -> None:
        async with request.process():
            price = await price_of(request.body.decode())
            reply = aio_pika.Message(str(price).encode(), correlation_id=request.correlation_id)
            await channel.default_exchange.publish(reply, request.reply_to or "")

    await (await declare(channel)).consume(answer)


class Client:
    """Asks for prices. When the connection breaks, what has no answer yet is asked again."""

    def __init__(self, channel: AbstractRobustChannel, timeout_s: float) -> None:
        self._channel = channel
        self._timeout_s = timeout_s
        self._waiting: dict[str, tuple[aio_pika.Message, asyncio.Future[int]]] = {}

    @classmethod
    async def open(cls, connection: AbstractRobustConnection, timeout_s: float = 30) -> Self:
        """Make a client with a channel and a queue of its own."""
        client = cls(await connection.channel(), timeout_s)
        await declare(client._channel)
        client._replies = await client._channel.declare_queue(f"prices.replies.{uuid.uuid4().hex}", exclusive=True)
        await client._replies.bind(UNANSWERED)
        await client._replies.consume(client._take, no_ack=True)
        client._channel.reopen_callbacks.add(client._ask_again)
        return client

    async def price_of(self, product: str) -> int:
        """Ask, and wait for the answer.

        Raises:
            NoAnswer: nobody took the request in time, or the service failed.
        """
        number = uuid.uuid4().hex
        # The broker looks after the time: an old request must not keep the service busy.
        request = aio_pika.Message(
            product.encode(), correlation_id=number, reply_to=self._replies.name, expiration=self._timeout_s
        )
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = (request, answer)
        try:
            # If the connection breaks now, it is asked when there is another.
            with suppress(ConnectionError, aio_pika.exceptions.AMQPError):
                await self._channel.default_exchange.publish(request, REQUESTS)
            return await answer
        finally:
            del self._waiting[number]

    async def _take(self, reply: AbstractIncomingMessage) -> None:
        # Others' requests come back here, too.
        _, answer = self._waiting.get(reply.correlation_id or "", (None, None))
        if answer is None or answer.done():
            return
        if "x-death" in reply.headers:
            answer.set_exception(NoAnswer(reply.headers["x-first-death-reason"]))
        else:
            answer.set_result(int(reply.body))

    async def _ask_again(self, *_: object) -> None:
        for request, _answer in tuple(self._waiting.values()):
            await self._channel.default_exchange.publish(request, REQUESTS)
