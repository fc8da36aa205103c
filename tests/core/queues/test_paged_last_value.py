"""A last-value queue of which only keys are in memory, and the first and the last messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.queues.base import Queue, QueuedMessage
from amqpy_broker.core.queues.window import Window
from tests.core.durable import Durable
from tests.fakes import FakeConsumer, FakeMessage, drained

SIZE = 100 + MESSAGE_OVERHEAD_BYTES
# What a message may leave in memory, with its key.
LEFT_MAX_BYTES = 250
# A head of eight messages; four are read at once.
WINDOW = Window(
    queue_bytes=16 * SIZE, step_bytes=SIZE, head_bytes=8 * SIZE, head_min_bytes=4 * SIZE, read_count=4, read_bytes=4000
)
# The head, a step until it looks again, and what came since the last sync.
HELD_MAX_BYTES = (16 + 10 + 1) * SIZE


@pytest.fixture
def broker() -> Durable:
    broker = Durable(window=WINDOW)
    declare(broker, "q", durable=True)
    return broker


def declare(broker: Durable, name: str, *, durable: bool, **more: object) -> Queue:
    wanted = {"x-last-value-key": "key", **{f"x-{key.replace('_', '-')}": value for key, value in more.items()}}
    return broker.vhost.create_queue(name, durable=durable, arguments=arguments(wanted))


def text(key: int | None, version: int = 0) -> str:
    return f"{key if key is not None else 'none'}.{version}".rjust(100)


def publish(
    queue: Queue, key: int | None, version: int = 0, *, persistent: bool = True, expiration_ms: int | None = None
) -> None:
    headers = arguments({} if key is None else {"key": key})
    queue.enqueue(FakeMessage(text(key, version), headers=headers, persistent=persistent, expiration_ms=expiration_ms))


def fill(broker: Durable, count: int, *, first: int = 0, name: str = "q", version: int = 0) -> None:
    """Publish so many keys, and sync after every tenth."""
    for key in range(first, first + count):
        publish(broker.queue(name), key, version)
        if key % 10 == 9:
            broker.sync()
    broker.sync()


def got(queue: Queue) -> QueuedMessage:
    queued = queue.get()
    assert queued is not None
    return queued


def texts(keys: range, version: int = 0) -> list[str]:
    return [text(key, version) for key in keys]


def expect_nothing_left(broker: Durable, queue: Queue) -> None:
    broker.sync()
    assert not broker.disk.messages
    assert (queue.memory_bytes, queue.ready_count) == (0, 0)


# What is in memory ----------------------------------------------------------------------------------------------------


def test_a_long_queue_keeps_its_ends_in_memory_and_little_of_each_other_message(broker: Durable) -> None:
    fill(broker, 1000)

    assert broker.queue().ready_count == 1000
    assert broker.queue().memory_bytes <= HELD_MAX_BYTES + 1000 * LEFT_MAX_BYTES


def test_messages_without_the_key_leave_even_less(broker: Durable) -> None:
    for version in range(1000):
        publish(broker.queue(), None, version)
        broker.sync()

    assert broker.queue().memory_bytes <= HELD_MAX_BYTES + 1000 * 40
    assert drained(broker.queue()) == [text(None, version) for version in range(1000)]
    expect_nothing_left(broker, broker.queue())


def test_values_come_back_in_order_and_nothing_is_left(broker: Durable) -> None:
    fill(broker, 300)

    assert drained(broker.queue()) == texts(range(300))
    expect_nothing_left(broker, broker.queue())


def test_neighbours_are_read_together(broker: Durable) -> None:
    fill(broker, 200)
    broker.journal.reads_count = 0

    drained(broker.queue())

    # Four at once, and batches of ten.
    assert broker.journal.reads_count <= 200 // 4 + 200 // 10


def test_draining_needs_no_more_memory_than_filling_did(broker: Durable) -> None:
    fill(broker, 400)
    highest_bytes = 0
    while (queued := broker.queue().get()) is not None:
        broker.queue().settle(queued)
        highest_bytes = max(highest_bytes, broker.queue().memory_bytes - broker.queue().ready_count * LEFT_MAX_BYTES)

    assert highest_bytes <= HELD_MAX_BYTES


def test_a_short_queue_is_never_read_back(broker: Durable) -> None:
    fill(broker, 16)

    assert drained(broker.queue()) == texts(range(16))
    assert broker.journal.reads_count == 0


# What is replaced -----------------------------------------------------------------------------------------------------


def test_a_value_on_disk_is_replaced_in_its_place_without_being_read(broker: Durable) -> None:
    fill(broker, 100)
    publish(broker.queue(), 50, 1)
    broker.sync()

    assert broker.journal.reads_count == 0
    assert len(broker.disk.messages) == 100
    assert broker.queue().ready_count == 100
    expected = texts(range(100))
    expected[50] = text(50, 1)
    assert drained(broker.queue()) == expected
    expect_nothing_left(broker, broker.queue())


def test_what_replaces_goes_to_the_disk_too(broker: Durable) -> None:
    fill(broker, 300)
    for version in range(1, 4):
        fill(broker, 300, version=version)

    assert broker.queue().memory_bytes <= HELD_MAX_BYTES + 300 * LEFT_MAX_BYTES
    assert drained(broker.queue()) == texts(range(300), 3)
    expect_nothing_left(broker, broker.queue())


def test_what_need_not_outlive_the_broker_is_spilled_when_it_replaces_what_is_on_disk(broker: Durable) -> None:
    fill(broker, 100)
    for key in range(40, 90):
        publish(broker.queue(), key, 1, persistent=False)
    fill(broker, 20, first=100)
    fill(broker, 20, first=120)

    assert len(broker.disk.spilled) > 20
    assert drained(broker.queue()) == [*texts(range(40)), *texts(range(40, 90), 1), *texts(range(90, 140))]
    expect_nothing_left(broker, broker.queue())


def test_a_value_that_is_replaced_all_the_time_does_not_keep_others_in_memory(broker: Durable) -> None:
    fill(broker, 15)
    for key in range(15, 500):
        publish(broker.queue(), 12, key)
        publish(broker.queue(), key)
        if key % 10 == 9:
            publish(broker.queue(), 12, key)
            broker.sync()
            publish(broker.queue(), 12, key)

    assert broker.queue().memory_bytes <= HELD_MAX_BYTES + 500 * LEFT_MAX_BYTES


def test_one_that_comes_back_is_dropped_if_a_newer_one_is_on_disk(broker: Durable) -> None:
    publish(broker.queue(), 7)
    older = got(broker.queue())
    fill(broker, 100)
    broker.queue().requeue([older])

    assert drained(broker.queue()) == texts(range(100))
    expect_nothing_left(broker, broker.queue())


def test_what_replaced_another_on_disk_comes_back_to_the_place_of_that(broker: Durable) -> None:
    fill(broker, 100)
    for key in reversed(range(100)):
        publish(broker.queue(), key, 1)
    broker.sync()
    broker.queue().page_out(100 * SIZE)
    broker.queue().requeue(reversed([got(broker.queue()) for _ in range(30)]))

    assert drained(broker.queue()) == [*(one + "*" for one in texts(range(30), 1)), *texts(range(30, 100), 1)]
    expect_nothing_left(broker, broker.queue())


def test_a_length_limit_in_octets_knows_what_it_replaces_on_disk(broker: Durable) -> None:
    queue = declare(broker, "limited", durable=True, max_length_bytes=60 * 100 + 50)
    fill(broker, 60, name="limited")
    broker.journal.reads_count = 0
    headers = arguments({"key": 30})
    queue.enqueue(FakeMessage("x" * 140, headers=headers, persistent=True))

    assert queue.ready_count == 60
    assert broker.journal.reads_count == 0
    queue.enqueue(FakeMessage("x" * 160, headers=headers, persistent=True))
    assert queue.ready_count == 59


def test_a_limit_that_comes_later_counts_what_is_on_disk_without_reading_it(broker: Durable) -> None:
    fill(broker, 100)
    queue = broker.queue()
    queue.change_settings(replace(queue.settings, max_length_bytes=100 * 100))

    assert broker.journal.reads_count == 0
    assert queue.ready_count == 100
    fill(broker, 5, first=100)
    assert drained(queue) == texts(range(5, 105))


def test_a_full_queue_that_refuses_still_takes_a_newer_value_of_what_is_on_disk(broker: Durable) -> None:
    queue = declare(broker, "full", durable=True, max_length=50, overflow="reject-publish")
    fill(broker, 60, name="full")
    publish(queue, 20, 1)

    assert drained(queue) == [*texts(range(20)), text(20, 1), *texts(range(21, 50))]


# What else there is in the life of a queue ----------------------------------------------------------------------------


def test_a_browser_sees_values_that_stay_on_disk(broker: Durable) -> None:
    fill(broker, 100)
    publish(broker.queue(), 60, 1)
    held_bytes = broker.queue().memory_bytes
    browser = FakeConsumer(broker.queue(), browses=True, no_ack=True).start()

    expected = [*texts(range(60)), text(60, 1), *texts(range(61, 100))]
    assert browser.got == expected
    assert browser.was_cancelled
    assert broker.queue().memory_bytes == held_bytes
    assert drained(broker.queue()) == expected


def test_values_expire_after_they_left_memory(broker: Durable) -> None:
    queue = declare(broker, "brief", durable=True, message_ttl=10_000)
    fill(broker, 60, name="brief")
    broker.clock.now_s += 5
    publish(queue, 30, 1)
    broker.sync()
    broker.clock.now_s += 6

    broker.core.timers.handle_deadline()

    # It is the first now, and younger; those behind it have to wait for it.
    assert drained(queue)[0] == text(30, 1)


def test_what_is_dropped_from_the_disk_is_dead_lettered(broker: Durable) -> None:
    dead = broker.vhost.create_queue("dead", durable=False)
    queue = declare(broker, "q2", durable=True, max_length=50, dead_letter_exchange="", dead_letter_routing_key="dead")
    fill(broker, 90, name="q2")

    assert drained(dead) == texts(range(40))
    assert drained(queue) == texts(range(40, 90))
    expect_nothing_left(broker, queue)


def test_a_purge_settles_neighbours_together_and_reads_nothing(broker: Durable) -> None:
    fill(broker, 200)
    kept = got(broker.queue())
    publish(broker.queue(), 100, 1)
    broker.journal.reads_count = 0

    assert broker.queue().purge() == 199
    broker.sync()

    assert broker.journal.reads_count == 0
    assert [message.text for message in broker.disk.messages.values()] == [text(0)]
    broker.queue().settle(kept)
    expect_nothing_left(broker, broker.queue())


def test_after_a_purge_keys_are_new(broker: Durable) -> None:
    fill(broker, 100)
    broker.queue().purge()
    fill(broker, 100, version=1)

    assert drained(broker.queue()) == texts(range(100), 1)


def test_a_deleted_queue_leaves_nothing(broker: Durable) -> None:
    transient = declare(broker, "transient", durable=False)
    for key in range(60):
        publish(transient, key, persistent=False)
    transient.page_out(1000 * SIZE)
    fill(broker, 60)
    publish(broker.queue(), 30, 1)

    for queue in (broker.queue(), transient):
        broker.vhost.drop_queue(queue)
        assert queue.memory_bytes == 0
    broker.sync()
    assert not broker.disk.messages


def test_only_the_active_consumer_gets_values_from_the_disk(broker: Durable) -> None:
    queue = declare(broker, "single", durable=True, single_active_consumer=True)
    fill(broker, 100, name="single")
    active = FakeConsumer(queue, "active", prefetch_count=30).start()
    other = FakeConsumer(queue, "other").start()

    assert active.got == texts(range(30))
    active.stop()
    assert other.got == texts(range(30, 100))


def test_with_priorities_everything_stays_in_memory(broker: Durable) -> None:
    queue = declare(broker, "urgent", durable=True, max_priority=3)
    fill(broker, 100, name="urgent")

    assert queue.memory_bytes == 100 * SIZE
    assert broker.journal.reads_count == 0
    broker.stop_and_start()
    assert drained(broker.queue("urgent")) == texts(range(100))


# Through a restart ----------------------------------------------------------------------------------------------------


def test_a_restart_reads_everything_once_and_keeps_no_more_than_before(broker: Durable) -> None:
    fill(broker, 1000)
    publish(broker.queue(), 500, 1)
    broker.stop_and_start()

    assert max(page.last - page.first for page in broker.journal.read_back) < WINDOW.read_count
    assert len(broker.disk.messages) == 1000
    assert broker.queue().memory_bytes <= HELD_MAX_BYTES + 1000 * LEFT_MAX_BYTES
    # What was published last comes last.
    assert drained(broker.queue()) == [*texts(range(500)), *texts(range(501, 1000)), text(500, 1)]
    expect_nothing_left(broker, broker.queue())


def test_keys_are_known_after_a_restart(broker: Durable) -> None:
    fill(broker, 100)
    broker.stop_and_start()
    fill(broker, 100, version=1)

    assert drained(broker.queue()) == texts(range(100), 1)
    expect_nothing_left(broker, broker.queue())


def test_of_two_versions_on_disk_the_newer_one_is_there_after_a_crash(broker: Durable) -> None:
    fill(broker, 3)
    taken = [got(broker.queue()) for _ in range(3)]
    fill(broker, 100, version=1)
    assert len(broker.disk.messages) == 103

    broker.crash_and_start()

    assert len(taken) == 3
    assert drained(broker.queue()) == [one + "*" for one in texts(range(100), 1)]
    expect_nothing_left(broker, broker.queue())


def test_a_crash_marks_what_was_there_and_later_stops_keep_that(broker: Durable) -> None:
    fill(broker, 60)
    broker.crash_and_start()
    fill(broker, 60, first=60)
    publish(broker.queue(), 30, 1)
    for _ in range(2):
        broker.stop_and_start()

    marked = [text(key) + "*" for key in range(60) if key != 30]
    assert drained(broker.queue()) == [*marked, *texts(range(60, 120)), text(30, 1)]


def test_a_stop_marks_what_was_handed_out_and_nothing_else(broker: Durable) -> None:
    fill(broker, 100)
    broker.queue().requeue([got(broker.queue()) for _ in range(25)])
    for _ in range(2):
        broker.stop_and_start()

    assert drained(broker.queue()) == [*(one + "*" for one in texts(range(25))), *texts(range(25, 100))]


def test_duplicates_are_known_after_a_restart(broker: Durable) -> None:
    declare(broker, "once", durable=True, message_deduplication=True, deduplication_header="key", cache_size=1000)
    fill(broker, 100, name="once")
    broker.stop_and_start()
    fill(broker, 120, name="once", version=1)

    assert drained(broker.queue("once")) == [*texts(range(100)), *texts(range(100, 120), 1)]


# Under memory pressure ------------------------------------------------------------------------------------------------


def test_what_is_not_in_the_journal_is_spilled(broker: Durable) -> None:
    queue = declare(broker, "transient", durable=False)
    for key in range(100):
        publish(queue, key, persistent=False)

    assert queue.page_out(30 * SIZE) == 30 * SIZE
    assert queue.memory_bytes == 100 * SIZE, "that much becomes free with the next sync"
    broker.sync()

    assert 70 * SIZE <= queue.memory_bytes <= 70 * SIZE + 30 * LEFT_MAX_BYTES
    assert len(broker.disk.spilled) == 30
    publish(queue, 20, 1, persistent=False)
    expected = texts(range(100))
    expected[20] = text(20, 1)
    assert drained(queue) == expected
    expect_nothing_left(broker, queue)


def test_what_was_spilled_is_not_there_after_a_restart(broker: Durable) -> None:
    for key in range(60):
        publish(broker.queue(), key, persistent=bool(key % 2))
    for _ in range(3):
        broker.queue().page_out(1000 * SIZE)
        broker.sync()
    assert len(broker.disk.spilled) > 10

    broker.stop_and_start()

    assert drained(broker.queue()) == [text(key) for key in range(60) if key % 2]
    expect_nothing_left(broker, broker.queue())
