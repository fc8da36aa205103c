"""A queue of which only the first and the last messages are in memory."""

from __future__ import annotations

import pytest

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.journal import JournalFailed, Page, Stored
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.window import Window
from tests.core.durable import Durable, fill, persistent
from tests.fakes import FakeConsumer, FakeMessage, drained

SIZE = 100 + MESSAGE_OVERHEAD_BYTES
# A head of four messages; four are read at once.
WINDOW = Window(
    queue_bytes=8 * SIZE,
    step_bytes=SIZE,
    consumed_bytes=20 * SIZE,
    head_bytes=4 * SIZE,
    head_min_bytes=2 * SIZE,
    read_count=4,
    read_bytes=400,
)


@pytest.fixture
def broker() -> Durable:
    broker = Durable(window=WINDOW)
    broker.vhost.create_queue("q", durable=True)
    return broker


def text(number: int) -> str:
    return f"{number:0100}"


def fill_in_steps(broker: Durable, count: int, *, step: int = 1, first: int = 0) -> list[str]:
    """Publish messages, and sync after each step."""
    texts = [text(number) for number in range(first, first + count)]
    for start in range(0, count, step):
        fill(broker.queue(), *texts[start : start + step])
        broker.sync()
    return texts


def held_count(queue: Queue) -> int:
    """How many messages are in memory, as it is counted."""
    return queue.memory_bytes // SIZE


def held_in_head(queue: Queue) -> int:
    assert isinstance(queue, ClassicQueue)
    return len(queue._ready._fresh)


def test_a_queue_that_has_consumers_keeps_more_in_memory(broker: Durable) -> None:
    FakeConsumer(broker.queue(), prefetch_count=1).start()
    fill_in_steps(broker, 20)
    assert held_count(broker.queue()) == 20

    fill_in_steps(broker, 980, first=20)
    assert held_count(broker.queue()) <= 20 + 4


def test_a_long_queue_keeps_its_head_and_what_is_not_synced(broker: Durable) -> None:
    fill_in_steps(broker, 1000, step=10)

    assert broker.queue().ready_count == 1000
    # The head, a step until it looks again, and what came since the last sync.
    assert held_count(broker.queue()) <= 8 + 10 + 1


def test_what_is_not_synced_stays(broker: Durable) -> None:
    fill(broker.queue(), *map(text, range(100)))

    assert held_count(broker.queue()) == 100


def test_messages_leave_in_order_whatever_is_where(broker: Durable) -> None:
    texts = fill_in_steps(broker, 50, step=7)
    fill(broker.queue(), *map(text, range(50, 60)))

    assert drained(broker.queue()) == [*texts, *map(text, range(50, 60))]
    broker.sync()
    assert not broker.disk.messages


def test_a_page_is_read_in_pieces(broker: Durable) -> None:
    fill_in_steps(broker, 40, step=20)
    fill_in_steps(broker, 1, first=40)
    broker.journal.read_back.clear()
    before = highest = held_count(broker.queue())
    while (queued := broker.queue().get()) is not None:
        broker.queue().settle(queued)
        highest = max(highest, held_count(broker.queue()))

    assert len(broker.journal.read_back) >= 4
    assert max(page.last - page.first + 1 for page in broker.journal.read_back) <= 4
    assert highest == before


def test_large_messages_are_read_in_smaller_pieces(broker: Durable) -> None:
    for number in range(20):
        fill(broker.queue(), f"{number:0300}")
    broker.sync()
    fill_in_steps(broker, 20)
    broker.journal.read_back.clear()

    drained(broker.queue())

    # 400 octets at once are one body of 300, and four of 100.
    large = [page for page in broker.journal.read_back if page.last <= 20]
    assert large
    assert {page.last - page.first + 1 for page in large} == {1}


def test_what_came_back_leaves_before_the_pages(broker: Durable) -> None:
    texts = fill_in_steps(broker, 30)
    got = [broker.queue().get() for _ in range(3)]
    broker.queue().requeue([queued for queued in got if queued is not None])

    assert drained(broker.queue()) == [*(text + "*" for text in texts[:3]), *texts[3:]]


def test_a_purge_settles_whole_pages_without_reading_them(broker: Durable) -> None:
    fill_in_steps(broker, 100, step=25)
    queued = broker.queue().get()
    assert queued is not None
    broker.journal.reads_count = 0

    assert broker.queue().purge() == 99
    broker.sync()

    assert broker.journal.reads_count == 0
    assert [message.text for message in broker.disk.messages.values()] == [text(0)]
    broker.queue().settle(queued)
    broker.sync()
    assert not broker.disk.messages
    assert broker.queue().memory_bytes == 0


def test_a_browser_sees_pages_and_leaves_them_on_disk(broker: Durable) -> None:
    texts = fill_in_steps(broker, 60, step=20)
    before = broker.queue().memory_bytes

    browser = FakeConsumer(broker.queue(), browses=True, no_ack=True).start()

    assert browser.got == texts
    assert broker.queue().memory_bytes == before
    assert drained(broker.queue()) == texts


def test_drop_head_drops_the_oldest_from_the_pages(broker: Durable) -> None:
    broker.vhost.create_queue("short", durable=True, arguments=arguments({"x-max-length": 20}))
    for number in range(50):
        fill(broker.queue("short"), text(number))
        broker.sync()

    assert held_count(broker.queue("short")) < 20
    assert drained(broker.queue("short")) == [text(number) for number in range(30, 50)]


def test_messages_expire_at_the_head_after_they_were_paged_out(broker: Durable) -> None:
    queue = broker.vhost.create_queue("brief", durable=True, arguments=arguments({"x-message-ttl": 10_000}))
    for number in range(40):
        fill(queue, text(number))
        broker.sync()
    broker.clock.now_s += 5
    fill(queue, "young")
    broker.clock.now_s += 6

    broker.core.timers.handle_deadline()

    assert drained(queue) == ["young"]


