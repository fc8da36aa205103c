"""What a journal should hold after a batch, told naively; and batches at random."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from amqpy_broker.core.journal import Batch, Mark, Name, Page, Recovered, Stored
from tests.fakes import FakeMessage


@dataclass
class State:
    """Messages by name: body, when it expires, its mark. Documents by key."""

    messages: dict[Name, tuple[str, int | None, Mark | None]] = field(default_factory=dict)
    spilled: set[Name] = field(default_factory=set)
    documents: dict[str, bytes] = field(default_factory=dict)

    def after(self, batch: Batch) -> State:
        messages = dict(self.messages)
        new: set[Name] = set()
        for parts in (batch.parts, batch.spilled):
            for queue, part in parts.items():
                for place, message in part.items():
                    name = Name(batch.number, queue, place)
                    messages[name] = (message.body.decode(), batch.expiries.get((queue, place)), None)
                    if parts is batch.spilled:
                        new.add(name)
        for name, mark in batch.marks.items():
            if name in messages:
                messages[name] = (*messages[name][:2], mark)
        settled = set(batch.settled)
        for name in list(messages):
            gone = (
                name in settled
                or (name.queue in batch.dropped_queues and name.batch != batch.number)
                or any(
                    name[:2] == first[:2] and first.place <= name.place <= last for first, last in batch.settled_ranges
                )
            )
            if gone:
                del messages[name]
        documents = {**self.documents, **{key: data for key, data in batch.documents.items() if data is not None}}
        for key, data in batch.documents.items():
            if data is None:
                documents.pop(key, None)
        return State(messages, {name for name in self.spilled | new if name in messages}, documents)

    def reopened(self) -> State:
        kept = {name: known for name, known in self.messages.items() if name not in self.spilled}
        return State(kept, set(), dict(self.documents))

    def pages(self) -> list[Page]:
        """What there is to recover."""
        names: dict[tuple[int, int], list[Name]] = {}
        for name in sorted(self.messages):
            names.setdefault((name.batch, name.queue), []).append(name)
        pages = []
        for (batch, queue), several in names.items():
            bodies = sum(len(self.messages[name][0]) for name in several)
            special = any(self.messages[name][1:] != (None, None) for name in several)
            marked = any(self.messages[name][2] is not None for name in several)
            pages.append(Page(batch, queue, several[0].place, several[-1].place, len(several), bodies, special, marked))
        return pages


def state_of(recovered: Recovered, read: Iterable[tuple[Page, list[Stored]]]) -> State:
    """What was recovered, as far as it was read."""
    messages = {
        Name(page.batch, page.queue, stored.place): (
            stored.message.body.decode(),
            stored.expires_at_unix_ms,
            stored.mark,
        )
        for page, several in read
        for stored in several
    }
    return State(messages, set(), dict(recovered.documents))


class Workload:
    """Batches at random, as a broker might hand them over."""

    def __init__(self, random: Random, state: State) -> None:
        self._random = random
        self.state = state
        self._places = 0
        self._queues = list(range(1, 6))
        self._next_queue = 6

    def next(self, number: int) -> Batch:
        """Make a batch, and know what it does."""
        random = self._random
        batch = Batch(number)
        names = list(self.state.messages)
        for _ in range(random.choice((0, 1, 1, 2, 3))):
            self._publish(batch)
        if names and random.random() < 0.7:
            batch.settled = random.sample(names, random.randint(1, min(len(names), random.choice((1, 3, 20)))))
        if names and random.random() < 0.2:
            name = random.choice(names)
            batch.settled_ranges.append((name, name.place + random.randint(0, 30)))
        if names and random.random() < 0.4:
            for name in random.sample(names, random.randint(1, min(len(names), 4))):
                batch.marks[name] = Mark(random.randint(0, 9), random.randint(0, 9), random.randint(0, 9))
        if random.random() < 0.08:
            batch.dropped_queues = [self._drop_queue()]
            for parts in (batch.parts, batch.spilled):
                parts.pop(batch.dropped_queues[0], None)
        for _ in range(random.choice((0, 0, 1, 3))):
            batch.documents[f"d{random.randint(0, 9)}"] = random.choice((None, random.randbytes(random.randint(0, 99))))
        if batch.parts and random.random() < 0.2:
            queue, part = random.choice(list(batch.parts.items()))
            batch.marks[Name(number, queue, random.choice(list(part)))] = Mark(1, 1)
        self.state = self.state.after(batch)
        return batch

    def _publish(self, batch: Batch) -> None:
        random = self._random
        queues = random.sample(self._queues, random.choice((1, 1, 1, 2, 5)))
        parts = random.choice((batch.parts, batch.parts, batch.parts, batch.spilled))
        for _ in range(random.choice((1, 2, 5, 20))):
            self._places += random.choice((1, 1, 1, 3))
            message = FakeMessage(f"{self._places}" + "." * random.choice((0, 10, 100, random.randint(0, 3000))))
            for queue in queues:
                parts.setdefault(queue, {})[self._places] = message
                if random.random() < 0.05:
                    batch.expiries[queue, self._places] = random.getrandbits(40)

    def _drop_queue(self) -> int:
        queue = self._random.choice(self._queues)
        self._queues.remove(queue)
        # Ids are not used again.
        self._queues.append(self._next_queue)
        self._next_queue += 1
        return queue
