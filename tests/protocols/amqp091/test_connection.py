"""A connection: channels that open and close, ends of every kind, limits, alarms, deadlines."""

import logging

import pytest
from pamqp.commands import Basic, Channel, Connection, Exchange, Queue, Tx

from amqpy_broker.core.alarms import Resource
from amqpy_broker.core.errors import ConnectionForced
from amqpy_broker.core.limits import UNFINISHED_CONTENT_MAX_BYTES
from amqpy_broker.protocols.amqp091.connection import State
from tests.wire import Client, content, frame, handshake, method, new_broker, publish, refusal

SHUTDOWN = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"


def closing() -> Client:
    """Make the broker close a connection: it waits for close-ok."""
    client = Client().open()
    client.send(Connection.Open, channel=0)
    assert client.heard_one().name == "Connection.Close"
    assert client.state is State.CLOSING
    return client


# --- closing by the client --------------------------------------------------------------------------------------------


def test_a_client_that_closes_gets_its_answer_and_closes_the_socket() -> None:
    client = Client().open()

    assert client.call(Connection.Close, channel=0).name == "Connection.CloseOk"

    assert client.state is State.LINGERING
    assert not client.connection.closed


def test_a_client_that_does_not_close_the_socket_is_waited_for_five_seconds() -> None:
    client = Client().open()
    client.call(Connection.Close, channel=0)

    client.pass_time(4.9)
    assert not client.connection.closed
    client.pass_time(0.2)

    assert client.connection.closed


def test_nothing_is_heard_after_close() -> None:
    client = Client().open()
    client.call(Connection.Close, channel=0)

    client.feed(method(1, Queue.Declare, queue="q") + publish(1, "", "q") + method(0, Connection.Close))

    assert client.heard() == []
    assert not client.broker.vhosts["/"].queues


# --- closing by the broker --------------------------------------------------------------------------------------------


def test_a_connection_that_we_close_ends_with_close_ok() -> None:
    client = closing()

    client.send(Connection.CloseOk, channel=0)

    assert client.connection.closed


def test_a_client_may_take_thirty_seconds_to_say_close_ok() -> None:
    client = closing()

    client.pass_time(29.9)
    assert not client.connection.closed
    client.pass_time(0.2)

    assert client.connection.closed


def test_closes_that_cross_are_both_answered() -> None:
    client = closing()

    assert client.call(Connection.Close, channel=0).name == "Connection.CloseOk"
    client.send(Connection.CloseOk, channel=0)

    assert client.connection.closed


def test_everything_else_is_ignored_while_closing() -> None:
    client = closing()

    client.feed(method(1, Queue.Declare, queue="q") + publish(1, "", "q") + method(2, Channel.Open) + frame(8, 0))

    assert client.heard() == []
    assert client.state is State.CLOSING


def test_close_ok_is_heard_behind_other_frames() -> None:
    client = closing()

    client.feed(publish(1, "", "q", b"x" * 200) + method(0, Connection.CloseOk))

    assert client.connection.closed


def test_close_ok_is_heard_after_a_frame_that_came_in_pieces() -> None:
    client = Client().open()
    large = frame(2, 9, b"x" * 1000)
    client.feed(large[:100])
    client.feed(large[100:])
    assert client.heard_one().name == "Connection.Close"

    client.send(Connection.CloseOk, channel=0)

    assert client.connection.closed


def test_a_closed_connection_stays_closed() -> None:
    client = closing()

    client.feed(method(0, Connection.CloseOk) + method(0, Connection.Close) + method(5, Channel.Open))
    client.feed(method(0, Connection.Close))

    assert client.connection.closed
    assert client.heard() == []


def test_no_frame_can_be_told_from_the_next_after_a_bad_end() -> None:
    client = Client().open()
    client.feed(method(1, Queue.Declare, queue="q")[:-1] + b"!")
    assert refusal(client.heard_one())[1] == 501

    client.feed(method(0, Connection.CloseOk))
    client.pass_time(2.9)
    assert client.state is State.SILENT
    client.pass_time(0.2)

    assert client.connection.closed


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_a_broker_that_stops_says_so(steps: int) -> None:
    client = Client()
    for octets in handshake()[:steps]:
        client.feed(octets)
    client.heard()

    client.connection.shut_down()

    assert refusal(client.heard_one()) == ("connection", 320, SHUTDOWN, 0, 0)


