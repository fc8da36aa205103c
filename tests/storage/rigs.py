"""How tests hold an engine: they write and wait, stop and crash, open again and look."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from amqpy_broker.core.journal import Batch, Journal, JournalFailed, Name, Page, Recovered, Stored
from amqpy_broker.core.message import Message
from amqpy_broker.storage.layout import Connect, connect
from amqpy_broker.storage.sqlite import SqliteJournal
from tests.fakes import FakeMessage
from tests.memory_journal import MemoryJournal

# Far more than anything takes: whoever waits longer has found a bug.
PATIENCE_S = 30.0


class TextFormat:
    """Messages that are their bodies."""

    def dump(self, message: Message, octets: list[bytes]) -> int:
        octets += (b"m", message.body)
        return 1 + len(message.body)

    def load(self, octets: bytes) -> Message:
        if octets[:1] != b"m":
            raise ValueError("this is no message")
        return FakeMessage(octets[1:].decode())


def part(first: int, *bodies: str) -> dict[int, Message]:
    """Messages that follow each other in a queue."""
    return {first + offset: FakeMessage(body) for offset, body in enumerate(bodies)}


class Rig(ABC):
    """An engine with its disk."""

    def __init__(self) -> None:
        self.journal, self.recovered = self._opened()

    def _opened(self) -> tuple[Journal, Recovered]:
        journal = self.make()
        recovered = journal.recover()
        # An engine may read lazily.
        return journal, Recovered(
            dict(recovered.documents), list(recovered.pages), recovered.next_batch, recovered.closed_cleanly
        )

    @abstractmethod
    def make(self) -> Journal:
        """Make an engine on the disk there is."""

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Append a batch, and wait until it is told to be durable."""

    @abstractmethod
    def crash(self) -> None:
        """Stop the engine with nothing but what is on the disk, and open it again."""

    def stop(self) -> None:
        self.journal.close()

    def restart(self) -> None:
        self.stop()
        self.journal, self.recovered = self._opened()

    @property
    def pages(self) -> list[Page]:
        return list(self.recovered.pages)

    def stored(self, batch: int, queue: int, first: int = 0, last: int = 1 << 40) -> list[Stored]:
        return self.journal.read(Page(batch, queue, first, last, 0, 0))

    def bodies(self, batch: int, queue: int, first: int = 0, last: int = 1 << 40) -> list[str]:
        return [stored.message.body.decode() for stored in self.stored(batch, queue, first, last)]

    def everything(self) -> dict[Name, str]:
        """Read all that was recovered."""
        return {
            Name(page.batch, page.queue, stored.place): stored.message.body.decode()
            for page in self.pages
            for stored in self.journal.read(page)
        }


class MemoryRig(Rig):
    """The core's tests use this engine: it has to do what the others do."""

    def __init__(self) -> None:
        self._memory = MemoryJournal()
        super().__init__()

    def make(self) -> Journal:
        self._memory = MemoryJournal(self._memory.disk)
        return self._memory

    def write(self, batch: Batch) -> None:
        self.journal.append(batch)
        assert self._memory.sync()

    def crash(self) -> None:
        self.journal, self.recovered = self._opened()


class SqliteRig(Rig):
    """The engine in a directory."""

    def __init__(self, directory: Path, *, recover: bool = False, connect: Connect = connect) -> None:
        self.directory = directory
        self.recover = recover
        self._connect = connect
        self.called: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.told: list[int | bool | JournalFailed] = []
        super().__init__()

    def make(self) -> SqliteJournal:
        journal = SqliteJournal(
            self.directory, TextFormat(), self.called.put, recover=self.recover, connect=self._connect
        )
        journal.on_synced = journal.on_stalled = journal.on_failed = self.told.append
        return journal

    def write(self, batch: Batch) -> None:
        self.journal.append(batch)
        self.wait_for(batch.number)

    def wait_for(self, news: object) -> None:
        """Do what the engine asks the broker's thread for, until it tells this."""
        while True:
            told = self.wait()
            if told == news and type(told) is type(news):
                return
            assert not isinstance(told, JournalFailed), told

    def wait(self) -> int | bool | JournalFailed:
        """Do the next thing that the engine asks for; return what it tells."""
        self.called.get(timeout=PATIENCE_S)()
        return self.told[-1]

    def crash(self) -> None:
        # What a process leaves that is killed now: its files as they are. Its locks are the copy's, too.
        crashed = self.directory.with_name(self.directory.name + "-crashed")
        shutil.copytree(self.directory, crashed)
        self.stop()
        self.directory = crashed
        self.journal, self.recovered = self._opened()
