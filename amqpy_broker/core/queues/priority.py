"""The queue with `x-max-priority`: a line for each priority, the highest first (https://www.rabbitmq.com/docs/priority).

Rule 1: a message has its place in its line: places in different lines have nothing to do with each other. So lines are
        without gaps in the journal, too, where each has a name of its own.
"""

from collections.abc import Callable, Iterable

from amqpy_broker.core.journal import JournalWriter, Stored, level_name
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import QueuedMessage, Surroundings
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.contents import Kept
from amqpy_broker.core.queues.levels import LevelPager
from amqpy_broker.core.queues.paged import PagedReady, Pager
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.ready import PriorityReady


class PriorityQueue(ClassicQueue):
    """A classic queue with priorities."""

    __slots__ = ("_highest", "_leveled", "_places")

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties, around)
        assert self.settings.max_priority is not None
        self._highest = self.settings.max_priority
        self._ready = self._leveled = PriorityReady(self._highest)
        # The last place of each priority.
        self._places = [0] * (self._highest + 1)

    # --- places -----------------------------------------------------------------------------------------------------

    def _place(self, message: Message) -> QueuedMessage:
        number = message.priority
        number = number if number < self._highest else self._highest
        self._next_position += 1
        self._places[number] = place = self._places[number] + 1
        self._bytes += message.memory_size + MESSAGE_OVERHEAD_BYTES
        return QueuedMessage(message, self, place)

    def _place_expiring(self, message: Message, expires_at_s: float) -> QueuedMessage:
        queued = super()._place_expiring(message, expires_at_s)
        number = min(message.priority, self._highest)
        self._places[number] = queued.position = self._places[number] + 1
        return queued

    def _until_now(self) -> Callable[[QueuedMessage], bool]:
        ends = list(self._places)
        return lambda queued: queued.position <= ends[min(queued.message.priority, self._highest)]

    def _place_again(self, kept: Kept, shift_s: float) -> QueuedMessage:
        queued = super()._place_again(kept, shift_s)
        self._move(queued, kept.position)
        return queued

    def _move(self, queued: QueuedMessage, position: int) -> None:
        """Give a message that was just placed a place that it had."""
        number = min(queued.message.priority, self._highest)
        self._places[number] = max(self._places[number] - 1, position)
        queued.position = position

    # --- paging -----------------------------------------------------------------------------------------------------

    def revive(self, stored: Stored, batch: int) -> QueuedMessage:
        """Give a message that was read from the journal its place again. Its memory counts from now on."""
        queued = super().revive(stored, batch)
        self._move(queued, stored.place)
        return queued

    def _new_pager(self, journal: JournalWriter) -> Pager | None:
        def make_level(number: int) -> PagedReady:
            return self._new_line(journal, level_name(self._new_journal_id(), number))

        return LevelPager(self._leveled, make_level)

    def _name_of(self, message: Message) -> int:
        assert self.journal_id is not None
        return level_name(self.journal_id, min(message.priority, self._highest))

    def _journal_names(self, journal_id: int) -> Iterable[int]:
        return (level_name(journal_id, number) for number in range(self._highest + 1))
