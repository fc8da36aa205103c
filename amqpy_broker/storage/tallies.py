"""Which messages of a piece are settled, and which came back: in memory for the pieces that are being worked on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from amqpy_broker.core.journal import Mark
from amqpy_broker.storage.notes import LIVE, SETTLED, live_flags, write_notes
from amqpy_broker.storage.pieces import Head

# Pieces to remember: those at the head and at the tail of a few hundred busy queues. About 2 KiB each.
TALLIES_MAX: Final = 512


class Span(NamedTuple):
    """A run with the slots it has in its piece."""

    first: int
    last: int
    # What to add to a place to get its slot.
    shift: int


class Tally:
    """One piece's messages, ticked off."""

    __slots__ = ("_spans", "flags", "head", "marks", "may_have_notes")

    def __init__(
        self,
        head: Head,
        flags: bytearray | None = None,
        marks: dict[int, Mark] | None = None,
    ) -> None:
        self.head = head
        self.flags = live_flags(head.slot_count) if flags is None else flags
        self.marks = {} if marks is None else marks
        # False only if it is sure that nothing of this is on the disk.
        self.may_have_notes = True
        self._spans = _spans(head)

    @property
    def live(self) -> int:
        """How many slots are not settled."""
        return self.flags.count(LIVE)

    def span(self, queue: int, place: int) -> Span | None:
        """Find the run that a message is in, if it is in this piece."""
        spans = self._spans.get(queue)
        if spans is None:
            return None
        at = bisect_right(spans, place, key=_first) - 1
        return spans[at] if at >= 0 and place <= spans[at].last else None

    def slots(self, queue: int, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Say which slots the messages between two places have: ranges, their ends excluded."""
        for span in self._spans.get(queue, ()):
            begin, end = max(span.first, first), min(span.last, last)
            if begin <= end:
                yield begin + span.shift, end + span.shift + 1

    def settle(self, queue: int, first: int, last: int) -> bool:
        """Tick off all messages between two places, both included; say whether there are any."""
        any_here = False
        for begin, end in self.slots(queue, first, last):
            self.flags[begin:end] = bytes((SETTLED,)) * (end - begin)
            any_here = True
        return any_here

    def settle_queue(self, queue: int) -> None:
        """Tick off all messages of a queue."""
        for span in self._spans.get(queue, ()):
            self.settle(queue, span.first, span.last)

    def octets(self) -> bytes:
        """Write it down."""
        return write_notes(self.head.id, self.flags, self.marks)

    def forget_settled_marks(self) -> None:
        """Drop marks that nobody will ask for."""
        if self.marks:
            self.marks = {slot: mark for slot, mark in self.marks.items() if self.flags[slot] == LIVE}


def _spans(head: Head) -> dict[int, list[Span]]:
    spans: dict[int, list[Span]] = {}
    slot = 0
    for queue, place, _index, count in head.runs:
        spans.setdefault(queue, []).append(Span(place, place + count - 1, slot - place))
        slot += count
    return spans


def _first(span: Span) -> int:
    return span.first


class Tallies:
    """The tallies in use; others are read again when they are asked for."""

    def __init__(self, load: Callable[[int], Tally]) -> None:
        self._load = load
        self._tallies: dict[int, Tally] = {}

    def get(self, row: int) -> Tally:
        """Find a piece's tally, or read it."""
        tally = self._tallies.pop(row, None) or self._load(row)
        # The last one asked for is the last to go.
        self._tallies[row] = tally
        return tally

    def put(self, tally: Tally) -> None:
        """Remember the tally of a piece that was just written."""
        self._tallies[tally.head.id] = tally

    def remove(self, row: int) -> None:
        """Forget the tally of a piece that is gone."""
        self._tallies.pop(row, None)

    def trim(self) -> None:
        """Forget those that nobody asked for in a while."""
        while len(self._tallies) > TALLIES_MAX:
            del self._tallies[next(iter(self._tallies))]
