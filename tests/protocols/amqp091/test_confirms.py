"""Publisher confirms: numbered from 1, one for what one read brought."""

from pamqp.commands import Basic, Channel, Confirm, Queue

from amqpy_broker.protocols.amqp091.confirms import Confirms
from tests.wire import Client, Said, publish, read


def confirming(client: Client | None = None) -> Client:
    client = (client or Client()).open()
    assert client.call(Confirm.Select).name == "Confirm.SelectOk"
    client.call(Queue.Declare, queue="q")
    return client


def acks(heard: list[Said]) -> list[tuple[int, bool]]:
    return [(said["delivery_tag"], said["multiple"]) for said in heard if said.name == "Basic.Ack"]


def test_nothing_published_is_nothing_confirmed() -> None:
    assert Confirms(1).take() == b""


def test_a_confirm_is_taken_once() -> None:
    confirms = Confirms(1)
    confirms.published = 2

    assert acks(read(confirms.take())) == [(2, True)]
    assert confirms.take() == b""


def test_publishes_are_numbered_from_confirm_select_on() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    client.publish("", "q")
    assert client.heard() == []
    client.call(Confirm.Select)

    client.publish("", "q")

    assert acks(client.heard()) == [(1, False)]


def test_confirm_select_twice_goes_on_counting() -> None:
    client = confirming()
    client.publish("", "q")
    client.heard()
    client.call(Confirm.Select)

    client.publish("", "q")

    assert acks(client.heard()) == [(2, False)]


def test_what_one_read_brings_is_confirmed_at_once() -> None:
    client = confirming()

    client.feed(publish(1, "", "q", b"a") * 3)
    client.feed(publish(1, "", "q", b"b"))

    assert acks(client.heard()) == [(3, True), (4, False)]


def test_publishes_that_repeat_and_others_are_all_counted() -> None:
    client = confirming()

    client.feed(b"".join(publish(1, "", "q", body) for body in (b"a", b"b", b"c", b"longer", b"", b"", b"", b"d")))

    assert acks(client.heard()) == [(8, True)]


def test_each_channel_counts_for_itself() -> None:
    client = confirming(Client())
    client.call(Channel.Open, channel=2)
    client.call(Confirm.Select, channel=2)

    client.feed(publish(1, "", "q") + publish(2, "", "q") + publish(1, "", "q"))

    heard = [(said.channel, said["delivery_tag"], said["multiple"]) for said in client.heard()]
    assert sorted(heard) == [(1, 2, True), (2, 1, False)]


def test_an_unroutable_message_is_returned_before_it_is_confirmed() -> None:
    client = confirming()

    client.publish("", "nowhere", mandatory=True)

    assert client.names() == ["Basic.Return", "Basic.Ack"]


def test_an_unroutable_message_that_nobody_wants_back_is_confirmed() -> None:
    client = confirming()

    client.publish("", "nowhere")

    assert acks(client.heard()) == [(1, False)]


def test_a_message_that_goes_straight_to_a_consumer_is_confirmed() -> None:
    client = confirming()
    client.call(Basic.Consume, queue="q", consumer_tag="c", no_ack=True)

    client.publish("", "q", b"hello")

    assert sorted(client.names()) == ["Basic.Ack", "Basic.Deliver"]


def test_what_was_published_before_a_mistake_is_confirmed_before_the_channel_closes() -> None:
    client = confirming()

    client.feed(publish(1, "", "q") + publish(1, "", "q") + publish(1, "missing", "q"))

    heard = client.heard()
    assert [said.name for said in heard] == ["Basic.Ack", "Channel.Close"]
    assert acks(heard) == [(2, True)]


def test_what_was_published_before_the_channel_closes_is_confirmed() -> None:
    client = confirming()
    from tests.wire import method

    client.feed(publish(1, "", "q") + method(1, Channel.Close))

    assert client.names() == ["Basic.Ack", "Channel.CloseOk"]


def test_a_new_channel_of_the_same_number_counts_from_1_again() -> None:
    client = confirming()
    client.feed(publish(1, "", "q") * 5)
    client.heard()
    client.call(Channel.Close)
    client.call(Channel.Open)
    client.feed(publish(1, "", "q"))
    assert client.heard() == []
    client.call(Confirm.Select)

    client.feed(publish(1, "", "q"))

    assert acks(client.heard()) == [(1, False)]
