"""A durable queue with message groups of which only a part is in memory."""

from __future__ import annotations

import pytest

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.queues.groups import GroupedQueue
from amqpy_broker.core.queues.window import Window
from tests.core.durable import Durable
from tests.fakes import FakeConsumer, FakeMessage, drained

SIZE = 100 + MESSAGE_OVERHEAD_BYTES
AHEAD_COUNT = 6
# A head of four messages; four are read at once; six are looked at in search of one.
WINDOW = Window(
    queue_bytes=8 * SIZE,
    step_bytes=SIZE,
    consumed_bytes=10 * SIZE,
    head_bytes=4 * SIZE,
    head_min_bytes=2 * SIZE,
    read_count=4,
    read_bytes=400,
    ahead_bytes=AHEAD_COUNT * SIZE,
)


def declared(broker: Durable, *, durable: bool = True, **more: object) -> GroupedQueue:
    wanted = {"x-message-groups": True, **{f"x-{name.replace('_', '-')}": value for name, value in more.items()}}
    queue = broker.vhost.create_queue("q", durable=durable, arguments=arguments(wanted))
    assert isinstance(queue, GroupedQueue)
    return queue


@pytest.fixture
def broker() -> Durable:
    broker = Durable(window=WINDOW)
    declared(broker)
    return broker


def text(name: str) -> str:
    """Make the text of a message of 100 octets; it begins with the letter of its group."""
    return f"{name:_<100}"


def short(got: list[str]) -> list[str]:
    return [text.rstrip("*").rstrip("_") + "*" * text.endswith("*") for text in got]


def fill(broker: Durable, *names: str, sync: bool = True, **properties: object) -> None:
    for name in names:
        headers = arguments({"x-message-group": name[0]} if name[0].isalpha() else {})
        message = FakeMessage(text(name), headers=headers, **{"persistent": True, **properties})
        broker.queue().enqueue(message)
        if sync:
            broker.sync()


def numbered(group: str, count: int, first: int = 1) -> list[str]:
    return [f"{group}{number}" for number in range(first, first + count)]


def held_count(broker: Durable) -> int:
    """How many messages are in memory, as it is counted."""
    return broker.queue().memory_bytes // SIZE


def finish(*consumers: FakeConsumer) -> None:
    """Settle what consumers have, the first of each, until they get no more."""
    while any(consumer.unacked for consumer in consumers):
        for consumer in consumers:
            if consumer.unacked:
                consumer.settle(consumer.unacked[0])


# In memory, and on disk -----------------------------------------------------------------------------------------------


def test_a_long_queue_keeps_its_head_in_memory(broker: Durable) -> None:
    fill(broker, *(f"{'abc'[number % 3]}{number}" for number in range(300)))

    assert broker.queue().ready_count == 300
    assert held_count(broker) <= 8 + 2


def test_it_holds_no_more_while_it_is_consumed(broker: Durable) -> None:
    fill(broker, *(f"{'abc'[number % 3]}{number}" for number in range(300)))
    consumers = [FakeConsumer(broker.queue(), name, prefetch_count=1) for name in ("one", "two")]
    highest_count = 0
    for consumer in consumers:
        consumer.start()
    while any(consumer.unacked for consumer in consumers):
        for consumer in consumers:
            if consumer.unacked:
                consumer.settle(consumer.unacked[0])
            highest_count = max(highest_count, held_count(broker))

    assert sum(len(consumer.got) for consumer in consumers) == 300
    # Lanes, two that are handed out, the head window and what is read at once.
    assert highest_count <= AHEAD_COUNT + 2 + 8 + 4
    broker.sync()
    assert not broker.disk.messages


def test_messages_leave_in_order_when_one_consumer_takes_all(broker: Durable) -> None:
    names = [f"{'abcd'[number % 4]}{number}" for number in range(100)]
    fill(broker, *names)

    assert short(FakeConsumer(broker.queue()).start().got) == names


def test_a_group_whose_messages_are_on_disk_has_its_owner(broker: Durable) -> None:
    one = FakeConsumer(broker.queue(), "one", prefetch_count=1).start()
    fill(broker, "a1")
    fill(broker, *numbered("1", 30), *numbered("a", 3, first=2))
    two = FakeConsumer(broker.queue(), "two", prefetch_count=1).start()
    finish(two)

    assert short(two.got) == numbered("1", 30)
    finish(one)
    assert short(one.got) == numbered("a", 4)


def test_what_is_handed_out_keeps_its_group_from_others_however_far_behind_the_rest_is(broker: Durable) -> None:
    fill(broker, "a1", *numbered("1", 30), "a2", "1")
    one = FakeConsumer(broker.queue(), "one", prefetch_count=1).start()
    one.stop()
    two = FakeConsumer(broker.queue(), "two", prefetch_count=40).start()
    assert short(two.got) == [*numbered("1", 30), "1"]

    one.requeue(one.unacked[0])
    assert short(two.got)[31:] == ["a1*", "a2"]