def test_a_broker_that_stops_does_not_wait_for_who_has_said_nothing() -> None:
    client = Client()

    client.connection.shut_down()

    assert client.connection.closed
    assert client.heard() == []


def test_a_connection_may_be_closed_for_any_reason_once() -> None:
    client = Client().open()

    client.connection.close(ConnectionForced("because"))
    client.connection.close(ConnectionForced("because again"))

    assert refusal(client.heard_one())[2] == "CONNECTION_FORCED - because"


def test_a_socket_may_be_lost_at_any_time() -> None:
    for steps in range(5):
        client = Client()
        for octets in handshake()[:steps]:
            client.feed(octets)

        client.connection.lost()
        client.connection.lost()

        assert client.connection.closed
        assert client.connection.next_deadline_s == float("inf")


def test_a_lost_connection_leaves_nothing_behind() -> None:
    broker = new_broker()
    lost, other = Client(broker).open(channels=2), Client(broker).open()
    lost.call(Queue.Declare, queue="mine", exclusive=True)
    lost.call(Queue.Declare, queue="auto", auto_delete=True)
    lost.call(Queue.Declare, queue="kept")
    for channel, queue in ((1, "mine"), (2, "auto"), (1, "kept")):
        lost.send(Basic.Consume, channel=channel, queue=queue)
        other.publish("", queue, b"m")

    lost.connection.lost()

    assert set(broker.vhosts["/"].queues) == {"kept"}
    assert other.call(Basic.Get, queue="kept")["redelivered"] is True


# --- channels ---------------------------------------------------------------------------------------------------------


def test_a_channel_that_the_client_closes_may_be_opened_again() -> None:
    client = Client().open()
    for _ in range(3):
        assert client.call(Channel.Close).name == "Channel.CloseOk"
        assert client.call(Channel.Open).name == "Channel.OpenOk"

    assert client.is_usable()


def test_a_channel_that_we_close_may_be_opened_after_close_ok() -> None:
    client = Client().open()
    assert refusal(client.call(Basic.Get, queue="missing"))[0] == "channel"
    client.send(Channel.CloseOk)

    assert client.call(Channel.Open).name == "Channel.OpenOk"


def test_everything_is_ignored_on_a_channel_that_we_close() -> None:
    client = Client().open()
    client.call(Basic.Get, queue="missing")

    client.send(Queue.Declare, queue="q")
    client.publish("", "q", b"body")
    client.publish("missing", "q", b"x" * 10_000, body_frame_size=4088)

    assert client.heard() == []
    assert not client.broker.vhosts["/"].queues


def test_channel_closes_that_cross_are_both_answered() -> None:
    client = Client().open()
    client.call(Basic.Get, queue="missing")

    assert client.call(Channel.Close).name == "Channel.CloseOk"
    client.send(Channel.CloseOk)

    assert client.call(Channel.Open).name == "Channel.OpenOk"


def test_a_mistake_on_one_channel_leaves_the_others_alone() -> None:
    client = Client().open(channels=3)

    assert refusal(client.call(Basic.Get, channel=2, queue="missing"))[0] == "channel"

    assert client.call(Channel.Flow, channel=1, active=True).name == "Channel.FlowOk"
    assert client.call(Channel.Flow, channel=3, active=True).name == "Channel.FlowOk"


def test_a_new_channel_remembers_nothing_of_the_old_one() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    client.call(Tx.Select)
    client.call(Basic.Qos, prefetch_count=1)
    client.call(Channel.Close)
    client.call(Channel.Open)

    assert refusal(client.call(Tx.Commit))[2] == "PRECONDITION_FAILED - channel is not transactional"
    client.send(Channel.CloseOk)
    client.call(Channel.Open)
    assert refusal(client.call(Queue.Purge))[2] == "NOT_FOUND - no previously declared queue"


def test_any_channel_number_may_be_used() -> None:
    client = Client().open(channels=0)

    assert client.call(Channel.Open, channel=65_535).channel == 65_535


def test_channels_are_counted_against_the_negotiated_limit() -> None:
    client = Client().open(channels=2, channel_max=2)

    answer = client.call(Channel.Open, channel=3)

    expected = "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)"
    assert refusal(answer)[:3] == ("connection", 530, expected)


def test_a_closed_channel_makes_room_for_another() -> None:
    client = Client().open(channels=2, channel_max=2)
    client.call(Channel.Close, channel=1)

    assert client.call(Channel.Open, channel=9).name == "Channel.OpenOk"


