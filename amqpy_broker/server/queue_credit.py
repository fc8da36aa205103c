"""Credit of queues: how much their publishers may have acted on, however many publishers a queue has.

Rule 1: in a turn of the loop all publishers of a queue together have what one publisher has: one largest read, and one
        share of the time. So a turn does not grow with them, and who publishes elsewhere alone gets as much as they.
        The only publisher of a queue has no need of that: the size of its reads sees to it.
Rule 2: a queue takes no more while so much of what it took is not synced. So no batch is mostly one queue's, and what
        a slow disk keeps waiting is bounded, queue by queue.
Rule 3: who publishes to a queue without credit waits with the read that it has sent, and is not read from. First come,
        first served.

Which queue a read is for is a sample: the first queue of the last publish in it, and before it is acted on, in the read
before. Over time it is fair; looking at each message would cost more than it is worth. A message in several queues
counts in the first: it was read once, and is written once. What is not routed counts nowhere.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from weakref import WeakValueDictionary

from amqpy_broker.core.journal import JournalWriter
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES, QUEUE_UNSYNCED_MAX_BYTES
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.server.credit import LARGEST_READ_BYTES, LEAST_SHARE_S, ClientCredit, Credit


class QueueCredits:
    """The credit of all queues. A queue that nobody publishes to, and that owes nothing, is not in it.

    `after_turn` calls a function when every client had its turn.
    """

    def __init__(
        self, credit: Credit, after_turn: Callable[[Callable[[], None]], None], journal: JournalWriter | None = None
    ) -> None:
        self.credit = credit
        self.after_turn = after_turn
        self._journal = journal
        self._credits: WeakValueDictionary[Queue, QueueCredit] = WeakValueDictionary()
        # What is in the batch that is being gathered now, and the number of that batch.
        self._unsynced: dict[QueueCredit, int] | None = None
        self._batch = 0

    def __len__(self) -> int:
        return len(self._credits)

    def of(self, queue: Queue) -> QueueCredit:
        """Return the credit of a queue."""
        credit = self._credits.get(queue)
        if credit is None:
            credit = self._credits[queue] = QueueCredit(self)
        return credit

    @property
    def stored_count(self) -> int:
        """A number that grows with every message that waits for a sync."""
        return 0 if self._journal is None else self._journal.stored_count

    def wait_for_sync(self, credit: QueueCredit, size: int) -> None:
        """Take so much memory from a queue's credit until what was stored so far is synced."""
        journal = self._journal
        assert journal is not None
        unsynced = self._unsynced
        if unsynced is None or self._batch != journal.number:
            unsynced = self._unsynced = {}
            self._batch = journal.number
            journal.after_sync(partial(self._synced, unsynced))
        unsynced[credit] = unsynced.get(credit, 0) + size
        credit.unsynced_bytes += size
        if credit.waits_for_sync:
            # Its publishers are about to wait.
            journal.when_synced(_nobody)

    def _synced(self, unsynced: dict[QueueCredit, int]) -> None:
        # A batch that came to nothing is not handed over, and its number goes on.
        if unsynced is self._unsynced:
            self._unsynced = None
        for credit, size in unsynced.items():
            credit.synced(size)


class QueueCredit:
    """What the publishers of one queue have left, and who waits for it."""

    __slots__ = (
        "__weakref__",
        "_all",
        "_busy_count",
        "_publishers_count",
        "_spent_s",
        "_taken_bytes",
        "_turn_is_to_end",
        "_waiting",
        "unsynced_bytes",
    )

    def __init__(self, credits_of_all: QueueCredits) -> None:
        self._all = credits_of_all
        self._publishers_count = 0
        self._busy_count = 0
        # What was used of the turn. Too much of it is paid back in the next ones.
        self._taken_bytes = 0
        self._spent_s = 0.0
        self._turn_is_to_end = False
        self.unsynced_bytes = 0
        # Who waits, the first first, and how to let it go on.
        self._waiting: OrderedDict[Publisher, Callable[[], None]] = OrderedDict()

    # --- shares -----------------------------------------------------------------------------------------------------

    @property
    def share_s(self) -> float:
        """How long a read of one of its publishers may take."""
        return max(self._all.credit.share_s / max(self._busy_count, 1), LEAST_SHARE_S)

    def change(self, count: int) -> None:
        """Learn that so many more of its publishers are busy, or fewer: however many, they are one among others."""
        was_busy = self._busy_count > 0
        self._busy_count += count
        is_busy = self._busy_count > 0
        if is_busy is not was_busy:
            self._all.credit.change(1 if is_busy else -1)

    def join(self) -> None:
        """Learn of one more publisher."""
        self._publishers_count += 1

    def part(self) -> None:
        """Learn of one publisher fewer."""
        self._publishers_count -= 1
        self._let_in()

    # --- what is left -----------------------------------------------------------------------------------------------

    @property
    def is_there(self) -> bool:
        """Whether a publisher may go on."""
        return not (self._turn_is_used or self.waits_for_sync)

    @property
    def waiting_count(self) -> int:
        """How many publishers wait."""
        return len(self._waiting)

    @property
    def waits_for_sync(self) -> bool:
        """Whether too much is not synced."""
        return self.unsynced_bytes >= QUEUE_UNSYNCED_MAX_BYTES

    @property
    def _turn_is_used(self) -> bool:
        return self._publishers_count > 1 and (
            self._taken_bytes >= LARGEST_READ_BYTES or self._spent_s >= self._all.credit.share_s
        )

    def take(self, size: int, cost_s: float) -> None:
        """Use so much of the turn."""
        if self._publishers_count <= 1:
            self._taken_bytes, self._spent_s = 0, 0.0
            return
        self._taken_bytes = max(self._taken_bytes + size, 0)
        self._spent_s = max(self._spent_s + cost_s, 0.0)
        self._see_to_the_turn()

    def correct(self, size: int, cost_s: float) -> None:
        """Learn that so much more of the turn was used than was taken, or less."""
        self.take(size, cost_s)
        self._let_in()

    def _see_to_the_turn(self) -> None:
        if self._turn_is_used and not self._turn_is_to_end:
            self._turn_is_to_end = True
            self._all.after_turn(self._end_turn)

    def _end_turn(self) -> None:
        self._turn_is_to_end = False
        self._taken_bytes = max(self._taken_bytes - LARGEST_READ_BYTES, 0)
        self._spent_s = max(self._spent_s - self._all.credit.share_s, 0.0)
        self._let_in()
        self._see_to_the_turn()

    def synced(self, size: int) -> None:
        """Learn that messages of so much memory are durable."""
        self.unsynced_bytes -= size
        self._let_in()

    # --- who waits --------------------------------------------------------------------------------------------------

    def may_go_on(self) -> bool:
        """Whether a publisher may go on that comes now: those that wait come first."""
        return not self._waiting and self.is_there

    def wait(self, publisher: Publisher, go_on: Callable[[], None]) -> None:
        """Let a publisher wait behind the others, until it is told to go on or leaves."""
        self._waiting[publisher] = go_on
        # Its share may have become less than what was spent.
        self._see_to_the_turn()

    def is_waiting(self, publisher: Publisher) -> bool:
        """Whether a publisher waits."""
        return publisher in self._waiting

    def leave(self, publisher: Publisher) -> None:
        """Forget a publisher that waits no longer, if it still does."""
        self._waiting.pop(publisher, None)

    def _let_in(self) -> None:
        while self._waiting and self.is_there:
            publisher, go_on = self._waiting.popitem(last=False)
            publisher.pay()
            go_on()
        if self._waiting:
            self._see_to_the_turn()


