"""The classic queue, rule by rule; tests/properties/test_classic_queue.py tries everything at once."""

from itertools import permutations

import pytest

from amqpy_broker.core.errors import AccessRefused
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.queues.classic import ClassicQueue
from tests.fakes import FakeConsumer, FakeMessage, a_queue, drained, filled, refused


def counts(queue: ClassicQueue) -> tuple[int, int]:
    return queue.ready_count, queue.unacked_count


# Order and redelivery -------------------------------------------------------------------------------------------------


def test_messages_leave_in_the_order_they_came() -> None:
    queue = a_queue()
    filled(queue, "1", "2", "3")

    assert drained(queue) == ["1", "2", "3"]
    assert queue.get() is None


@pytest.mark.parametrize("order", list(permutations((0, 1, 2))))
def test_requeued_messages_return_to_their_places_whatever_the_order(order: tuple[int, ...]) -> None:
    queue = a_queue()
    filled(queue, "1", "2", "3", "4")
    taken = [queue.get(), queue.get(), queue.get()]

    for number in order:
        queued = taken[number]
        assert queued is not None
        queue.requeue([queued])

    assert drained(queue) == ["1*", "2*", "3*", "4"]


@pytest.mark.parametrize("order", list(permutations((0, 1, 2))))
def test_messages_requeued_together_return_to_their_places(order: tuple[int, ...]) -> None:
    queue = a_queue()
    consumer = FakeConsumer(queue).start()
    filled(queue, "1", "2", "3")
    consumer.stop()

    consumer.requeue(*[consumer.unacked[number] for number in order])

    assert drained(queue) == ["1*", "2*", "3*"]


def test_a_message_that_came_meanwhile_stays_behind_one_that_is_requeued() -> None:
    queue = a_queue()
    filled(queue, "1")
    queued = queue.get()
    assert queued is not None
    filled(queue, "2")

    queue.requeue([queued])

    assert drained(queue) == ["1*", "2"]


def test_a_message_stays_marked_redelivered() -> None:
    queue = a_queue()
    filled(queue, "1")
    for _ in range(3):
        queued = queue.get()
        assert queued is not None
        queue.requeue([queued])

    assert drained(queue) == ["1*"]


def test_a_requeued_message_goes_to_a_consumer_that_can_take_it() -> None:
    queue = a_queue()
    first = FakeConsumer(queue, prefetch_count=1).start()
    filled(queue, "1")
    second = FakeConsumer(queue, prefetch_count=1).start()

    first.requeue(*first.unacked)

    assert second.got == ["1*"]


def test_a_message_from_get_knows_no_consumer() -> None:
    queue = a_queue()
    consumer = FakeConsumer(queue).start()
    filled(queue, "1")
    consumer.stop()
    consumer.requeue(*consumer.unacked)

    queued = queue.get()

    assert queued is not None
    assert queued.consumer is None


# Consumers ------------------------------------------------------------------------------------------------------------


def test_a_consumer_gets_nothing_before_it_is_resumed() -> None:
    queue = a_queue()
    filled(queue, "1")
    consumer = FakeConsumer(queue)

    queue.add_consumer(consumer)
    filled(queue, "2")
    assert consumer.got == []
    queue.resume(consumer)
    assert consumer.got == ["1", "2"]


def test_consumers_are_served_in_turn() -> None:
    queue = a_queue()
    consumers = [FakeConsumer(queue, tag).start() for tag in ("a", "b", "c")]

    filled(queue, *"1234567")

    assert [consumer.got for consumer in consumers] == [["1", "4", "7"], ["2", "5"], ["3", "6"]]


def test_a_consumer_without_room_is_passed_over() -> None:
    queue = a_queue()
    full, free = FakeConsumer(queue, prefetch_count=1).start(), FakeConsumer(queue).start()

    filled(queue, "1", "2", "3", "4")

    assert full.got == ["1"]
    assert free.got == ["2", "3", "4"]


def test_a_prefetch_count_is_never_passed() -> None:
    queue = a_queue()
    consumer = FakeConsumer(queue, prefetch_count=2).start()
    filled(queue, "1", "2", "3", "4")
    assert consumer.got == ["1", "2"]

    consumer.settle(consumer.unacked[0])
    assert consumer.got == ["1", "2", "3"]
    assert counts(queue) == (1, 2)


def test_a_congested_consumer_leaves_messages_in_the_queue() -> None:
    queue = a_queue()
    consumer = FakeConsumer(queue, no_ack=True, congested=True).start()
    filled(queue, "1", "2")
    assert counts(queue) == (2, 0)

    consumer.decongest()
    assert consumer.got == ["1", "2"]
    assert queue.memory_bytes == 0


def test_a_paused_consumer_gets_nothing_until_it_is_resumed() -> None:
    queue = a_queue()
    paused, other = FakeConsumer(queue).start(), FakeConsumer(queue).start()

    queue.pause(paused)
    queue.pause(paused)
    filled(queue, "1", "2")
    assert (paused.got, other.got) == ([], ["1", "2"])
    queue.resume(paused)
    filled(queue, "3", "4")
    assert (paused.got, other.got) == (["4"], ["1", "2", "3"])


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_consumer_that_takes_the_last_of_a_shared_limit_pauses_the_others(first: int) -> None:
    queue = a_queue()
    free = FakeConsumer(queue, "free")
    sharing = [_Sharing(queue, "a"), _Sharing(queue, "b")]
    for consumer in sharing:
        consumer.others = sharing
    consumers = [*sharing, free]
    for each in (*consumers[first:], *consumers[:first]):
        each.start()

    filled(queue, "1", "2", "3", "4")

    assert sorted(len(consumer.got) for consumer in sharing) == [0, 1]
    assert len(free.got) == 3