def test_all_channels_may_be_open_at_once() -> None:
    client = Client().open(channels=2047)

    assert client.call(Channel.Flow, channel=2047, active=True).name == "Channel.FlowOk"


def test_channels_may_be_used_in_turn() -> None:
    client = Client().open(channels=2)
    client.call(Queue.Declare, queue="q")
    one, two = publish(1, "", "q", b"one" * 9), publish(2, "", "q", b"two" * 9)
    method_size = len(method(1, Basic.Publish, routing_key="q"))

    client.feed(one[:method_size] + two[:method_size] + one[method_size:] + two[method_size:])

    assert [client.call(Basic.Get, queue="q").body for _ in range(2)] == [b"one" * 9, b"two" * 9]


# --- frames and contents that are too large ---------------------------------------------------------------------------


@pytest.mark.parametrize("frame_max", [4096, 131_072])
def test_a_frame_may_be_larger_than_negotiated_by_its_envelope_and_no_more(frame_max: int) -> None:
    client = Client().open(frame_max=frame_max)
    client.call(Queue.Declare, queue="q")

    client.publish("", "q", b"x" * frame_max, body_frame_size=frame_max)
    assert client.call(Basic.Get, queue="q").body == b"x" * frame_max
    client.feed(frame(3, 1, b"x" * (frame_max + 1))[:20])

    expected = f"FRAME_ERROR - type 3, all octets = <<>>: {{frame_too_large,{frame_max + 1},{frame_max - 8}}}"
    assert refusal(client.heard_one()) == ("connection", 501, expected, 0, 0)


def test_a_frame_that_will_be_too_large_is_refused_at_its_head() -> None:
    client = Client().open()

    client.feed(b"\x03\x00\x01\x7f\xff\xff\xff")

    assert refusal(client.heard_one())[1] == 501


@pytest.mark.parametrize(("profile", "largest"), [("3.10", 134_217_728), ("4.0", 16_777_216)])
def test_a_message_that_is_too_large_is_refused_and_not_kept(profile: str, largest: int) -> None:
    client = Client(profile=profile).open()
    size = largest + 1
    header = b"\x00\x3c\x00\x00" + size.to_bytes(8, "big") + b"\x00\x00"
    client.feed(method(1, Basic.Publish, routing_key="q") + frame(2, 1, header))
    session = client.connection._session
    assert session is not None

    body = frame(3, 1, b"x" * 131_064)
    for _ in range(size // 131_064):
        client.feed(body)
        assert session.unfinished_bytes == 0
    client.feed(frame(3, 1, b"x" * (size % 131_064)))

    expected = f"PRECONDITION_FAILED - message size {size} is larger than configured max size {largest}"
    assert refusal(client.heard_one()) == ("channel", 406, expected, 60, 40)


def test_unfinished_contents_are_limited_over_all_channels() -> None:
    client = Client(profile="3.10").open(channels=3)
    header = b"\x00\x3c\x00\x00" + (128 * 1_048_576).to_bytes(8, "big") + b"\x00\x00"
    body = frame(3, 1, b"x" * 131_064)
    for channel in (1, 2, 3):
        client.feed(method(channel, Basic.Publish, routing_key="q") + frame(2, channel, header))

    fed = 0
    while client.state is State.RUNNING:
        for channel in (1, 2, 3):
            client.feed(body[:1] + channel.to_bytes(2, "big") + body[3:])
            fed += len(body)

    assert fed <= UNFINISHED_CONTENT_MAX_BYTES + 4 * len(body)
    assert refusal(client.heard_one())[:2] == ("connection", 501)


def test_finished_contents_are_counted_no_longer() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    session = client.connection._session
    assert session is not None

    for octet in publish(1, "", "q", b"x" * 500, body_frame_size=50):
        client.feed(bytes((octet,)))

    assert session.unfinished_bytes == 0


def test_empty_body_frames_are_read_and_not_kept() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    head, tail = content(1, b"ab")[:22], content(1, b"ab")[22:]
    client.feed(method(1, Basic.Publish, routing_key="q") + head)
    session = client.connection._session
    assert session is not None
    before = session.unfinished_bytes

    client.feed(frame(3, 1) * 1000)
    assert session.unfinished_bytes == before
    client.feed(tail)

    assert client.call(Basic.Get, queue="q").body == b"ab"


# --- alarms -----------------------------------------------------------------------------------------------------------


def alarmed(client: Client, *resources: Resource) -> None:
    """Raise alarms for these resources, and end all others, as the server does."""
    alarms = client.broker.alarms
    alarms.on_change = lambda raised: client.connection.alarm_changed(raised=raised)
    for resource in sorted(Resource, key=lambda resource: resource not in resources):
        alarms.set(resource, "test", raised=resource in resources)


def test_a_publisher_is_told_of_an_alarm_when_it_publishes_and_of_its_end() -> None:
    client = Client().open()
    client.publish("", "q")

    alarmed(client, Resource.MEMORY)
    assert client.heard() == []
    assert not client.connection.publishes

    client.publish("", "q")
    blocked = client.heard_one()
    assert (blocked.name, blocked["reason"]) == ("Connection.Blocked", "low on memory")
    assert client.connection.publishes

    alarmed(client)
    assert client.names() == ["Connection.Unblocked"]


def test_who_publishes_the_same_again_and_again_is_told_too() -> None:
    client = Client().open()
    client.feed(publish(1, "", "q", b"same") * 5)

    alarmed(client, Resource.MEMORY)
    client.feed(publish(1, "", "q", b"same") * 5)

    assert client.names() == ["Connection.Blocked"]


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        ((Resource.MEMORY,), "low on memory"),
        ((Resource.DISK,), "low on disk"),
        ((Resource.MEMORY, Resource.DISK), "low on disk & memory"),
    ],
)
def test_the_reason_says_what_is_short(resources: tuple[Resource, ...], reason: str) -> None:
    client = Client().open()
    alarmed(client, *resources)

    client.publish("", "q")

    assert client.heard_one()["reason"] == reason