def test_a_purge_reads_nothing_and_leaves_nothing(broker: Durable) -> None:
    fill(broker, *numbered("a", 50))
    broker.journal.reads_count = 0

    assert broker.queue().purge() == 50
    broker.sync()
    assert (broker.journal.reads_count, held_count(broker), broker.disk.messages) == (0, 0, {})


def test_a_browser_sees_everything_in_order(broker: Durable) -> None:
    FakeConsumer(broker.queue(), prefetch_count=1).start()
    fill(broker, *numbered("a", 30))
    broker.queue().get()

    assert short(FakeConsumer(broker.queue(), browses=True, no_ack=True).start().got) == numbered("a", 29, first=2)
    assert broker.queue().ready_count == 29


def test_a_length_limit_drops_the_oldest_wherever_it_is() -> None:
    broker = Durable(window=WINDOW)
    declared(broker, max_length=20)
    fill(broker, *numbered("a", 50))

    assert short(drained(broker.queue())) == numbered("a", 20, first=31)


def test_a_length_limit_in_octets_counts_what_is_on_disk() -> None:
    broker = Durable(window=WINDOW)
    declared(broker, max_length_bytes=2000)
    fill(broker, *numbered("a", 50))
    broker.stop_and_start()
    fill(broker, "a51")

    assert short(drained(broker.queue())) == numbered("a", 20, first=32)


def test_a_queue_that_is_not_durable_pages_when_memory_is_short() -> None:
    broker = Durable(window=WINDOW)
    queue = declared(broker, durable=False)
    consumer = FakeConsumer(queue, prefetch_count=2).start()
    fill(broker, "a1", "a2", *numbered("1", 30), *numbered("a", 28, first=3), sync=False, persistent=False)
    consumer.requeue(consumer.unacked[1])

    assert queue.page_out(100 * SIZE) > 0
    broker.sync()
    assert held_count(broker) <= 6
    consumer.stop()
    assert short(drained(queue)) == numbered("1", 30)
    consumer.settle(consumer.unacked[0])
    assert drained(queue) == []
    consumer.requeue(*consumer.unacked)
    assert short(drained(queue)) == ["a2*", *numbered("a", 28, first=3)]
    broker.sync()
    assert not broker.disk.messages


# Looking ahead --------------------------------------------------------------------------------------------------------


def busy_with_a(broker: Durable) -> FakeConsumer:
    """Have a consumer that owns group a, and has one message of it."""
    consumer = FakeConsumer(broker.queue(), "busy", prefetch_count=1).start()
    fill(broker, "a0")
    return consumer


def test_who_is_free_gets_what_is_no_further_behind_than_the_broker_looks(broker: Durable) -> None:
    busy_with_a(broker)
    free = FakeConsumer(broker.queue(), "free").start()
    fill(broker, *numbered("a", AHEAD_COUNT - 1), "b1", "b2")

    assert short(free.got) == ["b1", "b2"]


def test_who_is_free_waits_when_too_much_is_for_others_and_goes_on_when_they_do(broker: Durable) -> None:
    busy = busy_with_a(broker)
    free = FakeConsumer(broker.queue(), "free").start()
    fill(broker, *numbered("a", AHEAD_COUNT), "b1", "b2", *numbered("a", 2, first=AHEAD_COUNT + 1), "b3")
    assert free.got == []
    assert broker.queue().get() is None

    busy.settle(busy.unacked[0])
    assert short(free.got) == ["b1", "b2"]
    # What leaves with these is one less to look at than the two of group a that are between.
    busy.settle(busy.unacked[0])
    assert short(free.got) == ["b1", "b2"]
    busy.settle(busy.unacked[0])
    assert short(free.got) == ["b1", "b2", "b3"]
    finish(busy, free)
    assert short(busy.got) == ["a0", *numbered("a", AHEAD_COUNT + 2)]


def test_who_is_free_gets_the_group_when_its_owner_goes(broker: Durable) -> None:
    busy = busy_with_a(broker)
    free = FakeConsumer(broker.queue(), "free").start()
    fill(broker, *numbered("a", AHEAD_COUNT), "b1")

    busy.stop()
    assert free.got == []
    busy.settle(busy.unacked[0])
    assert short(free.got) == [*numbered("a", AHEAD_COUNT), "b1"]


@pytest.mark.parametrize("more", [{"message_ttl": 10_000}, {}])
def test_who_is_free_goes_on_when_what_is_for_others_expires(more: dict[str, object]) -> None:
    broker = Durable(window=WINDOW)
    declared(broker, **more)
    busy_with_a(broker)
    free = FakeConsumer(broker.queue(), "free").start()
    fill(broker, *numbered("a", AHEAD_COUNT), expiration_ms=10_000)
    broker.clock.now_s += 5
    fill(broker, "b1", "b2")
    assert free.got == []

    broker.clock.now_s += 5
    broker.core.timers.handle_deadline()
    assert short(free.got) == ["b1", "b2"]


