"""The firehose: a copy of everything that is published and delivered, while it is on."""

from typing import Any

import pytest
from pamqp.commands import Basic, Channel, Exchange, Queue, Tx

from amqpy_broker.core.arguments import arguments, plain
from amqpy_broker.protocols.amqp091.deliveries import ChannelConsumer
from amqpy_broker.protocols.amqp091.own_messages import make_message
from tests.wire import Client, Said, new_broker, publish

TRACE = "amq.rabbitmq.trace"


def tracing(profile: str = "4.0") -> tuple[Client, Client]:
    """Make a client, and a collector of the copies."""
    broker = new_broker(profile)
    broker.vhosts["/"].trace_on(make_message)
    return Client(broker).open(), a_collector(Client(broker).open())


def a_collector(collector: Client) -> Client:
    collector.call(Queue.Declare, queue="copies", exclusive=True)
    collector.call(Queue.Bind, queue="copies", exchange=TRACE, routing_key="#")
    return collector


def copies(collector: Client) -> list[Said]:
    collector.pass_time(0)
    found = []
    while (said := collector.call(Basic.Get, queue="copies", no_ack=True)).name == "Basic.GetOk":
        found.append(said)
    return found


def headers_of(said: Said) -> dict[str, Any]:
    headers = said.property_values["headers"]
    assert isinstance(headers, dict)
    return headers


@pytest.mark.parametrize("profile", ["3.10", "4.0", "4.2"])
def test_a_publish_is_copied_with_all_that_it_was(profile: str) -> None:
    client, collector = tracing(profile)
    client.call(Queue.Declare, queue="q")
    client.call(Exchange.Declare, exchange="x", exchange_type="direct")
    client.call(Queue.Bind, queue="q", exchange="x", routing_key="k")

    client.publish(
        "x", "k", b"body", headers={"a": 1, "CC": ["k2"], "BCC": ["k3"]}, delivery_mode=2, priority=3, message_id="m"
    )

    (copy,) = copies(collector)
    assert (copy["exchange"], copy["routing_key"], copy.body) == (TRACE, "publish.x", b"body")
    assert headers_of(copy) == {
        "exchange_name": "x",
        "routing_keys": ["k", "k2", "k3"],
        "properties": {"message_id": "m", "priority": 3, "delivery_mode": 2, "headers": {"a": 1, "CC": ["k2"]}},
        "node": "rabbit@localhost",
        "vhost": "/",
        "connection": "connection",
        "channel": 1,
        "user": "guest",
        "routed_queues": ["q"],
    }


def test_deliveries_are_copied_however_they_are_made() -> None:
    client, collector = tracing()
    client.call(Queue.Declare, queue="q")
    client.publish("", "q", b"m")
    tag = client.call(Basic.Get, queue="q")["delivery_tag"]
    client.send(Basic.Reject, delivery_tag=tag, requeue=True)
    client.send(Basic.Consume, queue="q", no_ack=True)

    published, got, delivered = copies(collector)

    assert published["routing_key"] == "publish."
    for copy, redelivered in ((got, 0), (delivered, 1)):
        assert (copy["routing_key"], copy.body) == ("deliver.q", b"m")
        assert headers_of(copy) == {
            "exchange_name": "",
            "routing_keys": ["q"],
            "properties": {},
            "node": "rabbit@localhost",
            "redelivered": redelivered,
            "vhost": "/",
            "connection": "connection",
            "channel": 1,
            "user": "guest",
        }


@pytest.mark.parametrize(
    ("exchange", "key", "routed"), [("", "nowhere", ["nowhere"]), ("amq.fanout", "k", []), ("amq.direct", "k", [])]
)
def test_what_reaches_no_queue_is_copied_and_the_default_exchange_routes_to_names(
    exchange: str, key: str, routed: list[str]
) -> None:
    client, collector = tracing()

    client.publish(exchange, key, b"")

    (copy,) = copies(collector)
    assert copy["routing_key"] == f"publish.{exchange}"
    assert headers_of(copy)["routed_queues"] == routed


