"""The memory alarm: when it is raised, when it ends, that it does not flutter, and that paging comes before it."""

import pytest

from amqpy_broker.core.alarms import Alarms
from amqpy_broker.core.limits import MEMORY_CHECK_INTERVAL_BYTES, MEMORY_RELEASE_SHARE, MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.memory import Memory, default_watermark_bytes
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import FakeConsumer, a_vhost, an_actor, declare_queue, delete_queue, drained, filled

# What a message of one octet counts for.
ONE = MESSAGE_OVERHEAD_BYTES + 1


@pytest.fixture
def vhosts() -> dict[str, VirtualHost]:
    return {"/": a_vhost(), "other": a_vhost(name="other")}


def watched(vhosts: dict[str, VirtualHost], watermark_bytes: int) -> tuple[Memory, list[bool]]:
    changes: list[bool] = []
    alarms = Alarms()
    alarms.on_change = changes.append
    memory = Memory(vhosts, alarms, watermark_bytes)
    return memory, changes


def test_messages_of_all_vhosts_and_queues_count(vhosts: dict[str, VirtualHost]) -> None:
    memory = Memory(vhosts, Alarms(), 0)
    for name, vhost in vhosts.items():
        filled(declare_queue(vhost, an_actor(vhost=name), "q1"), "1")
        filled(declare_queue(vhost, an_actor(vhost=name), "q2"), "1", "2")

    assert memory.used_bytes == 6 * ONE


def test_unacknowledged_messages_count_too(vhosts: dict[str, VirtualHost]) -> None:
    memory = Memory(vhosts, Alarms(), 0)
    queue = declare_queue(vhosts["/"], an_actor())
    consumer = FakeConsumer(queue).start()
    filled(queue, "1", "2")
    assert memory.used_bytes == 2 * ONE

    consumer.settle(consumer.unacked[0])
    assert memory.used_bytes == ONE


def test_the_alarm_is_raised_above_the_watermark_not_at_it(vhosts: dict[str, VirtualHost]) -> None:
    memory, changes = watched(vhosts, 2 * ONE)
    queue = filled(declare_queue(vhosts["/"], an_actor()), "1", "2")

    memory.measure()
    assert not memory.alarm
    filled(queue, "3")
    memory.measure()
    assert memory.alarm
    assert changes == [True]


def test_the_alarm_ends_when_use_has_fallen_below_the_release_share(vhosts: dict[str, VirtualHost]) -> None:
    memory, changes = watched(vhosts, 100 * ONE)
    queue = filled(declare_queue(vhosts["/"], an_actor()), *"1" * 101)
    memory.measure()

    # At 96 messages it is below the watermark, but not far enough.
    for _ in range(5):
        queue.settle(queue.get() or pytest.fail("empty"))
    memory.measure()
    assert memory.alarm
    queue.settle(queue.get() or pytest.fail("empty"))
    memory.measure()
    assert memory.used_bytes <= memory.watermark_bytes * MEMORY_RELEASE_SHARE
    assert not memory.alarm
    assert changes == [True, False]


def test_a_change_is_told_once(vhosts: dict[str, VirtualHost]) -> None:
    memory, changes = watched(vhosts, ONE)
    queue = filled(declare_queue(vhosts["/"], an_actor()), "1", "2")
    for _ in range(3):
        memory.measure()
    drained(queue)
    for _ in range(3):
        memory.measure()

    assert changes == [True, False]


def test_deleting_a_queue_ends_the_alarm(vhosts: dict[str, VirtualHost]) -> None:
    memory, changes = watched(vhosts, ONE)
    actor = an_actor()
    filled(declare_queue(vhosts["/"], actor), "1", "2")
    memory.measure()

    delete_queue(vhosts["/"], actor)
    memory.measure()

    assert changes == [True, False]


def test_a_watermark_of_nothing_lets_no_message_wait(vhosts: dict[str, VirtualHost]) -> None:
    memory, changes = watched(vhosts, 0)
    memory.measure()
    assert not memory.alarm

    queue = filled(declare_queue(vhosts["/"], an_actor()), "1")
    memory.note_read(1)
    assert memory.alarm
    drained(queue)
    memory.measure()
    assert changes == [True, False]


@pytest.mark.parametrize(
    ("watermark_bytes", "interval_bytes"), [(1600, 100), (10, 1), (2**40, MEMORY_CHECK_INTERVAL_BYTES)]
)
def test_memory_is_measured_once_enough_was_read(
    vhosts: dict[str, VirtualHost], watermark_bytes: int, interval_bytes: int
) -> None:
    measured = []

    class CountingMemory(Memory):
        def measure(self) -> None:
            super().measure()
            measured.append(True)

    memory = CountingMemory(vhosts, Alarms(), watermark_bytes)
    memory.note_read(interval_bytes - 1)
    assert not measured
    memory.note_read(1)
    assert len(measured) == 1
    memory.note_read(interval_bytes - 1)
    assert len(measured) == 1


def test_by_default_the_watermark_is_a_share_of_the_machine(vhosts: dict[str, VirtualHost]) -> None:
    assert Memory(vhosts, Alarms()).watermark_bytes == default_watermark_bytes() > 2**28


def test_messages_are_paged_out_above_half_of_the_watermark_before_the_alarm_is_raised(
    vhosts: dict[str, VirtualHost],
) -> None:
    memory, changes = watched(vhosts, 4 * ONE)
    queue = filled(declare_queue(vhosts["/"], an_actor()), "1", "2")
    paged: list[int] = []

    def page_out() -> None:
        paged.append(memory.used_bytes)
        drained(queue)

    memory.page_out = page_out
    memory.measure()
    assert paged == []

    filled(queue, "3", "4", "5", "6")
    memory.measure()

    assert paged == [6 * ONE]
    assert changes == []


def test_what_cannot_be_paged_out_raises_the_alarm(vhosts: dict[str, VirtualHost]) -> None:
    memory, changes = watched(vhosts, ONE)
    memory.page_out = lambda: None
    filled(declare_queue(vhosts["/"], an_actor()), "1", "2")

    memory.measure()

    assert changes == [True]
