"""Transactions: nothing happens before the commit, and everything then."""

import pytest
from pamqp.commands import Basic, Channel, Exchange, Queue, Tx

from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.limits import TX_OPERATIONS_MAX
from amqpy_broker.protocols.amqp091.deliveries import Fate
from amqpy_broker.protocols.amqp091.transactions import PendingSettlement, Transaction
from tests.wire import Client, new_broker, refusal


def transactional(channels: int = 2) -> Client:
    """Open a connection whose channel 1 is in a transaction; channel 2 looks on."""
    client = Client().open(channels=channels)
    client.call(Queue.Declare, queue="q")
    assert client.call(Tx.Select).name == "Tx.SelectOk"
    return client


def ready(client: Client, queue: str = "q") -> int:
    count = client.call(Queue.Declare, channel=2, queue=queue, passive=True)["message_count"]
    assert isinstance(count, int)
    return count


def test_a_publish_waits_for_the_commit() -> None:
    client = transactional()
    client.publish("", "q", b"one")
    client.publish("", "q", b"two")
    assert ready(client) == 0

    assert client.call(Tx.Commit).name == "Tx.CommitOk"

    assert ready(client) == 2
    assert [client.call(Basic.Get, channel=2, queue="q").body for _ in range(2)] == [b"one", b"two"]


def test_a_rollback_forgets_publishes() -> None:
    client = transactional()
    client.publish("", "q", b"one")

    client.call(Tx.Rollback)
    client.call(Tx.Commit)

    assert ready(client) == 0


def test_an_acknowledgement_waits_for_the_commit() -> None:
    client = transactional()
    client.publish("", "q", channel=2)
    tag = client.call(Basic.Get, queue="q")["delivery_tag"]
    client.send(Basic.Ack, delivery_tag=tag)
    queue = client.broker.vhosts["/"].queues["q"]
    assert queue.unacked_count == 1

    client.call(Tx.Commit)

    assert queue.unacked_count == 0


def test_a_rollback_makes_deliveries_unacknowledged_again() -> None:
    client = transactional()
    for body in (b"1", b"2", b"3"):
        client.publish("", "q", body, channel=2)
    for _ in range(3):
        client.call(Basic.Get, queue="q")
    client.send(Basic.Ack, delivery_tag=2)
    client.call(Tx.Rollback)

    client.send(Basic.Nack, delivery_tag=2, requeue=True, multiple=True)
    client.call(Tx.Commit)

    assert [client.call(Basic.Get, channel=2, queue="q", no_ack=True).body for _ in range(2)] == [b"1", b"2"]
    assert client.broker.vhosts["/"].queues["q"].unacked_count == 1


def test_a_delivery_cannot_be_acknowledged_twice_in_a_transaction() -> None:
    client = transactional()
    client.publish("", "q", channel=2)
    client.call(Basic.Get, queue="q")
    client.send(Basic.Ack, delivery_tag=1)

    client.send(Basic.Ack, delivery_tag=1)

    assert refusal(client.heard_one())[2] == "PRECONDITION_FAILED - unknown delivery tag 1"


def test_rejections_wait_for_the_commit_too() -> None:
    client = transactional()
    client.publish("", "q", b"back", channel=2)
    client.call(Basic.Get, queue="q")
    client.send(Basic.Reject, delivery_tag=1, requeue=True)
    assert ready(client) == 0

    client.call(Tx.Commit)

    assert ready(client) == 1


def test_publishes_and_acknowledgements_are_committed_together() -> None:
    client = transactional()
    client.publish("", "q", b"in", channel=2)
    client.call(Basic.Get, queue="q")
    client.publish("", "q", b"out")
    client.send(Basic.Ack, delivery_tag=1)

    client.call(Tx.Commit)

    assert client.call(Basic.Get, channel=2, queue="q", no_ack=True).body == b"out"
    assert client.broker.vhosts["/"].queues["q"].unacked_count == 0


def test_a_message_is_routed_when_it_is_published() -> None:
    client = transactional()
    client.call(Exchange.Declare, channel=2, exchange="x", exchange_type="fanout")
    client.publish("x", "", b"early")
    client.call(Queue.Bind, channel=2, queue="q", exchange="x")

    client.call(Tx.Commit)

    assert ready(client) == 0


@pytest.mark.parametrize("profile", ["3.10", "4.0"])
def test_unroutable_messages_are_returned_at_the_commit(profile: str) -> None:
    client = Client(new_broker(profile)).open()
    client.call(Tx.Select)
    client.publish("", "nowhere", b"x", mandatory=True)
    assert client.heard() == []

    client.send(Tx.Commit)

    assert sorted(client.names()) == ["Basic.Return", "Tx.CommitOk"]


def test_a_channel_that_closes_rolls_back() -> None:
    client = transactional()
    client.publish("", "q", b"acked", channel=2)
    client.call(Basic.Get, queue="q")
    client.send(Basic.Ack, delivery_tag=1)
    client.publish("", "q", b"published")

    client.call(Channel.Close)

    assert ready(client) == 1
    got = client.call(Basic.Get, channel=2, queue="q")
    assert (got.body, got["redelivered"]) == (b"acked", True)


def test_a_refused_publish_closes_the_channel_at_once_and_rolls_back() -> None:
    client = transactional()
    client.publish("", "q", b"good")

    client.publish("missing", "q", b"bad")

    assert refusal(client.heard_one())[1] == 404
    assert ready(client) == 0


def test_select_twice_keeps_what_waits() -> None:
    client = transactional()
    client.publish("", "q")
    client.call(Tx.Select)

    client.call(Tx.Commit)

    assert ready(client) == 1


def test_each_channel_has_its_own_transaction() -> None:
    client = transactional(channels=3)
    client.call(Tx.Select, channel=3)
    client.publish("", "q", channel=1)
    client.publish("", "q", channel=3)

    client.call(Tx.Commit, channel=3)

    assert ready(client) == 1


def test_repeated_publishes_wait_as_well() -> None:
    client = transactional()
    from tests.wire import publish

    client.feed(publish(1, "", "q", b"x") * 5)
    client.feed(publish(1, "", "q", b"x") * 5)
    assert ready(client) == 0

    client.call(Tx.Commit)

    assert ready(client) == 10


def test_a_transaction_that_never_ends_is_refused_at_last() -> None:
    transaction = Transaction(settlements=[PendingSettlement((), Fate.SETTLE)] * TX_OPERATIONS_MAX)

    with pytest.raises(PreconditionFailed, match="more than 1000000 operations"):
        transaction.add_settlement(PendingSettlement((), Fate.SETTLE))