def test_copies_are_not_copied() -> None:
    client, collector = tracing()
    client.call(Queue.Declare, queue="more")
    client.call(Queue.Bind, queue="more", exchange=TRACE, routing_key="#")
    client.call(Basic.Consume, queue="more", no_ack=True)

    client.publish("", "nowhere", b"once")

    assert [copy["routing_key"] for copy in copies(collector)] == ["publish."]
    assert [said["routing_key"] for said in client.heard()] == ["publish."]


def test_a_queue_may_collect_the_copies_of_its_own_messages() -> None:
    client, collector = tracing()
    client.call(Queue.Declare, queue="q")
    client.call(Queue.Bind, queue="q", exchange=TRACE, routing_key="#")
    client.call(Basic.Consume, queue="q", no_ack=True)

    client.publish("", "q", b"m")
    collector.pass_time(0)

    assert [said["routing_key"] for said in client.heard()] == ["q", "publish.", "deliver.q"]


def test_publishes_that_repeat_are_all_copied() -> None:
    client, collector = tracing()
    client.call(Queue.Declare, queue="q")

    client.feed(b"".join(publish(1, "", "q", b"%d" % number) for number in range(20)))

    assert [copy.body for copy in copies(collector)] == [b"%d" % number for number in range(20)]


def test_a_transaction_is_copied_when_it_comes() -> None:
    client, collector = tracing()
    client.call(Tx.Select)
    client.publish("", "q")

    assert len(copies(collector)) == 1
    client.call(Tx.Commit)
    assert copies(collector) == []


def test_it_is_switched_on_and_off_while_clients_publish_and_consume() -> None:
    client = Client().open()
    collector = a_collector(Client(client.broker).open())
    vhost = client.broker.vhosts["/"]
    client.call(Queue.Declare, queue="q")
    client.call(Basic.Consume, queue="q", no_ack=True)

    def copied() -> list[str]:
        client.feed(publish(1, "", "q", b"m") * 3)
        assert len(client.heard()) == 3
        return [copy["routing_key"] for copy in copies(collector)]

    assert copied() == []
    vhost.trace_on(make_message)
    assert sorted(copied()) == ["deliver.q"] * 3 + ["publish."] * 3
    vhost.trace_off()
    vhost.trace_off()
    assert copied() == []


def test_consumers_are_of_the_plain_kind_while_it_is_off() -> None:
    client = Client().open(channels=2)
    vhost = client.broker.vhosts["/"]
    client.call(Queue.Declare, queue="q")
    client.call(Basic.Consume, queue="q", no_ack=True, consumer_tag="c")
    vhost.trace_on(make_message)
    vhost.trace_off()

    channel, _ = vhost.channels
    consumers = [*channel.deliveries.consumers.values()]  # type: ignore[attr-defined]
    assert [type(consumer) for consumer in consumers] == [ChannelConsumer]
    client.call(Channel.Close, channel=2)
    assert list(vhost.channels) == [channel]
    client.connection.lost()
    assert not vhost.channels


def test_other_vhosts_are_left_alone() -> None:
    client, collector = tracing()
    client.broker.add_vhost("other")
    guest = client.broker.users.find("guest")
    assert guest is not None
    guest.permissions["other"] = guest.permissions["/"]
    elsewhere = Client(client.broker).open(vhost="other")

    elsewhere.publish("", "q")

    assert copies(collector) == []


def test_what_the_broker_writes_reads_as_if_a_client_had_published_it() -> None:
    headers = arguments({"a": 1, "b": [True]})

    message = make_message("x", "key", headers, body=b"body", persistent=True, timestamp_s=1234)

    assert (message.exchange, message.routing_key, message.body) == ("x", "key", b"body")
    assert (message.persistent, message.timestamp_s, message.headers) == (True, 1234, headers)
    assert plain(message.properties_table) == {"timestamp": 1234, "delivery_mode": 2, "headers": {"a": 1, "b": [True]}}
