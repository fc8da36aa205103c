"""Declaring, binding, publishing and taking straight from the test."""

from __future__ import annotations

import pytest
from pamqp.commands import Basic, Exchange

from amqpy_broker.testing import THE_TEST, Broker, Misuse, NoMessage, NoSuchThing, Unroutable
from tests.server.loops import connected, on_each_loop
from tests.testing.brokers import consume, declare, get, new_broker, new_client


def test_topology_is_declared_in_one_line_each() -> None:
    broker = new_broker()
    assert broker.declare_queue("q", arguments={"x-max-length": 5}) == "q"
    assert broker.declare_exchange("e", "topic") == "e"
    broker.declare_exchange("inner", "fanout", internal=True)
    broker.bind("q", "e", "a.*")
    broker.bind("q", "inner")
    broker.bind_exchange("inner", "e", "b.#")
    assert broker.queue("q").durable
    assert [str(binding) for binding in broker.bindings()] == [
        "'e' --'a.*'--> queue 'q'",
        "'e' --'b.#'--> exchange 'inner'",
        "'inner' --''--> queue 'q'",
    ]
    assert broker.publish("e", "b.c") == ("q",)


def test_clients_find_what_the_test_declared_to_be_the_same() -> None:
    broker = new_broker()
    broker.declare_queue("q", arguments={"x-max-length": 5})
    broker.declare_exchange("e", "fanout")
    client = new_client(broker)
    declare(client, "q", x_max_length=5)
    assert (
        client.call(Exchange.Declare, exchange="e", exchange_type="fanout", durable=True).name == "Exchange.DeclareOk"
    )


def test_declaring_twice_is_fine_and_declaring_otherwise_is_not() -> None:
    broker = new_broker()
    broker.declare_queue("q")
    broker.declare_queue("q")
    with pytest.raises(Misuse, match="406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q'"):
        broker.declare_queue("q", durable=False)
    with pytest.raises(Misuse, match="unknown exchange type 'x'"):
        broker.declare_exchange("e", "x")


def test_an_empty_name_asks_for_a_new_one() -> None:
    assert new_broker().declare_queue().startswith("amq.gen-")


def test_binding_what_is_not_there_tells_what_is() -> None:
    broker = new_broker()
    broker.declare_queue("orders")
    with pytest.raises(NoSuchThing, match="no queue 'order'"):
        broker.bind("order", "amq.topic", "#")
    with pytest.raises(NoSuchThing, match=r"no exchange 'amq.topik'"):
        broker.bind("orders", "amq.topik", "#")
    with pytest.raises(NoSuchThing, match="no exchange 'x'"):
        broker.bind_exchange("x", "amq.topic")


def test_a_consumer_gets_what_the_test_publishes() -> None:
    broker = new_broker()
    client = new_client(broker)
    declare(client, "q")
    consume(client, "q")
    client.heard()
    assert broker.publish("", "q", {"a": 1}, headers={"h": 1}, properties={"correlation_id": "c"}) == ("q",)
    said = client.heard_one()
    assert said.body == b'{"a":1}'
    values = said.property_values
    assert (values["content_type"], values["correlation_id"], values["headers"]) == ("application/json", "c", {"h": 1})
    (record,) = broker.published()
    assert record.connection == THE_TEST


def test_a_publish_that_must_reach_a_queue_explains_why_it_does_not() -> None:
    broker = new_broker()
    broker.declare_queue("q")
    broker.bind("q", "amq.direct", "a")
    assert broker.publish("amq.direct", "b") == ()
    with pytest.raises(Unroutable, match="the key differs: 'b' != 'a'"):
        broker.publish("amq.direct", "b", mandatory=True)
    assert broker.publish("amq.direct", "a", mandatory=True) == ("q",)
    assert len(broker.returned()) == 1


def test_the_test_publishes_under_the_rules_for_clients() -> None:
    broker = new_broker()
    broker.declare_exchange("inner", internal=True)
    broker.declare_queue("q")
    with pytest.raises(Misuse, match="403 ACCESS_REFUSED - cannot publish to internal exchange 'inner'"):
        broker.publish("inner", "")
    with pytest.raises(Misuse, match="406 PRECONDITION_FAILED - invalid expiration 'soon'"):
        broker.publish("", "q", properties={"expiration": "soon"})
    with pytest.raises(NoSuchThing, match="no exchange 'x'"):
        broker.publish("x", "")
    assert broker.publish("", "x", headers={"CC": ["q"], "BCC": ["q"]}) == ("q",)
    assert "BCC" not in broker.take("q").headers
    assert broker.publish("", "q", properties={"user_id": "anybody"}) == ("q",)


def test_a_requester_gets_a_reply_from_the_test() -> None:
    broker = new_broker()
    client = new_client(broker)
    declare(client, "requests")
    consume(client, "amq.rabbitmq.reply-to", no_ack=True)
    client.heard()
    client.publish("", "requests", b"?", reply_to="amq.rabbitmq.reply-to", correlation_id="7")
    request = broker.take("requests")
    reply_to = request.properties.reply_to
    assert reply_to is not None
    broker.publish("", reply_to, b"!", properties={"correlation_id": request.properties.correlation_id})
    assert client.heard_one().property_values["correlation_id"] == "7"


def test_taking_removes_messages_in_order() -> None:
    broker = new_broker()
    broker.declare_queue("q")
    for body in ("1", "2", "3"):
        broker.publish("", "q", body)
    assert broker.take("q").text == "1"
    assert [message.text for message in broker.take_all("q")] == ["2", "3"]
    assert broker.take_all("q") == []
    broker.assert_queue_empty("q")
    assert [record.connection for record in broker.acked("q")] == [THE_TEST] * 3


def test_taking_what_is_not_there_tells_what_the_queue_has() -> None:
    broker = new_broker()
    client = new_client(broker)
    declare(client, "q")
    broker.publish("", "q")
    get(client, "q")
    with pytest.raises(NoMessage, match="queue 'q' has no message to take: 0 ready, 1 unacked, 0 consumers"):
        broker.take("q")


def test_purging_says_how_many_there_were() -> None:
    broker = new_broker()
    broker.declare_queue("q")
    for _ in range(3):
        broker.publish("", "q")
    assert (broker.purge("q"), broker.purge("q")) == (3, 0)
    with pytest.raises(NoSuchThing):
        broker.purge("x")


def test_arguments_that_cannot_be_are_misuse() -> None:
    with pytest.raises(Misuse, match="there cannot be such arguments: no AMQP type holds a object"):
        new_broker().declare_queue("q", arguments={"x": object()})


@on_each_loop
async def test_a_client_on_a_socket_gets_what_the_test_publishes() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        broker.declare_queue("q")
        await client.call(Basic.Consume, queue="q")
        broker.publish("", "q", b"hello")
        assert (await client.hear()).body == b"hello"
