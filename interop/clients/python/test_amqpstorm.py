"""amqpstorm: a thread per connection, synchronous calls."""

import threading
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("amqpstorm")

from amqpstorm import AMQPChannelError, AMQPConnectionError, AMQPMessageError, Channel, Message, UriConnection

Namer = Callable[[str], str]


@pytest.fixture
def storm(broker_url: str) -> Iterator[UriConnection]:
    with UriConnection(broker_url) as connection:
        yield connection


@pytest.fixture
def storm_channel(storm: UriConnection) -> Iterator[Channel]:
    with storm.channel() as channel:
        yield channel


def test_publish_and_get_with_properties(storm_channel: Channel, name: Namer) -> None:
    queue = storm_channel.queue.declare(name("queue"), exclusive=True)
    assert (queue["queue"], queue["message_count"], queue["consumer_count"]) == (name("queue"), 0, 0)
    properties = {"headers": {"key": "żółw", "list": [1, 2]}, "content_type": "text/plain", "priority": 3}
    Message.create(storm_channel, "ciało", properties).publish(name("queue"))
    message = storm_channel.basic.get(name("queue"))
    assert message is not None
    assert message.body == "ciało"
    assert message.properties["headers"] == {"key": "żółw", "list": [1, 2]}
    assert (message.content_type, message.priority, message.redelivered) == ("text/plain", 3, False)
    message.ack()
    assert storm_channel.basic.get(name("queue")) is None


def test_consume_until_stopped(storm_channel: Channel, name: Namer) -> None:
    storm_channel.queue.declare(name("queue"), exclusive=True)
    storm_channel.basic.qos(prefetch_count=10)
    bodies: list[int] = []

    def on_message(message: Message) -> None:
        bodies.append(int(message.body or -1))
        message.ack()
        if len(bodies) == 100:
            message.channel.stop_consuming()

    storm_channel.basic.consume(on_message, name("queue"))
    for number in range(100):
        storm_channel.basic.publish(str(number), name("queue"))
    storm_channel.start_consuming()
    assert bodies == list(range(100))


def test_confirmed_and_returned_publishes(storm_channel: Channel, name: Namer) -> None:
    storm_channel.confirm_deliveries()
    storm_channel.queue.declare(name("queue"), exclusive=True)
    for _ in range(50):
        assert storm_channel.basic.publish("x", name("queue")) is True
    with pytest.raises(AMQPMessageError, match="NO_ROUTE"):
        storm_channel.basic.publish("x", name("nowhere"), mandatory=True)


def test_a_megabyte_round_trips(storm_channel: Channel, name: Namer) -> None:
    storm_channel.queue.declare(name("queue"), exclusive=True)
    body = bytes(range(256)) * 4099
    storm_channel.basic.publish(body, name("queue"))
    message = storm_channel.basic.get(name("queue"), no_ack=True, auto_decode=False)
    assert message is not None
    assert message.body == body


def test_exchanges_and_bindings(storm_channel: Channel, name: Namer) -> None:
    storm_channel.exchange.declare(name("source"), "headers", auto_delete=True)
    storm_channel.exchange.declare(name("destination"), "fanout", auto_delete=True)
    storm_channel.queue.declare(name("queue"), exclusive=True)
    storm_channel.queue.bind(name("queue"), name("destination"))
    storm_channel.exchange.bind(name("destination"), name("source"), arguments={"x-match": "any", "a": 1})
    storm_channel.basic.publish("yes", "", name("source"), {"headers": {"a": 1}})
    storm_channel.basic.publish("no", "", name("source"), {"headers": {"a": 2}})
    assert storm_channel.queue.declare(name("queue"), passive=True)["message_count"] == 1
    assert storm_channel.queue.purge(name("queue"))["message_count"] == 1
    storm_channel.exchange.unbind(name("destination"), name("source"), arguments={"x-match": "any", "a": 1})


def test_transactions(storm_channel: Channel, name: Namer) -> None:
    storm_channel.queue.declare(name("queue"), exclusive=True)
    with storm_channel.tx:
        storm_channel.basic.publish("kept", name("queue"))
    storm_channel.tx.select()
    storm_channel.basic.publish("lost", name("queue"))
    storm_channel.tx.rollback()
    assert storm_channel.queue.declare(name("queue"), passive=True)["message_count"] == 1


def test_a_channel_error_and_a_fresh_channel(storm: UriConnection, name: Namer) -> None:
    channel = storm.channel()
    with pytest.raises(AMQPChannelError, match="NOT_FOUND - no queue") as caught:
        channel.queue.declare(name("missing"), passive=True)
    assert caught.value.error_code == 404
    with storm.channel() as another:
        assert another.queue.declare("", exclusive=True)["queue"].startswith("amq.gen-")


def test_a_wrong_password_is_refused(broker_url: str) -> None:
    with pytest.raises(AMQPConnectionError, match="Login was refused"):
        UriConnection(broker_url.replace("guest:guest@", "guest:wrong@"))


def test_threads_share_a_connection_with_a_channel_each(storm: UriConnection) -> None:
    totals: list[int] = []

    def work(number: int) -> None:
        with storm.channel() as channel:
            queue = channel.queue.declare("", exclusive=True)["queue"]
            for _ in range(20):
                channel.basic.publish(str(number), queue)
            received = [channel.basic.get(queue, no_ack=True) for _ in range(20)]
            totals.append(sum(int(message.body or -1) for message in received if message is not None))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(totals) == [20 * number for number in range(1, 9)]
