"""Exchanges that look at each message, as clients see them."""

from typing import Any

from pamqp.commands import Basic, Confirm, Exchange, Queue, Tx

from tests.wire import Client


def declared(exchange_type: str, client: Client | None = None, **values: Any) -> Client:
    """A client with an exchange `x` and a queue `q` that is bound to it."""
    client = client or Client().open()
    values = {name.replace("_", "-"): value for name, value in values.items()}
    assert client.call(Exchange.Declare, exchange="x", exchange_type=exchange_type, arguments=values).name.endswith(
        "Ok"
    )
    client.call(Queue.Declare, queue="q")
    client.call(Queue.Bind, queue="q", exchange="x", routing_key="1")
    return client


def delayed(**values: Any) -> Client:
    return declared("x-delayed-message", x_delayed_type="direct", **values)


def later(client: Client, milliseconds: int) -> None:
    client.clock.advance(milliseconds / 1000)
    client.broker.timers.handle_deadline()


def got(client: Client) -> list[bytes]:
    """Get all there is in the queue."""
    bodies = []
    while (answer := client.call(Basic.Get, queue="q", no_ack=True)).name == "Basic.GetOk":
        bodies.append(answer.body)
    return bodies


# Delayed --------------------------------------------------------------------------------------------------------------


def test_a_delayed_message_is_delivered_when_it_is_due_with_its_delay_negative() -> None:
    client = delayed()
    client.call(Basic.Consume, queue="q", consumer_tag="c", no_ack=True)
    headers = {"x-delay": 5000, "a": "b"}
    properties: dict[str, Any] = {"headers": headers, "content_type": "text/plain", "message_id": "m1"}
    client.publish("x", "1", b"later", **properties)
    later(client, 4999)
    assert client.heard() == []

    later(client, 1)

    delivery = client.heard_one()
    assert (delivery["exchange"], delivery["routing_key"], delivery.body) == ("x", "1", b"later")
    expected = {**properties, "headers": {"x-delay": -5000, "a": "b"}}
    assert {name: delivery.property_values[name] for name in expected} == expected


def test_messages_that_repeat_are_delayed_each() -> None:
    client = delayed()
    for number in range(5):
        client.publish("x", "1", b"%d" % number, headers={"x-delay": 100})
    assert got(client) == []
    later(client, 100)
    assert got(client) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_delayed_message_is_confirmed_at_once() -> None:
    client = delayed()
    client.call(Confirm.Select)
    client.publish("x", "1", b"later", headers={"x-delay": 100})

    assert client.names() == ["Basic.Ack"]


def test_a_mandatory_message_that_is_delayed_is_returned_and_delivered_as_with_rabbitmqs_plugin() -> None:
    client = delayed()
    client.publish("x", "1", b"later", mandatory=True, headers={"x-delay": 100})
    assert client.heard_one()["reply_text"] == "NO_ROUTE"
    client.publish("x", "1", b"now", mandatory=True)
    assert client.heard() == []

    later(client, 100)
    assert got(client) == [b"now", b"later"]


def test_a_transaction_delays_its_messages_when_they_come() -> None:
    client = delayed()
    client.call(Tx.Select)
    client.publish("x", "1", b"later", headers={"x-delay": 500})
    later(client, 250)
    client.call(Tx.Commit)
    later(client, 250)

    assert got(client) == [b"later"]


def test_the_memory_alarm_counts_what_waits() -> None:
    client = delayed()
    memory = client.broker.memory
    client.publish("x", "1", bytes(5000), headers={"x-delay": 100})
    assert memory.used_bytes > 5000

    memory.watermark_bytes = 4000
    memory.measure()
    assert memory.alarm
    later(client, 100)
    got(client)
    memory.measure()
    assert not memory.alarm


def test_a_dead_letter_may_be_delayed() -> None:
    client = delayed()
    arguments = {"x-dead-letter-exchange": "x", "x-dead-letter-routing-key": "1"}
    client.call(Queue.Declare, queue="work", arguments=arguments)
    client.publish("", "work", b"again", headers={"x-delay": 100})
    tag = client.call(Basic.Get, queue="work")["delivery_tag"]
    client.send(Basic.Reject, delivery_tag=tag, requeue=False)
    assert got(client) == []

    later(client, 100)
    assert got(client) == [b"again"]


# The others -----------------------------------------------------------------------------------------------------------


def test_a_newcomer_hears_the_answer_before_the_history() -> None:
    client = declared("x-recent-history")
    for number in range(3):
        client.publish("x", "k", b"%d" % number)
    client.call(Queue.Declare, queue="late")
    client.call(Basic.Consume, queue="late", consumer_tag="c", no_ack=True)

    client.send(Queue.Bind, queue="late", exchange="x")

    answer, *history = client.heard()
    assert answer.name == "Queue.BindOk"
    assert [delivery.body for delivery in history] == [b"0", b"1", b"2"]


def test_messages_that_repeat_are_history_each() -> None:
    client = declared("x-recent-history", x_recent_history_length=2)
    for number in range(5):
        client.publish("x", "k", b"%d" % number)
    assert got(client) == [b"0", b"1", b"2", b"3", b"4"]
    client.call(Queue.Bind, queue="q", exchange="x", routing_key="another")
    assert got(client) == [b"3", b"4"]


def test_messages_that_repeat_are_spread_each_by_chance() -> None:
    client = declared("x-random")
    client.call(Queue.Declare, queue="other")
    client.call(Queue.Bind, queue="other", exchange="x")
    for number in range(100):
        client.publish("x", "k", b"%d" % number)

    assert 20 < len(got(client)) < 80


def test_messages_with_the_same_property_stay_together() -> None:
    client = declared("x-consistent-hash", hash_property="correlation_id")
    for name in ("q2", "q3"):
        client.call(Queue.Declare, queue=name)
        client.call(Queue.Bind, queue=name, exchange="x", routing_key="1")
    places: list[set[str]] = []
    for number in range(20):
        for _ in range(3):
            client.publish("x", "k", b"", correlation_id=f"order {number}")
        counts = {name: client.call(Queue.Purge, queue=name)["message_count"] for name in ("q", "q2", "q3")}
        assert sorted(counts.values()) == [0, 0, 3]
        places.append({name for name, count in counts.items() if count})
    assert set.union(*places) == {"q", "q2", "q3"}


def test_timestamps_are_hashed_and_unlike_texts_are_read() -> None:
    client = declared("x-consistent-hash", hash_property="timestamp")
    client.publish("x", "k", b"", timestamp=None)
    client.publish("x", "k", b"", raw_properties=(0x0040).to_bytes(2, "big") + (1_700_000_000).to_bytes(8, "big"))

    assert len(got(client)) == 2


def test_a_delayed_message_goes_to_its_copies_too() -> None:
    client = delayed()
    client.call(Queue.Declare, queue="copy")
    client.call(Queue.Bind, queue="copy", exchange="x", routing_key="2")
    client.publish("x", "1", b"later", headers={"x-delay": 250, "CC": ["2"]})
    later(client, 250)

    assert got(client) == [b"later"]
    assert client.call(Basic.Get, queue="copy", no_ack=True).body == b"later"


def test_a_hash_exchange_sends_a_message_with_copies_to_one_queue() -> None:
    client = declared("x-consistent-hash")
    client.call(Queue.Declare, queue="other")
    client.call(Queue.Bind, queue="other", exchange="x", routing_key="1")
    for number in range(20):
        client.publish("x", f"key {number}", b"", headers={"CC": [f"copy {number}"]})

    assert len(got(client)) + client.call(Queue.Purge, queue="other")["message_count"] == 20
