"""A quorum queue of which only the first messages of its lines, and those that came back, are in memory."""

from __future__ import annotations

from collections import deque

import pytest

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.queues.base import Queue, QueuedMessage
from tests.core.durable import Durable
from tests.fakes import FakeMessage, drained
from tests.properties.test_journal import TINY

URGENT = 9


@pytest.fixture
def broker() -> Durable:
    broker = Durable(window=TINY)
    broker.vhost.create_queue("q", durable=True, arguments=arguments({"x-queue-type": "quorum"}))
    return broker


def fill(broker: Durable, *texts: str) -> None:
    """Publish messages, those with a "!" as urgent ones, and sync after every tenth."""
    for number, text in enumerate(texts, 1):
        broker.queue().enqueue(FakeMessage(text, priority=URGENT if text.endswith("!") else 0))
        if number % 10 == 0:
            broker.sync()
    broker.sync()


def get(queue: Queue) -> QueuedMessage:
    queued = queue.get()
    assert queued is not None
    return queued


def restart(broker: Durable) -> None:
    broker.stop_and_start()
    broker.journal.reads_count = 0


def test_a_restart_reads_nothing_of_a_queue_without_priorities_before_it_is_asked(broker: Durable) -> None:
    texts = list(map(str, range(100)))
    fill(broker, *texts)

    restart(broker)

    assert broker.queue().ready_count == 100
    assert broker.queue().memory_bytes == 0
    assert drained(broker.queue()) == texts


def test_what_came_back_leaves_in_the_order_of_its_returns_after_a_restart(broker: Durable) -> None:
    fill(broker, *map(str, range(50)))
    first, second, third = (get(broker.queue()) for _ in range(3))
    for queued in (second, third, first):
        broker.queue().requeue([queued])

    restart(broker)

    assert drained(broker.queue())[:4] == ["1*", "2*", "0*", "3"]


def test_urgent_messages_are_found_behind_others_after_a_restart(broker: Durable) -> None:
    fill(broker, *map(str, range(35)), "late!", *map(str, range(35, 60)))

    restart(broker)

    assert drained(broker.queue()) == ["late!", *map(str, range(60))]


def test_a_purge_leaves_alone_what_is_handed_out_in_between(broker: Durable) -> None:
    fill(broker, *map(str, range(35)), "urgent!", *map(str, range(35, 60)))
    urgent = get(broker.queue())
    assert broker.queue().purge() == 60
    broker.sync()
    assert len(broker.disk.messages) == 1

    broker.queue().requeue([urgent])
    restart(broker)

    assert drained(broker.queue()) == ["urgent!*"]
    broker.sync()
    assert not broker.disk.messages


# Priorities -----------------------------------------------------------------------------------------------------------


def with_priorities(*priorities: int) -> list[FakeMessage]:
    """Messages named by their number and priority."""
    return [FakeMessage(f"{number}p{priority}", priority=priority) for number, priority in enumerate(priorities)]


def mixed(count: int) -> list[FakeMessage]:
    return with_priorities(*(number * 7 % 10 for number in range(count)))


def publish(broker: Durable, messages: list[FakeMessage]) -> None:
    """Publish, and sync after every tenth."""
    for number, message in enumerate(messages, 1):
        broker.queue().enqueue(message)
        if number % 10 == 0:
            broker.sync()
    broker.sync()


def by_priority(messages: list[FakeMessage]) -> list[str]:
    return [message.text for message in sorted(messages, key=lambda message: -message.priority)]


def by_turns(messages: list[FakeMessage]) -> list[str]:
    """Two of the urgent ones, then one of the others."""
    normal = deque(message.text for message in messages if message.priority < 5)
    high = deque(message.text for message in messages if message.priority >= 5)
    order = []
    while normal or high:
        order += [high.popleft() for _ in range(min(2, len(high)))]
        order += [normal.popleft() for _ in range(min(1, len(normal)))]
    return order


def started(profile: str) -> Durable:
    broker = Durable(profile, window=TINY)
    broker.vhost.create_queue("q", durable=True, arguments=arguments({"x-queue-type": "quorum"}))
    return broker


def test_urgent_messages_leave_memory_too(broker: Durable) -> None:
    publish(broker, with_priorities(*[URGENT] * 100, *[0] * 100))

    assert broker.queue().ready_count == 200
    # The head, and what came since the queue looked last.
    assert broker.queue().memory_bytes < 5 * TINY.queue_bytes


@pytest.mark.parametrize("profile", ["4.0", "4.3"])
def test_a_restart_reads_nothing_of_a_queue_with_priorities_before_it_is_asked(profile: str) -> None:
    broker = started(profile)
    messages = mixed(100)
    publish(broker, messages)

    restart(broker)

    assert broker.journal.reads_count == 0
    assert broker.queue().memory_bytes == 0
    assert drained(broker.queue()) == (by_turns(messages) if profile == "4.0" else by_priority(messages))
    broker.sync()
    assert not broker.disk.messages


def test_a_version_that_knows_no_priorities_pages_in_one_line() -> None:
    broker = started("3.10")
    messages = mixed(100)
    publish(broker, messages)

    assert broker.queue().memory_bytes < 5 * TINY.queue_bytes
    restart(broker)
    assert drained(broker.queue()) == [message.text for message in messages]


@pytest.mark.parametrize(("old", "new"), [("3.10", "4.3"), ("3.10", "4.0"), ("4.0", "4.3")])
def test_another_version_stores_in_its_own_lines_what_it_finds(old: str, new: str) -> None:
    broker = started(old)
    messages = mixed(60)
    publish(broker, messages)
    first = get(broker.queue())
    broker.queue().requeue([first])

    broker.profile = new
    for _ in range(3):
        # Only the first of these changes anything.
        broker.stop_and_start()
        assert broker.queue().ready_count == 60
    publish(broker, with_priorities(0, 9))

    got = drained(broker.queue())
    assert isinstance(first.message, FakeMessage)
    assert got[0] == first.message.text + "*"
    assert len(got) == 62
    if new == "4.3":
        assert sorted(map(priority_in, got[1:]), reverse=True) == list(map(priority_in, got[1:]))
    broker.sync()
    assert not broker.disk.messages


def test_a_version_without_priorities_keeps_the_order_of_batches() -> None:
    broker = started("4.3")
    messages = mixed(60)
    publish(broker, messages)

    broker.profile = "3.10"
    broker.stop_and_start()

    got = drained(broker.queue())
    # Ten are in a batch.
    batches = [sorted(got[at : at + 10]) for at in range(0, 60, 10)]
    assert batches == [sorted(message.text for message in messages[at : at + 10]) for at in range(0, 60, 10)]


def test_a_crash_marks_what_another_version_left_and_that_is_kept() -> None:
    broker = started("4.0")
    messages = mixed(30)
    publish(broker, messages)
    broker.profile = "4.3"
    broker.crash_and_start()

    broker.stop_and_start()

    assert drained(broker.queue()) == [one + "*" for one in by_priority(messages)]


def priority_in(text: str) -> int:
    return int(text.rstrip("*")[-1])
