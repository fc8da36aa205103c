"""Delayed retry (https://www.rabbitmq.com/docs/quorum-queues#delayed-retry), on every queue type."""

import pytest

from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.queues.base import QueuedMessage, Reason
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.quorum import QuorumQueue
from amqpy_broker.core.queues.retry import Retry
from amqpy_broker.core.queues.settings import QueueSettings, RetrySettings, RetryType
from amqpy_broker.core.timers import Timers
from tests.fakes import (
    FakeConsumer,
    FakeMessage,
    FakeSurroundings,
    ManualClock,
    a_queue,
    a_vhost,
    an_actor,
    declare_queue,
    drained,
    filled,
    refused,
)

ALL = RetrySettings(RetryType.ALL, min_ms=1000, max_ms=2500)
LONG_AGO_S = 0.0


class Watch:
    """A queue's surroundings, with a hand on the clock."""

    def __init__(self) -> None:
        self.clock = ManualClock(LONG_AGO_S)
        self.around = FakeSurroundings(self.clock)

    def pass_s(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.around.timers.handle_deadline()


@pytest.fixture
def watch() -> Watch:
    return Watch()


def got(queue: ClassicQueue) -> QueuedMessage:
    queued = queue.get()
    assert queued is not None
    return queued


def test_what_comes_back_waits(watch: Watch) -> None:
    queue = a_queue(settings=QueueSettings(retry=ALL), around=watch.around)
    filled(queue, "1")
    queue.requeue([got(queue)])

    assert (queue.ready_count, queue.unacked_count) == (0, 0)
    assert queue.memory_bytes > 0
    watch.pass_s(0.999)
    assert drained(queue) == []
    watch.pass_s(0.001)
    assert drained(queue) == ["1*"]
    assert queue.memory_bytes == 0


def test_it_waits_longer_each_time_up_to_the_largest_delay(watch: Watch) -> None:
    queue = a_queue(settings=QueueSettings(retry=ALL), around=watch.around)
    filled(queue, "1")
    for delay_s in (1, 2, 2.5, 2.5):
        queue.requeue([got(queue)])
        watch.pass_s(delay_s - 0.001)
        assert queue.ready_count == 0
        watch.pass_s(0.001)
        assert queue.ready_count == 1


def test_others_go_ahead_and_its_place_stays_its_own(watch: Watch) -> None:
    queue = a_queue(settings=QueueSettings(retry=ALL), around=watch.around)
    filled(queue, "1", "2", "3")
    queue.requeue([got(queue)])
    assert got(queue).message.body == b"2"

    watch.pass_s(1)
    assert drained(queue) == ["1*", "3"]


def test_a_consumer_gets_it_when_its_time_has_come(watch: Watch) -> None:
    queue = a_queue(settings=QueueSettings(retry=ALL), around=watch.around)
    consumer = FakeConsumer(queue).start()
    filled(queue, "1")
    consumer.requeue(*consumer.unacked)
    assert consumer.got == ["1"]

    watch.pass_s(1)
    assert consumer.got == ["1", "1*"]


def test_messages_that_are_due_together_keep_their_order(watch: Watch) -> None:
    queue = a_queue(settings=QueueSettings(retry=ALL), around=watch.around)
    filled(queue, "1", "2", "3")
    queue.requeue(reversed([got(queue), got(queue), got(queue)]))

    watch.pass_s(1)
    assert drained(queue) == ["1*", "2*", "3*"]


@pytest.mark.parametrize(
    ("retry_type", "failed", "waits"),
    [
        (RetryType.ALL, True, True),
        (RetryType.ALL, False, True),
        (RetryType.FAILED, True, True),
        (RetryType.FAILED, False, False),
        (RetryType.RETURNED, True, False),
        (RetryType.RETURNED, False, True),
    ],
)
def test_the_type_says_which_messages_wait(watch: Watch, retry_type: RetryType, failed: bool, waits: bool) -> None:
    queue = a_queue(settings=QueueSettings(retry=RetrySettings(retry_type, 1000)), around=watch.around)
    filled(queue, "1")
    queue.requeue([got(queue)], failed=failed)

    assert queue.ready_count == (0 if waits else 1)
    watch.pass_s(1)
    assert queue.ready_count == 1


@pytest.mark.parametrize(
    ("settings", "delays_ms"),
    [
        (RetrySettings(RetryType.ALL, 10), [10, 20, 30, 40]),
        (RetrySettings(RetryType.ALL, 10, max_ms=25), [10, 20, 25, 25]),
        (RetrySettings(RetryType.ALL, 10, multiplier=1), [10, 10, 10, 10]),
        (RetrySettings(RetryType.ALL, 10, multiplier=3), [10, 30, 90, 270]),
        (RetrySettings(RetryType.ALL, 10, max_ms=100, multiplier=3), [10, 30, 90, 100]),
    ],
)
def test_the_delay_grows_in_a_line_or_by_a_multiplier(settings: RetrySettings, delays_ms: list[int]) -> None:
    retry = Retry(settings, Timers(ManualClock()), lambda: None)

    assert [retry.delay_ms(count) for count in (1, 2, 3, 4)] == delays_ms
    assert retry.delay_ms(10**9) <= 315_360_000_000


def test_one_that_expires_while_it_waits_dies_at_its_time(watch: Watch) -> None:
    settings = QueueSettings(retry=ALL, dead_letter_exchange="dlx")
    queue = a_queue(settings=settings, around=watch.around)
    queue.enqueue(FakeMessage("1", expiration_ms=300))
    queue.requeue([got(queue)])

    watch.pass_s(0.3)
    assert [reason for _, _, reason in watch.around.dead] == [Reason.EXPIRED]
    assert queue.memory_bytes == 0


def test_those_that_wait_count_for_a_length_limit_when_they_are_ready(watch: Watch) -> None:
    queue = a_queue(settings=QueueSettings(retry=ALL, max_length=1), around=watch.around)
    filled(queue, "1")
    queue.requeue([got(queue)])
    filled(queue, "2")
    assert queue.ready_count == 1

    watch.pass_s(1)
    assert drained(queue) == ["2"]


def test_purging_and_deleting_drop_those_that_wait_too(watch: Watch) -> None:
    for drop in (ClassicQueue.purge, ClassicQueue.close):
        queue = a_queue(settings=QueueSettings(retry=ALL), around=watch.around)
        filled(queue, "1", "2")
        queue.requeue([got(queue)])

        assert drop(queue) in (2, [])
        watch.pass_s(10)
        assert (queue.ready_count, queue.memory_bytes) == (0, 0)


def test_one_timer_serves_all_messages_of_a_queue(watch: Watch) -> None:
    queue = a_queue(settings=QueueSettings(retry=ALL), around=watch.around)
    filled(queue, *map(str, range(1000)))
    queue.requeue([got(queue) for _ in range(1000)])

    assert len(watch.around.timers._heap) == 1
    watch.pass_s(1)
    assert queue.ready_count == 1000


def test_a_quorum_queue_waits_by_its_delivery_count(watch: Watch) -> None:
    queue = QuorumQueue(
        QueueProperties("q", "/", durable=True, settings=QueueSettings(retry=ALL, delivery_limit=2)), watch.around
    )
    filled(queue, "1")
    for delay_s in (1, 2):
        queue.requeue([got(queue)])
        watch.pass_s(delay_s - 0.001)
        assert queue.ready_count == 0
        watch.pass_s(0.001)
        assert queue.ready_count == 1

    queue.requeue([got(queue)])
    watch.pass_s(10)
    assert (queue.ready_count, queue.memory_bytes) == (0, 0)


# Arguments ------------------------------------------------------------------------------------------------------------


def test_the_arguments_are_read() -> None:
    queue = declare_queue(
        a_vhost(),
        an_actor(),
        x_delayed_retry_type="failed",
        x_delayed_retry_min=1000,
        x_delayed_retry_max=60_000,
        x_delayed_retry_multiplier=2,
    )

    assert queue.settings.retry == RetrySettings(RetryType.FAILED, 1000, 60_000, 2)


@pytest.mark.parametrize("values", [{}, {"x_delayed_retry_type": "disabled"}, {"x_delayed_retry_min": 5}])
def test_nothing_waits_unless_asked_for(values: dict[str, object]) -> None:
    queue = declare_queue(a_vhost(), an_actor(), "q", **values)

    assert queue.settings.is_plain


@pytest.mark.parametrize(
    ("values", "name", "reason"),
    [
        ({"x_delayed_retry_type": "often"}, "type", "invalid_delayed_retry_type"),
        ({"x_delayed_retry_type": "all"}, "type", "\"'all' needs x-delayed-retry-min\""),
        ({"x_delayed_retry_min": 0}, "min", "{value_zero,0}"),
        ({"x_delayed_retry_max": -5}, "max", "{value_negative,-5}"),
        ({"x_delayed_retry_multiplier": "2"}, "multiplier", '"expected integer, got longstr"'),
    ],
)
def test_a_wrong_argument_is_refused(values: dict[str, object], name: str, reason: str) -> None:
    vhost = a_vhost()
    with refused(PreconditionFailed, f"invalid arg 'x-delayed-retry-{name}' for queue 'q' in vhost '/': {reason}"):
        declare_queue(vhost, an_actor(), "q", **values)
    assert not vhost.queues
