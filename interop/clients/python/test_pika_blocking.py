"""pika's BlockingConnection: the whole of its API once, and the names that pamqp clients may not use."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

pytest.importorskip("pika")

import pika
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    NackError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    UnroutableError,
)

Namer = Callable[[str], str]


@pytest.fixture
def blocking(broker_url: str) -> Iterator[BlockingConnection]:
    connection = BlockingConnection(pika.URLParameters(broker_url))
    yield connection
    if connection.is_open:
        connection.close()


@pytest.fixture
def pika_channel(blocking: BlockingConnection) -> BlockingChannel:
    return blocking.channel()


def test_publish_and_get_with_all_properties(pika_channel: BlockingChannel) -> None:
    queue = pika_channel.queue_declare("", exclusive=True).method.queue
    headers = {
        "int": -1,
        "long": 2**40,
        "text": "żółw",
        "true": True,
        "none": None,
        "when": datetime(2024, 2, 29, tzinfo=UTC),
        "price": Decimal("1.25"),
        "table": {"list": [1, "a", {"b": None}]},
    }
    properties = BasicProperties(
        content_type="text/plain",
        content_encoding="utf-8",
        headers=headers,
        delivery_mode=2,
        priority=3,
        correlation_id="c",
        reply_to="r",
        expiration="60000",
        message_id="m",
        timestamp=1709210096,
        type="t",
        user_id="guest",
        app_id="a",
        cluster_id="x",
    )
    pika_channel.basic_publish("", queue, b"body", properties)
    method, received, body = pika_channel.basic_get(queue, auto_ack=True)
    assert (method.routing_key, method.message_count, method.redelivered, body) == (queue, 0, False, b"body")
    assert received == properties
    assert pika_channel.basic_get(queue) == (None, None, None)


def test_consume_generator_acks_each_message(pika_channel: BlockingChannel) -> None:
    queue = pika_channel.queue_declare("", exclusive=True).method.queue
    pika_channel.basic_qos(prefetch_count=1)
    for number in range(50):
        pika_channel.basic_publish("", queue, str(number).encode())
    bodies = []
    for method, _properties, body in pika_channel.consume(queue, inactivity_timeout=10):
        assert method is not None, "nothing arrived for ten seconds"
        pika_channel.basic_ack(method.delivery_tag)
        bodies.append(int(body))
        if len(bodies) == 50:
            break
    assert bodies == list(range(50))
    assert pika_channel.cancel() == 0
    assert pika_channel.queue_declare(queue, passive=True).method.message_count == 0


def test_start_consuming_stops_from_its_callback(pika_channel: BlockingChannel) -> None:
    queue = pika_channel.queue_declare("", exclusive=True).method.queue
    bodies: list[bytes] = []

    def on_message(channel: BlockingChannel, method: Any, _properties: BasicProperties, body: bytes) -> None:
        channel.basic_ack(method.delivery_tag)
        bodies.append(body)
        if len(bodies) == 3:
            channel.stop_consuming()

    pika_channel.basic_consume(queue, on_message)
    for body in (b"a", b"", b"c" * 300_000):
        pika_channel.basic_publish("", queue, body)
    pika_channel.start_consuming()
    assert bodies == [b"a", b"", b"c" * 300_000]


def test_confirms_and_mandatory_returns(pika_channel: BlockingChannel, name: Namer) -> None:
    pika_channel.confirm_delivery()
    queue = pika_channel.queue_declare("", exclusive=True).method.queue
    for _ in range(100):
        pika_channel.basic_publish("", queue, b"x", mandatory=True)
    with pytest.raises(UnroutableError) as caught:
        pika_channel.basic_publish("", name("nowhere"), b"returned", mandatory=True)
    [message] = caught.value.messages
    assert (message.method.reply_code, message.method.reply_text, message.body) == (312, "NO_ROUTE", b"returned")
    assert pika_channel.queue_declare(queue, passive=True).method.message_count == 100


def test_a_full_queue_that_rejects_publishes_nacks(pika_channel: BlockingChannel) -> None:
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    queue = pika_channel.queue_declare("", exclusive=True, arguments=arguments).method.queue
    pika_channel.confirm_delivery()
    pika_channel.basic_publish("", queue, b"fits")

    def publish_too_much() -> None:
        for _ in range(10):
            pika_channel.basic_publish("", queue, b"does not fit")

    with pytest.raises(NackError):
        publish_too_much()


def test_transactions(pika_channel: BlockingChannel) -> None:
    queue = pika_channel.queue_declare("", exclusive=True).method.queue
    pika_channel.tx_select()
    pika_channel.basic_publish("", queue, b"lost")
    pika_channel.tx_rollback()
    pika_channel.basic_publish("", queue, b"kept")
    pika_channel.tx_commit()
    assert pika_channel.basic_get(queue)[2] == b"kept"
    assert pika_channel.basic_get(queue)[2] is None


def test_recover_delivers_again(pika_channel: BlockingChannel) -> None:
    queue = pika_channel.queue_declare("", exclusive=True).method.queue
    pika_channel.basic_publish("", queue, b"again")
    method, _, _ = pika_channel.basic_get(queue)
    assert not method.redelivered
    pika_channel.basic_recover(requeue=True)
    method, _, body = pika_channel.basic_get(queue)
    assert (method.redelivered, body) == (True, b"again")


def test_exchange_bindings(pika_channel: BlockingChannel, name: Namer) -> None:
    for stem in ("source", "destination"):
        pika_channel.exchange_declare(name(stem), "topic", auto_delete=stem == "source")
    queue = pika_channel.queue_declare("", exclusive=True).method.queue
    pika_channel.queue_bind(queue, name("destination"), "#.end")
    pika_channel.exchange_bind(name("destination"), name("source"), "begin.#")
    pika_channel.confirm_delivery()
    for key in ("begin.middle.end", "begin", "end", "begin.end"):
        pika_channel.basic_publish(name("source"), key, key.encode())
    assert [pika_channel.basic_get(queue, auto_ack=True)[2] for _ in range(3)] == [
        b"begin.middle.end",
        b"begin.end",
        None,
    ]
    pika_channel.exchange_unbind(name("destination"), name("source"), "begin.#")
    pika_channel.exchange_delete(name("destination"))


@pytest.mark.parametrize("stem", ["żółw", "очередь", "キュー", "🐇", "a/b?c=d&e#f", "%2F", "'\"\\", "<>[]{}|^`~$*"])
def test_names_of_any_alphabet_work(pika_channel: BlockingChannel, name: Namer, stem: str) -> None:
    pika_channel.exchange_declare(name(stem), "direct", auto_delete=True)
    declared = pika_channel.queue_declare(name(stem), exclusive=True).method
    assert declared.queue == name(stem)
    pika_channel.queue_bind(name(stem), name(stem), stem)
    pika_channel.basic_publish(name(stem), stem, stem.encode())
    method, _, body = pika_channel.basic_get(name(stem), auto_ack=True)
    assert (method.exchange, method.routing_key, body.decode()) == (name(stem), stem, stem)


def test_names_may_have_255_octets(pika_channel: BlockingChannel, name: Namer) -> None:
    longest = name("ż" * 121)
    assert len(longest.encode()) == 255
    assert pika_channel.queue_declare(longest, exclusive=True).method.queue == longest


def test_a_deleted_queue_cancels_its_consumer(blocking: BlockingConnection, pika_channel: BlockingChannel) -> None:
    queue = pika_channel.queue_declare("", exclusive=True).method.queue
    cancelled: list[str] = []
    pika_channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    tag = pika_channel.basic_consume(queue, lambda *_: None)
    blocking.channel().queue_delete(queue)
    pika_channel.start_consuming()  # until there is no consumer left
    assert cancelled == [tag]


def test_a_channel_error_leaves_the_connection_open(
    blocking: BlockingConnection, pika_channel: BlockingChannel, name: Namer
) -> None:
    with pytest.raises(ChannelClosedByBroker) as caught:
        pika_channel.queue_declare(name("missing"), passive=True)
    assert (caught.value.reply_code, caught.value.reply_text) == (
        404,
        f"NOT_FOUND - no queue '{name('missing')}' in vhost '/'",
    )
    assert blocking.channel().queue_declare("", exclusive=True).method.queue


def test_a_connection_error_says_why(pika_channel: BlockingChannel) -> None:
    with pytest.raises(ConnectionClosedByBroker) as caught:
        pika_channel.basic_qos(prefetch_size=10)
    assert (caught.value.reply_code, caught.value.reply_text) == (540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)")


def test_a_missing_vhost_and_a_wrong_password_are_refused(broker_url: str) -> None:
    parameters = pika.URLParameters(broker_url)
    parameters.virtual_host = "missing"
    with pytest.raises((ProbableAccessDeniedError, AMQPConnectionError)) as caught:
        BlockingConnection(parameters)
    assert "vhost missing not found" in repr(caught.value)
    parameters = pika.URLParameters(broker_url)
    parameters.credentials = pika.PlainCredentials("guest", "wrong")
    with pytest.raises((ProbableAuthenticationError, AMQPConnectionError)) as caught:
        BlockingConnection(parameters)
    assert "Login was refused using authentication mechanism PLAIN" in repr(caught.value)


@pytest.mark.parametrize("frame_max", [8192, 65536])
def test_a_smaller_frame_max_is_kept_to(broker_url: str, name: Namer, frame_max: int) -> None:
    parameters = pika.URLParameters(broker_url)
    parameters.frame_max = frame_max
    connection = BlockingConnection(parameters)
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    # Published in frames of the largest size, to be cut up for the connection with the small ones.
    big = BlockingConnection(pika.URLParameters(broker_url))
    big_channel = big.channel()
    exchange = name("exchange")
    big_channel.exchange_declare(exchange, "fanout", auto_delete=True)
    channel.queue_bind(queue, exchange)
    big_channel.confirm_delivery()
    for size in (0, frame_max - 9, frame_max - 8, frame_max - 7, 500_000):
        body = random.Random(size).randbytes(size)
        big_channel.basic_publish(exchange, "", body)
        assert channel.basic_get(queue, auto_ack=True)[2] == body
        channel.basic_publish(exchange, "", body)
        assert channel.basic_get(queue, auto_ack=True)[2] == body
    big.close()
    connection.close()


def test_many_connections_of_one_process(broker_url: str) -> None:
    connections = [BlockingConnection(pika.URLParameters(broker_url)) for _ in range(30)]
    queues = {connection.channel().queue_declare("", exclusive=True).method.queue for connection in connections}
    assert len(queues) == 30
    for connection in connections:
        connection.close()
