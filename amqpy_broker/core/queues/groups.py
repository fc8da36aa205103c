"""Message groups: messages of one group go to one consumer, in order, while others work on other groups.

Rule 1: the first consumer that gets a message of a group owns the group as long as it lives.
Rule 2: a group whose owner cannot take a message waits, and holds up nobody else.
Rule 3: when its owner has gone, a group waits until what that had unacknowledged is settled or has come back. So nobody
        works on a group that another works on. What was got without a consumer counts like a consumer that has gone.
Rule 4: messages without a group go to anybody.
"""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Final
from weakref import WeakValueDictionary

from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.limits import MESSAGE_GROUPS_MAX, MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Consumer, ExpiringMessage, Queue, QueuedMessage, Surroundings
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.keys import header_key
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.ready import Ready

# JMS clients write the second.
GROUP_HEADERS: Final = ("x-message-group", "JMSXGroupID")
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


class GroupedQueue(ClassicQueue):
    """A classic queue with `x-message-groups`."""

    __slots__ = ("_grouped", "_groups", "_recent")

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties, around)
        self._ready = self._grouped = GroupedReady()
        # Those that have messages, or were used lately: these keep their owners without messages too.
        self._groups: WeakValueDictionary[bytes, Group] = WeakValueDictionary()
        self._recent: dict[Group, None] = {}

    @classmethod
    def check(cls, properties: QueueProperties, resource: str) -> None:
        """Refuse what would break the order in a group.

        Raises:
            PreconditionFailed: it is asked for together with groups.
        """
        settings = properties.settings
        for asked, name in (
            (settings.max_priority, "x-max-priority"),
            (settings.last_value_key, "x-last-value-key"),
            (settings.retry, "x-delayed-retry-type"),
        ):
            if asked is not None:
                raise PreconditionFailed(f"invalid arg 'x-message-groups' for {resource}: not together with '{name}'")

    def settle(self, queued: QueuedMessage) -> None:
        """Forget a message that was handed out; its group may go on."""
        self._forget_unacked(queued)

    def _forget_unacked(self, queued: QueuedMessage) -> None:
        super()._forget_unacked(queued)
        if self._let_go(queued) and not self.deleted:
            self._dispatch()

    def requeue(self, returned: Iterable[QueuedMessage], *, failed: bool = True) -> None:
        """Take messages back to their places, marked redelivered."""
        returned = list(returned)
        if not self.deleted:
            for queued in returned:
                self._let_go(queued)
        super().requeue(returned, failed=failed)

    def remove_consumer(self, consumer: Consumer) -> None:
        """Remove a consumer: its groups are for others, once what it has is settled."""
        super().remove_consumer(consumer)
        for group in list(self._groups.values()):
            if group.owner is consumer:
                group.owner = None
        self._grouped.owner_left(consumer)
        self._dispatch()

    def _empty(self) -> None:
        super()._empty()
        self._groups = WeakValueDictionary()
        self._recent = {}

    def _let_go(self, queued: QueuedMessage) -> bool:
        """Learn that a message is no longer worked on; say whether its group waited for that."""
        assert isinstance(queued, GroupedMessage)
        group = queued.group
        if group is None:
            return False
        group.unacked_count -= 1
        if group.unacked_count or group.owner is not None:
            return False
        self._grouped.unlock(group)
        return True

    def _place(self, message: Message) -> QueuedMessage:
        return self._place_expiring(message, _NEVER)

    def _place_expiring(self, message: Message, expires_at_s: float) -> QueuedMessage:
        self._next_position += 1
        self._bytes += message.memory_size + MESSAGE_OVERHEAD_BYTES
        return GroupedMessage(message, self, self._next_position, expires_at_s, self._group_of(message))

    def _group_of(self, message: Message) -> Group | None:
        key = next((key for header in GROUP_HEADERS if (key := header_key(message, header)) is not None), None)
        if key is None:
            return None
        group = self._groups.setdefault(key, Group())
        self._recent.pop(group, None)
        self._recent[group] = None
        if len(self._recent) > MESSAGE_GROUPS_MAX:
            del self._recent[next(iter(self._recent))]
        return group

    def _admit(self, queued: QueuedMessage) -> None:
        self._put_back(queued)
        self._dispatch()
        if self._is_over_limit():
            self._drop_over_limit()
        if self._expiry is not None:
            self._drop_expired()

    def _pop_ready(self) -> QueuedMessage | None:
        # For basic.get.
        queued = self._pop_for(None)
        if queued is not None and queued.group is not None:
            queued.group.unacked_count += 1
        return queued

    def _pop_for(self, consumer: Consumer | None) -> GroupedMessage | None:
        if self._expiry is not None:
            self._drop_expired()
        queued = self._grouped.pop_for(consumer)
        if queued is not None and self.settings.max_length_bytes is not None:
            self._ready_body_bytes -= queued.message.body_size
        return queued

    def _dispatch(self) -> None:
        while self._dispatch_one():
            pass

    def _dispatch_one(self) -> bool:
        """Hand out one message to the first consumer in turn that there is one for."""
        for consumer in self._takers.in_turn():
            queued = self._pop_for(consumer)
            if queued is not None:
                self._hand_out_to(consumer, queued)
                return True
        return False

    def _hand_out_to(self, consumer: Consumer, queued: GroupedMessage) -> None:
        self._takers.remove(consumer)
        consumer.waiting = True
        if queued.group is not None:
            queued.group.owner = consumer
        if consumer.no_ack:
            self._bytes -= queued.message.memory_size + MESSAGE_OVERHEAD_BYTES
            has_room = consumer.deliver(queued.message, queued.redelivered, None)
        else:
            queued.consumer = consumer
            self._unacked_count += 1
            if queued.group is not None:
                queued.group.unacked_count += 1
            has_room = consumer.deliver(queued.message, queued.redelivered, queued)
        if has_room:
            consumer.waiting = False
            self._takers.add(consumer)
