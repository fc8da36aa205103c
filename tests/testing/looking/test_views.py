"""What there is in a broker, seen from the test."""

from __future__ import annotations

import pytest
from pamqp.commands import Basic, Confirm, Exchange, Queue, Tx

from amqpy_broker.testing import Broker, NoSuchThing
from amqpy_broker.testing.looking.viewing import channels_of, view_channel
from tests.server.loops import connected, on_each_loop
from tests.testing.brokers import consume, declare, get, new_broker, new_client
from tests.testing.faults.clients import named


def test_a_queue_is_seen_with_its_counts_and_consumers() -> None:
    broker = new_broker()
    client = new_client(broker)
    declare(client, "q", x_max_length=10)
    client.call(Basic.Qos, prefetch_count=1)
    consume(client, "q", "tag", arguments={"x-priority": 3})
    for body in (b"1", b"2"):
        client.publish("", "q", body)
    queue = broker.queue("q")
    assert (queue.name, queue.vhost, queue.type, queue.durable) == ("q", "/", "classic", True)
    assert (queue.exclusive, queue.auto_delete) == (False, False)
    assert queue.arguments["x-max-length"] == 10
    assert (queue.ready, queue.unacked, queue.peak_unacked) == (1, 1, 1)
    assert [message.body for message in queue.messages] == [b"2"]
    (consumer,) = queue.consumers
    assert (consumer.tag, consumer.prefetch_count, consumer.unacked) == ("tag", 1, 1)
    assert (consumer.priority, consumer.no_ack, consumer.exclusive, consumer.channel) == (3, False, False, 1)
    assert str(queue) == "queue 'q': 1 ready, 1 unacked, 1 consumer"


@pytest.mark.parametrize(
    "arguments",
    [{}, {"x_queue_type": "quorum"}, {"x_max_priority": 5}, {"x_message_groups": True}, {"x_last_value_key": "k"}],
)
def test_looking_at_messages_leaves_them_where_and_as_they_are(arguments: dict[str, object]) -> None:
    broker = new_broker()
    client = new_client(broker)
    declare(client, "q", **arguments)
    for body in (b"1", b"2"):
        client.publish("", "q", body)
    for _ in range(2):
        messages = broker.queue("q").messages
        assert [(message.body, message.redelivered) for message in messages] == [(b"1", False), (b"2", False)]
    assert not get(client, "q")["redelivered"]
    assert not broker.queue("q").consumers
    assert len(broker.delivered()) == 1


def test_what_came_back_is_seen_as_redelivered() -> None:
    broker = new_broker()
    client = new_client(broker)
    declare(client, "q")
    client.publish("", "q", b"1")
    client.send(Basic.Nack, delivery_tag=get(client, "q")["delivery_tag"], requeue=True)
    (message,) = broker.queue("q").messages
    assert message.redelivered


def test_the_peak_of_the_unacknowledged_stays() -> None:
    broker = new_broker()
    client = new_client(broker)
    declare(client, "q")
    for _ in range(3):
        client.publish("", "q")
        get(client, "q")
    client.send(Basic.Ack, delivery_tag=0, multiple=True)
    client.publish("", "q")
    get(client, "q")
    assert (broker.queue("q").unacked, broker.queue("q").peak_unacked) == (1, 3)
    broker.clear_history()
    assert broker.queue("q").peak_unacked == 0


def test_exchanges_and_bindings_are_seen() -> None:
    broker = new_broker()
    client = new_client(broker)
    client.call(Exchange.Declare, exchange="e", exchange_type="topic", arguments={"alternate-exchange": "amq.fanout"})
    declare(client, "q")
    client.call(Queue.Bind, queue="q", exchange="e", routing_key="a.*", arguments={"x": 1})
    client.call(Exchange.Bind, destination="amq.direct", source="e", routing_key="#")
    exchange = broker.exchange("e")
    assert (exchange.type, exchange.alternate, exchange.internal, exchange.durable) == (
        "topic",
        "amq.fanout",
        False,
        False,
    )
    assert exchange.bindings == broker.bindings()
    first, second = broker.bindings()
    assert (first.source, first.key, first.destination_kind, first.destination) == ("e", "a.*", "queue", "q")
    assert first.arguments == {"x": 1}
    assert str(second) == "'e' --'#'--> exchange 'amq.direct'"
    assert "e" in [one.name for one in broker.exchanges()]


