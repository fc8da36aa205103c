"""When to send a heartbeat, and when to give up."""

from pamqp.commands import Channel

from amqpy_broker.protocols.amqp091.connection import State
from amqpy_broker.protocols.amqp091.heartbeats import Heartbeats
from tests.wire import Client, frame

NEVER = float("inf")


def test_a_heartbeat_is_due_half_an_interval_after_the_last_octet_sent() -> None:
    heartbeats = Heartbeats(10, 100.0)
    assert heartbeats.send_at_s == 105.0

    heartbeats.sent(103.0)

    assert heartbeats.send_at_s == 108.0


def test_a_peer_is_given_up_two_intervals_after_the_last_octet_received() -> None:
    heartbeats = Heartbeats(10, 100.0)
    assert heartbeats.give_up_at_s == 120.0

    heartbeats.received(115.0)

    assert heartbeats.give_up_at_s == 135.0


def test_interval_0_is_never() -> None:
    heartbeats = Heartbeats(0, 100.0)

    assert (heartbeats.send_at_s, heartbeats.give_up_at_s) == (NEVER, NEVER)


def test_a_peer_that_is_not_read_from_is_not_given_up() -> None:
    heartbeats = Heartbeats(10, 100.0)

    heartbeats.listening = False

    assert (heartbeats.send_at_s, heartbeats.give_up_at_s) == (105.0, NEVER)


def test_a_connection_that_says_nothing_sends_heartbeats() -> None:
    client = Client().open(heartbeat=10)

    client.pass_time(4.9)
    assert client.heard() == []
    client.pass_time(0.2)

    assert client.names() == ["Heartbeat"]


def test_a_connection_that_says_something_needs_no_heartbeat() -> None:
    client = Client().open(heartbeat=10)
    for _ in range(5):
        client.pass_time(4.0)
        assert client.call(Channel.Flow, active=True).name == "Channel.FlowOk"

    assert client.heard() == []


def test_a_client_that_is_silent_for_two_intervals_is_gone() -> None:
    client = Client().open(heartbeat=10)

    client.pass_time(19.9)
    assert client.state is State.RUNNING
    client.pass_time(0.2)

    assert client.connection.closed
    assert set(client.names()) == {"Heartbeat"}


def test_heartbeats_keep_a_client_alive() -> None:
    client = Client().open(heartbeat=10)
    for _ in range(10):
        client.pass_time(19.0)
        client.feed(frame(8, 0))

    assert client.state is State.RUNNING


def test_any_octet_keeps_a_client_alive() -> None:
    client = Client().open(heartbeat=10)
    for octet in frame(8, 0):
        client.pass_time(19.0)
        client.feed(bytes((octet,)))

    assert client.state is State.RUNNING


def test_heartbeats_are_not_missed_from_a_client_that_is_held_back() -> None:
    client = Client().open(heartbeat=10)
    client.connection.hold_back(True)
    client.pass_time(1000.0)
    client.connection.hold_back(False)

    client.pass_time(19.0)
    assert client.state is State.RUNNING
    client.pass_time(2.0)

    assert client.connection.closed
