"""The writer gathers what is to be durable, hands it over batch by batch, and tells who waits."""

from __future__ import annotations

import pytest

from amqpy_broker.core.journal import JournalFailed, JournalWriter, Mark, Name, Page
from tests.fakes import FakeMessage
from tests.memory_journal import MemoryJournal

QUEUE = 7


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture
def writer(journal: MemoryJournal) -> JournalWriter:
    return JournalWriter(journal)


def a_message() -> FakeMessage:
    return FakeMessage("m")


def test_what_is_gathered_is_one_batch(writer: JournalWriter, journal: MemoryJournal) -> None:
    messages = [a_message(), a_message()]
    for place, message in enumerate(messages, 1):
        assert writer.store(QUEUE, place, message) == 1
    writer.put("key", b"document")

    writer.flush()

    (batch,) = journal.under_way
    assert batch.number == 1
    assert batch.parts == {QUEUE: {1: messages[0], 2: messages[1]}}
    assert batch.documents == {"key": b"document"}


def test_nothing_is_handed_over_while_a_batch_is_under_way(writer: JournalWriter, journal: MemoryJournal) -> None:
    writer.store(QUEUE, 1, a_message())
    writer.flush()
    assert writer.store(QUEUE, 2, a_message()) == 2
    writer.put("key", b"document")
    writer.flush()
    assert journal.batches_count == 1

    journal.sync()

    assert (writer.synced, [batch.number for batch in journal.under_way]) == (1, [2])


def test_what_is_settled_before_it_is_handed_over_is_never_written(
    writer: JournalWriter, journal: MemoryJournal
) -> None:
    stored = writer.store(QUEUE, 1, a_message())
    writer.expires(QUEUE, 1, 1000)
    writer.mark(stored, QUEUE, 1, Mark(1, 1))
    spilled = writer.spill(QUEUE, 2, a_message())
    writer.settle(stored, QUEUE, 1)
    writer.settle(spilled, QUEUE, 2)

    writer.flush()

    assert journal.batches_count == 0


def test_who_waits_for_what_came_to_nothing_waits_no_longer(writer: JournalWriter) -> None:
    told: list[str] = []
    writer.settle(writer.store(QUEUE, 1, a_message()), QUEUE, 1)
    writer.when_synced(lambda: told.append("told"))

    writer.flush()

    assert told == ["told"]


def test_who_waits_is_told_when_its_batch_is_synced_and_not_before(
    writer: JournalWriter, journal: MemoryJournal
) -> None:
    told: list[int] = []
    for place in (1, 2):
        writer.store(QUEUE, place, a_message())
        writer.when_synced(lambda place=place: told.append(place))
        writer.flush()
    assert told == []

    journal.sync()
    assert told == [1]
    journal.sync()
    assert told == [1, 2]


def test_what_is_settled_later_is_settled_by_its_name(writer: JournalWriter, journal: MemoryJournal) -> None:
    batch = writer.store(QUEUE, 1, a_message())
    writer.flush()
    # It is on its way: too late to take it back.
    writer.settle(batch, QUEUE, 1)
    journal.sync()
    writer.flush()

    assert journal.under_way[0].settled == [Name(1, QUEUE, 1)]
    journal.sync()
    assert not journal.disk.messages


def test_a_queue_that_is_dropped_takes_what_was_not_handed_over_with_it(
    writer: JournalWriter, journal: MemoryJournal
) -> None:
    writer.store(QUEUE, 1, a_message())
    writer.spill(QUEUE, 2, a_message())
    writer.store(QUEUE + 1, 1, a_message())

    writer.drop_queue(QUEUE)
    writer.flush()

    (batch,) = journal.under_way
    assert (list(batch.parts), batch.spilled, batch.dropped_queues) == ([QUEUE + 1], {}, [QUEUE])


@pytest.mark.parametrize(
    "act",
    [
        lambda writer: writer.store(QUEUE, 1, a_message()),
        lambda writer: writer.spill(QUEUE, 1, a_message()),
        lambda writer: writer.settle(0, QUEUE, 1),
        lambda writer: writer.settle_page(Page(0, QUEUE, 1, 5, 3, 10)),
        lambda writer: writer.mark(0, QUEUE, 1, Mark(0, 0)),
        lambda writer: writer.drop_queue(QUEUE),
        lambda writer: writer.put("key", b""),
        lambda writer: writer.remove("key"),
    ],
    ids=["store", "spill", "settle", "settle page", "mark", "drop queue", "put", "remove"],
)
def test_everything_wakes_who_hands_over_once(writer: JournalWriter, act) -> None:  # noqa: ANN001
    calls: list[None] = []
    writer.wake = lambda: calls.append(None)

    act(writer)
    act(writer)

    assert len(calls) == 1
    writer.flush()
    act(writer)
    assert len(calls) == 2


def test_only_what_must_outlive_the_broker_is_waited_for(writer: JournalWriter) -> None:
    writer.spill(QUEUE, 1, a_message())
    writer.settle(0, QUEUE, 5)
    assert writer.stored_count == 0
    writer.store(QUEUE, 2, a_message())
    assert writer.stored_count == 1


def test_the_last_batch_is_handed_over_at_the_end_even_if_another_is_on_its_way(
    writer: JournalWriter, journal: MemoryJournal
) -> None:
    for place in (1, 2):
        writer.store(QUEUE, place, a_message())
        writer.flush()

    writer.close()
    writer.close()

    assert journal.is_closed
    assert [name.place for name in journal.disk.messages] == [1, 2]


def test_what_cannot_be_read_is_told(writer: JournalWriter, journal: MemoryJournal) -> None:
    told: list[JournalFailed] = []
    journal.on_failed = told.append
    damage = JournalFailed("damaged")

    def fail(page: Page) -> list[object]:
        raise damage

    journal.read = fail

    with pytest.raises(JournalFailed):
        writer.read(Page(1, QUEUE, 1, 1, 1, 1))
    assert told == [damage]
