"""Messages that wait for a consumer, in the order they will leave."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import islice
from typing import Final

from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.queues.base import QueuedMessage

# From which priority on a message is urgent to a quorum queue of 4.0, and how many such go before one that is not.
HIGH_PRIORITY: Final = 5
_HIGH_IN_A_ROW_MAX: Final = 2


class Ready(ABC):
    """What is ready in a queue."""

    __slots__ = ()

    @abstractmethod
    def append(self, queued: QueuedMessage) -> None:
        """Add a message that was never handed out."""

    @abstractmethod
    def put_back(self, queued: QueuedMessage) -> None:
        """Return a message to its place."""

    @abstractmethod
    def pop(self) -> QueuedMessage | None:
        """Take the first message."""

    @abstractmethod
    def pop_expired(self, now_s: float) -> QueuedMessage | None:
        """Take a message that has expired; it must be the first, for only those expire."""

    @property
    @abstractmethod
    def next_expiry_s(self) -> float:
        """When the first message expires; infinity for never."""

    @abstractmethod
    def after(self, last: QueuedMessage | None) -> Iterator[QueuedMessage]:
        """Show what leaves after a message, ready or not; everything for None."""

    def listed(self) -> Iterator[tuple[QueuedMessage, bool]]:
        """Show everything, and whether to `put_back` or to `append` it, in this order, to have the same again."""
        return ((queued, queued.redelivered) for queued in self.after(None))

    @property
    def body_bytes(self) -> int:
        """Octets of all bodies."""
        return sum(queued.message.body_size for queued in self.after(None))

    @property
    def turn(self) -> int:
        """Whose turn it is, where messages leave by turns."""
        return 0

    @turn.setter
    def turn(self, turn: int) -> None:
        assert turn == 0

    @abstractmethod
    def drain(self) -> Iterator[QueuedMessage]:
        """Take everything."""

    @abstractmethod
    def __len__(self) -> int: ...


class FifoReady(Ready):
    """First in, first out.

    What was handed out and returned is always older than what was never handed out: two places are enough.
    """

    __slots__ = ("_fresh", "_returned")

    def __init__(self) -> None:
        self._fresh: deque[QueuedMessage] = deque()
        # A heap by position.
        self._returned: list[QueuedMessage] = []

    def append(self, queued: QueuedMessage) -> None:
        """Add a message at the end."""
        self._fresh.append(queued)

    def put_back(self, queued: QueuedMessage) -> None:
        """Return a message to its place."""
        heappush(self._returned, queued)

    def pop(self) -> QueuedMessage | None:
        """Take the first message."""
        if self._returned:
            return heappop(self._returned)
        return self._fresh.popleft() if self._fresh else None

    def pop_expired(self, now_s: float) -> QueuedMessage | None:
        """Take the first message if it has expired."""
        return self.pop() if self.next_expiry_s <= now_s else None

    @property
    def next_expiry_s(self) -> float:
        """When the first message expires."""
        if self._returned:
            return self._returned[0].expires_at_s
        return self._fresh[0].expires_at_s if self._fresh else float("inf")

    def after(self, last: QueuedMessage | None) -> Iterator[QueuedMessage]:
        """Show what leaves after a message."""
        position = 0 if last is None else last.position
        yield from sorted(queued for queued in self._returned if queued.position > position)
        yield from islice(self._fresh, bisect_right(self._fresh, position, key=_position), None)

    def listed(self) -> Iterator[tuple[QueuedMessage, bool]]:
        """Show everything, and how to put it back."""
        yield from ((queued, True) for queued in sorted(self._returned))
        yield from ((queued, False) for queued in self._fresh)

    def drain(self) -> Iterator[QueuedMessage]:
        """Take everything."""
        while (queued := self.pop()) is not None:
            yield queued

    @property
    def returned(self) -> Sequence[QueuedMessage]:
        """What came back, in no order. It is always in memory."""
        return self._returned

    def head_bytes(self, at_most: int) -> int:
        """Add up what was never handed out and is in memory, from the first message on, until it is too much."""
        count_bytes = 0
        for queued in self._fresh:
            count_bytes += size_of(queued)
            if count_bytes > at_most:
                break
        return count_bytes

    def __len__(self) -> int:
        return len(self._fresh) + len(self._returned)


class LeveledReady(Ready):
    """Several first-in-first-outs; which one a message belongs to is told by its priority."""

    __slots__ = ("_levels",)

    def __init__(self, count: int) -> None:
        """Have so many levels."""
        self._levels = [FifoReady() for _ in range(count)]

    @property
    def levels(self) -> Sequence[FifoReady]:
        """What there is of each level, the lowest first."""
        return self._levels

    def put_level(self, number: int, level: FifoReady) -> None:
        """Have something else hold the messages of a level."""
        self._levels[number] = level
        self.count_anew()

    @abstractmethod
    def count_anew(self) -> None:
        """Learn that levels were replaced, or have messages that were not added here."""

    @abstractmethod
    def number_of(self, queued: QueuedMessage) -> int:
        """Say which level a message belongs to."""

    @property
    def body_bytes(self) -> int:
        """Octets of all bodies."""
        return sum(level.body_bytes for level in self._levels)


class PriorityReady(LeveledReady):
    """A first-in-first-out for each priority, the highest first (https://www.rabbitmq.com/docs/priority)."""

    __slots__ = ("_higher", "_higher_count", "_lowest", "_top")

    def __init__(self, max_priority: int) -> None:
        """Have priorities from 0 to the highest."""
        super().__init__(max_priority + 1)
        self._lowest = self._levels[0]
        self._top = max_priority
        # Messages above the lowest level, most often there are none; and which levels have some, a bit each.
        self._higher_count = 0
        self._higher = 0

    def number_of(self, queued: QueuedMessage) -> int:
        """Say which level a message belongs to; what is too high counts as the highest."""
        return min(queued.message.priority, self._top)

    def count_anew(self) -> None:
        """Learn that levels were replaced, or have messages that were not added here."""
        self._lowest = self._levels[0]
        self._higher = sum(1 << number for number, level in enumerate(self._levels) if level and number)
        self._higher_count = sum(map(len, self._levels)) - len(self._lowest)

    def append(self, queued: QueuedMessage) -> None:
        """Add a message at the end of its priority; what is too high counts as the highest."""
        number = queued.message.priority
        number = number if number < self._top else self._top
        self._levels[number].append(queued)
        if number:
            self._higher |= 1 << number
            self._higher_count += 1

    def put_back(self, queued: QueuedMessage) -> None:
        """Return a message to its place."""
        number = queued.message.priority
        number = number if number < self._top else self._top
        self._levels[number].put_back(queued)
        if number:
            self._higher |= 1 << number
            self._higher_count += 1

    def pop(self) -> QueuedMessage | None:
        """Take the first message of the highest priority that has any."""
        while self._higher:
            number = self._higher.bit_length() - 1
            level = self._levels[number]
            queued = level.pop()
            if not level:
                self._higher ^= 1 << number
            if queued is not None:
                self._higher_count -= 1
                return queued
        self._higher_count = 0
        return self._lowest.pop()

    def pop_expired(self, now_s: float) -> QueuedMessage | None:
        """Take the first message of the highest priority that has any, if it has expired."""
        return self.pop() if self.next_expiry_s <= now_s else None

    @property
    def next_expiry_s(self) -> float:
        """When the first message expires."""
        return self._levels[max(0, self._higher.bit_length() - 1)].next_expiry_s

    def after(self, last: QueuedMessage | None) -> Iterator[QueuedMessage]:
        """Show what leaves after a message."""
        lower = len(self._levels)
        if last is not None:
            lower = min(last.message.priority, lower - 1)
            yield from self._levels[lower].after(last)
        for level in reversed(self._levels[:lower]):
            yield from level.after(None)

    def listed(self) -> Iterator[tuple[QueuedMessage, bool]]:
        """Show everything, and how to put it back."""
        for level in self._levels:
            yield from level.listed()

    def drain(self) -> Iterator[QueuedMessage]:
        """Take everything, the highest priority first."""
        self._higher = self._higher_count = 0
        for level in reversed(self._levels):
            yield from level.drain()

    def __len__(self) -> int:
        return self._higher_count + len(self._lowest)


class TwoLevelReady(LeveledReady):
    """Two of those with a priority from 5 on, then one of the others, as quorum queues of 4.0 do it.

    See https://www.rabbitmq.com/docs/quorum-queues#priorities.
    """

    __slots__ = ("_high", "_high_in_a_row", "_normal")

    def __init__(self) -> None:
        super().__init__(2)
        self._normal, self._high = self._levels
        self._high_in_a_row = 0

    def number_of(self, queued: QueuedMessage) -> int:
        """Say which level a message belongs to."""
        return int(queued.message.priority >= HIGH_PRIORITY)

    def count_anew(self) -> None:
        """Learn that levels were replaced."""
        self._normal, self._high = self._levels

    def append(self, queued: QueuedMessage) -> None:
        """Add a message at the end of its level."""
        self._level(queued).append(queued)

    def put_back(self, queued: QueuedMessage) -> None:
        """Return a message to its place in its level."""
        self._level(queued).put_back(queued)

    def pop(self) -> QueuedMessage | None:
        """Take the first message of the level whose turn it is."""
        level = self._next_level()
        self._high_in_a_row = self._high_in_a_row + 1 if level is self._high else 0
        return level.pop()

    def pop_expired(self, now_s: float) -> QueuedMessage | None:
        """Take the first message if it has expired."""
        return self.pop() if self.next_expiry_s <= now_s else None

    @property
    def next_expiry_s(self) -> float:
        """When the first message expires."""
        return self._next_level().next_expiry_s

    def after(self, last: QueuedMessage | None) -> Iterator[QueuedMessage]:
        """Show what leaves after a message; as if all of the higher level went first."""
        if last is None or self._level(last) is self._high:
            yield from self._high.after(last)
            last = None
        yield from self._normal.after(last)

    def listed(self) -> Iterator[tuple[QueuedMessage, bool]]:
        """Show everything, and how to put it back."""
        yield from self._high.listed()
        yield from self._normal.listed()

    @property
    def turn(self) -> int:
        """How many of the higher level went in a row."""
        return self._high_in_a_row

    @turn.setter
    def turn(self, turn: int) -> None:
        self._high_in_a_row = turn

    def drain(self) -> Iterator[QueuedMessage]:
        """Take everything, the higher level first."""
        self._high_in_a_row = 0
        yield from self._high.drain()
        yield from self._normal.drain()

    def __len__(self) -> int:
        return len(self._high) + len(self._normal)

    def _next_level(self) -> FifoReady:
        if not self._high or (self._normal and self._high_in_a_row >= _HIGH_IN_A_ROW_MAX):
            return self._normal
        return self._high

    def _level(self, queued: QueuedMessage) -> FifoReady:
        return self._high if queued.message.priority >= HIGH_PRIORITY else self._normal


class ReturnsFirst(Ready):
    """What came back leaves first, in the order in which it came back: quorum queues since 4.0."""

    __slots__ = ("_fresh", "_returned")

    def __init__(self, fresh: LeveledReady) -> None:
        self._fresh = fresh
        self._returned: deque[QueuedMessage] = deque()

    def append(self, queued: QueuedMessage) -> None:
        """Add a message that was never handed out."""
        self._fresh.append(queued)

    def put_back(self, queued: QueuedMessage) -> None:
        """Add a message behind the others that came back."""
        self._returned.append(queued)

    def pop(self) -> QueuedMessage | None:
        """Take the first message."""
        return self._returned.popleft() if self._returned else self._fresh.pop()

    def pop_expired(self, now_s: float) -> QueuedMessage | None:
        """Take the first message if it has expired."""
        return self.pop() if self.next_expiry_s <= now_s else None

    @property
    def next_expiry_s(self) -> float:
        """When the first message expires."""
        return self._returned[0].expires_at_s if self._returned else self._fresh.next_expiry_s

    def after(self, last: QueuedMessage | None) -> Iterator[QueuedMessage]:
        """Show what leaves after a message; what came back by its level, then by its age."""
        if last is None or last.returned_at:
            returned = sorted(self._returned, key=self._age)
            yield from returned if last is None else (one for one in returned if self._age(one) > self._age(last))
            last = None
        yield from self._fresh.after(last)

    def listed(self) -> Iterator[tuple[QueuedMessage, bool]]:
        """Show everything, and how to put it back."""
        yield from ((queued, True) for queued in self._returned)
        yield from self._fresh.listed()

    @property
    def body_bytes(self) -> int:
        """Octets of all bodies."""
        return sum(queued.message.body_size for queued in self._returned) + self._fresh.body_bytes

    @property
    def turn(self) -> int:
        """Whose turn it is among those that were never handed out."""
        return self._fresh.turn

    @turn.setter
    def turn(self, turn: int) -> None:
        self._fresh.turn = turn

    def drain(self) -> Iterator[QueuedMessage]:
        """Take everything."""
        while self._returned:
            yield self._returned.popleft()
        yield from self._fresh.drain()

    @property
    def fresh(self) -> LeveledReady:
        """What was never handed out."""
        return self._fresh

    def __len__(self) -> int:
        return len(self._returned) + len(self._fresh)

    def _age(self, queued: QueuedMessage) -> tuple[int, int]:
        return -self._fresh.number_of(queued), queued.position


class ReturnsLast(FifoReady):
    """What came back goes to the end: quorum queues of 3.x."""

    __slots__ = ()

    def put_back(self, queued: QueuedMessage) -> None:
        """Add a message at the end."""
        self.append(queued)

    def after(self, last: QueuedMessage | None) -> Iterator[QueuedMessage]:
        """Show what leaves after a message; if it left, all that were before it did."""
        start = self._fresh.index(last) + 1 if last is not None and last in self._fresh else 0
        return islice(self._fresh, start, None)


def size_of(queued: QueuedMessage) -> int:
    """Say how much memory a message holds."""
    return queued.message.memory_size + MESSAGE_OVERHEAD_BYTES


def _position(queued: QueuedMessage) -> int:
    return queued.position
