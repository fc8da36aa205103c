"""When the journal's writer asks to be flushed, and what it hands over by itself."""

from amqpy_broker.core.journal import JournalWriter
from tests.fakes import FakeMessage
from tests.memory_journal import MemoryJournal

QUEUE = 1


def stored(disk: MemoryJournal) -> tuple[JournalWriter, int]:
    """A writer with one message that is durable, and its batch."""
    writer = JournalWriter(disk)
    batch = writer.store(QUEUE, 0, FakeMessage("0"))
    writer.flush()
    disk.sync_all()
    return writer, batch


def test_nobody_waits_for_acknowledgements_and_messages_without_confirms() -> None:
    writer, batch = stored(MemoryJournal())

    writer.settle(batch, QUEUE, 0)
    writer.store(QUEUE, 1, FakeMessage("1"))

    assert not writer.is_urgent


def test_who_waits_makes_it_urgent_and_says_so_even_when_it_was_woken_before() -> None:
    writer, batch = stored(MemoryJournal())
    woken: list[bool] = []
    writer.wake = lambda: woken.append(writer.is_urgent)
    writer.settle(batch, QUEUE, 0)

    writer.when_synced(lambda: None)

    assert woken == [False, True]


def test_what_is_created_and_deleted_is_urgent() -> None:
    writer, _ = stored(MemoryJournal())

    writer.put("queue", b"")

    assert writer.is_urgent


def test_acknowledgements_that_came_during_a_sync_do_not_begin_another() -> None:
    disk = MemoryJournal()
    writer, batch = stored(disk)
    woken: list[bool] = []
    writer.store(QUEUE, 1, FakeMessage("1"))
    writer.flush()
    writer.settle(batch, QUEUE, 0)
    writer.wake = lambda: woken.append(writer.is_urgent)

    disk.sync()

    # Whoever is woken flushes at leisure.
    assert disk.under_way == []
    assert woken == [False]
    writer.flush()
    assert len(disk.under_way) == 1


def test_what_is_awaited_and_came_during_a_sync_begins_another_at_once() -> None:
    disk = MemoryJournal()
    writer, _ = stored(disk)
    told: list[str] = []
    for name in ("first", "second"):
        writer.store(QUEUE, 1 + len(disk.under_way), FakeMessage(name))
        writer.when_synced(lambda name=name: told.append(name))  # type: ignore[misc]
        writer.flush()

    disk.sync()
    assert told == ["first"]
    disk.sync()

    assert told == ["first", "second"]


def test_who_can_wait_is_told_of_the_sync_and_does_not_make_it_urgent() -> None:
    disk = MemoryJournal()
    writer, _ = stored(disk)
    told: list[str] = []
    writer.store(QUEUE, 1, FakeMessage("1"))

    writer.after_sync(lambda: told.append("told"))

    assert not writer.is_urgent
    writer.flush()
    assert told == []
    disk.sync_all()
    assert told == ["told"]


def test_who_can_wait_for_what_came_to_nothing_during_a_sync_is_told_after_it() -> None:
    disk = MemoryJournal()
    writer, batch = stored(disk)
    writer.settle(batch, QUEUE, 0)
    writer.flush()
    told: list[str] = []
    writer.settle(writer.store(QUEUE, 1, FakeMessage("1")), QUEUE, 1)
    writer.after_sync(lambda: told.append("told"))
    writer.flush()
    # Whoever hands over does so when it is woken.
    writer.wake = writer.flush

    disk.sync_all()

    assert told == ["told"]
    assert disk.batches_count == 2
