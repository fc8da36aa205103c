"""Browsing consumers."""

import pytest

from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.quorum import QuorumQueue
from amqpy_broker.core.queues.settings import QueueSettings
from tests.fakes import FakeConsumer, FakeMessage, FakeSurroundings, ManualClock, a_queue, drained, filled


def a_browser(queue: ClassicQueue, *, congested: bool = False) -> FakeConsumer:
    return FakeConsumer(queue, "browser", no_ack=True, browses=True, congested=congested)


def got(queue: ClassicQueue) -> QueuedMessage:
    queued = queue.get()
    assert queued is not None
    return queued


class SlowBrowser(FakeConsumer):
    """A browser with room for one message at a time."""

    __slots__ = ()

    def can_take(self) -> bool:
        return not self.congested

    def deliver(self, *delivery: object) -> bool:
        self.congested = True
        return super().deliver(*delivery)  # type: ignore[arg-type]


def a_slow_browser(queue: ClassicQueue) -> SlowBrowser:
    return SlowBrowser(queue, "browser", no_ack=True, browses=True)


def test_a_browser_sees_what_is_ready_takes_nothing_and_ends() -> None:
    queue = a_queue()
    filled(queue, "1", "2", "3")
    browser = a_browser(queue).start()

    assert browser.got == ["1", "2", "3"]
    assert browser.was_cancelled
    assert (queue.ready_count, queue.unacked_count, queue.consumer_count) == (3, 0, 0)
    assert drained(queue) == ["1", "2", "3"]


def test_an_empty_queue_ends_a_browser_at_once() -> None:
    browser = a_browser(a_queue()).start()

    assert (browser.got, browser.was_cancelled) == ([], True)


def test_it_does_not_see_what_others_have_and_sees_what_came_back() -> None:
    queue = a_queue()
    filled(queue, "1", "2", "3", "4")
    first, _, third = got(queue), got(queue), got(queue)
    queue.requeue([third, first])

    assert a_browser(queue).start().got == ["1*", "3*", "4"]


def test_a_slow_browser_goes_on_where_it_was() -> None:
    queue = a_queue()
    filled(queue, "1", "2", "3")
    browser = a_slow_browser(queue).start()
    assert (browser.got, browser.was_cancelled) == (["1"], False)

    browser.decongest()
    browser.decongest()
    assert (browser.got, browser.was_cancelled) == (["1", "2", "3"], False)
    browser.decongest()
    assert (browser.got, browser.was_cancelled) == (["1", "2", "3"], True)


def test_a_slow_browser_misses_what_leaves_and_does_not_see_what_comes() -> None:
    queue = a_queue()
    filled(queue, "1", "2", "3")
    browser = a_slow_browser(queue).start()
    got(queue), got(queue)
    filled(queue, "4")
    browser.decongest()
    browser.decongest()

    assert (browser.got, browser.was_cancelled) == (["1", "3"], True)


def test_a_browser_that_is_cancelled_sees_nothing_more() -> None:
    queue = a_queue()
    filled(queue, "1", "2")
    browser = a_slow_browser(queue).start()
    browser.stop()
    browser.decongest()

    assert (browser.got, browser.was_cancelled) == (["1"], False)


def test_a_queue_that_is_deleted_ends_its_browsers() -> None:
    queue = a_queue()
    filled(queue, "1", "2")
    browser = a_slow_browser(queue).start()

    assert queue.close() == [browser]
    browser.decongest()
    assert browser.got == ["1"]


def test_a_browser_is_no_consumer() -> None:
    queue = a_queue(settings=QueueSettings(single_active_consumer=True))
    browser = a_slow_browser(queue)
    filled(queue, "1", "2")
    browser.start()
    consumer = FakeConsumer(queue).start()

    assert (queue.consumer_count, consumer.got) == (1, ["1", "2"])
    browser.decongest()
    assert (browser.got, browser.was_cancelled) == (["1"], True)


def test_a_queue_that_only_a_browser_looked_at_never_had_consumers() -> None:
    queue = a_queue()
    a_browser(queue).start()

    assert not queue.had_consumers


def test_an_exclusive_consumer_does_not_keep_browsers_away() -> None:
    queue = a_queue()
    FakeConsumer(queue, exclusive=True, prefetch_count=1).start()
    filled(queue, "1", "2")

    assert a_browser(queue).start().got == ["2"]


def test_what_has_expired_is_not_seen() -> None:
    clock = ManualClock(0)
    queue = a_queue(around=FakeSurroundings(clock))
    queue.enqueue(FakeMessage("1", expiration_ms=1000))
    filled(queue, "2")
    clock.now_s = 1

    assert a_browser(queue).start().got == ["2"]


def test_priorities_are_seen_in_the_order_they_leave() -> None:
    queue = a_queue(settings=QueueSettings(max_priority=2))
    for text, priority in (("a0", 0), ("b1", 1), ("c0", 0), ("d2", 2), ("e9", 9), ("f1", 1)):
        queue.enqueue(FakeMessage(text, priority=priority))
    browser = a_slow_browser(queue).start()
    while not browser.was_cancelled:
        browser.decongest()

    assert browser.got == drained(queue) == ["d2", "e9", "b1", "f1", "a0", "c0"]


# Versions differ in where a message comes back to.
@pytest.mark.parametrize(
    ("profile", "order"), [("3.10", "3 4 1* 2*"), ("4.0", "1* 2* 3 4"), ("4.2", "1* 2* 3 4"), ("4.3", "1* 2* 3 4")]
)
def test_quorum_queues_can_be_browsed(profile: str, order: str) -> None:
    queue = QuorumQueue(QueueProperties("q", "/", durable=True), FakeSurroundings(profile=profile))
    filled(queue, "1", "2", "3", "4")
    queue.requeue([got(queue), got(queue)])
    browser = a_slow_browser(queue).start()
    while not browser.was_cancelled:
        browser.decongest()

    assert browser.got == order.split()
