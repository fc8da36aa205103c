"""Limits that an operator sets: the texts and scopes are what RabbitMQ 4.0 said when it was asked."""

import pytest
from pamqp.commands import Basic, Channel, Connection, Exchange, Queue

from amqpy_broker.core.quotas import Limits, VhostLimits
from tests.wire import Client, Said, handshake, new_broker, refusal


def limited(limits: Limits | None = None, **of_vhost: int) -> Client:
    return Client(new_broker(limits=limits or Limits(vhost=VhostLimits(**of_vhost)))).open()


def text(said: Said) -> tuple[str, int, str]:
    return refusal(said)[:3]


def opening(client: Client) -> Said:
    """Open one more connection to the same broker as far as it goes; return the last thing that the broker says."""
    another = Client(client.broker)
    for octets in handshake():
        another.feed(octets)
    return another.heard()[-1]


@pytest.mark.parametrize(("name", "said"), [("q3", "q3"), ("", "amq.gen-")])
def test_queues_of_a_vhost(name: str, said: str) -> None:
    client = limited(max_queues=2)
    for declared in ("q1", "q2", "q1"):
        assert client.call(Queue.Declare, queue=declared).name == "Queue.DeclareOk"

    scope, code, reason = text(client.call(Queue.Declare, queue=name))

    assert (scope, code) == ("channel", 406)
    assert reason.startswith(f"PRECONDITION_FAILED - cannot declare queue '{said}")
    assert reason.endswith("': queue limit in vhost '/' (2) is reached")


def test_a_queue_that_goes_makes_room_for_another() -> None:
    client = limited(max_queues=1)
    client.call(Queue.Declare, queue="q1")
    client.call(Queue.Delete, queue="q1")

    assert client.call(Queue.Declare, queue="q2").name == "Queue.DeclareOk"


def test_a_queue_that_differs_is_refused_for_that() -> None:
    client = limited(max_queues=1)
    client.call(Queue.Declare, queue="q1")

    assert "inequivalent arg 'durable'" in text(client.call(Queue.Declare, queue="q1", durable=True))[2]


def test_exchanges_of_a_vhost() -> None:
    # The default exchange and those that are predeclared count.
    count = len(Client().broker.vhosts["/"].exchanges)
    client = limited(max_exchanges=count + 1)
    client.call(Exchange.Declare, exchange="x1", exchange_type="direct")
    assert client.call(Exchange.Declare, exchange="x1", exchange_type="direct").name == "Exchange.DeclareOk"

    assert text(client.call(Exchange.Declare, exchange="x2", exchange_type="direct")) == (
        "channel",
        406,
        f"PRECONDITION_FAILED - cannot declare exchange 'x2' in vhost '/': exchange limit of {count + 1} is reached",
    )


def test_bindings_of_a_vhost() -> None:
    client = limited(max_bindings=2)
    client.call(Queue.Declare, queue="q")
    for key in ("1", "2", "1"):
        bound = client.call(Queue.Bind, queue="q", exchange="amq.direct", routing_key=key)
        assert bound.name == "Queue.BindOk"

    said = client.call(Queue.Bind, queue="q", exchange="amq.direct", routing_key="3")

    assert text(said) == (
        "channel",
        406,
        "PRECONDITION_FAILED - cannot bind to exchange 'amq.direct' in vhost '/': binding limit of 2 is reached",
    )


def test_bindings_that_go_make_room_for_others() -> None:
    client = limited(max_bindings=3)
    client.call(Exchange.Declare, exchange="x", exchange_type="fanout")
    for name in ("q1", "q2"):
        client.call(Queue.Declare, queue=name)
        client.call(Queue.Bind, queue=name, exchange="x")
    client.call(Queue.Bind, queue="q1", exchange="amq.direct")

    client.call(Queue.Unbind, queue="q1", exchange="amq.direct")
    client.call(Queue.Delete, queue="q2")
    client.call(Exchange.Delete, exchange="x")

    assert client.broker.vhosts["/"].bindings.count == 0


def test_connections_of_a_vhost() -> None:
    client = limited(max_connections=1)

    assert text(opening(client)) == (
        "connection",
        530,
        "NOT_ALLOWED - access to vhost '/' refused for user 'guest': connection limit (1) is reached",
    )


def test_connections_of_a_node() -> None:
    client = limited(Limits(connection_max=1))

    assert text(opening(client)) == (
        "connection",
        530,
        "NOT_ALLOWED - connection refused: node connection limit (1) is reached",
    )


@pytest.mark.parametrize("limits", [Limits(connection_max=1), Limits(vhost=VhostLimits(max_connections=1))])
def test_a_connection_that_goes_makes_room_for_another(limits: Limits) -> None:
    client = limited(limits)
    client.call(Connection.Close, channel=0)
    client.connection.lost()

    assert opening(client).name == "Connection.OpenOk"


def test_channels_of_a_node() -> None:
    count_text = "number of channels opened on node 'rabbit@localhost' has reached the maximum allowed limit of (2)"
    client = limited(Limits(channel_max_per_node=2))
    another = Client(client.broker).open()

    assert text(another.call(Channel.Open, channel=2)) == (
        "connection",
        530,
        f"NOT_ALLOWED - {count_text}",
    )


def test_channels_of_a_connection_are_negotiated() -> None:
    client = Client(new_broker(limits=Limits(channel_max=2)))
    client.feed(handshake()[0])
    client.feed(handshake()[1])
    tune = client.heard()[-1]
    assert (tune.name, tune["channel_max"]) == ("Connection.Tune", 2)

    client = Client(new_broker(limits=Limits(channel_max=2))).open(channels=2, channel_max=2)

    assert text(client.call(Channel.Open, channel=3)) == (
        "connection",
        530,
        "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)",
    )


def test_consumers_of_a_channel() -> None:
    client = limited(Limits(consumer_max_per_channel=2))
    client.call(Queue.Declare, queue="q")
    for _ in range(2):
        assert client.call(Basic.Consume, queue="q").name == "Basic.ConsumeOk"

    assert text(client.call(Basic.Consume, queue="q")) == (
        "connection",
        530,
        "NOT_ALLOWED - reached maximum (2) of consumers per channel",
    )


def test_no_limit_is_no_limit() -> None:
    none = Limits(None, 2047, None, None, VhostLimits(None, None, None, None))
    client = limited(none)
    client.call(Queue.Declare, queue="q")
    client.call(Exchange.Declare, exchange="x", exchange_type="fanout")
    client.call(Queue.Bind, queue="q", exchange="x")
    client.call(Basic.Consume, queue="q")

    assert opening(client).name == "Connection.OpenOk"
