"""A broker with a journal in memory, which can be stopped, or crash, and begin again."""

from __future__ import annotations

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.profile import profile_named
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.queues.window import Window
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import FakeMessage, ManualClock
from tests.memory_journal import Disk, MemoryJournal


class Durable:
    """A broker that outlives itself."""

    def __init__(self, profile: str = "4.0", *, window: Window | None = None) -> None:
        self.profile = profile
        self.window = window
        self.clock = ManualClock()
        self.disk = Disk()
        self.start()

    def start(self) -> None:
        self.journal = MemoryJournal(self.disk)
        self.core = BrokerCore(
            profile_named(self.profile), clock=self.clock, journal=self.journal, window=self.window, seed=1
        )

    @property
    def vhost(self) -> VirtualHost:
        return self.core.vhosts["/"]

    def queue(self, name: str = "q") -> Queue:
        return self.vhost.queues[name]

    def sync(self) -> None:
        """Make durable what was done so far."""
        assert self.core.journal is not None
        self.core.journal.flush()
        self.journal.sync_all()

    def stop_and_start(self) -> None:
        self.core.close()
        self.start()

    def crash_and_start(self) -> None:
        """Lose everything that is not synced."""
        self.start()


def persistent(text: str, **properties: object) -> FakeMessage:
    return FakeMessage(text, persistent=True, **properties)


def fill(queue: Queue, *texts: str) -> None:
    for text in texts:
        queue.enqueue(persistent(text))
