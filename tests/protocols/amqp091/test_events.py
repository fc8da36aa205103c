"""The event exchange: what comes and goes is published, when it is switched on."""

from typing import Any

import pytest
from pamqp.commands import Basic, Channel, Connection, Exchange, Queue

from amqpy_broker.core.events import Detail, Events
from amqpy_broker.protocols.amqp091.connection import State
from amqpy_broker.protocols.amqp091.own_messages import make_message
from tests.wire import Client, Said, new_broker

EVENTS = "amq.rabbitmq.event"


def a_listener() -> Client:
    """Make a client with a queue of all events, of which it has those of its own making behind it."""
    broker = new_broker()
    broker.publish_events(make_message)
    listener = Client(broker).open()
    listener.call(Queue.Declare, queue="events")
    listener.call(Queue.Bind, queue="events", exchange=EVENTS, routing_key="#")
    heard(listener)
    return listener


def heard_all(listener: Client) -> list[Said]:
    listener.pass_time(0)
    found = []
    while (said := listener.call(Basic.Get, queue="events", no_ack=True)).name == "Basic.GetOk":
        found.append(said)
    return found


def heard(listener: Client) -> list[tuple[str, dict[str, Any]]]:
    """Take all events, without what is in each."""
    events = []
    for said in heard_all(listener):
        headers = dict(said.property_values["headers"])
        del headers["timestamp_in_ms"]
        events.append((said["routing_key"], headers))
    return events


def test_an_event_is_a_persistent_message_with_a_time_and_no_body() -> None:
    listener = a_listener()
    listener.call(Queue.Declare, queue="q")

    (event,) = heard_all(listener)

    properties = event.property_values
    assert (event["exchange"], event["routing_key"], event.body) == (EVENTS, "queue.created", b"")
    assert properties["delivery_mode"] == 2
    assert properties["headers"]["timestamp_in_ms"] == 1_700_001_000_000
    assert properties["timestamp"].timestamp() == 1_700_001_000


def test_the_exchange_is_internal_and_of_the_first_vhost() -> None:
    listener = a_listener()
    exchange = listener.broker.vhosts["/"].exchanges[EVENTS]

    assert (exchange.type, exchange.durable, exchange.internal) == ("topic", True, True)
    assert EVENTS not in listener.broker.add_vhost("other").exchanges
    assert heard(listener)[-1] == (
        "vhost.created",
        {"name": "other", "tracing": False, "user_who_performed_action": "rmq-internal"},
    )


def test_queues_come_and_go() -> None:
    listener = a_listener()
    who = {"vhost": "/", "user_who_performed_action": "guest", "type": "rabbit_classic_queue", "name": "q"}

    listener.call(Queue.Declare, queue="q", durable=True, arguments={"x-max-length": 5})
    listener.call(Queue.Declare, queue="q", durable=True, arguments={"x-max-length": 5})
    listener.call(Queue.Delete, queue="q")
    listener.call(Queue.Delete, queue="q")

    created = {"durable": True, "auto_delete": False, "exclusive": False}
    arguments = ['{<<"x-max-length">>,byte,5}', '{<<"x-queue-type">>,longstr,<<"classic">>}']
    (name, headers), deleted = heard(listener)
    assert sorted(headers.pop("arguments")) == [arguments[0].replace("byte", "signedint"), arguments[1]]
    assert (name, headers) == ("queue.created", created | who)
    assert deleted == ("queue.deleted", who)


def test_exchanges_and_bindings_come_and_go() -> None:
    listener = a_listener()
    who = {"vhost": "/", "user_who_performed_action": "guest"}
    binding = {
        "source_name": "x",
        "source_kind": "exchange",
        "destination_name": "events",
        "destination_kind": "queue",
        "routing_key": "k",
        "arguments": ['{<<"a">>,signedint,1}'],
    }

    listener.call(Exchange.Declare, exchange="x", exchange_type="topic", auto_delete=True)
    for _ in range(2):
        listener.call(Queue.Bind, queue="events", exchange="x", routing_key="k", arguments={"a": 1})
    listener.call(Queue.Unbind, queue="events", exchange="x", routing_key="k", arguments={"a": 1})

    created = {"name": "x", "type": "topic", "durable": False, "auto_delete": True, "internal": False, "policy": ""}
    assert heard(listener) == [
        ("exchange.created", created | who | {"arguments": []}),
        ("binding.created", binding | who),
        ("binding.deleted", binding | who),
        ("exchange.deleted", {"name": "x"} | who),
    ]