def test_messages_that_wait_in_an_exchange_are_seen() -> None:
    broker = new_broker()
    broker.declare_exchange("later", "x-delayed-message", arguments={"x-delayed-type": "fanout"})
    broker.publish("later", "", b"2", headers={"x-delay": 2000})
    broker.publish("later", "", b"1", headers={"x-delay": 1000})
    first, second = broker.exchange("later").waiting
    assert (first.message.body, second.message.body) == (b"1", b"2")
    assert (first.due - broker.clock.now).total_seconds() == pytest.approx(1)


@on_each_loop
async def test_connections_and_channels_are_seen() -> None:
    async with Broker() as broker, named(broker, "the app") as client, connected(broker.port, heartbeat=7):
        await client.call(Confirm.Select)
        await client.call(Basic.Qos, prefetch_count=5)
        await client.call(Queue.Declare, queue="q")
        await client.call(Basic.Consume, queue="q", consumer_tag="t")
        first, second = broker.connections
        assert (first.client_name, first.user, first.vhost, first.is_open) == ("the app", "guest", "/", True)
        assert (first.heartbeat_s, second.heartbeat_s) == (0, 7)
        assert first.client_properties["connection_name"] == "the app"
        assert broker.connection("the app") == first == broker.connection(first.name)
        (channel,) = first.channels
        assert (channel.number, channel.prefetch_count, channel.confirms, channel.transactional) == (1, 5, True, False)
        assert [consumer.tag for consumer in channel.consumers] == ["t"]
        assert broker.queue("q").consumers[0].connection == first.name
        with pytest.raises(NoSuchThing, match="no connection 'the ap'; near: 'the app'"):
            broker.connection("the ap")


def test_a_transaction_is_seen() -> None:
    broker = new_broker()
    client = new_client(broker)
    client.call(Tx.Select)
    (channel,) = map(view_channel, channels_of(broker.core.vhosts["/"]))
    assert channel.transactional


def test_vhosts_are_seen() -> None:
    broker = new_broker()
    broker.add_vhost("other")
    broker.declare_queue("q", vhost="other")
    broker.declare_exchange("e", vhost="other")
    broker.publish("", "q", vhost="other")
    first, other = broker.vhosts
    assert (first.name, first.queues, first.exchanges, first.ready) == ("/", (), (), 0)
    assert (other.name, other.queues, other.exchanges, other.ready) == ("other", ("q",), ("e",), 1)
    assert broker.queues() == ()
    assert [queue.name for queue in broker.queues("other")] == ["q"]


@pytest.mark.parametrize(
    ("look", "text"),
    [
        (lambda broker: broker.queue("order"), "no queue 'order' in vhost '/'; near: 'orders'"),
        (lambda broker: broker.queue("x"), "no queue 'x' in vhost '/'; there is: 'orders'"),
        (lambda broker: broker.exchange("amq.topics"), "no exchange 'amq.topics' in vhost '/'; near: 'amq.topic'"),
        (lambda broker: broker.queues("x"), "no vhost 'x'; there is: '/'"),
        (lambda broker: broker.connection("x"), "no connection 'x'; there is none"),
        (lambda broker: broker.take("Orders"), "no queue 'Orders' in vhost '/'; near: 'orders'"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(look: object, text: str) -> None:
    broker = new_broker()
    broker.declare_queue("orders")
    assert callable(look)
    with pytest.raises(NoSuchThing) as caught:
        look(broker)
    assert str(caught.value).startswith(text)
