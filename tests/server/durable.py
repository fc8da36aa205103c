"""A durable broker core that is served, and whose disk, room and journal obey the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.journal import Batch, JournalFailed
from amqpy_broker.server.durability import Durability
from amqpy_broker.server.loop_calls import LoopCalls
from amqpy_broker.server.server import Server
from tests.memory_journal import MemoryJournal
from tests.wire import publish

PERSISTENT = 2
LIMIT = 50_000_000


class LoopJournal(MemoryJournal):
    """A journal whose disk takes one turn of the loop, unless it is slow."""

    def __init__(self, calls: LoopCalls) -> None:
        super().__init__()
        self.slow = False
        self._calls = calls

    def append(self, batch: Batch) -> None:
        super().append(batch)
        if not self.slow:
            self._calls.soon(self.catch_up)

    def catch_up(self) -> None:
        self.sync()


class Served:
    """A durable broker core that is served, with everything that a test may want to break."""

    def __init__(self) -> None:
        self.calls = LoopCalls()
        self.journal = LoopJournal(self.calls)
        self.core = BrokerCore(journal=self.journal)
        self.free_bytes = 10 * LIMIT
        self.durability = Durability(self.core, self.journal, self.calls, lambda: self.free_bytes, LIMIT)
        self.server = Server(self.core, host="127.0.0.1", port=0, durability=self.durability)
        self.failure: JournalFailed | None = None

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        try:
            await self.server.run(task_status=task_status)
        except JournalFailed as failure:
            self.failure = failure


@asynccontextmanager
async def served(*, free_bytes: int = 10 * LIMIT) -> AsyncIterator[Served]:
    durable = Served()
    durable.free_bytes = free_bytes
    async with anyio.create_task_group() as tasks:
        await tasks.start(durable.run)
        yield durable
        durable.server.stop()


def persistent(body: bytes, queue: str = "q") -> bytes:
    return publish(1, "", queue, body, delivery_mode=PERSISTENT)
