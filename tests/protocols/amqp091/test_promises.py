"""Confirms and commits that wait for the journal: what is said before a batch is durable, and what after."""

from pamqp.commands import Basic, Channel, Confirm, Connection, Queue, Tx

from amqpy_broker.core.journal import JournalWriter
from amqpy_broker.protocols.amqp091.confirms import Confirms
from tests.memory_journal import MemoryJournal
from tests.wire import Client, Said, method, new_broker, publish, read

PERSISTENT = 2


class Durable:
    """A broker with a journal whose disk obeys, and one client with channels that confirm."""

    def __init__(self, *, channels: int = 1) -> None:
        self.disk = MemoryJournal()
        self.client = Client(new_broker(journal=self.disk)).open(channels=channels)
        journal = self.client.broker.journal
        assert journal is not None
        self.journal: JournalWriter = journal
        for number in range(1, channels + 1):
            assert self.client.call(Confirm.Select, channel=number).name == "Confirm.SelectOk"
        self.client.call(Queue.Declare, queue="durable", durable=True)
        self.client.call(Queue.Declare, queue="transient")
        self.sync()

    def hand_over(self) -> None:
        """End a turn of the loop."""
        self.journal.flush()

    def sync(self) -> None:
        """Let the disk do what it was given, and what is given to it then."""
        self.hand_over()
        self.disk.sync_all()

    def persist(self, *bodies: bytes, channel: int = 1) -> None:
        """Publish persistent messages, in one read."""
        self.client.feed(b"".join(publish(channel, "", "durable", body, delivery_mode=PERSISTENT) for body in bodies))


def acks(heard: list[Said]) -> list[tuple[int, int, bool]]:
    """Channel, number and whether it stands for many, of each confirm."""
    assert {said.name for said in heard} <= {"Basic.Ack"}, heard
    return [(said.channel, said["delivery_tag"], said["multiple"]) for said in heard]


def test_a_persistent_message_is_confirmed_when_it_is_durable_and_not_before() -> None:
    durable = Durable()
    durable.persist(b"1")
    assert durable.client.heard() == []

    durable.hand_over()
    assert durable.client.heard() == []
    durable.disk.sync()

    assert acks(durable.client.heard()) == [(1, 1, False)]


def test_a_message_waits_for_the_batch_that_holds_it_not_for_the_one_under_way() -> None:
    durable = Durable()
    durable.persist(b"1")
    durable.hand_over()
    durable.persist(b"2")

    durable.disk.sync()
    assert acks(durable.client.heard()) == [(1, 1, False)]
    durable.disk.sync()

    assert acks(durable.client.heard()) == [(1, 2, False)]


def test_reads_of_one_batch_are_confirmed_together() -> None:
    durable = Durable()
    for body in (b"1", b"2", b"3"):
        durable.persist(body)

    durable.sync()

    assert acks(durable.client.heard()) == [(1, 3, True)]


def test_what_may_be_lost_is_confirmed_at_once() -> None:
    durable = Durable()

    durable.client.publish("", "transient", b"1", delivery_mode=PERSISTENT)
    durable.client.publish("", "durable", b"2")
    durable.client.publish("", "nowhere", b"3", delivery_mode=PERSISTENT)

    assert acks(durable.client.heard()) == [(1, 1, False), (1, 2, False), (1, 3, False)]


def test_confirms_of_a_channel_keep_their_order() -> None:
    durable = Durable()
    durable.persist(b"1")
    durable.client.publish("", "transient", b"2")
    assert durable.client.heard() == []

    durable.sync()

    assert acks(durable.client.heard()) == [(1, 2, True)]


def test_another_channel_does_not_wait() -> None:
    durable = Durable(channels=2)
    durable.persist(b"1")

    durable.client.publish("", "transient", b"1", channel=2)

    assert acks(durable.client.heard()) == [(2, 1, False)]


def test_channels_are_confirmed_each_with_its_own_numbers() -> None:
    durable = Durable(channels=2)
    durable.persist(b"1")
    durable.persist(b"1", b"2", channel=2)

    durable.sync()

    assert acks(durable.client.heard()) == [(1, 1, False), (2, 2, True)]


def test_a_message_that_is_handed_out_at_once_and_for_good_is_never_written() -> None:
    durable = Durable()
    durable.client.call(Basic.Consume, queue="durable", no_ack=True)

    durable.persist(b"1")

    assert [said.name for said in durable.client.heard()] == ["Basic.Deliver", "Basic.Ack"]
    assert durable.journal.stored_count == 0


def test_confirms_go_on_after_a_batch_that_came_to_nothing() -> None:
    durable = Durable()
    written = durable.disk.batches_count
    for number in (1, 2):
        durable.persist(b"1")
        durable.client.call(Basic.Get, queue="durable", no_ack=True)

        # What was to be written is gone: there is nothing to wait for.
        durable.hand_over()

        assert acks(durable.client.heard()) == [(1, number, False)]
    assert durable.disk.batches_count == written


def test_a_return_goes_ahead_of_the_sync_and_before_its_confirm() -> None:
    durable = Durable()
    durable.client.feed(
        publish(1, "", "durable", b"1", delivery_mode=PERSISTENT) + publish(1, "", "nowhere", b"2", mandatory=True)
    )
    assert durable.client.names() == ["Basic.Return"]

    durable.sync()

    assert acks(durable.client.heard()) == [(1, 2, True)]


