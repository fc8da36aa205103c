"""A queue with priorities of which only the first and the last messages are in memory."""

from __future__ import annotations

import pytest

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.journal import level_of
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.queues.base import Queue, QueuedMessage
from amqpy_broker.core.queues.window import Window
from tests.core.durable import Durable
from tests.fakes import FakeConsumer, FakeMessage, drained

SIZE = 100 + MESSAGE_OVERHEAD_BYTES
# A head of eight messages; four are read at once.
WINDOW = Window(
    queue_bytes=16 * SIZE, step_bytes=SIZE, head_bytes=8 * SIZE, head_min_bytes=4 * SIZE, read_count=4, read_bytes=4000
)
MAX_PRIORITY = 9


@pytest.fixture
def broker() -> Durable:
    broker = Durable(window=WINDOW)
    declare(broker, "q", durable=True)
    return broker


def declare(broker: Durable, name: str, *, durable: bool, **more: object) -> Queue:
    wanted = {"x-max-priority": MAX_PRIORITY, **{f"x-{key.replace('_', '-')}": value for key, value in more.items()}}
    return broker.vhost.create_queue(name, durable=durable, arguments=arguments(wanted))


def text(number: int, priority: int) -> str:
    return f"{number:098}p{priority}"


def mixed(count: int, *, first: int = 0) -> list[tuple[int, int]]:
    """Numbers with priorities, each as often as the others, and in no order."""
    return [(number, number * 7 % (MAX_PRIORITY + 1)) for number in range(first, first + count)]


def fill(queue: Queue, messages: list[tuple[int, int]], *, persistent: bool = True) -> None:
    for number, priority in messages:
        queue.enqueue(FakeMessage(text(number, priority), persistent=persistent, priority=priority))


def fill_in_steps(broker: Durable, messages: list[tuple[int, int]], name: str = "q") -> None:
    """Publish messages, and sync after every tenth."""
    for at in range(0, len(messages), 10):
        fill(broker.queue(name), messages[at : at + 10])
        broker.sync()


def in_order(messages: list[tuple[int, int]]) -> list[str]:
    """How they have to leave."""
    return [text(*message) for message in sorted(messages, key=lambda message: (-message[1], message[0]))]


def held_count(queue: Queue) -> int:
    """How many messages are in memory, as it is counted."""
    return queue.memory_bytes // SIZE


def get(queue: Queue) -> QueuedMessage:
    queued = queue.get()
    assert queued is not None
    return queued


def test_a_long_queue_keeps_one_head_for_all_its_priorities(broker: Durable) -> None:
    fill_in_steps(broker, mixed(1000))

    assert broker.queue().ready_count == 1000
    # The head, a step until it looks again, and what came since the last sync.
    assert held_count(broker.queue()) <= 16 + 10 + 1


def test_messages_leave_by_priority_wherever_they_are(broker: Durable) -> None:
    messages = mixed(300)
    fill_in_steps(broker, messages[:290])
    fill(broker.queue(), messages[290:])

    assert drained(broker.queue()) == in_order(messages)
    broker.sync()
    assert not broker.disk.messages
    assert broker.queue().memory_bytes == 0


def test_draining_needs_no_more_memory_than_filling_did(broker: Durable) -> None:
    fill_in_steps(broker, mixed(400))
    highest = 0
    while (queued := broker.queue().get()) is not None:
        broker.queue().settle(queued)
        highest = max(highest, held_count(broker.queue()))

    assert highest <= 16 + 10 + 1


def test_a_priority_is_read_without_the_others(broker: Durable) -> None:
    fill_in_steps(broker, mixed(400))
    broker.journal.read_back.clear()

    for _ in range(40):
        broker.queue().settle(get(broker.queue()))

    assert {level_of(page.queue) for page in broker.journal.read_back} == {MAX_PRIORITY}


def test_what_waits_behind_a_higher_priority_leaves_memory_again(broker: Durable) -> None:
    """Each priority was the first once, and was read; all of these heads together are not more than one."""
    for priority in range(MAX_PRIORITY + 1):
        fill_in_steps(broker, [(100 * priority + number, priority) for number in range(60)])
        broker.queue().settle(get(broker.queue()))
        fill_in_steps(broker, [(100 * priority + 60, priority)])

    assert broker.queue().ready_count == 60 * (MAX_PRIORITY + 1)
    assert held_count(broker.queue()) <= 16 + 10 + 1
    left = [(100 * priority + number, priority) for priority in range(MAX_PRIORITY + 1) for number in range(1, 61)]
    assert drained(broker.queue()) == in_order(left)


def test_what_came_back_is_the_first_of_its_priority(broker: Durable) -> None:
    messages = mixed(200)
    fill_in_steps(broker, messages)
    order = in_order(messages)
    got = [get(broker.queue()) for _ in range(30)]
    broker.queue().requeue(got[10:])
    for queued in got[:10]:
        broker.queue().settle(queued)

    assert drained(broker.queue()) == [*(one + "*" for one in order[10:30]), *order[30:]]


