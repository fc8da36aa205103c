"""Message groups: messages of one group go to one consumer, in order, while others work on other groups.

Rule 1: the first consumer that gets a message of a group owns the group as long as it lives.
Rule 2: a group whose owner cannot take a message waits, and holds up nobody else.
Rule 3: when its owner has gone, a group waits until what that had unacknowledged is settled or has come back. So nobody
        works on a group that another works on. What was got without a consumer counts like a consumer that has gone.
Rule 4: messages without a group go to anybody.
"""

from collections.abc import Iterable
from typing import Final
from weakref import WeakValueDictionary

from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.journal import JournalWriter
from amqpy_broker.core.limits import MESSAGE_GROUPS_MAX, MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Consumer, QueuedMessage, Reason, Surroundings
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.keys import header_key
from amqpy_broker.core.queues.lanes import Group, GroupedMessage, GroupedReady
from amqpy_broker.core.queues.paged import Pager
from amqpy_broker.core.queues.paged_lanes import PagedLanes
from amqpy_broker.core.queues.properties import QueueProperties

# JMS clients write the second.
GROUP_HEADERS: Final = ("x-message-group", "JMSXGroupID")
_NEVER: Final = float("inf")


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

    def _drop_expired(self) -> None:
        super()._drop_expired()
        self._look_further()

    def _drop_over_limit(self, *, returned: bool = False) -> None:
        super()._drop_over_limit(returned=returned)
        self._look_further()

    def _look_further(self) -> None:
        """Hand out what stood behind too many messages that others have to take, if some of these have died."""
        if self._grouped.has_room_again:
            self._dispatch()

    def _new_pager(self, journal: JournalWriter) -> Pager | None:
        line = self._new_line(journal, self._new_journal_id())
        self._ready = self._grouped = paged = PagedLanes(line, self._grouped, self._around.window.ahead_bytes)
        return paged

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
        self._ready.append(queued)
        if self.settings.max_length_bytes is not None:
            self._ready_body_bytes += queued.message.body_size
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
        queued = self._grouped.pop_for(consumer) if self._expiry is None else self._pop_living_for(consumer)
        if queued is not None and self.settings.max_length_bytes is not None:
            self._ready_body_bytes -= queued.message.body_size
        return queued

    def _pop_living_for(self, consumer: Consumer | None) -> GroupedMessage | None:
        """Take what a consumer may have and has not expired; what it is behind of may have."""
        super()._drop_expired()
        now_s = self._around.timers.now_s
        while (queued := self._grouped.pop_for(consumer)) is not None and queued.expires_at_s <= now_s:
            self._forget_ready(queued)
            self._bury(queued, Reason.EXPIRED)
        return queued

    def _dispatch(self) -> None:
        if self._expiry is None:
            while self._dispatch_one():
                pass
            return
        # Nobody is told of deaths while a message is on its way to a consumer: a dead letter may come back at once.
        collects_deaths = self._deaths is None
        if collects_deaths:
            self._deaths = []
        while self._dispatch_one():
            pass
        # What is the first of its lane now may expire before what was.
        self._arm_expiry()
        if collects_deaths:
            self._tell_deaths()

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
