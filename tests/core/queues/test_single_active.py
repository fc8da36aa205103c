"""Single active consumers (https://www.rabbitmq.com/docs/consumers#single-active-consumer)."""

import pytest

from amqpy_broker.core.errors import AccessRefused
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.queues.settings import QueueSettings
from tests.fakes import FakeConsumer, a_queue, filled, refused


@pytest.fixture
def queue() -> Queue:
    return a_queue("q", QueueSettings(single_active_consumer=True))


def test_the_first_consumer_gets_everything(queue: Queue) -> None:
    first, second = FakeConsumer(queue).start(), FakeConsumer(queue, priority=9).start()
    filled(queue, "1", "2")
    assert (first.got, second.got) == (["1", "2"], [])


def test_nobody_helps_an_active_one_that_is_busy(queue: Queue) -> None:
    first, second = FakeConsumer(queue, prefetch_count=1).start(), FakeConsumer(queue).start()
    filled(queue, "1", "2")
    assert (first.got, second.got) == (["1"], [])
    first.settle(first.unacked[0])
    assert (first.got, second.got) == (["1", "2"], [])


def test_the_longest_there_follows(queue: Queue) -> None:
    first, second, third = (FakeConsumer(queue).start() for _ in range(3))
    first.stop()
    filled(queue, "1")
    second.stop()
    filled(queue, "2")
    assert (first.got, second.got, third.got) == ([], ["1"], ["2"])


def test_the_highest_priority_follows_first(queue: Queue) -> None:
    first, second, third = FakeConsumer(queue).start(), FakeConsumer(queue).start(), FakeConsumer(queue, priority=1)
    third.start()
    first.stop()
    filled(queue, "1")
    assert (second.got, third.got) == ([], ["1"])


def test_who_follows_gets_what_waits(queue: Queue) -> None:
    first, second = FakeConsumer(queue, prefetch_count=1).start(), FakeConsumer(queue).start()
    filled(queue, "1", "2", "3")
    first.stop()
    assert second.got == ["2", "3"]
    first.requeue(*first.unacked)
    assert second.got == ["2", "3", "1*"]


def test_one_that_waits_may_leave(queue: Queue) -> None:
    first, second, third = (FakeConsumer(queue).start() for _ in range(3))
    second.stop()
    first.stop()
    filled(queue, "1")
    assert third.got == ["1"]


def test_with_the_last_gone_messages_wait_for_the_next(queue: Queue) -> None:
    FakeConsumer(queue).start().stop()
    filled(queue, "1")
    assert queue.ready_count == 1
    assert FakeConsumer(queue).start().got == ["1"]


def test_nobody_can_be_exclusive(queue: Queue) -> None:
    with refused(AccessRefused, "queue 'q' in vhost '/' in exclusive use"):
        queue.add_consumer(FakeConsumer(queue, exclusive=True))
