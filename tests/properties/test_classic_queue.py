"""The classic queue against a naive oracle: a sorted list of messages and a list of consumers in turn.

It loses nothing, invents nothing, keeps the order, marks what it hands out again, counts right and starves nobody.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.queues.base import QueuedMessage
from tests.fakes import FakeConsumer, FakeMessage, a_queue

CONSUMERS_MAX = 5


class Oracle:
    """What a queue should do, in the plainest way. A message is a number; the higher came later."""

    def __init__(self) -> None:
        self.ready: list[int] = []
        self.unacked: dict[int, FakeConsumer | None] = {}
        self.handed_out: set[int] = set()
        # Consumers that can take as far as the queue knows, next one first.
        self.turn: list[FakeConsumer] = []
        self.got: dict[FakeConsumer, list[str]] = {}

    def hand_out(self) -> None:
        while self.turn and self.ready:
            consumer, number = self.turn.pop(0), self.ready.pop(0)
            self.got[consumer].append(str(number) + "*" * (number in self.handed_out))
            if not consumer.no_ack:
                self.unacked[number] = consumer
                self.handed_out.add(number)
            if self.has_room(consumer):
                self.turn.append(consumer)

    def has_room(self, consumer: FakeConsumer) -> bool:
        count = list(self.unacked.values()).count(consumer)
        return not consumer.congested and (not consumer.prefetch_count or count < consumer.prefetch_count)

    def enqueue(self, number: int) -> None:
        self.ready.append(number)
        self.hand_out()

    def get(self) -> int | None:
        if not self.ready:
            return None
        number = self.ready.pop(0)
        self.unacked[number] = None
        self.handed_out.add(number)
        return number

    def requeue(self, numbers: list[int]) -> None:
        for number in numbers:
            del self.unacked[number]
        self.ready = sorted([*self.ready, *numbers])
        self.hand_out()

    def resume(self, consumer: FakeConsumer) -> None:
        if consumer not in self.turn and self.has_room(consumer):
            self.turn.append(consumer)
            self.hand_out()


class ClassicQueueMachine(RuleBasedStateMachine):
    """Does what channels do with one queue, and the same with the oracle."""

    @initialize()
    def begin(self) -> None:
        self.queue = a_queue()
        self.oracle = Oracle()
        self.last_number = 0
        self.consumers: list[FakeConsumer] = []
        # Deliveries that are unacknowledged, by message: those of basic.get, and all together.
        self.deliveries: dict[int, QueuedMessage] = {}

    # --- messages ---------------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 4))
    def enqueue(self, count: int) -> None:
        for _ in range(count):
            self.last_number += 1
            self.oracle.enqueue(self.last_number)
            self.queue.enqueue(FakeMessage(str(self.last_number)))

    @rule()
    def get(self) -> None:
        was_handed_out = set(self.oracle.handed_out)
        number, queued = self.oracle.get(), self.queue.get()
        assert (number is None) == (queued is None)
        if number is not None and queued is not None:
            assert number_of(queued) == number
            assert queued.redelivered == (number in was_handed_out)
            assert queued.consumer is None
            self.deliveries[number] = queued

    @precondition(lambda self: self.oracle.unacked)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(list(self.oracle.unacked)))
        del self.oracle.unacked[number]
        holders = self.take(number)
        self.queue.settle(self.deliveries.pop(number))
        self.resume(holders)

    @precondition(lambda self: self.oracle.unacked)
    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        numbers = data.draw(st.lists(st.sampled_from(list(self.oracle.unacked)), min_size=1, unique=True))
        holders = self.take(*numbers)
        self.oracle.requeue(numbers)
        self.queue.requeue([self.deliveries.pop(number) for number in numbers])
        self.resume(holders)

    @rule()
    def purge(self) -> None:
        assert self.queue.purge() == len(self.oracle.ready)
        self.oracle.ready.clear()

    # --- consumers --------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.consumers) < CONSUMERS_MAX)
    @rule(no_ack=st.booleans(), prefetch_count=st.sampled_from([0, 1, 2, 3]), congested=st.booleans())
    def consume(self, no_ack: bool, prefetch_count: int, congested: bool) -> None:
        consumer = FakeConsumer(
            self.queue,
            f"c{len(self.oracle.got)}",
            no_ack=no_ack,
            prefetch_count=0 if no_ack else prefetch_count,
            congested=congested,
        )
        self.consumers.append(consumer)
        self.oracle.got[consumer] = []
        self.queue.add_consumer(consumer)
        self.resume([consumer])

    @precondition(lambda self: self.consumers)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        consumer = data.draw(st.sampled_from(self.consumers))
        self.consumers.remove(consumer)
        if consumer in self.oracle.turn:
            self.oracle.turn.remove(consumer)
        self.queue.remove_consumer(consumer)

    @precondition(lambda self: self.consumers)
    @rule(data=st.data(), tells=st.booleans())
    def congest_or_decongest(self, data: st.DataObject, tells: bool) -> None:
        consumer = data.draw(st.sampled_from(self.consumers))
        consumer.congested = not consumer.congested
        # Who does not tell gets one more, and says so then.
        if consumer.congested and tells:
            self.oracle.turn = [other for other in self.oracle.turn if other is not consumer]
            self.queue.pause(consumer)
        self.resume([consumer])

    @precondition(lambda self: self.consumers)
    @rule(data=st.data())
    def resume_for_no_reason(self, data: st.DataObject) -> None:
        self.resume([data.draw(st.sampled_from(self.consumers))])

    # --- the end ----------------------------------------------------------------------------------------------------

    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        assert self.queue.close() == self.consumers
        assert self.queue.consumer_count == self.queue.ready_count == 0
        self.learn_deliveries()
        for number, queued in self.deliveries.items():
            self.take(number)
            if data.draw(st.booleans()):
                self.queue.settle(queued)
            else:
                self.queue.requeue([queued])
        assert self.queue.ready_count == self.queue.unacked_count == self.queue.memory_bytes == 0
        assert {consumer: consumer.got for consumer in self.oracle.got} == self.oracle.got
        self.begin()

    # --- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def everybody_got_what_they_should(self) -> None:
        self.learn_deliveries()
        assert {consumer: consumer.got for consumer in self.oracle.got} == self.oracle.got
        holders = {number: queued.consumer for number, queued in self.deliveries.items()}
        assert holders == self.oracle.unacked

    @invariant()
    def counts_and_memory_are_right(self) -> None:
        assert self.queue.ready_count == len(self.oracle.ready)
        assert self.queue.unacked_count == len(self.oracle.unacked)
        assert self.queue.consumer_count == len(self.consumers)
        held = [*self.oracle.ready, *self.oracle.unacked]
        assert self.queue.memory_bytes == sum(len(str(number)) + MESSAGE_OVERHEAD_BYTES for number in held)

    @invariant()
    def nobody_waits_who_can_take_what_is_ready(self) -> None:
        assert not self.queue.ready_count or not any(consumer.can_take() for consumer in self.consumers)

    # --- steps of a channel -----------------------------------------------------------------------------------------

    def learn_deliveries(self) -> None:
        for consumer in self.oracle.got:
            self.deliveries |= {number_of(queued): queued for queued in consumer.unacked}

    def take(self, *numbers: int) -> list[FakeConsumer]:
        """Take deliveries from those who hold them."""
        holders = [self.deliveries[number].consumer for number in numbers]
        for number, holder in zip(numbers, holders, strict=True):
            if isinstance(holder, FakeConsumer):
                holder.forget(self.deliveries[number])
        return [holder for holder in dict.fromkeys(holders) if isinstance(holder, FakeConsumer)]

    def resume(self, consumers: list[FakeConsumer]) -> None:
        for consumer in consumers:
            if consumer in self.consumers:
                self.oracle.resume(consumer)
            consumer.resume_if_waiting()


def number_of(queued: QueuedMessage) -> int:
    assert isinstance(queued.message, FakeMessage)
    return int(queued.message.text)


# Long runs take their time.
TestClassicQueue = pytest.mark.timeout(900)(ClassicQueueMachine.TestCase)
TestClassicQueue.settings = settings(stateful_step_count=60)
