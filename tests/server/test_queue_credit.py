"""Credit of queues: however many publish to one queue, others have their turn; who lags behind on disk waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.core.journal import JournalWriter
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES, QUEUE_UNSYNCED_MAX_BYTES
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.server.credit import LARGEST_READ_BYTES, SMALLEST_READ_BYTES, TURN_S, Credit
from amqpy_broker.server.queue_credit import Publisher, QueueCredits
from tests.fakes import FakeMessage, ManualClock, a_queue
from tests.memory_journal import MemoryJournal

# What some octets cost: a largest read takes a tenth of a turn, or five turns.
CHEAP_S = TURN_S / LARGEST_READ_BYTES / 10
DEAR_S = TURN_S / LARGEST_READ_BYTES * 5
STORED_BYTES = 1000


class Flooder:
    """A client that always has more to say to its queue, and that counts what was acted on."""

    def __init__(self, loop: Loop, queue: Queue | None, *, stores: bool) -> None:
        self.loop = loop
        self.queue = queue
        self.stores = stores
        self.publisher = Publisher(loop.credits)
        self.reads_count = 0
        self.read_bytes = 0
        # The size of a read that waits for credit.
        self.waits_with: int | None = None

    def read(self, size: int | None = None) -> bool:
        """Read once more; say whether that could be acted on."""
        assert self.waits_with is None
        size = size or self.publisher.client.read_size_bytes
        if self.publisher.may_go_on(size):
            self.act_on(size)
            return True
        self.waits_with = size
        self.publisher.wait(lambda: self.loop.let_in.append(self))
        return False

    def push(self, size: int, *, held_before: int = 0, held_after: int = 0) -> None:
        """Read once more, and act on it whether there is credit or not, as when an alarm is raised."""
        self.publisher.may_go_on(size)
        self.act_on(size, held_before=held_before, held_after=held_after)

    def go_on(self) -> None:
        """Act on what has waited."""
        assert self.waits_with is not None
        size, self.waits_with = self.waits_with, None
        self.publisher.leave()
        self.act_on(size)

    def act_on(self, size: int, *, held_before: int = 0, held_after: int = 0) -> None:
        loop = self.loop
        self.publisher.begin(held_before)
        loop.clock.now_s += size * loop.s_per_octet
        if self.stores:
            for _ in range(max(size // STORED_BYTES, 1)):
                loop.store()
        self.publisher.end(self.queue, held_after)
        self.reads_count += 1
        self.read_bytes += size

    def vanish(self) -> None:
        """Lose the connection."""
        self.publisher.close()
        self.waits_with = None
        if self in self.loop.let_in:
            self.loop.let_in.remove(self)


class Loop:
    """An event loop that reads from each client once a turn, and whose journal is synced when a test says so."""

    def __init__(self, s_per_octet: float = 0.0) -> None:
        self.clock = ManualClock()
        self.s_per_octet = s_per_octet
        self.engine = MemoryJournal()
        self.journal = JournalWriter(self.engine)
        self.credits = QueueCredits(Credit(self.clock), self._after_turn, self.journal)
        self.let_in: list[Flooder] = []
        self._at_end: list[Callable[[], None]] = []
        self._places = 0

    def flooders(self, count: int, queue: Queue | None, *, stores: bool = False) -> list[Flooder]:
        return [Flooder(self, queue, stores=stores) for _ in range(count)]

    def turn(self, flooders: list[Flooder]) -> float:
        """Let everybody read who does not wait; return how long the turn took."""
        began_s = self.clock.now_s
        let_in, self.let_in = self.let_in, []
        readers = [flooder for flooder in flooders if flooder.waits_with is None]
        for flooder in let_in:
            flooder.go_on()
        for flooder in readers:
            flooder.read()
        self.end_turn()
        return self.clock.now_s - began_s

    def end_turn(self) -> None:
        at_end, self._at_end = self._at_end, []
        for function in at_end:
            function()

    def store(self) -> None:
        self._places += 1
        self.journal.store(1, self._places, FakeMessage("x", persistent=True))

    def sync(self) -> None:
        """Write down all that was gathered."""
        self.journal.flush()
        while self.engine.sync():
            self.journal.flush()

    @property
    def turn_is_to_end(self) -> bool:
        return bool(self._at_end)

    def _after_turn(self, function: Callable[[], None]) -> None:
        self._at_end.append(function)


def read_bytes(flooders: list[Flooder]) -> int:
    return sum(flooder.read_bytes for flooder in flooders)


def unsynced_bytes(messages: int) -> int:
    return messages * (STORED_BYTES + MESSAGE_OVERHEAD_BYTES)


def use_up(flooder: Flooder) -> None:
    """Publish until the queue takes no more before a sync."""
    while flooder.publisher.may_go_on(STORED_BYTES):
        flooder.act_on(STORED_BYTES)
        flooder.loop.end_turn()


# --- a turn -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("s_per_octet", [0.0, CHEAP_S, DEAR_S])
@pytest.mark.parametrize("count", [2, 10, 100])
def test_publishers_of_one_queue_get_together_what_the_only_one_of_another_gets(count: int, s_per_octet: float) -> None:
    loop = Loop(s_per_octet)
    many, (one,) = loop.flooders(count, a_queue("a")), loop.flooders(1, a_queue("b"))
    for _ in range(50):
        loop.turn([*many, one])
    before, one_before = read_bytes(many), one.read_bytes

    for _ in range(300):
        loop.turn([*many, one])

    assert read_bytes(many) - before == pytest.approx(one.read_bytes - one_before, rel=0.2)


def test_publishers_of_one_queue_share_what_it_has() -> None:
    loop = Loop(CHEAP_S)
    flooders = loop.flooders(30, a_queue())

    for _ in range(400):
        loop.turn(flooders)

    counts = [flooder.reads_count for flooder in flooders]
    assert 10 < max(counts) < 1.1 * min(counts)


@pytest.mark.parametrize("s_per_octet", [CHEAP_S, DEAR_S])
@pytest.mark.parametrize("count", [1, 40, 1000])
def test_a_turn_takes_its_time_however_many_publish_to_one_queue(count: int, s_per_octet: float) -> None:
    loop = Loop(s_per_octet)
    flooders = loop.flooders(count, a_queue())
    # Where they publish to is known after their first reads.
    loop.turn(flooders)
    for _ in range(100):
        loop.turn(flooders)

    assert max(loop.turn(flooders) for _ in range(200)) <= TURN_S * 1.1


@pytest.mark.parametrize("s_per_octet", [0.0, CHEAP_S, DEAR_S])
def test_the_only_publisher_of_a_queue_does_not_wait_for_a_turn(s_per_octet: float) -> None:
    loop = Loop(s_per_octet)
    (flooder,) = loop.flooders(1, a_queue())

    for _ in range(100):
        assert flooder.read()

    assert not loop.turn_is_to_end


def test_who_remains_alone_waits_no_longer_and_owes_nothing_to_the_next() -> None:
    loop = Loop()
    first, second, third = loop.flooders(3, a_queue())
    for flooder in (first, second):
        flooder.push(LARGEST_READ_BYTES)
    assert not second.read(LARGEST_READ_BYTES)

    first.vanish()
    assert loop.let_in == [second]
    second.go_on()
    for _ in range(100):
        assert second.read(LARGEST_READ_BYTES)

    third.push(1)
    assert second.read(LARGEST_READ_BYTES)


def test_who_says_little_waits_for_no_turn_and_asks_for_none() -> None:
    loop = Loop(CHEAP_S)
    client, other = loop.flooders(2, a_queue())
    other.read(100)

    for _ in range(LARGEST_READ_BYTES // 200):
        assert client.read(100)

    assert not loop.turn_is_to_end


def test_who_waits_goes_on_in_the_order_in_which_they_came() -> None:
    loop = Loop()
    flooders = loop.flooders(5, a_queue())
    for flooder in flooders:
        flooder.read(LARGEST_READ_BYTES)
    for flooder in reversed(flooders):
        assert not flooder.read(LARGEST_READ_BYTES)

    order = []
    while len(order) < len(flooders):
        loop.end_turn()
        order += loop.let_in
        loop.let_in.clear()

    assert order == list(reversed(flooders))


def test_who_leaves_the_queue_of_those_that_wait_holds_up_nobody() -> None:
    loop = Loop()
    first, second, third = loop.flooders(3, a_queue())
    for flooder in (first, second, third):
        flooder.push(1)
    first.read(LARGEST_READ_BYTES)
    for flooder in (second, third):
        assert not flooder.read(LARGEST_READ_BYTES)

    second.vanish()
    loop.end_turn()

    assert loop.let_in == [third]


def test_who_comes_later_waits_behind_others_even_if_there_is_credit_again() -> None:
    loop = Loop(DEAR_S)
    (first, second, late), others = loop.flooders(3, a_queue()), loop.flooders(9, None)
    for flooder in (first, second, late, *others):
        flooder.push(SMALLEST_READ_BYTES)
    assert not second.read(1)

    # The others have gone, and with them what they had of the turn.
    for other in others:
        other.vanish()

    assert not late.read(1)
    loop.end_turn()
    assert loop.let_in == [second, late]


def test_a_read_that_took_longer_than_the_last_one_costs_what_it_took() -> None:
    loop = Loop()
    client, other = loop.flooders(2, a_queue())
    for flooder in (client, other):
        flooder.read(1)
    loop.s_per_octet = DEAR_S

    client.read(LARGEST_READ_BYTES // 4)

    assert not other.read(1)


def test_who_publishes_nothing_is_let_through() -> None:
    loop = Loop()
    (flooder, other), (consumer, turned_consumer) = loop.flooders(2, queue := a_queue()), loop.flooders(2, None)
    other.read(100)
    turned_consumer.queue = queue
    turned_consumer.read(100)
    turned_consumer.queue = None
    turned_consumer.read(100)
    flooder.read(LARGEST_READ_BYTES)
    assert not flooder.read(LARGEST_READ_BYTES)

    assert consumer.read(LARGEST_READ_BYTES)
    assert turned_consumer.read(LARGEST_READ_BYTES)


def test_a_read_counts_where_it_was_published_not_where_the_one_before_was() -> None:
    loop = Loop()
    old, new = a_queue("old"), a_queue("new")
    (client, other_old, other_new) = loop.flooders(3, old)
    other_new.queue = new
    for flooder in (client, other_old, other_new):
        flooder.read(1)

    client.queue = new
    client.read(LARGEST_READ_BYTES)

    assert other_old.read(1)
    assert not other_new.read(1)


def test_publishers_of_one_queue_have_one_share_of_the_time_others_one_each() -> None:
    loop = Loop(DEAR_S)
    for flooder in [*loop.flooders(10, a_queue("a")), *loop.flooders(1, a_queue("b")), *loop.flooders(2, None)]:
        flooder.push(SMALLEST_READ_BYTES)

    assert loop.credits.credit.share_s == pytest.approx(TURN_S / 4)


# --- syncs ------------------------------------------------------------------------------------------------------------


def test_a_queue_takes_no_more_while_too_much_is_not_synced_and_others_do() -> None:
    loop = Loop()
    queue = a_queue("a")
    (publisher, late), (other,) = loop.flooders(2, queue, stores=True), loop.flooders(1, a_queue("b"), stores=True)
    late.push(1)
    use_up(publisher)

    assert not publisher.read()
    assert not late.read()
    assert other.read()
    loop.end_turn()
    assert not loop.let_in

    loop.sync()
    assert loop.let_in == [publisher, late]


def test_what_is_not_synced_is_bounded_whatever_is_sent() -> None:
    loop = Loop()
    queue = a_queue()
    flooders = loop.flooders(50, queue, stores=True)

    for _ in range(2000):
        loop.turn(flooders)

    credit = loop.credits.of(queue)
    one_turn = unsynced_bytes(2 * LARGEST_READ_BYTES // STORED_BYTES)
    assert QUEUE_UNSYNCED_MAX_BYTES <= credit.unsynced_bytes <= QUEUE_UNSYNCED_MAX_BYTES + one_turn
    assert credit.waiting_count == len(flooders)


def test_who_waits_for_a_disk_has_no_part_in_the_turn() -> None:
    loop = Loop(CHEAP_S)
    (publisher,), (other,) = loop.flooders(1, a_queue("a"), stores=True), loop.flooders(1, None)
    other.push(LARGEST_READ_BYTES)
    while publisher.read():
        loop.end_turn()
    loop.end_turn()
    assert publisher.waits_with

    assert loop.credits.credit.share_s == TURN_S


def test_what_need_not_be_synced_waits_for_no_disk() -> None:
    loop = Loop()
    (publisher,) = loop.flooders(1, a_queue())

    for _ in range(2 * QUEUE_UNSYNCED_MAX_BYTES // LARGEST_READ_BYTES + 100):
        loop.turn([publisher])

    assert publisher.read_bytes > 2 * QUEUE_UNSYNCED_MAX_BYTES


def test_the_journal_hurries_when_publishers_wait_for_it_and_not_before() -> None:
    loop = Loop()
    (publisher,) = loop.flooders(1, a_queue(), stores=True)
    publisher.push(STORED_BYTES)
    assert not loop.journal.is_urgent

    use_up(publisher)

    assert loop.journal.is_urgent


def test_what_was_consumed_before_it_was_written_is_owed_no_longer() -> None:
    loop = Loop()
    (publisher,) = loop.flooders(1, a_queue(), stores=True)
    publisher.push(STORED_BYTES)
    loop.journal.flush()
    # In the next batch, while the first is on its way.
    before = loop.journal.stored_count
    use_up(publisher)
    assert not publisher.read()
    for place in range(before + 1, loop.journal.stored_count + 1):
        loop.journal.settle(loop.journal.number, 1, place)

    loop.sync()

    assert loop.let_in == [publisher]


def test_a_message_of_many_reads_counts_in_full_when_it_is_complete() -> None:
    loop = Loop()
    queue = a_queue()
    (publisher,) = loop.flooders(1, queue)
    publisher.push(LARGEST_READ_BYTES, held_after=LARGEST_READ_BYTES)
    assert loop.credits.of(queue).unsynced_bytes == 0

    publisher.stores = True
    publisher.push(STORED_BYTES, held_before=QUEUE_UNSYNCED_MAX_BYTES)

    assert loop.credits.of(queue).unsynced_bytes > QUEUE_UNSYNCED_MAX_BYTES


def test_a_read_that_completes_nothing_does_not_change_where_its_client_publishes_to() -> None:
    loop = Loop()
    (client, other) = loop.flooders(2, a_queue())
    other.read(1)
    client.read(LARGEST_READ_BYTES)
    loop.end_turn()

    client.queue = None
    client.push(LARGEST_READ_BYTES, held_after=LARGEST_READ_BYTES)

    assert not other.read(1)


def test_a_queue_that_nobody_publishes_to_is_forgotten() -> None:
    loop = Loop()
    (publisher,) = loop.flooders(1, a_queue("first"), stores=True)
    for number in range(1000):
        publisher.queue = a_queue(str(number))
        publisher.push(1)
    publisher.queue = None
    publisher.push(1)
    assert len(loop.credits) == 1000

    loop.sync()

    assert len(loop.credits) == 0


# --- any sequence -----------------------------------------------------------------------------------------------------


class Story:
    """A loop to which anything happens, in any order."""

    def __init__(self) -> None:
        self.loop = Loop(DEAR_S)
        self.queues = [a_queue(name) for name in "abc"]
        self.clients = [
            flooder for queue in (*self.queues, None) for flooder in self.loop.flooders(3, queue, stores=True)
        ]
        # Those that wait, by queue, in the order in which they came.
        self.waiting: dict[Queue, list[Flooder]] = {queue: [] for queue in self.queues}

    def read(self, client: Flooder, size: int, *, stores: bool) -> None:
        if client.waits_with is not None:
            return
        client.stores = stores
        asked = client.publisher._queue
        if not client.read(size):
            assert asked is not None
            self.waiting[asked].append(client)

    def move(self, client: Flooder, queue: Queue | None) -> None:
        client.queue = queue

    def vanish(self, client: Flooder) -> None:
        client.vanish()
        for waiting in self.waiting.values():
            if client in waiting:
                waiting.remove(client)
        self.clients[self.clients.index(client)] = Flooder(self.loop, client.queue, stores=True)

    def step(self) -> None:
        """Let those act that were let in, and look whether they are those that came first."""
        while self.loop.let_in:
            client = self.loop.let_in.pop(0)
            queue = client.publisher._queue
            assert queue is not None
            assert self.waiting[queue].pop(0) is client
            client.go_on()

    def check(self) -> None:
        for queue, waiting in self.waiting.items():
            credit = self.loop.credits.of(queue)
            assert credit.waiting_count == len(waiting)
            most_bytes = unsynced_bytes(2 * LARGEST_READ_BYTES // STORED_BYTES) * (len(self.clients) + 1)
            assert 0 <= credit.unsynced_bytes <= QUEUE_UNSYNCED_MAX_BYTES + most_bytes
            if waiting:
                assert not credit.is_there
                assert self.loop.turn_is_to_end or credit.waits_for_sync


CLIENTS = st.integers(0, 11)
SIZES = st.sampled_from([1, 5000, LARGEST_READ_BYTES])
HAPPENINGS = st.one_of(
    st.tuples(st.just("read"), CLIENTS, SIZES, st.booleans()),
    st.tuples(st.just("read"), CLIENTS, st.just(LARGEST_READ_BYTES), st.just(True)),
    st.tuples(st.just("move"), CLIENTS, st.sampled_from([0, 1, 2, None])),
    st.tuples(st.just("vanish"), CLIENTS),
    st.tuples(st.sampled_from(["end_turn", "flush", "sync"])),
)


@given(st.lists(HAPPENINGS, max_size=120))
def test_nobody_waits_while_there_is_credit_or_before_others_and_everything_is_released(
    happenings: list[tuple[object, ...]],
) -> None:
    story = Story()
    loop = story.loop
    for what, *rest in happenings:
        match what, rest:
            case "read", [int(number), int(size), bool(stores)]:
                story.read(story.clients[number], size, stores=stores)
            case "move", [int(number), at]:
                story.move(story.clients[number], story.queues[at] if isinstance(at, int) else None)
            case "vanish", [int(number)]:
                story.vanish(story.clients[number])
            case "end_turn", []:
                loop.end_turn()
            case "flush", []:
                loop.journal.flush()
            case "sync", []:
                loop.engine.sync()
        story.step()
        story.check()

    for _ in range(2000):
        if not loop.turn_is_to_end and not any(story.waiting.values()):
            break
        loop.sync()
        loop.end_turn()
        story.step()
    loop.sync()
    for queue in story.queues:
        assert loop.credits.of(queue).waiting_count == 0
        assert loop.credits.of(queue).unsynced_bytes == 0