class _Sharing(FakeConsumer):
    """One of several that may have one delivery together."""

    __slots__ = ("others",)

    others: "list[_Sharing]"

    def deliver(self, message: Message, redelivered: bool, queued: QueuedMessage | None) -> bool:
        super().deliver(message, redelivered, queued)
        for other in self.others:
            if other is not self:
                self.queue.pause(other)
        return False


def test_resuming_twice_gives_no_second_turn() -> None:
    queue = a_queue()
    a, b = FakeConsumer(queue).start(), FakeConsumer(queue).start()
    queue.resume(a)
    queue.resume(a)

    filled(queue, "1", "2", "3", "4")

    assert (a.got, b.got) == (["1", "3"], ["2", "4"])


def test_a_removed_consumer_gets_nothing_more_and_keeps_what_it_has() -> None:
    queue = a_queue()
    consumer = FakeConsumer(queue).start()
    filled(queue, "1")
    consumer.stop()
    filled(queue, "2")
    queue.resume(consumer)

    assert consumer.got == ["1"]
    assert counts(queue) == (1, 1)
    consumer.settle(consumer.unacked[0])
    assert counts(queue) == (1, 0)


def test_a_waiting_consumer_can_be_removed() -> None:
    queue = a_queue()
    consumer = FakeConsumer(queue, congested=True).start()

    consumer.stop()

    assert queue.consumer_count == 0


def test_a_consumer_that_does_not_acknowledge_leaves_nothing_behind() -> None:
    queue = a_queue()
    consumer = FakeConsumer(queue, no_ack=True).start()

    filled(queue, "1", "2")

    assert consumer.got == ["1", "2"]
    assert counts(queue) == (0, 0)
    assert queue.memory_bytes == 0


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (True, True)])
def test_an_exclusive_consumer_is_alone(first: bool, second: bool) -> None:
    queue = a_queue()
    FakeConsumer(queue, exclusive=first).start()

    with refused(AccessRefused, "queue 'q' in vhost '/' in exclusive use"):
        FakeConsumer(queue, exclusive=second).start()
    assert queue.consumer_count == 1


def test_after_an_exclusive_consumer_there_may_be_others() -> None:
    queue = a_queue()
    FakeConsumer(queue, exclusive=True).start().stop()

    FakeConsumer(queue).start()
    FakeConsumer(queue).start()

    assert queue.consumer_count == 2


# Counts, memory, ends -------------------------------------------------------------------------------------------------


def test_memory_counts_each_message_with_its_overhead_until_it_is_settled() -> None:
    queue = a_queue()
    filled(queue, "12345")
    assert queue.memory_bytes == MESSAGE_OVERHEAD_BYTES + 5

    queued = queue.get()
    assert queued is not None
    assert queue.memory_bytes == MESSAGE_OVERHEAD_BYTES + 5
    queue.settle(queued)
    assert queue.memory_bytes == 0


def test_queues_share_a_message() -> None:
    q1, q2, message = a_queue("q1"), a_queue("q2"), FakeMessage("shared")
    q1.enqueue(message)
    q2.enqueue(message)

    first, second = q1.get(), q2.get()

    assert first is not None
    assert second is not None
    assert first.message is second.message is message
    q1.requeue([first])
    assert (first.redelivered, second.redelivered) == (True, False)


def test_purge_drops_what_is_ready_and_nothing_else() -> None:
    queue = a_queue()
    filled(queue, "1", "2", "3")
    kept, returned = queue.get(), queue.get()
    assert kept is not None
    assert returned is not None
    queue.requeue([returned])

    assert queue.purge() == 2
    assert counts(queue) == (0, 1)
    queue.requeue([kept])
    assert drained(queue) == ["1*"]
    assert queue.purge() == 0
    assert queue.memory_bytes == 0


def test_close_drops_everything_and_tells_who_was_there() -> None:
    queue = a_queue()
    filled(queue, "1", "2")
    consumers = [FakeConsumer(queue, tag, congested=True).start() for tag in ("a", "b")]

    assert queue.close() == consumers
    assert queue.deleted
    assert (queue.ready_count, queue.consumer_count, queue.memory_bytes) == (0, 0, 0)


def test_what_was_unacked_when_its_queue_closed_is_forgotten_however_it_is_settled() -> None:
    queue = a_queue()
    consumer = FakeConsumer(queue).start()
    filled(queue, "1", "2")
    queue.close()

    consumer.settle(consumer.unacked[0])
    consumer.requeue(*consumer.unacked)

    assert counts(queue) == (0, 0)
    assert queue.memory_bytes == 0
    assert consumer.got == ["1", "2"]


def test_a_queue_remembers_that_it_had_consumers() -> None:
    queue = a_queue()
    assert not queue.had_consumers
    FakeConsumer(queue).start().stop()
    assert queue.had_consumers