class Publisher:
    """One client's part in the credit of the queue that it publishes to, if it does."""

    def __init__(self, credits_of_all: QueueCredits) -> None:
        self._all = credits_of_all
        self.client = ClientCredit(credits_of_all.credit)
        self._queue: Queue | None = None
        self._credit: QueueCredit | None = None
        # How long an octet of the last read took.
        self._s_per_octet = 0.0
        # The read that waits, or is acted on; what was taken for it, and from whom.
        self._size = 0
        self._cost_s = 0.0
        self._paid_to: QueueCredit | None = None
        self._stored_before = 0
        self._held_before = 0

    @property
    def is_waiting(self) -> bool:
        """Whether its queue has no credit for the read that it has sent."""
        return self._credit is not None and self._credit.is_waiting(self)

    def may_go_on(self, size: int) -> bool:
        """Say whether a read of this size may be acted on now; who may not has to `wait`."""
        self._size = size
        credit = self._credit
        if credit is None:
            return True
        if credit.may_go_on():
            self.pay()
            return True
        return False

    def pay(self) -> None:
        """Take from the queue's turn what the read will probably cost; `end` knows what it did cost."""
        credit = self._paid_to = self._credit
        assert credit is not None
        self._cost_s = min(self._size * self._s_per_octet, self._all.credit.share_s)
        credit.take(self._size, self._cost_s)

    def wait(self, go_on: Callable[[], None]) -> None:
        """Wait for credit. `leave` must be called when that is over."""
        assert self._credit is not None
        if self._credit.waits_for_sync:
            # A disk may take its time: others may have the turn meanwhile.
            self.client.rest()
        self._credit.wait(self, go_on)

    def leave(self) -> None:
        """Wait no longer, whether there is credit or not."""
        if self._credit is not None:
            self._credit.leave(self)

    def close(self) -> None:
        """Publish no more: the connection is lost."""
        self.leave()
        self._move_to(None)
        self.client.rest()

    def begin(self, held_bytes: int) -> None:
        """Learn that the read is acted on; `held_bytes` were left over from those before."""
        self._stored_before = self._all.stored_count
        self._held_before = held_bytes
        self.client.begin()

    def end(self, queue: Queue | None, held_bytes: int) -> None:
        """Learn what the read was: the queue that it published to, and what is left over now."""
        completed_bytes = self._size + self._held_before - held_bytes
        if queue is not self._queue and completed_bytes > 0:
            self._move_to(queue)
        self.client.end(self._size)
        self._s_per_octet = self.client.took_s / self._size
        credit = self._credit
        self._settle(credit)
        stored_count = self._all.stored_count - self._stored_before
        if credit is not None and stored_count and completed_bytes > 0:
            self._all.wait_for_sync(credit, completed_bytes + stored_count * MESSAGE_OVERHEAD_BYTES)

    def _move_to(self, queue: Queue | None) -> None:
        before, self._queue = self._credit, queue
        credit = self._credit = None if queue is None else self._all.of(queue)
        self.client.share(self._all.credit if credit is None else credit)
        if credit is not None:
            credit.join()
        if before is not None:
            before.part()

    def _settle(self, credit: QueueCredit | None) -> None:
        """Let the queue that was published to have what the read did cost, and no other."""
        paid_to, self._paid_to = self._paid_to, None
        if paid_to is not credit:
            if paid_to is not None:
                paid_to.correct(-self._size, -self._cost_s)
            if credit is not None:
                credit.take(self._size, self.client.took_s)
        elif credit is not None:
            credit.correct(0, self.client.took_s - self._cost_s)


def _nobody() -> None:
    """Nobody wants to know: the journal is only to hurry."""
