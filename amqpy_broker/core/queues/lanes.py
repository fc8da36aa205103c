"""What is ready in a queue with message groups: sorted by who may have it.

What groups are, and their rules, stands in `groups.py`.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import Final

from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Consumer, ExpiringMessage, Queue, QueuedMessage
from amqpy_broker.core.queues.ready import Ready

_NEVER: Final = float("inf")


class Group:
    """Who works on the messages of a group."""

    __slots__ = ("__weakref__", "owner", "unacked_count")

    def __init__(self) -> None:
        self.owner: Consumer | None = None
        self.unacked_count = 0


class GroupedMessage(ExpiringMessage):
    """A queued message that knows its group, if it has one."""

    __slots__ = ("group",)

    def __init__(self, message: Message, queue: Queue, position: int, expires_at_s: float, group: Group | None) -> None:
        super().__init__(message, queue, position, expires_at_s)
        self.group = group


class GroupedReady(Ready):
    """Lanes, each a heap by position: one for anybody, one for each owner, one for each group that has to wait.

    A message in the lane for anybody may have got an owner since: it is moved when it is the first there.
    """

    __slots__ = ("_anybody", "_owners", "_waiting")

    def __init__(self) -> None:
        self._anybody: list[GroupedMessage] = []
        self._owners: dict[Consumer, list[GroupedMessage]] = {}
        self._waiting: dict[Group, list[GroupedMessage]] = {}

    def append(self, queued: QueuedMessage) -> None:
        """Add a message that was never handed out."""
        assert isinstance(queued, GroupedMessage)
        heappush(self._lane(queued), queued)

    def put_back(self, queued: QueuedMessage) -> None:
        """Return a message to its place."""
        self.append(queued)

    def pop_for(self, consumer: Consumer | None) -> GroupedMessage | None:
        """Take the first message that a consumer may have, or whoever asks without being one."""
        anybody = self._anybody
        while anybody and (lane := self._lane(anybody[0])) is not anybody:
            heappush(lane, heappop(anybody))
        own = None if consumer is None else self._owners.get(consumer)
        lane = own if own and (not anybody or own[0] < anybody[0]) else anybody
        return heappop(lane) if lane else None

    def pop(self) -> QueuedMessage | None:
        """Take the oldest message, whoever it is for."""
        lane = min((lane for lane in self._lanes() if lane), key=lambda lane: lane[0], default=None)
        return None if lane is None else heappop(lane)

    def pop_expired(self, now_s: float) -> QueuedMessage | None:
        """Take a message that has expired and is the first of its lane."""
        for lane in self._lanes():
            if lane and lane[0].expires_at_s <= now_s:
                return heappop(lane)
        return None

    @property
    def next_expiry_s(self) -> float:
        """When the first of the first messages expires."""
        return min((lane[0].expires_at_s for lane in self._lanes() if lane), default=_NEVER)

    def after(self, last: QueuedMessage | None) -> Iterator[QueuedMessage]:
        """Show what is younger than a message."""
        position = 0 if last is None else last.position
        yield from sorted(queued for lane in self._lanes() for queued in lane if queued.position > position)

    def drain(self) -> Iterator[QueuedMessage]:
        """Take everything."""
        drained = sorted(queued for lane in self._lanes() for queued in lane)
        self._anybody, self._owners, self._waiting = [], {}, {}
        yield from drained

    def owner_left(self, consumer: Consumer) -> None:
        """Let others have what was for a consumer that has gone."""
        self._release(self._owners.pop(consumer, []))

    def unlock(self, group: Group) -> None:
        """Let anybody have the messages of a group that had to wait."""
        self._release(self._waiting.pop(group, []))

    @property
    def looked_at(self) -> Iterator[QueuedMessage]:
        """What is in lanes, in no order."""
        return chain.from_iterable(self._lanes())

    @property
    def has_room_again(self) -> bool:
        """Whether a consumer that found nothing may find something now, though nothing came, and nobody left."""
        return False

    def __len__(self) -> int:
        return sum(map(len, self._lanes()))

    def _release(self, lane: list[GroupedMessage]) -> None:
        self._anybody += lane
        heapify(self._anybody)

    def _lanes(self) -> Iterator[list[GroupedMessage]]:
        yield self._anybody
        yield from self._owners.values()
        yield from self._waiting.values()

    def _lane(self, queued: GroupedMessage) -> list[GroupedMessage]:
        group = queued.group
        if group is None:
            return self._anybody
        if group.owner is not None:
            return self._owners.setdefault(group.owner, [])
        return self._waiting.setdefault(group, []) if group.unacked_count else self._anybody
