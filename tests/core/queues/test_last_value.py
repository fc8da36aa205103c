"""Last-value queues, rule by rule; tests/properties/test_last_value.py tries everything at once."""

import gc

import pytest

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.last_value import LastValueQueue
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.settings import Overflow, QueueSettings, RetrySettings, RetryType
from tests.fakes import (
    FakeConsumer,
    FakeMessage,
    FakeSurroundings,
    ManualClock,
    a_vhost,
    an_actor,
    declare_queue,
    drained,
    refused,
)

KEY = "stock"


def a_last_value_queue(around: FakeSurroundings | None = None, settings: QueueSettings | None = None) -> LastValueQueue:
    settings = settings or QueueSettings(last_value_key=KEY)
    return LastValueQueue(QueueProperties("q", "/", settings=settings), around or FakeSurroundings())


def message(text: str, *, expiration_ms: int | None = None, priority: int = 0) -> FakeMessage:
    """A message whose key is the first letter of its text; a digit is no key."""
    headers = arguments({KEY: text[0]} if text[0].isalpha() else {})
    return FakeMessage(text, headers=headers, expiration_ms=expiration_ms, priority=priority)


def published(queue: ClassicQueue, *texts: str) -> None:
    for text in texts:
        assert queue.enqueue(message(text))


def got(queue: ClassicQueue) -> QueuedMessage:
    queued = queue.get()
    assert queued is not None
    return queued


def test_a_newer_message_takes_the_place_of_the_older_one() -> None:
    queue = a_last_value_queue()
    published(queue, "a1", "b1", "c1", "b2", "a2")

    assert queue.ready_count == 3
    assert drained(queue) == ["a2", "b2", "c1"]
    assert queue.memory_bytes == 0


def test_messages_without_the_key_are_all_kept() -> None:
    queue = a_last_value_queue()
    published(queue, "1", "a1", "2", "a2", "1")

    assert drained(queue) == ["1", "a2", "2", "1"]


def test_a_consumer_that_can_take_gets_every_message() -> None:
    queue = a_last_value_queue()
    consumer = FakeConsumer(queue, prefetch_count=2).start()
    published(queue, "a1", "a2", "a3", "a4")

    assert consumer.got == ["a1", "a2"]
    consumer.settle(consumer.unacked[0])
    assert consumer.got == ["a1", "a2", "a4"]


def test_a_message_that_was_handed_out_is_not_replaced() -> None:
    queue = a_last_value_queue()
    published(queue, "a1")
    first = got(queue)
    published(queue, "a2")

    assert first.message.body == b"a1"
    assert drained(queue) == ["a2"]


def test_one_that_comes_back_is_dropped_if_a_newer_one_is_ready() -> None:
    queue = a_last_value_queue()
    published(queue, "a1")
    first = got(queue)
    published(queue, "a2")
    queue.requeue([first])

    assert drained(queue) == ["a2"]
    assert (queue.unacked_count, queue.memory_bytes) == (0, 0)


def test_one_that_comes_back_is_dropped_if_a_newer_one_was_handed_out() -> None:
    queue = a_last_value_queue()
    published(queue, "a1")
    first = got(queue)
    published(queue, "a2")
    second = got(queue)
    queue.requeue([first])
    assert queue.ready_count == 0

    queue.requeue([second])
    assert drained(queue) == ["a2*"]


def test_one_that_comes_back_is_replaced_by_what_comes_then_which_is_new() -> None:
    queue = a_last_value_queue()
    published(queue, "a1", "b1")
    queue.requeue([got(queue)])
    published(queue, "a2")

    assert drained(queue) == ["a2", "b1"]


def test_the_newer_message_brings_its_own_time_to_live() -> None:
    clock = ManualClock(0)
    around = FakeSurroundings(clock)
    queue = a_last_value_queue(around)
    queue.enqueue(message("a1", expiration_ms=1000))
    queue.enqueue(message("a2", expiration_ms=5000))
    queue.enqueue(message("b1"))
    queue.enqueue(message("b2", expiration_ms=3000))

    clock.now_s = 2
    around.timers.handle_deadline()
    assert queue.ready_count == 2
    clock.now_s = 5
    around.timers.handle_deadline()
    assert (queue.ready_count, queue.memory_bytes) == (0, 0)


def test_a_full_queue_takes_a_message_that_replaces_another() -> None:
    settings = QueueSettings(last_value_key=KEY, max_length=2, overflow=Overflow.REJECT_PUBLISH)
    queue = a_last_value_queue(settings=settings)
    published(queue, "a1", "b1")

    assert not queue.enqueue(message("c1"))
    published(queue, "b2")
    assert drained(queue) == ["a1", "b2"]


def test_a_limit_in_bytes_counts_what_replaced() -> None:
    queue = a_last_value_queue(settings=QueueSettings(last_value_key=KEY, max_length_bytes=6))
    published(queue, "a1", "b1", "b22222")

    assert drained(queue) == ["b22222"]
    published(queue, "c1", "d1", "e1")
    assert drained(queue) == ["c1", "d1", "e1"]


def test_priorities_come_before_age() -> None:
    queue = a_last_value_queue(settings=QueueSettings(last_value_key=KEY, max_priority=5))
    queue.enqueue(message("a1"))
    queue.enqueue(message("b1", priority=5))
    queue.enqueue(message("a2"))

    assert drained(queue) == ["b1", "a2"]


def test_a_message_that_waits_for_its_retry_is_dropped_if_a_newer_one_came() -> None:
    clock = ManualClock(0)
    around = FakeSurroundings(clock)
    settings = QueueSettings(last_value_key=KEY, retry=RetrySettings(RetryType.ALL, 1000))
    queue = a_last_value_queue(around, settings)
    published(queue, "a1", "b1")
    queue.requeue([got(queue), got(queue)])
    published(queue, "a2")

    clock.now_s = 1
    around.timers.handle_deadline()
    assert drained(queue) == ["b1*", "a2"]
    assert queue.memory_bytes == 0


def test_a_key_is_forgotten_with_its_last_message() -> None:
    queue = a_last_value_queue()
    published(queue, "a1", "b1", "b2")
    drained(queue)
    published(queue, "c1", "d1")
    queue.purge()
    published(queue, "e1")
    queue.close()
    gc.collect()

    assert len(queue._values) == 0


# Arguments ------------------------------------------------------------------------------------------------------------


def test_the_argument_makes_a_last_value_queue() -> None:
    queue = declare_queue(a_vhost(), an_actor(), "q", x_last_value_key="id")

    assert isinstance(queue, LastValueQueue)
    assert queue.type == "classic"
    assert queue.settings.last_value_key == "id"


def test_declaring_it_again_with_another_key_is_refused() -> None:
    vhost, actor = a_vhost(), an_actor()
    declare_queue(vhost, actor, "q", x_last_value_key="id")
    declare_queue(vhost, actor, "q", x_last_value_key="id")

    with pytest.raises(PreconditionFailed, match="inequivalent arg 'x-last-value-key'"):
        declare_queue(vhost, actor, "q", x_last_value_key="name")


def test_a_key_that_is_no_name_is_refused() -> None:
    text = "invalid arg 'x-last-value-key' for queue 'q' in vhost '/': {unacceptable_type,signedint}"
    with refused(PreconditionFailed, text):
        declare_queue(a_vhost(), an_actor(), "q", x_last_value_key=1)


def test_a_quorum_queue_is_none() -> None:
    with pytest.raises(PreconditionFailed, match="of queue type rabbit_quorum_queue"):
        declare_queue(a_vhost(), an_actor(), "q", durable=True, x_queue_type="quorum", x_last_value_key="id")
