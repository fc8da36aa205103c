"""Length limits and what becomes of a message too many (https://www.rabbitmq.com/docs/maxlength)."""

import pytest

from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.settings import Overflow, QueueSettings
from tests.fakes import FakeConsumer, FakeMessage, FakeSurroundings, a_queue, drained

REFUSING = [Overflow.REJECT_PUBLISH, Overflow.REJECT_PUBLISH_DLX]


def limited(
    length: int | None = None,
    size: int | None = None,
    overflow: Overflow = Overflow.DROP_HEAD,
    max_priority: int | None = None,
) -> tuple[ClassicQueue, FakeSurroundings]:
    around = FakeSurroundings()
    settings = QueueSettings(
        max_length=length,
        max_length_bytes=size,
        overflow=overflow,
        max_priority=max_priority,
        dead_letter_exchange="dlx",
    )
    return a_queue("q", settings, around), around


def publish(queue: ClassicQueue, *texts: str) -> list[bool]:
    return [queue.enqueue(FakeMessage(text)) for text in texts]


def dead(around: FakeSurroundings) -> list[str]:
    return [f"{message.body.decode()} {reason.value}" for _, message, reason in around.dead]


def test_the_oldest_makes_room() -> None:
    queue, around = limited(2)
    assert publish(queue, "1", "2", "3", "4") == [True] * 4
    assert dead(around) == ["1 maxlen", "2 maxlen"]
    assert drained(queue) == ["3", "4"]


def test_bodies_are_counted() -> None:
    queue, around = limited(size=5)
    publish(queue, "aa", "bb", "c", "dddd")
    assert dead(around) == ["aa maxlen", "bb maxlen"]
    assert drained(queue) == ["c", "dddd"]


def test_a_message_larger_than_the_limit_drops_all_and_itself() -> None:
    queue, around = limited(size=3)
    publish(queue, "a", "dddd")
    assert dead(around) == ["a maxlen", "dddd maxlen"]
    assert queue.memory_bytes == 0


def test_both_limits_hold() -> None:
    queue, _ = limited(2, 5)
    publish(queue, "a", "b", "c")
    assert queue.ready_count == 2
    publish(queue, "ddddd")
    assert drained(queue) == ["ddddd"]


@pytest.mark.parametrize("overflow", REFUSING)
def test_a_full_queue_may_refuse(overflow: Overflow) -> None:
    queue, around = limited(2, overflow=overflow)
    assert publish(queue, "1", "2", "3") == [True, True, False]
    assert dead(around) == (["3 maxlen"] if overflow is Overflow.REJECT_PUBLISH_DLX else [])
    assert drained(queue) == ["1", "2"]
    assert publish(queue, "4") == [True]


@pytest.mark.parametrize("overflow", REFUSING)
def test_what_is_refused_for_its_size_leaves_room_for_less(overflow: Overflow) -> None:
    queue, _ = limited(size=3, overflow=overflow)
    assert publish(queue, "aa", "bb", "c") == [True, False, True]


@pytest.mark.parametrize("overflow", list(Overflow))
def test_what_is_unacknowledged_does_not_count(overflow: Overflow) -> None:
    queue, around = limited(1, overflow=overflow)
    consumer = FakeConsumer(queue, prefetch_count=2).start()
    assert publish(queue, "1", "2", "3") == [True] * 3
    assert consumer.got == ["1", "2"]
    assert dead(around) == []


def test_a_limit_of_0_lets_through_what_a_consumer_can_take() -> None:
    queue, around = limited(0)
    consumer = FakeConsumer(queue, prefetch_count=1).start()
    publish(queue, "1", "2")
    assert consumer.got == ["1"]
    assert dead(around) == ["2 maxlen"]


@pytest.mark.parametrize("overflow", REFUSING)
def test_a_limit_of_0_refuses_everything(overflow: Overflow) -> None:
    queue, _ = limited(0, overflow=overflow)
    FakeConsumer(queue).start()
    assert publish(queue, "1") == [False]


def test_requeueing_drops_the_oldest() -> None:
    queue, around = limited(1)
    publish(queue, "1")
    queued = queue.get()
    assert queued is not None
    publish(queue, "2")
    queue.requeue([queued])
    assert dead(around) == ["1 maxlen"]
    assert drained(queue) == ["2"]


@pytest.mark.parametrize("overflow", REFUSING)
def test_a_queue_that_refuses_takes_back_what_it_had(overflow: Overflow) -> None:
    queue, around = limited(1, overflow=overflow)
    publish(queue, "1")
    queued = queue.get()
    assert queued is not None
    publish(queue, "2")
    queue.requeue([queued])
    assert dead(around) == []
    assert drained(queue) == ["1*", "2"]


def test_the_highest_priority_goes_first_here_too() -> None:
    # https://www.rabbitmq.com/docs/priority#interaction-with-other-features
    queue, around = limited(1, max_priority=9)
    queue.enqueue(FakeMessage("high", priority=9))
    queue.enqueue(FakeMessage("low", priority=1))
    assert dead(around) == ["high maxlen"]
    assert drained(queue) == ["low"]


def test_a_purge_makes_room_for_as_much() -> None:
    queue, _ = limited(size=3, overflow=Overflow.REJECT_PUBLISH)
    publish(queue, "aaa")
    queue.purge()
    assert publish(queue, "bbb", "c") == [True, False]