def test_what_goes_with_a_queue_or_an_exchange_is_told_too() -> None:
    listener = a_listener()
    listener.call(Exchange.Declare, exchange="x", exchange_type="direct")
    listener.call(Exchange.Bind, destination="amq.fanout", source="x", routing_key="k")
    listener.call(Queue.Declare, queue="q")
    listener.call(Queue.Bind, queue="q", exchange="amq.direct", routing_key="k")
    listener.send(Basic.Consume, queue="q", consumer_tag="c")
    listener.heard()
    heard(listener)

    listener.call(Exchange.Delete, exchange="x")
    listener.send(Queue.Delete, queue="q")
    listener.heard()

    assert [(name, headers.get("name", headers.get("destination_name"))) for name, headers in heard(listener)] == [
        ("exchange.deleted", "x"),
        ("binding.deleted", "amq.fanout"),
        ("consumer.deleted", None),
        ("queue.deleted", "q"),
        ("binding.deleted", "q"),
    ]


def test_consumers_come_and_go() -> None:
    listener = a_listener()
    who = {"vhost": "/", "queue": "events", "channel": "connection (1)", "consumer_tag": "c"}
    who |= {"user_who_performed_action": "guest"}

    listener.call(Basic.Qos, prefetch_count=7)
    listener.call(Basic.Consume, queue="events", consumer_tag="c", arguments={"x-priority": 3})
    listener.call(Basic.Cancel, consumer_tag="c")
    listener.pass_time(0)

    created, deleted = heard(listener)
    assert created == (
        "consumer.created",
        who
        | {
            "ack_required": True,
            "exclusive": False,
            "prefetch_count": 7,
            "arguments": ['{<<"x-priority">>,signedint,3}'],
        },
    )
    assert deleted == ("consumer.deleted", who)


@pytest.mark.parametrize("how", ["close", "lost"])
def test_connections_and_channels_come_and_go(how: str) -> None:
    listener = a_listener()
    client = Client(listener.broker).open(channels=2)
    client.call(Queue.Declare, queue="mine", exclusive=True)
    client.call(Basic.Consume, queue="mine", consumer_tag="c")
    client.call(Channel.Close, channel=2)
    opened = heard(listener)

    assert [name for name, _ in opened] == [
        "user.authentication.success",
        "connection.created",
        "channel.created",
        "channel.created",
        "queue.created",
        "consumer.created",
        "channel.closed",
    ]
    assert opened[0][1]["name"] == "guest"
    created = opened[1][1]
    assert '{<<"product">>,longstr,<<"tests">>}' in created["client_properties"]
    assert (created["user"], created["vhost"], created["auth_mechanism"]) == ("guest", "/", "PLAIN")
    assert (created["frame_max"], created["channel_max"], created["timeout"]) == (131_072, 2047, 0)
    assert opened[3][1] == {
        "pid": "connection (2)",
        "name": "connection (2)",
        "connection": "connection",
        "number": 2,
        "user": "guest",
        "vhost": "/",
        "user_who_performed_action": "guest",
    }

    if how == "close":
        client.call(Connection.Close)
    client.connection.lost()

    closed = heard(listener)
    assert [name for name, _ in closed] == ["consumer.deleted", "channel.closed", "queue.deleted", "connection.closed"]
    assert closed[2][1]["user_who_performed_action"] == "rmq-internal"


def test_a_login_that_fails_is_told() -> None:
    listener = a_listener()
    stranger = Client(listener.broker)
    with pytest.raises(AssertionError):
        stranger.open(response="\x00stranger\x00secret")

    (failure,) = heard(listener)

    assert failure[0] == "user.authentication.failure"
    assert (failure[1]["name"], failure[1]["auth_mechanism"]) == ("stranger", "PLAIN")
    assert failure[1]["error"] == "no such user, or another password"
    assert "secret" not in str(failure)


def test_the_ends_of_a_connection_are_told() -> None:
    broker = new_broker()
    told: list[dict[str, Any]] = []
    broker.events.listen(lambda name, details: told.append(details))
    client = Client(broker)
    client.connection.name = "127.0.0.1:50712 -> 127.0.0.2:5672"
    client.open()

    login, created, _ = told
    for details in (login, created):
        assert (details["peer_host"], details["peer_port"], details["host"]) == ("127.0.0.1", 50712, "127.0.0.2")
    assert created["port"] == 5672


class UnwantedEvents(Events):
    def tell(self, event: str, /, **details: Detail) -> None:
        raise AssertionError(event)


def test_nothing_is_told_while_nobody_listens() -> None:
    broker = new_broker()
    broker.events = broker.vhosts["/"].events = UnwantedEvents()
    client = Client(broker).open()
    client.call(Queue.Declare, queue="q")
    client.call(Basic.Consume, queue="q", consumer_tag="c")
    client.call(Basic.Cancel, consumer_tag="c")
    client.call(Queue.Bind, queue="q", exchange="amq.fanout")
    client.call(Queue.Delete, queue="q")

    assert client.is_usable()
    client.connection.lost()
    assert client.state is State.CLOSED


def test_publishing_events_twice_is_publishing_them_once() -> None:
    listener = a_listener()
    listener.broker.publish_events(make_message)

    listener.call(Queue.Declare, queue="q")

    assert [name for name, _ in heard(listener)] == ["queue.created"]
