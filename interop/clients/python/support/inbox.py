"""What a consumer received, to be awaited instead of slept for."""

import asyncio
from typing import Final

from aio_pika.abc import AbstractIncomingMessage

_PATIENCE_S: Final = 20.0


class Inbox:
    """Give it to `queue.consume`; then `take` as many messages as have to come."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    async def __call__(self, message: AbstractIncomingMessage) -> None:
        self._messages.put_nowait(message)

    def __len__(self) -> int:
        return self._messages.qsize()

    async def take_one(self) -> AbstractIncomingMessage:
        return await asyncio.wait_for(self._messages.get(), _PATIENCE_S)

    async def take(self, count: int) -> list[AbstractIncomingMessage]:
        return [await self.take_one() for _ in range(count)]

    async def take_bodies(self, count: int) -> list[bytes]:
        return [message.body for message in await self.take(count)]
