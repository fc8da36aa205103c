"""Stubs: what is left in memory of messages that are on disk.

Four numbers each, in columns: an object for each message would take twice the memory, and the time of every garbage
collection. Blocks are short, so that memory comes back while a queue drains.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

# Memory of a stub, with the room that arrays have to spare.
STUB_BYTES: Final = 36
_BLOCK_MAX: Final = 512


class Stub(NamedTuple):
    """Where a message is, and what has to be known of it."""

    # Its place in the queue: stubs ascend.
    position: int
    # The batch of the journal that it is in; negative for one that was spilled; 0 if it is in memory still.
    batch: int
    # Its place in the journal.
    place: int
    body_size: int


class Stubs:
    """Stubs in the order of their positions: they come at the end and go at the front, and any may be changed."""

    __slots__ = ("_blocks", "_count", "_firsts")

    def __init__(self) -> None:
        self._blocks: deque[_Block] = deque()
        # The first position of each block.
        self._firsts: deque[int] = deque()
        self._count = 0

    def append(self, stub: Stub) -> None:
        """Add a stub at the end."""
        blocks = self._blocks
        if not blocks or len(blocks[-1].positions) >= _BLOCK_MAX:
            blocks.append(_Block())
            self._firsts.append(stub.position)
        blocks[-1].append(stub)
        self._count += 1

    def at(self, position: int) -> Stub:
        """Return the stub of a position that has one."""
        block, index = self._find(position)
        return block.stub(index)

    def change(self, stub: Stub) -> None:
        """Put a stub in the place of the one with its position."""
        block, index = self._find(stub.position)
        block.batches[index], block.places[index], block.body_sizes[index] = stub.batch, stub.place, stub.body_size

    def after(self, position: int) -> Iterator[Stub]:
        """Show the stubs behind a position; nothing may change meanwhile."""
        start = max(0, bisect_right(self._firsts, position) - 1)
        for number in range(start, len(self._blocks)):
            block = self._blocks[number]
            for index in range(max(block.start, bisect_right(block.positions, position)), len(block.positions)):
                yield block.stub(index)

    def drop_first(self, count: int) -> None:
        """Take so many stubs away from the front."""
        self._count -= count
        while count:
            block = self._blocks[0]
            taken = min(count, len(block.positions) - block.start)
            block.start += taken
            count -= taken
            if block.start == len(block.positions):
                self._blocks.popleft()
                self._firsts.popleft()

    def ranges(self) -> Iterator[tuple[int, int, int]]:
        """Say where everything is on disk: batches as stubs have them, and from which place to which, both included."""
        for block in self._blocks:
            yield from _ranges(sorted(zip(block.batches[block.start :], block.places[block.start :], strict=True)))

    @property
    def body_bytes(self) -> int:
        """Octets of all bodies that are on disk."""
        return sum(sum(block.body_sizes[block.start :]) for block in self._blocks)

    def __len__(self) -> int:
        return self._count

    def _find(self, position: int) -> "tuple[_Block, int]":
        block = self._blocks[bisect_right(self._firsts, position) - 1]
        return block, bisect_left(block.positions, position)


class _Block:
    """Some stubs, in columns."""

    __slots__ = ("batches", "body_sizes", "places", "positions", "start")

    def __init__(self) -> None:
        self.positions, self.batches, self.places, self.body_sizes = (array("q") for _ in range(4))
        # Those before were taken away.
        self.start = 0

    def append(self, stub: Stub) -> None:
        """Add a stub."""
        position, batch, place, body_size = stub
        self.positions.append(position)
        self.batches.append(batch)
        self.places.append(place)
        self.body_sizes.append(body_size)

    def stub(self, index: int) -> Stub:
        """Return a stub."""
        return Stub(self.positions[index], self.batches[index], self.places[index], self.body_sizes[index])


def _ranges(stored: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Join neighbours of a sorted list of batches and places; what is not on disk is left out."""
    at = 0
    while at < len(stored):
        batch, first = stored[at]
        count = 1
        while at + count < len(stored) and stored[at + count] == (batch, first + count):
            count += 1
        if batch:
            yield batch, first, first + count - 1
        at += count
