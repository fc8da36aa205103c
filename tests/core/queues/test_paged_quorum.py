"""A quorum queue of which only the first messages, the urgent ones and those that came back are in memory."""

from __future__ import annotations

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