def test_a_publisher_is_told_of_the_end_when_nothing_is_short_any_more() -> None:
    client = Client().open()
    alarmed(client, Resource.MEMORY)
    client.publish("", "q")
    assert client.names() == ["Connection.Blocked"]

    # Neither a second resource nor the end of one of two is worth a word.
    alarmed(client, Resource.MEMORY, Resource.DISK)
    client.publish("", "q")
    alarmed(client, Resource.DISK)
    client.publish("", "q")
    assert client.heard() == []

    alarmed(client)
    assert client.names() == ["Connection.Unblocked"]


def test_who_does_not_publish_is_not_told() -> None:
    client = Client().open()
    client.publish("", "q")

    alarmed(client, Resource.MEMORY)
    client.call(Queue.Declare, queue="q")
    alarmed(client)

    assert client.heard() == []


def test_who_comes_during_an_alarm_is_told_at_its_first_publish() -> None:
    client = Client()
    alarmed(client, Resource.MEMORY)
    client.open()

    client.publish("", "q")

    assert client.names() == ["Connection.Blocked"]


def test_who_does_not_understand_it_is_not_told() -> None:
    client = Client().open(capabilities={})
    alarmed(client, Resource.MEMORY)

    client.publish("", "q")

    assert client.heard() == []
    assert client.connection.publishes
    alarmed(client)
    assert client.heard() == []


def test_an_alarm_is_told_once() -> None:
    client = Client().open()
    alarmed(client, Resource.MEMORY)

    client.publish("", "q")
    client.publish("", "q2")

    assert client.names() == ["Connection.Blocked"]


def test_the_alarm_is_raised_by_what_is_read_and_ended_by_what_is_consumed() -> None:
    broker = new_broker(memory_watermark_bytes=100_000)
    client = Client(broker).open()
    changes: list[bool] = []
    broker.alarms.on_change = changes.append
    client.call(Queue.Declare, queue="q")

    for _ in range(12):
        client.publish("", "q", b"x" * 10_000)
    assert changes == [True]
    client.send(Queue.Purge, queue="q")
    broker.memory.measure()

    assert changes == [True, False]


# --- what is logged ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (method(1, Basic.Get, queue="q"), "channel 1 closed: NOT_FOUND - no queue 'q' in vhost '/'"),
        (frame(9, 0), "connection closed: FRAME_ERROR - type 9, all octets = <<>>: unknown_frame"),
        (method(1, Exchange.Declare, exchange=""), "channel 1 closed: "),
    ],
)
def test_a_mistake_is_one_line_in_the_log(octets: bytes, text: str, caplog: pytest.LogCaptureFixture) -> None:
    client = Client().open()
    caplog.clear()

    with caplog.at_level(logging.WARNING):
        client.feed(octets)

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"connection: {text}" in caplog.messages[0]
