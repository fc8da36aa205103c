"""Message groups whatever consumers do: order in each group, and never two consumers at once."""

from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.queues.groups import GroupedQueue
from amqpy_broker.core.queues.lanes import GroupedMessage
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.settings import QueueSettings
from tests.fakes import FakeConsumer, FakeMessage, FakeSurroundings

STEPS = st.tuples(
    st.sampled_from(("publish", "publish", "start", "settle", "requeue", "stop", "get", "settle got")),
    st.integers(0, 5),
)


@given(steps=st.lists(STEPS, max_size=60), prefetch_count=st.integers(0, 3))
def test_a_group_is_worked_on_in_order_by_one_consumer_at_a_time(
    steps: list[tuple[str, int]], prefetch_count: int
) -> None:
    queue = GroupedQueue(QueueProperties("q", "/", settings=QueueSettings(message_groups=True)), FakeSurroundings())
    consumers: list[FakeConsumer] = []
    gone: list[FakeConsumer] = []
    got: list[QueuedMessage] = []
    settled = 0
    published = 0
    for what, number in steps:
        holders = [consumer for consumer in consumers + gone if consumer.unacked]
        if what == "publish":
            published += 1
            headers = arguments({"x-message-group": number} if number else {})
            queue.enqueue(FakeMessage(str(published), headers=headers))
        elif what == "start":
            consumers.append(FakeConsumer(queue, f"c{len(consumers)}", prefetch_count=prefetch_count).start())
        elif what == "stop" and consumers:
            consumer = consumers.pop(number % len(consumers))
            gone.append(consumer)
            consumer.stop()
        elif what == "get" and (queued := queue.get()) is not None:
            got.append(queued)
        elif what == "settle got" and got:
            queue.settle(got.pop(number % len(got)))
            settled += 1
        elif what in ("settle", "requeue") and holders:
            holder = holders[number % len(holders)]
            queued = holder.unacked[number % len(holder.unacked)]
            holder.settle(queued) if what == "settle" else holder.requeue(queued)
            settled += what == "settle"
        check(consumers + gone, got)
        unacked = sum(len(consumer.unacked) for consumer in consumers + gone) + len(got)
        assert queue.unacked_count == unacked
        assert queue.ready_count + unacked + settled == published
    # Nothing is stuck once everybody has gone.
    for consumer in consumers:
        consumer.stop()
    for queued in got:
        queue.settle(queued)
    for consumer in consumers + gone:
        for queued in list(consumer.unacked):
            consumer.settle(queued)
    FakeConsumer(queue, no_ack=True).start()
    assert (queue.ready_count, queue.unacked_count, queue.memory_bytes) == (0, 0, 0)


def check(consumers: list[FakeConsumer], got: list[QueuedMessage]) -> None:
    owners: dict[object, object] = {}
    for holder, held in [*((consumer, consumer.unacked) for consumer in consumers), ("get", got)]:
        new: dict[object, int] = {}
        for queued in held:
            assert isinstance(queued, GroupedMessage)
            if queued.group is None:
                continue
            assert owners.setdefault(queued.group, holder) is holder
            if not queued.redelivered:
                assert new.get(queued.group, 0) < queued.position
                new[queued.group] = queued.position
