"""A journal in memory, whose disk obeys: batches become durable when a test says so, and a crash forgets the others.

`MemoryJournal` is an engine for the core's tests; it keeps message objects and writes no octets. It checks what every
engine may rely on: numbers ascend, places ascend within a part, one batch is on its way at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from amqpy_broker.core.journal import Batch, JournalFailed, Mark, Name, Page, Recovered, Stored
from amqpy_broker.core.message import Message


@dataclass
class Disk:
    """What is durable: the sum of all batches that were synced."""

    messages: dict[Name, Message] = field(default_factory=dict)
    spilled: set[Name] = field(default_factory=set)
    expiries: dict[Name, int] = field(default_factory=dict)
    marks: dict[Name, Mark] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    last_batch: int = 0
    closed: bool = True

    def write(self, batch: Batch) -> None:
        assert batch.number > self.last_batch
        self.last_batch = batch.number
        self.closed = False
        self._write_messages(batch)
        for name in map(Name._make, batch.settled):
            assert name.batch < batch.number, "what is settled is in an earlier batch"
            assert name in self.messages, f"{name} is settled, but not there"
            self._forget(name)
        for name, last in batch.settled_ranges:
            assert name.batch < batch.number
            for place in range(name.place, last + 1):
                self._forget(name._replace(place=place))
        for name, mark in batch.marks.items():
            if name in self.messages:
                self.marks[name] = mark
        for queue in batch.dropped_queues:
            for name in [name for name in self.messages if name.queue == queue]:
                self._forget(name)
        for key, document in batch.documents.items():
            if document is None:
                self.documents.pop(key, None)
            else:
                self.documents[key] = document

    def _write_messages(self, batch: Batch) -> None:
        for parts, spilled in ((batch.parts, False), (batch.spilled, True)):
            for queue, part in parts.items():
                assert list(part) == sorted(part), "places ascend"
                for place, message in part.items():
                    name = Name(batch.number, queue, place)
                    assert name not in self.messages
                    self.messages[name] = message
                    if spilled:
                        self.spilled.add(name)
        for (queue, place), at_unix_ms in batch.expiries.items():
            name = Name(batch.number, queue, place)
            if name in self.messages:
                self.expiries[name] = at_unix_ms

    def _forget(self, name: Name) -> None:
        self.messages.pop(name, None)
        self.expiries.pop(name, None)
        self.marks.pop(name, None)
        self.spilled.discard(name)

    def forget_spilled(self) -> None:
        for name in list(self.spilled):
            self._forget(name)

    def pages(self) -> Iterator[Page]:
        """One page for each batch and queue."""
        names: dict[tuple[int, int], list[Name]] = {}
        for name in sorted(self.messages):
            names.setdefault((name.batch, name.queue), []).append(name)
        for (batch, queue), several in names.items():
            yield Page(
                batch,
                queue,
                several[0].place,
                several[-1].place,
                len(several),
                sum(self.messages[name].body_size for name in several),
                any(name in self.expiries or name in self.marks for name in several),
                any(name in self.marks for name in several),
            )


class MemoryJournal:
    """An engine. With `syncs` every batch is durable at once, though told only by `sync`, as a thread's would be."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.on_synced: Callable[[int], None] = lambda number: None
        self.on_stalled: Callable[[bool], None] = lambda stalled: None
        self.on_failed: Callable[[JournalFailed], None] = lambda failure: None
        # Batches that are on their way.
        self.under_way: list[Batch] = []
        self.batches_count = 0
        self.reads_count = 0
        self.read_back: list[Page] = []
        self.is_closed = False

    def recover(self) -> Recovered:
        self.disk.forget_spilled()
        closed, self.disk.closed = self.disk.closed, False
        return Recovered(dict(self.disk.documents), list(self.disk.pages()), self.disk.last_batch + 1, closed)

    def append(self, batch: Batch) -> None:
        assert not self.is_closed
        self.under_way.append(batch)
        self.batches_count += 1

    def sync(self) -> bool:
        """Make the batch durable that is on its way, and tell; False if there is none."""
        if not self.under_way:
            return False
        assert len(self.under_way) == 1, "one batch is on its way at a time"
        self.write_down()
        self.on_synced(self.disk.last_batch)
        return True

    def sync_all(self) -> None:
        while self.sync():
            pass

    def write_down(self) -> None:
        """Make everything durable that is on its way, and tell nobody yet."""
        for batch in self.under_way:
            self.disk.write(batch)
        self.under_way.clear()

    def read(self, page: Page) -> list[Stored]:
        assert page.batch <= self.disk.last_batch, "only what is synced can be read"
        self.reads_count += 1
        self.read_back.append(page)
        names = [
            name
            for name in self.disk.messages
            if (name.batch, name.queue) == (page.batch, page.queue) and page.first <= name.place <= page.last
        ]
        return [
            Stored(name.place, self.disk.messages[name], self.disk.expiries.get(name), self.disk.marks.get(name))
            for name in sorted(names)
        ]

    def close(self) -> None:
        self.write_down()
        self.disk.closed = True
        self.is_closed = True
