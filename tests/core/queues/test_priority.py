"""Priorities of messages and of consumers in a queue."""

from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.queues.settings import QueueSettings
from tests.fakes import FakeConsumer, FakeMessage, a_queue, drained, filled


def with_priorities(queue: Queue, *priorities: int) -> Queue:
    """Publish messages named by their number and priority."""
    for number, priority in enumerate(priorities, 1):
        queue.enqueue(FakeMessage(f"{number}p{priority}", priority=priority))
    return queue


def a_priority_queue(max_priority: int = 9) -> Queue:
    return a_queue("q", QueueSettings(max_priority=max_priority))


def test_the_highest_leaves_first_and_equals_in_their_order() -> None:
    assert drained(with_priorities(a_priority_queue(), 1, 5, 0, 5, 9)) == ["5p9", "2p5", "4p5", "1p1", "3p0"]


def test_a_queue_without_priorities_ignores_them() -> None:
    assert drained(with_priorities(a_queue(), 1, 9)) == ["1p1", "2p9"]


def test_what_is_important_overtakes_what_waits_but_not_what_was_delivered() -> None:
    queue = a_priority_queue()
    consumer = FakeConsumer(queue, prefetch_count=1).start()
    with_priorities(queue, 1, 1, 5)
    while consumer.unacked:
        consumer.settle(consumer.unacked[0])
    assert consumer.got == ["1p1", "3p5", "2p1"]


def test_what_is_requeued_returns_to_its_place() -> None:
    queue = with_priorities(a_priority_queue(), 1, 5, 5)
    taken = [queue.get(), queue.get(), queue.get()]
    queue.requeue([queued for queued in reversed(taken) if queued is not None])
    assert drained(queue) == ["2p5*", "3p5*", "1p1*"]


def test_counts_purge_and_memory_are_of_all_priorities() -> None:
    queue = with_priorities(a_priority_queue(), 1, 5, 0)
    assert queue.ready_count == 3
    assert queue.purge() == 3
    assert queue.memory_bytes == 0


def test_consumers_of_a_higher_priority_are_served_first_and_equals_in_turn() -> None:
    queue = a_queue()
    low = FakeConsumer(queue, priority=-1).start()
    high = [FakeConsumer(queue, priority=5, prefetch_count=2).start() for _ in range(2)]
    filled(queue, "1", "2", "3", "4", "5", "6")
    assert [one.got for one in (*high, low)] == [["1", "3"], ["2", "4"], ["5", "6"]]

    high[1].settle(high[1].unacked[0])
    filled(queue, "7", "8")

    assert [one.got for one in (*high, low)] == [["1", "3"], ["2", "4", "7"], ["5", "6", "8"]]