def test_a_message_can_be_consumed_before_it_is_durable() -> None:
    durable = Durable()
    durable.persist(b"1")

    assert durable.client.call(Basic.Get, queue="durable", no_ack=True).body == b"1"


def test_refusals_wait_in_their_places() -> None:
    durable = Durable()
    limited = {"x-max-length": 1, "x-overflow": "reject-publish"}
    durable.client.call(Queue.Declare, queue="limited", durable=True, arguments=limited)
    durable.sync()

    durable.client.feed(b"".join(publish(1, "", "limited", b"x", delivery_mode=PERSISTENT) for _ in range(3)))
    assert durable.client.heard() == []
    durable.sync()

    heard = durable.client.heard()
    assert [(said.name, said["delivery_tag"]) for said in heard] == [("Basic.Ack", 1), ("Basic.Nack", 3)]


def test_a_channel_that_is_closed_is_not_told_of_what_waited() -> None:
    durable = Durable(channels=2)
    durable.persist(b"1")
    durable.persist(b"1", channel=2)

    assert durable.client.call(Channel.Close).name == "Channel.CloseOk"
    durable.sync()

    assert acks(durable.client.heard()) == [(2, 1, False)]


def test_a_channel_that_is_closed_in_the_read_that_published_is_not_told_either() -> None:
    durable = Durable()

    durable.client.feed(publish(1, "", "durable", b"1", delivery_mode=PERSISTENT) + method(1, Channel.Close))
    durable.sync()

    assert durable.client.names() == ["Channel.CloseOk"]


def test_a_channel_that_is_opened_again_does_not_hear_what_the_old_one_waited_for() -> None:
    durable = Durable()
    durable.persist(b"1")
    durable.client.call(Channel.Close)
    durable.client.call(Channel.Open)
    durable.client.call(Confirm.Select)

    durable.persist(b"1", b"2")
    durable.sync()

    assert acks(durable.client.heard()) == [(1, 2, True)]


def test_a_connection_that_is_closed_is_not_told_of_what_waited() -> None:
    durable = Durable()
    durable.persist(b"1")

    assert durable.client.call(Connection.Close, channel=0).name == "Connection.CloseOk"
    durable.sync()

    assert durable.client.heard() == []


# --- transactions -----------------------------------------------------------------------------------------------------


def transactional() -> Durable:
    durable = Durable()
    durable.client.call(Channel.Open, channel=2)
    durable.client.call(Tx.Select, channel=2)
    return durable


def test_a_commit_is_answered_when_it_is_durable_and_is_one_batch() -> None:
    durable = transactional()
    durable.persist(b"1", channel=2)
    durable.persist(b"2", channel=2)
    written = durable.disk.batches_count

    durable.client.send(Tx.Commit, channel=2)
    assert durable.client.heard() == []
    durable.sync()

    assert durable.client.names() == ["Tx.CommitOk"]
    assert durable.disk.batches_count == written + 1


def test_a_commit_of_acknowledgements_waits_too() -> None:
    durable = transactional()
    durable.persist(b"1")
    durable.sync()
    durable.client.heard()
    tag = durable.client.call(Basic.Get, channel=2, queue="durable")["delivery_tag"]
    durable.client.send(Basic.Ack, channel=2, delivery_tag=tag)

    durable.client.send(Tx.Commit, channel=2)
    assert durable.client.heard() == []
    durable.sync()

    assert durable.client.names() == ["Tx.CommitOk"]


def test_a_commit_of_nothing_is_answered_at_once() -> None:
    durable = transactional()

    assert durable.client.call(Tx.Commit, channel=2).name == "Tx.CommitOk"


def test_a_channel_that_ended_is_not_told_of_its_commit() -> None:
    durable = transactional()
    durable.persist(b"1", channel=2)
    durable.client.send(Tx.Commit, channel=2)

    assert durable.client.call(Channel.Close, channel=2).name == "Channel.CloseOk"
    durable.sync()

    assert durable.client.heard() == []


# --- the numbers ------------------------------------------------------------------------------------------------------


def test_what_waits_is_taken_up_to_the_batch_that_is_durable() -> None:
    confirms = Confirms(1)
    for number, batch in ((1, 7), (3, 8), (4, 8), (9, 11)):
        confirms.published = number
        confirms.wait_for(batch)

    assert read(confirms.take_synced(6)) == []
    assert acks(read(confirms.take_synced(9))) == [(1, 4, True)]
    assert confirms.waits
    assert acks(read(confirms.take_synced(11))) == [(1, 9, True)]
    assert not confirms.waits


def test_a_refusal_behind_what_is_durable_stays_for_later() -> None:
    confirms = Confirms(1)
    confirms.published = 2
    confirms.wait_for(1)
    confirms.published = 3
    confirms.refuse_last()
    confirms.wait_for(2)

    assert acks(read(confirms.take_synced(1))) == [(1, 2, True)]
    assert [said.name for said in read(confirms.take_synced(2))] == ["Basic.Nack"]
