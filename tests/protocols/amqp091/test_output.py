"""Output: pieces gather until they are taken, and whoever does not read gets no more deliveries."""

import pytest
from pamqp.commands import Basic, Channel, Queue

from amqpy_broker.core.limits import OUTPUT_HIGH_WATERMARK_BYTES
from amqpy_broker.protocols.amqp091.output import Output
from tests.wire import Client, method, new_broker, publish

BODY = b"x" * 10_000
COUNT = 500


def test_the_first_piece_wakes_the_writer() -> None:
    wakes: list[None] = []
    output = Output(lambda: wakes.append(None))

    output.write(b"one")
    output.write(b"two")
    assert (len(wakes), output.take()) == (1, b"onetwo")

    output.write(b"three")
    assert (len(wakes), output.take()) == (2, b"three")


def test_everything_is_taken_in_order_whatever_its_size() -> None:
    output = Output(lambda: None)
    pieces = [b"a" * 10, b"b" * 400_000, b"c", b"d" * 200_000, b"e" * 200_000, b"f"]
    for piece in pieces:
        output.write(piece)

    taken = []
    while output.pieces:
        taken.append(output.take())

    assert b"".join(taken) == b"".join(pieces)
    assert output.size == 0


def test_taking_nothing_is_nothing() -> None:
    assert Output(lambda: None).take() == b""


def slow_consumer(client: Client, *, no_ack: bool, channel: int = 1) -> None:
    client.call(Basic.Consume, channel=channel, queue="q", consumer_tag="slow", no_ack=no_ack)


def waiting(client: Client) -> int:
    return client.broker.vhosts["/"].queues["q"].ready_count


@pytest.mark.parametrize("no_ack", [True, False])
@pytest.mark.parametrize("channel", [1, 2])
def test_a_consumer_that_does_not_read_leaves_the_rest_in_the_queue(no_ack: bool, channel: int) -> None:
    broker = new_broker()
    reader, writer = Client(broker).open(channels=2), Client(broker).open()
    reader.call(Queue.Declare, queue="q")
    slow_consumer(reader, no_ack=no_ack, channel=channel)

    for _ in range(COUNT):
        writer.publish("", "q", BODY)

    assert reader.output.congested
    assert reader.output.size <= OUTPUT_HIGH_WATERMARK_BYTES + 2 * len(BODY)
    assert waiting(reader) >= COUNT - OUTPUT_HIGH_WATERMARK_BYTES // len(BODY) - 1


@pytest.mark.parametrize("no_ack", [True, False])
def test_a_consumer_goes_on_when_it_reads_again_and_gets_all_in_order(no_ack: bool) -> None:
    broker = new_broker()
    reader, writer = Client(broker).open(), Client(broker).open()
    reader.call(Queue.Declare, queue="q")
    slow_consumer(reader, no_ack=no_ack)
    for number in range(COUNT):
        writer.publish("", "q", BODY + str(number).encode())

    bodies = [said.body for said in reader.heard() if said.name == "Basic.Deliver"]

    assert bodies == [BODY + str(number).encode() for number in range(COUNT)]
    assert waiting(reader) == 0


def test_what_waits_already_is_not_poured_out_at_once() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    for _ in range(COUNT):
        client.publish("", "q", BODY)

    client.send(Basic.Consume, queue="q", no_ack=True)

    assert client.output.size <= OUTPUT_HIGH_WATERMARK_BYTES + 2 * len(BODY)
    assert waiting(client) > 0


def test_a_slow_consumer_leaves_messages_to_a_quick_one() -> None:
    broker = new_broker()
    slow, quick, writer = Client(broker).open(), Client(broker).open(), Client(broker).open()
    slow.call(Queue.Declare, queue="q")
    slow_consumer(slow, no_ack=True)
    quick.call(Basic.Consume, queue="q", no_ack=True)

    got = 0
    for _ in range(COUNT):
        writer.publish("", "q", BODY)
        got += len(quick.heard())

    assert waiting(writer) == 0
    assert got + len(slow.heard()) == COUNT
    assert got > COUNT // 2


def test_tiny_messages_count_too() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    slow_consumer(client, no_ack=True)

    for _ in range(40):
        client.feed(publish(1, "", "q", b"") * 1000)

    assert client.output.congested
    assert sum(map(len, client.output.pieces)) <= 2 * OUTPUT_HIGH_WATERMARK_BYTES
    assert waiting(client) > 0


def test_requeued_messages_do_not_pass_the_watermark_either() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    slow_consumer(client, no_ack=False)
    for _ in range(COUNT):
        client.publish("", "q", BODY)

    for _ in range(10):
        client.send(Basic.Recover, requeue=True)

    assert client.output.size <= 2 * OUTPUT_HIGH_WATERMARK_BYTES


def test_a_congested_consumer_that_is_cancelled_gets_nothing_more() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    slow_consumer(client, no_ack=True)
    for _ in range(COUNT):
        client.publish("", "q", BODY)
    before = waiting(client)
    client.send(Basic.Cancel, consumer_tag="slow")

    client.heard()

    assert waiting(client) == before


def test_a_congested_consumer_whose_channel_closes_gets_nothing_more() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    slow_consumer(client, no_ack=False)
    for _ in range(COUNT):
        client.publish("", "q", BODY)
    client.send(Channel.Close)

    names = client.names()

    assert names[-1] == "Channel.CloseOk"
    assert waiting(client) == COUNT


@pytest.mark.parametrize("channel", [1, 2])
def test_a_read_that_asks_for_too_much_is_acted_on_as_far_as_the_client_reads(channel: int) -> None:
    client = Client().open(channels=2)
    client.call(Queue.Declare, queue="q")
    client.publish("", "q", b"x" * 100_000)
    count = 500

    client.feed(
        b"".join(
            method(channel, Basic.Get, queue="q") + method(channel, Basic.Reject, delivery_tag=tag, requeue=True)
            for tag in range(1, count + 1)
        )
    )

    assert client.connection.paused
    assert client.output.size <= OUTPUT_HIGH_WATERMARK_BYTES + 200_000
    assert [said["delivery_tag"] for said in client.heard()] == list(range(1, count + 1))
    assert not client.connection.paused
    assert waiting(client) == 1


def test_what_is_read_while_too_much_is_to_be_said_comes_after_the_rest() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    for _ in range(30):
        client.publish("", "q", b"x" * 100_000)
    client.feed(method(1, Basic.Get, queue="q") * 30)
    assert client.connection.paused

    whole = method(1, Queue.Declare, queue="q", passive=True)
    client.feed(whole[:10])
    client.feed(whole[10:])

    heard = client.heard()
    assert [said.name for said in heard] == ["Basic.GetOk"] * 30 + ["Queue.DeclareOk"]


def test_a_connection_that_ends_forgets_what_it_has_not_acted_on() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    for _ in range(30):
        client.publish("", "q", b"x" * 100_000)
    client.feed(method(1, Basic.Get, queue="q") * 30)

    client.connection.lost()
    client.connection.resume()

    assert waiting(client) == 30
