"""kombu: Producer and Consumer, SimpleQueue, mixins, retries; the layer between Celery and the broker."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("kombu")

from amqp.exceptions import NotFound
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.message import Message
from kombu.mixins import ConsumerProducerMixin
from kombu.pools import connections, producers
from kombu.simple import SimpleBuffer

Namer = Callable[[str], str]


@pytest.fixture
def kombu_connection(broker_url: str) -> Iterator[Connection]:
    # pyamqp: not librabbitmq, should somebody have it. Confirmed, because producers have channels of their own.
    options = {"confirm_publish": True}
    with Connection(broker_url.replace("amqp://", "pyamqp://", 1), transport_options=options) as connection:
        connection.ensure_connection(max_retries=3)
        yield connection


def test_producer_and_consumer_over_a_topic_exchange(kombu_connection: Connection, name: Namer) -> None:
    exchange = Exchange(name("events"), type="topic", durable=False, auto_delete=True)
    queue = Queue(name("orders"), exchange, routing_key="order.*", durable=False, exclusive=True)
    received: list[tuple[Any, str]] = []

    def on_message(body: Any, message: Message) -> None:
        received.append((body, message.delivery_info["routing_key"]))
        message.ack()

    with Consumer(kombu_connection, [queue], callbacks=[on_message], prefetch_count=2):
        producer = Producer(kombu_connection, exchange=exchange, serializer="json")
        for number in range(20):
            producer.publish({"number": number, "text": "żółw"}, routing_key=f"order.{number}")
        producer.publish({"number": -1}, routing_key="invoice.1")
        _drain(kombu_connection, lambda: len(received) == 20)
    assert received == [({"number": number, "text": "żółw"}, f"order.{number}") for number in range(20)]


def test_simple_queue_is_a_fifo(kombu_connection: Connection, name: Namer) -> None:
    queue = kombu_connection.SimpleQueue(name("simple"))
    for number in range(10):
        queue.put({"number": number}, compression="zlib" if number % 2 else None)
    assert queue.qsize() == 10
    for number in range(10):
        message = queue.get(block=True, timeout=10)
        assert message.payload == {"number": number}
        message.ack()
    with pytest.raises(SimpleBuffer.Empty):
        queue.get(block=False)
    queue.close()
    queue.queue(kombu_connection.default_channel).delete()


def test_simple_buffer_needs_no_acks(kombu_connection: Connection, name: Namer) -> None:
    buffer = kombu_connection.SimpleBuffer(name("buffer"))
    buffer.put("żółw")
    assert buffer.get(block=True, timeout=10).payload == "żółw"
    buffer.clear()
    buffer.close()


def test_rejected_and_requeued_messages(kombu_connection: Connection, name: Namer) -> None:
    queue = Queue(name("retried"), durable=False, exclusive=True)
    outcomes: list[tuple[str, bool]] = []

    def on_message(body: str, message: Message) -> None:
        redelivered = message.delivery_info["redelivered"]
        outcomes.append((body, redelivered))
        if body == "reject":
            message.reject()
        elif redelivered:
            message.ack()
        else:
            message.requeue()

    with Consumer(kombu_connection, [queue], callbacks=[on_message], prefetch_count=1):
        producer = Producer(kombu_connection)
        for body in ("retry", "reject"):
            producer.publish(body, routing_key=queue.name)
        _drain(kombu_connection, lambda: len(outcomes) == 3)
    assert outcomes == [("retry", False), ("retry", True), ("reject", False)]


def test_publish_declares_what_it_needs(broker_url: str, name: Namer) -> None:
    with Connection(broker_url.replace("amqp://", "pyamqp://", 1)) as connection:
        exchange = Exchange(name("declared"), type="direct", durable=False, auto_delete=True)
        queue = Queue(name("declared"), exchange, routing_key="key", durable=False, auto_delete=True)
        producer = Producer(connection)
        producer.publish(
            b"\x00raw",
            exchange=exchange,
            routing_key="key",
            declare=[queue],
            retry=True,
            headers={"a": [1, {"b": "c"}]},
        )
        message = queue(connection.default_channel).get(no_ack=True)
        assert (message.body, message.headers) == (b"\x00raw", {"a": [1, {"b": "c"}]})
        queue(connection.default_channel).delete()


def test_pooled_connections_and_producers(kombu_connection: Connection, name: Namer) -> None:
    queue = Queue(name("pooled"), durable=False, auto_delete=True)
    with connections[kombu_connection].acquire(block=True) as connection:
        bound = queue(connection.default_channel)
        bound.declare()
        for number in range(20):
            with producers[kombu_connection].acquire(block=True) as producer:
                producer.publish(number, routing_key=queue.name)
        assert [bound.get(no_ack=True).payload for _ in range(20)] == list(range(20))
        bound.delete()
    producers[kombu_connection].force_close_all()
    connections[kombu_connection].force_close_all()


def test_a_consumer_producer_mixin_serves_rpc(kombu_connection: Connection, name: Namer) -> None:
    requests = Queue(name("rpc"), durable=False, auto_delete=True)
    replies = Queue(name("replies"), durable=False, exclusive=True)

    class Server(ConsumerProducerMixin):
        def __init__(self) -> None:
            self.connection = kombu_connection
            self.answered = 0

        def get_consumers(self, consumer: type[Consumer], channel: Any) -> list[Consumer]:
            return [consumer([requests], on_message=self.on_request, accept=["json"], prefetch_count=1)]

        def on_consume_ready(self, connection: Connection, channel: Any, consumers: list[Consumer]) -> None:
            for number in range(3):
                self.producer.publish({"n": number}, routing_key=requests.name, reply_to=replies.name)

        def on_request(self, message: Message) -> None:
            self.producer.publish(
                {"squared": message.payload["n"] ** 2}, routing_key=message.properties["reply_to"], serializer="json"
            )
            message.ack()
            self.answered += 1
            self.should_stop = self.answered == 3

    bound = replies(kombu_connection.default_channel)
    bound.declare()
    Server().run(_tokens=0)
    assert [bound.get(no_ack=True).payload["squared"] for _ in range(3)] == [0, 1, 4]


def test_a_missing_queue_is_a_channel_error(kombu_connection: Connection, name: Namer) -> None:
    with pytest.raises(NotFound) as caught:
        Queue(name("missing"), channel=kombu_connection.channel(), passive=True).queue_declare(passive=True)
    assert isinstance(caught.value, kombu_connection.channel_errors)


def _drain(connection: Connection, is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_done():
        connection.drain_events(timeout=deadline - time.monotonic())
