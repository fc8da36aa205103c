"""Messages and queues that expire, on a clock that the test turns (https://www.rabbitmq.com/docs/ttl)."""

import pytest

from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Reason
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.settings import QueueSettings
from tests.fakes import FakeConsumer, FakeMessage, FakeSurroundings, ManualClock, a_queue, drained


class Scene:
    """A queue, its clock, and what died in it."""

    def __init__(self, settings: QueueSettings) -> None:
        self.clock = ManualClock(0.0)
        self.around = FakeSurroundings(self.clock)
        self.queue: ClassicQueue = a_queue("q", settings, self.around)

    def publish(self, text: str, expiration_ms: int | None = None, priority: int = 0) -> None:
        assert self.queue.enqueue(FakeMessage(text, expiration_ms=expiration_ms, priority=priority))

    def turn_to(self, now_ms: float) -> None:
        self.clock.now_s = now_ms / 1000
        self.around.timers.handle_deadline()

    @property
    def dead(self) -> list[tuple[str, str]]:
        return [(text_of(message), reason.value) for _, message, reason in self.around.dead]


def text_of(message: Message) -> str:
    assert isinstance(message, FakeMessage)
    return message.text


def scene(ttl_ms: int | None = None, **more: int) -> Scene:
    return Scene(QueueSettings(message_ttl_ms=ttl_ms, dead_letter_exchange="dlx", **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ttl_ms", "expiration_ms", "dies_at_ms"), [(10, None, 10), (None, 10, 10), (10, 20, 10), (20, 10, 10), (5, 0, 0)]
)
def test_the_shorter_time_counts(ttl_ms: int | None, expiration_ms: int | None, dies_at_ms: int) -> None:
    s = scene(ttl_ms)
    s.publish("a", expiration_ms)
    if dies_at_ms:
        s.turn_to(dies_at_ms - 1)
        assert s.queue.ready_count == 1

    s.turn_to(dies_at_ms)

    assert s.queue.ready_count == s.queue.memory_bytes == 0
    assert s.dead == [("a", Reason.EXPIRED.value)]


def test_messages_expire_in_their_order() -> None:
    s = scene(10)
    for number in range(5):
        s.turn_to(number)
        s.publish(str(number))

    s.turn_to(12)
    assert [text for text, _ in s.dead] == ["0", "1", "2"]
    s.turn_to(14)
    assert drained(s.queue) == []


def test_only_the_first_message_expires() -> None:
    s = scene()
    s.publish("lasting")
    s.publish("short", 10)
    s.turn_to(50)
    assert s.queue.ready_count == 2

    queued = s.queue.get()

    assert queued is not None
    assert text_of(queued.message) == "lasting"
    assert s.dead == [("short", "expired")]


def test_what_becomes_the_first_when_others_are_handed_out_expires_at_its_time() -> None:
    s = scene()
    s.publish("lasting")
    s.publish("short", 10)
    consumer = FakeConsumer(s.queue, prefetch_count=1).start()
    assert consumer.got == ["lasting"]
    assert s.queue.ready_count == 1

    s.turn_to(10)

    assert s.queue.ready_count == 0
    assert s.dead == [("short", "expired")]


def test_a_time_of_0_is_enough_for_a_consumer_that_can_take_it() -> None:
    s = scene(0)
    s.publish("too early")
    consumer = FakeConsumer(s.queue, prefetch_count=1).start()
    s.publish("in time")
    s.publish("too late")

    assert consumer.got == ["in time"]
    assert [text for text, _ in s.dead] == ["too early", "too late"]


def test_what_is_unacknowledged_does_not_expire_but_may_when_it_comes_back() -> None:
    s = scene(10)
    s.publish("a")
    queued = s.queue.get()
    assert queued is not None
    s.turn_to(50)
    assert s.dead == []
    assert s.queue.unacked_count == 1

    s.queue.requeue([queued])

    assert s.dead == [("a", "expired")]
    assert s.queue.ready_count == s.queue.unacked_count == s.queue.memory_bytes == 0


def test_what_has_expired_is_not_delivered_even_before_the_timer_came() -> None:
    s = scene(10)
    s.publish("a")
    s.clock.now_s = 0.5

    assert s.queue.get() is None
    assert s.dead == [("a", "expired")]


def test_a_queue_that_is_deleted_dead_letters_nothing_and_needs_no_timer() -> None:
    s = scene(10)
    s.publish("a")
    s.queue.close()
    s.turn_to(100)

    assert s.dead == []
    assert s.around.timers.next_deadline_s == float("inf")


def test_a_purge_does_not_dead_letter() -> None:
    s = scene(10)
    s.publish("a")
    assert s.queue.purge() == 1
    s.turn_to(100)
    assert s.dead == []


def test_many_messages_need_one_timer() -> None:
    s = scene(10)
    for number in range(1000):
        s.publish(str(number), 5 + number)
    assert len(s.around.timers._heap) == 1


# x-expires ------------------------------------------------------------------------------------------------------------


def an_unused_queue() -> Scene:
    return Scene(QueueSettings(expires_ms=10))


def test_a_queue_that_nobody_uses_expires() -> None:
    s = an_unused_queue()
    s.turn_to(9)
    assert s.around.expired == []
    s.turn_to(10)
    assert s.around.expired == [s.queue]


def test_publishing_is_no_use_of_a_queue() -> None:
    s = an_unused_queue()
    s.turn_to(9)
    s.publish("a")
    s.turn_to(10)
    assert s.around.expired == [s.queue]


def test_getting_is_a_use_of_a_queue() -> None:
    s = an_unused_queue()
    s.turn_to(9)
    s.queue.get()
    s.turn_to(18)
    assert s.around.expired == []
    s.turn_to(19)
    assert s.around.expired == [s.queue]


def test_declaring_again_is_a_use_of_a_queue() -> None:
    s = an_unused_queue()
    s.turn_to(9)
    s.queue.used()
    s.turn_to(18)
    assert s.around.expired == []


def test_a_queue_with_a_consumer_is_used_until_that_is_gone() -> None:
    s = an_unused_queue()
    consumer = FakeConsumer(s.queue).start()
    s.turn_to(100)
    assert s.around.expired == []

    consumer.stop()

    s.turn_to(109)
    assert s.around.expired == []
    s.turn_to(110)
    assert s.around.expired == [s.queue]