def test_who_is_free_goes_on_when_what_is_for_others_is_dropped() -> None:
    broker = Durable(window=WINDOW)
    declared(broker, max_length=AHEAD_COUNT)
    busy_with_a(broker)
    free = FakeConsumer(broker.queue(), "free").start()
    fill(broker, *numbered("a", AHEAD_COUNT))
    assert free.got == []

    fill(broker, "b1")
    assert short(free.got) == ["b1"]


def test_who_is_free_goes_on_after_a_purge(broker: Durable) -> None:
    busy_with_a(broker)
    free = FakeConsumer(broker.queue(), "free").start()
    fill(broker, *numbered("a", AHEAD_COUNT), "b1")
    broker.queue().purge()

    fill(broker, "b2")
    assert short(free.got) == ["b2"]


def test_what_has_expired_behind_others_is_handed_to_nobody(broker: Durable) -> None:
    busy_with_a(broker)
    fill(broker, "a1")
    fill(broker, "b1", expiration_ms=5000)
    fill(broker, "b2")
    broker.clock.now_s += 10

    assert short(FakeConsumer(broker.queue(), "free").start().got) == ["b2"]
    assert broker.queue().ready_count == 1


def test_what_comes_to_the_front_expires_in_time(broker: Durable) -> None:
    fill(broker, "a1", "a2", "b1", "b2")
    fill(broker, "b3", expiration_ms=5000)
    FakeConsumer(broker.queue(), prefetch_count=4).start()
    broker.clock.now_s += 5
    broker.core.timers.handle_deadline()

    assert broker.queue().ready_count == 0


def test_what_comes_to_the_front_expires_in_time_when_its_group_goes_on(broker: Durable) -> None:
    fill(broker, "a1", "a2")
    fill(broker, "a3", expiration_ms=5000)
    first = broker.queue().get()
    consumer = FakeConsumer(broker.queue(), prefetch_count=1).start()
    settled(broker, first)
    broker.clock.now_s += 5
    broker.core.timers.handle_deadline()

    assert short(consumer.got) == ["a2"]
    assert broker.queue().ready_count == 0


# Through restarts -----------------------------------------------------------------------------------------------------


def test_a_restart_reads_nothing_before_it_is_asked(broker: Durable) -> None:
    fill(broker, *numbered("a", 50), *numbered("b", 50))
    broker.stop_and_start()

    assert (broker.journal.reads_count, held_count(broker), broker.queue().ready_count) == (0, 0, 100)
    one, two = (FakeConsumer(broker.queue(), name, prefetch_count=60).start() for name in ("one", "two"))
    finish(one, two)
    assert short(one.got) + short(two.got) == [*numbered("a", 50), *numbered("b", 50)]
    broker.sync()
    assert not broker.disk.messages


def test_after_a_stop_what_was_handed_out_is_marked_and_what_was_only_looked_at_is_not(broker: Durable) -> None:
    fill(broker, "a1", "a2", *numbered("1", 20), "a3", "2")
    one = FakeConsumer(broker.queue(), "one", prefetch_count=1).start()
    two = FakeConsumer(broker.queue(), "two", prefetch_count=21).start()
    assert (short(one.got), short(two.got)) == (["a1"], [*numbered("1", 20), "2"])
    for consumer in (one, two):
        consumer.stop()
        consumer.requeue(*consumer.unacked)
    for _ in range(2):
        # What is not read meanwhile keeps its mark.
        broker.stop_and_start()

    marked = ["a1*", "a2", *(f"{name}*" for name in numbered("1", 20)), "a3", "2*"]
    assert short(drained(broker.queue())) == marked


def test_after_a_crash_everything_is_marked_and_stays_so(broker: Durable) -> None:
    fill(broker, *numbered("a", 30))
    broker.crash_and_start()
    fill(broker, "a31")
    broker.stop_and_start()

    assert short(drained(broker.queue())) == [*(f"{name}*" for name in numbered("a", 30)), "a31"]


def test_a_queue_in_memory_looks_at_everything() -> None:
    broker = Durable(window=WINDOW)
    queue = declared(broker, durable=False)
    busy_with_a(broker)
    free = FakeConsumer(queue, "free").start()
    fill(broker, *numbered("a", 10 * AHEAD_COUNT), "b1", sync=False, persistent=False)

    assert short(free.got) == ["b1"]


def settled(broker: Durable, queued: QueuedMessage | None) -> None:
    assert queued is not None
    broker.queue().settle(queued)


def test_what_was_got_holds_its_group_up_and_no_other(broker: Durable) -> None:
    fill(broker, *numbered("a", AHEAD_COUNT + 2), "b1")
    first = broker.queue().get()
    consumer = FakeConsumer(broker.queue()).start()
    assert consumer.got == []

    settled(broker, first)
    assert short(consumer.got) == [*numbered("a", AHEAD_COUNT + 1, first=2), "b1"]
