"""What makes a broker durable in an event loop: batches are handed over, syncs are told, the disk is watched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import anyio

from amqpy_broker.core.alarms import Resource
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.disk import Disk
from amqpy_broker.core.journal import Journal, JournalFailed
from amqpy_broker.core.limits import DISK_FREE_LIMIT_BYTES
from amqpy_broker.server.loop_calls import LoopCalls

logger = logging.getLogger(__name__)

# How long what nobody waits for, such as acknowledgements, may wait for its sync.
NOT_URGENT_S: Final = 0.01
_CAUSE: Final = "the journal"


class Durability:
    """The journal of one broker, from its start to its end.

    `free_bytes` tells how much room the journal's disk has.
    """

    def __init__(
        self,
        core: BrokerCore,
        journal: Journal,
        calls: LoopCalls,
        free_bytes: Callable[[], int],
        disk_free_limit_bytes: int = DISK_FREE_LIMIT_BYTES,
    ) -> None:
        assert core.journal is not None
        self._core = core
        self._journal = journal
        self._writer = core.journal
        self._calls = calls
        # Whether the end of this step is waited for.
        self._woken = False
        self._something_to_write: anyio.Event | None = None
        self.disk = Disk(core.alarms, free_bytes, disk_free_limit_bytes)

    def begin(self, on_failed: Callable[[JournalFailed], None]) -> None:
        """Begin to write, in the loop that runs now. `on_failed` is told when nothing is durable any more."""
        self._calls.begin()
        self._something_to_write = anyio.Event()
        self._journal.on_stalled = self._stalled
        self._journal.on_failed = on_failed
        self._writer.wake = self._wake
        # What the core did before there was a loop.
        self._writer.flush()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._calls.after_this_step(self._step_done)

    def _step_done(self) -> None:
        self._woken = False
        if self._writer.is_urgent:
            self._writer.flush()
        elif self._something_to_write is not None:
            self._something_to_write.set()

    async def write_at_leisure(self) -> None:
        """Hand over what is not urgent a little later, for ever: one sync serves for all that came meanwhile."""
        assert self._something_to_write is not None
        while True:
            await self._something_to_write.wait()
            await anyio.sleep(NOT_URGENT_S)
            self._something_to_write = anyio.Event()
            self._writer.flush()

    async def watch_disk(self) -> None:
        """Look at the disk for ever."""
        while True:
            pause_s = self.disk.measure()
            await anyio.sleep(pause_s)

    def _stalled(self, stalled: bool) -> None:
        if stalled:
            logger.error("the disk is full: nothing is confirmed until there is room")
        else:
            logger.warning("the disk has room again: the journal goes on")
        self._core.alarms.set(Resource.DISK, _CAUSE, raised=stalled)
