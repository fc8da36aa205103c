"""Message groups, rule by rule; tests/properties/test_groups.py tries everything at once."""

import pytest

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.queues.groups import GroupedQueue
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.settings import QueueSettings
from tests.fakes import FakeConsumer, FakeMessage, FakeSurroundings, a_vhost, an_actor, declare_queue, drained, refused


def a_grouped_queue(max_length: int | None = None) -> GroupedQueue:
    settings = QueueSettings(message_groups=True, max_length=max_length)
    return GroupedQueue(QueueProperties("q", "/", settings=settings), FakeSurroundings())


def published(queue: GroupedQueue, *texts: str, header: str = "x-message-group") -> None:
    """Publish messages; a letter in front is the group."""
    for text in texts:
        headers = arguments({header: text[0]} if text[0].isalpha() else {})
        queue.enqueue(FakeMessage(text, headers=headers))


@pytest.mark.parametrize("header", ["x-message-group", "JMSXGroupID"])
def test_a_group_stays_with_the_consumer_that_got_its_first_message(header: str) -> None:
    queue = a_grouped_queue()
    one, two = FakeConsumer(queue, "one").start(), FakeConsumer(queue, "two").start()
    published(queue, "a1", "b1", "b2", "a2", "a3", "b3", header=header)

    assert (one.got, two.got) == (["a1", "a2", "a3"], ["b1", "b2", "b3"])


def test_messages_without_a_group_go_to_consumers_in_turn() -> None:
    queue = a_grouped_queue()
    one, two = FakeConsumer(queue, "one").start(), FakeConsumer(queue, "two").start()
    published(queue, "1", "2", "3", "4")

    assert (one.got, two.got) == (["1", "3"], ["2", "4"])


def test_a_group_waits_for_its_consumer_and_holds_up_nobody_else() -> None:
    queue = a_grouped_queue()
    one = FakeConsumer(queue, "one", prefetch_count=1).start()
    published(queue, "a1")
    two = FakeConsumer(queue, "two").start()
    published(queue, "a2", "b1", "1")

    assert (one.got, two.got, queue.ready_count) == (["a1"], ["b1", "1"], 1)
    one.settle(one.unacked[0])
    assert (one.got, two.got) == (["a1", "a2"], ["b1", "1"])


def test_a_group_whose_consumer_has_gone_waits_for_what_that_had() -> None:
    queue = a_grouped_queue()
    one, two = FakeConsumer(queue, "one", prefetch_count=2).start(), FakeConsumer(queue, "two")
    published(queue, "a1", "a2", "a3")
    two.start()
    one.stop()
    assert two.got == []

    one.settle(one.unacked[0])
    assert two.got == []
    one.requeue(*one.unacked)
    assert two.got == ["a2*", "a3"]


def test_what_was_got_without_a_consumer_holds_its_group_up() -> None:
    queue = a_grouped_queue()
    published(queue, "a1", "a2", "b1")
    queued = queue.get()
    assert queued is not None
    consumer = FakeConsumer(queue).start()
    assert consumer.got == ["b1"]

    queue.settle(queued)
    assert consumer.got == ["b1", "a2"]


def test_nobody_gets_what_is_for_a_consumer() -> None:
    queue = a_grouped_queue()
    consumer = FakeConsumer(queue, prefetch_count=1).start()
    published(queue, "a1", "a2", "1")

    assert drained(queue) == ["1"]
    assert queue.ready_count == 1
    consumer.settle(consumer.unacked[0])
    assert consumer.got == ["a1", "a2"]


def test_a_length_limit_drops_the_oldest_whoever_it_is_for() -> None:
    queue = a_grouped_queue(max_length=2)
    consumer = FakeConsumer(queue, prefetch_count=1).start()
    published(queue, "a1", "a2", "1", "2")
    consumer.settle(consumer.unacked[0])

    assert consumer.got == ["a1", "1"]


def test_the_argument_makes_a_queue_with_groups() -> None:
    assert isinstance(declare_queue(a_vhost(), an_actor(), "q", x_message_groups=True), GroupedQueue)
    assert not isinstance(declare_queue(a_vhost(), an_actor(), "q", x_message_groups=False), GroupedQueue)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("x-max-priority", {"x_max_priority": 5}),
        ("x-last-value-key", {"x_last_value_key": "k"}),
        ("x-delayed-retry-type", {"x_delayed_retry_type": "all", "x_delayed_retry_min": 1}),
    ],
)
def test_what_would_break_the_order_is_refused(name: str, values: dict[str, object]) -> None:
    vhost = a_vhost()
    text = f"invalid arg 'x-message-groups' for queue 'q' in vhost '/': not together with '{name}'"
    with refused(PreconditionFailed, text):
        declare_queue(vhost, an_actor(), "q", **{"x_message_groups": True, **values})
    assert not vhost.queues