def test_a_browser_sees_what_is_there_and_not_what_comes_later(broker: Durable) -> None:
    messages = mixed(100)
    fill_in_steps(broker, messages)
    browser = FakeConsumer(broker.queue(), browses=True, no_ack=True, congested=True).start()
    fill(broker.queue(), mixed(50, first=100))
    held_bytes = broker.queue().memory_bytes

    browser.congested = False
    browser.resume_if_waiting()

    assert browser.got == in_order(messages)
    assert browser.was_cancelled
    assert broker.queue().memory_bytes == held_bytes


def test_a_purge_settles_whole_pages_without_reading_them(broker: Durable) -> None:
    fill_in_steps(broker, mixed(200))
    queued = get(broker.queue())
    broker.journal.reads_count = 0

    assert broker.queue().purge() == 199
    broker.sync()

    assert broker.journal.reads_count == 0
    assert len(broker.disk.messages) == 1
    broker.queue().settle(queued)
    broker.sync()
    assert not broker.disk.messages


def test_messages_expire_after_they_were_paged_out(broker: Durable) -> None:
    queue = declare(broker, "brief", durable=True, message_ttl=10_000)
    fill_in_steps(broker, mixed(100), "brief")
    broker.clock.now_s += 5
    fill_in_steps(broker, mixed(20, first=100), "brief")
    broker.clock.now_s += 6

    broker.core.timers.handle_deadline()

    # Only the first expires: those that are left wait behind younger ones of a higher priority.
    assert drained(queue)[:2] == in_order(mixed(20, first=100))[:2]


# Through a restart ----------------------------------------------------------------------------------------------------


def test_a_restart_reads_nothing_before_it_is_asked(broker: Durable) -> None:
    messages = mixed(300)
    fill_in_steps(broker, messages)

    broker.stop_and_start()

    assert broker.journal.reads_count == 0
    assert broker.queue().ready_count == 300
    assert broker.queue().memory_bytes == 0
    assert drained(broker.queue()) == in_order(messages)
    broker.sync()
    assert not broker.disk.messages


def test_what_comes_after_a_restart_leaves_after_what_was_there(broker: Durable) -> None:
    fill_in_steps(broker, mixed(100))
    broker.stop_and_start()
    fill_in_steps(broker, mixed(100, first=100))

    assert drained(broker.queue()) == in_order(mixed(200))


def test_a_stop_marks_what_was_handed_out_and_nothing_else(broker: Durable) -> None:
    messages = mixed(200)
    fill_in_steps(broker, messages)
    got = [get(broker.queue()) for _ in range(25)]
    broker.queue().requeue(got)

    for _ in range(2):
        broker.stop_and_start()

    order = in_order(messages)
    assert drained(broker.queue()) == [*(one + "*" for one in order[:25]), *order[25:]]


def test_a_crash_marks_what_was_there_and_a_later_stop_keeps_that(broker: Durable) -> None:
    fill_in_steps(broker, mixed(100))
    broker.crash_and_start()
    fill_in_steps(broker, mixed(100, first=100))

    broker.stop_and_start()

    marked = {text(*message) for message in mixed(100)}
    assert drained(broker.queue()) == [one + "*" * (one in marked) for one in in_order(mixed(200))]


def test_a_deleted_queue_leaves_nothing(broker: Durable) -> None:
    transient = declare(broker, "transient", durable=False)
    fill(transient, mixed(60), persistent=False)
    transient.page_out(1000 * SIZE)
    fill_in_steps(broker, mixed(60))

    for queue in (broker.queue(), transient):
        broker.vhost.drop_queue(queue)
    broker.sync()

    assert not broker.disk.messages
    assert transient.memory_bytes == 0


# Under memory pressure ------------------------------------------------------------------------------------------------


def test_transient_messages_are_spilled_the_lowest_priorities_first(broker: Durable) -> None:
    queue = declare(broker, "transient", durable=False)
    messages = mixed(100)
    fill(queue, messages, persistent=False)

    assert queue.page_out(30 * SIZE) == 30 * SIZE
    assert held_count(queue) == 100, "that much becomes free with the next sync"
    broker.sync()

    assert held_count(queue) == 70
    assert {message.priority for message in broker.disk.messages.values()} == {0, 1, 2, 3}
    assert drained(queue) == in_order(messages)
    broker.sync()
    assert not broker.disk.messages


def test_what_was_spilled_and_read_is_spilled_again(broker: Durable) -> None:
    queue = declare(broker, "transient", durable=False)
    fill(queue, [(number, 1) for number in range(40)], persistent=False)
    queue.page_out(1000 * SIZE)
    broker.sync()
    # More is read than is taken.
    for _ in range(5):
        queue.settle(get(queue))
    fill(queue, [(number, 2) for number in range(40, 80)], persistent=False)
    for _ in range(3):
        queue.page_out(1000 * SIZE)
        broker.sync()

    assert held_count(queue) <= 4
    assert drained(queue) == in_order([(number, 1 + (number >= 40)) for number in range(5, 80)])
    broker.sync()
    assert not broker.disk.messages


def test_a_short_queue_has_lines_that_know_nothing_of_pages(broker: Durable) -> None:
    fill_in_steps(broker, mixed(16))
    broker.journal.reads_count = 0

    assert held_count(broker.queue()) == 16
    assert drained(broker.queue()) == in_order(mixed(16))
    assert broker.journal.reads_count == 0
