"""The quorum queue in the journal: it stores every message, and keeps a line for each level of priority there.

Rule 1: a message has its place in its line, as in a queue with priorities. The names of lines say how many there are:
        that depends on the version.
Rule 2: what another version left there is stored anew, in the lines of this one. Between priorities it keeps the order
        of batches.
Rule 3: what came back is marked with the number of its return: after a restart, too, what came back first leaves first.
Rule 4: where what came back goes to the end, it is stored anew there: pages ascend.
Rule 5: what may have been handed out before a crash is told by batches: lines have places of their own.
"""

from collections.abc import Callable, Iterable

from amqpy_broker.core.journal import JournalWriter, Mark, Page, Stored, level_name, level_of
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import QueuedMessage, Surroundings
from amqpy_broker.core.queues.journaled import Journaled
from amqpy_broker.core.queues.levels import LevelPager
from amqpy_broker.core.queues.paged import PagedReady, Pager
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.quorum import CountedMessage, QuorumQueue, level_number
from amqpy_broker.core.queues.quorum_lines import ReturnsFirstLine, ReturnsLastLine
from amqpy_broker.core.queues.ready import ReturnsFirst

_PRIORITIES_COUNT = 256


class JournaledQuorumQueue(Journaled, QuorumQueue):
    """A durable quorum queue, as all are."""

    __slots__ = ("_delivered_batch", "_level_numbers", "_names", "_places")

    stores_all = True
    mixes = False

    def __init__(self, properties: QueueProperties, around: Surroundings) -> None:
        super().__init__(properties, around)
        # What is in this batch or an earlier one may have been handed out before the last restart.
        self._delivered_batch = 0
        # By priority: its level, and the name of that.
        self._level_numbers = tuple(level_number(around.profile, number) for number in range(_PRIORITIES_COUNT))
        self._names = tuple(self._line_name(number) for number in self._level_numbers)
        # The last place of each level.
        self._places = [0] * around.profile.quorum_priority_levels

    # --- lines ------------------------------------------------------------------------------------------------------

    @property
    def _first_name(self) -> int:
        """What the name of the lowest line has above the queue's id."""
        levels_count = self._around.profile.quorum_priority_levels
        return levels_count if levels_count > 1 else 0

    def _line_name(self, number: int) -> int:
        return level_name(self._name, self._first_name + number)

    def _name_of(self, message: Message) -> int:
        return self._names[message.priority]

    def _journal_names(self, journal_id: int) -> Iterable[int]:
        return dict.fromkeys(self._names)

    def _new_pager(self, journal: JournalWriter) -> Pager:
        window = self._around.window
        if isinstance(self._ready, ReturnsFirst):

            def make_level(number: int) -> PagedReady:
                return ReturnsFirstLine(journal, self._line_name(number), self, window, mixed=False)

            return LevelPager(self._ready.fresh, make_level, first_name=self._first_name)
        line = ReturnsLastLine(journal, self._line_name(0), self, window, mixed=False)
        self._ready = line
        return line

    def page_out(self, wanted_bytes: int) -> int:
        """Make room in memory, as far as messages are synced: all of them are in the journal."""
        window = self._around.window
        if self._pager is None or self._bytes <= window.head_min_bytes:
            return 0
        return self._pager.page_out(window.head_min_bytes, spill=False, wanted_bytes=wanted_bytes)

    # --- places -----------------------------------------------------------------------------------------------------

    def _place_expiring(self, message: Message, expires_at_s: float) -> QueuedMessage:
        queued = super()._place_expiring(message, expires_at_s)
        self._go_to_the_end(queued)
        return queued

    def _go_to_the_end(self, queued: QueuedMessage) -> None:
        """Give a message the next place of its line."""
        number = self._level_numbers[queued.message.priority]
        self._places[number] = queued.position = self._places[number] + 1

    def _until_now(self) -> Callable[[QueuedMessage], bool]:
        ends = list(self._places)
        return lambda queued: queued.position <= ends[self._level_numbers[queued.message.priority]]

    def _put_back(self, queued: QueuedMessage) -> None:
        if not isinstance(self._ready, ReturnsFirst):
            self._release(queued)
            self._go_to_the_end(queued)
            self._store_again(queued)
        super()._put_back(queued)

    def _store_again(self, queued: QueuedMessage) -> None:
        """Store a message in another place. It is forgotten at its old one in the same batch."""
        assert isinstance(queued, CountedMessage)
        told, queued.message = queued.message, queued.original
        self._store(queued)
        queued.message = told
        if queued.redelivered:
            self._mark(queued, self._mark_of(queued))

    def _mark_of(self, queued: QueuedMessage) -> Mark:
        assert isinstance(queued, CountedMessage)
        return Mark(queued.delivery_count, queued.acquired_count, queued.returned_at)

    # --- through a restart ------------------------------------------------------------------------------------------

    def take_back(self, pages: list[Page], delivered_place: int, *, crashed: bool) -> None:
        """Have again what the journal kept; `delivered_place` is the batch that `rest` told."""
        self._deaths = []
        last_batch = max((page.batch for page in pages), default=0)
        self._delivered_batch = max(last_batch, delivered_place) if crashed else delivered_place
        names = set(self._names)
        own = [page for page in pages if page.queue in names]
        for page in own:
            number = level_of(page.queue) - self._first_name
            self._places[number] = max(self._places[number], page.last)
        self._take_back_pages(own)
        self._store_anew([page for page in pages if page.queue not in names])

    def _take_back_pages(self, pages: list[Page]) -> None:
        if not isinstance(self._pager, LevelPager):
            super()._take_back_pages(pages)
            return
        self._count_pages(pages)
        lasting: list[Page] = []
        returned: list[tuple[Stored, int]] = []
        for page in pages:
            rest: Page | None = page
            if page.marked or self._deduplication is not None:
                line = self._pager.paged_level(level_of(page.queue) - self._first_name)
                assert isinstance(line, ReturnsFirstLine)
                rest, found = line.look_through(page, self._seen)
                returned += ((stored, page.batch) for stored in found)
            if rest is not None:
                lasting.append(rest)
        self._pager.take_pages(lasting)
        for queued in sorted((self.revive(stored, batch) for stored, batch in returned), key=_returned_at):
            self._returns_count = queued.returned_at
            self._ready.put_back(queued)

    def _seen(self, message: Message) -> None:
        if self._deduplication is not None:
            self._deduplication.seen(message)

    def _store_anew(self, pages: list[Page]) -> None:
        """Take back what another version left, and store it in the lines of this one."""
        found: list[QueuedMessage] = []
        for page in pages:
            for stored in self._journal.read(page):
                self._seen(stored.message)
                queued = self.revive(stored, page.batch)
                self._journal.settle(page.batch, page.queue, stored.place)
                found.append(queued)
        for queued in sorted(found, key=_returned_at):
            self._go_to_the_end(queued)
            self._store_again(queued)
            if queued.returned_at:
                self._returns_count = queued.returned_at
                self._ready.put_back(queued)
            else:
                self._ready.append(queued)
            if self.settings.max_length_bytes is not None:
                self._ready_body_bytes += queued.message.body_size

    def revive(self, stored: Stored, batch: int) -> QueuedMessage:
        """Give a message that was read from the journal its place again, and what is known of it."""
        number = self._level_numbers[stored.message.priority]
        last_place = self._places[number]
        queued = super().revive(stored, batch)
        self._places[number] = last_place
        queued.position = stored.place
        queued.redelivered = stored.mark is not None or batch <= self._delivered_batch
        return queued

    def _remember(self, queued: QueuedMessage, mark: Mark) -> None:
        assert isinstance(queued, CountedMessage)
        queued.delivery_count, queued.acquired_count, queued.returned_at = mark
        if mark.acquired_count:
            self._tell(queued)

    def rest(self) -> int:
        """End before a stop: what was handed out has come back by now, and is marked."""
        return self._delivered_batch


def _returned_at(queued: QueuedMessage) -> int:
    return queued.returned_at