# Under memory pressure ------------------------------------------------------------------------------------------------


def test_transient_messages_are_spilled_when_memory_is_short(broker: Durable) -> None:
    queue = broker.vhost.create_queue("transient", durable=False)
    texts = [text(number) for number in range(50)]
    for one in texts:
        queue.enqueue(FakeMessage(one))

    freed_bytes = queue.page_out(20 * SIZE)
    assert freed_bytes == 20 * SIZE
    assert held_count(queue) == 50
    assert queue.page_out(20 * SIZE) == freed_bytes, "that much becomes free already"
    broker.sync()

    assert held_count(queue) == 30
    assert drained(queue) == texts
    broker.sync()
    assert not broker.disk.messages


def test_what_was_spilled_and_is_wanted_before_it_is_written_is_never_written(broker: Durable) -> None:
    queue = broker.vhost.create_queue("transient", durable=False)
    texts = [text(number) for number in range(20)]
    for one in texts:
        queue.enqueue(FakeMessage(one))
    queue.page_out(100 * SIZE)

    assert drained(queue) == texts

    broker.sync()
    assert not broker.disk.messages
    assert queue.memory_bytes == 0


def test_transient_and_persistent_messages_of_one_queue_stay_in_order(broker: Durable) -> None:
    queue, texts = broker.queue(), [text(number) for number in range(60)]
    for number, one in enumerate(texts):
        queue.enqueue(FakeMessage(one, persistent=number % 3 > 0))
        if number % 20 == 0:
            broker.sync()
    broker.sync()
    for _ in range(3):
        queue.page_out(100 * SIZE)
        broker.sync()

    assert held_count(queue) <= 4
    assert drained(queue) == texts
    broker.sync()
    assert not broker.disk.messages


def test_what_was_spilled_does_not_outlive_the_broker(broker: Durable) -> None:
    for number in range(30):
        broker.queue().enqueue(FakeMessage(text(number), persistent=number == 7))
    broker.queue().page_out(100 * SIZE)
    broker.sync()
    assert len(broker.disk.messages) > 1

    broker.stop_and_start()

    assert drained(broker.queue()) == [text(7)]


def test_the_broker_pages_out_the_largest_queues_first(broker: Durable) -> None:
    core = BrokerCore(journal=broker.journal, window=WINDOW, memory_watermark_bytes=60 * SIZE)
    vhost = core.vhosts["/"]
    small, large = (vhost.create_queue(name, durable=False) for name in ("small", "large"))
    for queue, count in ((small, 20), (large, 50)):
        for number in range(count):
            queue.enqueue(FakeMessage(text(number)))

    core.page_out()
    assert core.journal is not None
    core.journal.flush()
    broker.journal.sync_all()

    # 70 are there, 30 may be.
    assert (held_count(small), held_count(large)) == (20, 10)
    core.page_out()
    assert (held_count(small), held_count(large)) == (20, 10)


def test_queues_that_have_another_order_stay_in_memory(broker: Durable) -> None:
    wanted = arguments({"x-last-value-key": "k", "x-max-priority": 3})
    queue = broker.vhost.create_queue("values", durable=False, arguments=wanted)
    for number in range(20):
        queue.enqueue(FakeMessage(text(number)))

    assert queue.page_out(100 * SIZE) == 0


def test_a_queue_without_a_journal_stays_in_memory() -> None:
    queue = BrokerCore().vhosts["/"].create_queue("q", durable=True)
    for number in range(2000):
        queue.enqueue(FakeMessage(text(number)))

    assert queue.page_out(100 * SIZE) == 0
    assert held_count(queue) == 2000


# What goes wrong ------------------------------------------------------------------------------------------------------


def test_a_page_that_cannot_be_read_stops_the_broker_and_stays(broker: Durable) -> None:
    texts = fill_in_steps(broker, 30)
    failures: list[JournalFailed] = []
    broker.journal.on_failed = failures.append
    damage = JournalFailed("damaged")

    def fail(page: Page) -> list[Stored]:
        raise damage

    read, broker.journal.read = broker.journal.read, fail
    got = [broker.queue().get() for _ in range(held_in_head(broker.queue()))]
    with pytest.raises(JournalFailed):
        broker.queue().get()
    assert failures == [damage]
    assert broker.queue().ready_count == 30 - len(got)

    broker.journal.read = read
    assert drained(broker.queue()) == texts[len(got) :]


def test_a_deleted_queue_leaves_nothing(broker: Durable) -> None:
    transient = broker.vhost.create_queue("transient", durable=False)
    for number in range(30):
        transient.enqueue(FakeMessage(text(number)))
    transient.page_out(100 * SIZE)
    fill_in_steps(broker, 30)
    unacked = [broker.queue().get(), transient.get()]

    for queue in (broker.queue(), transient):
        broker.vhost.drop_queue(queue)
    for queued in unacked:
        assert queued is not None
        queued.queue.settle(queued)
    broker.sync()

    assert not broker.disk.messages
    assert transient.memory_bytes == 0


def test_a_long_queue_of_the_usual_window_holds_some_megabytes() -> None:
    broker = Durable()
    queue = broker.vhost.create_queue("q", durable=True)
    message = persistent("x" * 100)
    for number in range(20_000):
        queue.enqueue(message)
        if number % 1000 == 0:
            broker.sync()

    assert queue.ready_count == 20_000
    # The window, a step until it looks again, and what is not synced.
    assert queue.memory_bytes < (4 + 1) * 1_048_576 + 1000 * SIZE
