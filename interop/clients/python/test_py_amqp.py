"""py-amqp, the library under kombu and Celery: the AMQP methods one by one."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from urllib.parse import urlsplit

import pytest

pytest.importorskip("amqp")

from amqp import Channel, Connection, Message
from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed, ResourceLocked

Namer = Callable[[str], str]


def _connect(broker_url: str, **options: object) -> Connection:
    url = urlsplit(broker_url)
    connection = Connection(f"{url.hostname}:{url.port}", "guest", "guest", connect_timeout=10, **options)
    connection.connect()
    return connection


@pytest.fixture
def amqp_connection(broker_url: str) -> Iterator[Connection]:
    connection = _connect(broker_url)
    yield connection
    connection.close()


@pytest.fixture
def amqp_channel(amqp_connection: Connection) -> Channel:
    return amqp_connection.channel()


def test_publish_get_and_ack(amqp_channel: Channel) -> None:
    queue, message_count, consumer_count = amqp_channel.queue_declare(exclusive=True)
    assert (message_count, consumer_count) == (0, 0)
    amqp_channel.basic_publish(Message("żółw", content_type="text/plain", priority=1), routing_key=queue)
    message = amqp_channel.basic_get(queue)
    assert (message.body, message.properties["content_type"], message.properties["priority"]) == (
        "żółw",
        "text/plain",
        1,
    )
    amqp_channel.basic_ack(message.delivery_tag)
    assert amqp_channel.basic_get(queue) is None


def test_headers_of_every_type_round_trip(amqp_channel: Channel) -> None:
    queue, _, _ = amqp_channel.queue_declare(exclusive=True)
    headers = {
        "text": "żółw",
        "int": -1,
        "long": -(2**40),
        "double": 3.141592653589793,
        "bool": False,
        "none": None,
        "when": datetime(2024, 2, 29, 12, 34, 56),
        "price": Decimal("1.25"),
        "table": {"list": [1, "a", {"b": None}]},
    }
    amqp_channel.basic_publish(Message("x", application_headers=headers), routing_key=queue)
    assert amqp_channel.basic_get(queue, no_ack=True).headers == headers


def test_consumers_of_several_queues_on_one_channel(amqp_connection: Connection, amqp_channel: Channel) -> None:
    received: list[tuple[str, bytes]] = []
    queues = [amqp_channel.queue_declare(exclusive=True)[0] for _ in range(5)]
    amqp_channel.basic_qos(0, 2, False)
    for queue in queues:

        def on_message(message: Message, queue: str = queue) -> None:
            received.append((queue, bytes(message.body)))
            message.channel.basic_ack(message.delivery_tag)

        amqp_channel.basic_consume(queue, callback=on_message)
    for number in range(50):
        amqp_channel.basic_publish(Message(str(number).encode()), routing_key=queues[number % 5])
    deadline = time.monotonic() + 10
    while len(received) < 50:
        amqp_connection.drain_events(timeout=deadline - time.monotonic())
    for place, queue in enumerate(queues):
        assert [int(body) for name, body in received if name == queue] == list(range(place, 50, 5))


def test_confirmed_publishes(broker_url: str) -> None:
    connection = _connect(broker_url, confirm_publish=True)
    channel = connection.channel()
    queue, _, _ = channel.queue_declare(exclusive=True)
    for _ in range(50):
        channel.basic_publish(Message("x"), routing_key=queue)
    assert channel.queue_declare(queue, passive=True).message_count == 50
    connection.close()


def test_a_mandatory_message_is_returned(broker_url: str, name: Namer) -> None:
    connection = _connect(broker_url, confirm_publish=True)
    channel = connection.channel()
    returned: list[tuple[int, str, bytes]] = []
    channel.events["basic_return"].add(
        lambda error, _exchange, _key, message: returned.append((error.reply_code, error.reply_text, message.body))
    )
    channel.basic_publish(Message(b"x"), routing_key=name("nowhere"), mandatory=True)
    assert returned == [(312, "NO_ROUTE", b"x")]
    connection.close()


def test_transactions(amqp_channel: Channel) -> None:
    queue, _, _ = amqp_channel.queue_declare(exclusive=True)
    amqp_channel.tx_select()
    amqp_channel.basic_publish(Message("lost"), routing_key=queue)
    amqp_channel.tx_rollback()
    amqp_channel.basic_publish(Message("kept"), routing_key=queue)
    amqp_channel.tx_commit()
    assert amqp_channel.basic_get(queue).body == "kept"


def test_exchange_and_queue_bindings(amqp_channel: Channel, name: Namer) -> None:
    amqp_channel.exchange_declare(name("source"), "fanout", auto_delete=True)
    amqp_channel.exchange_declare(name("destination"), "direct", auto_delete=True)
    queue, _, _ = amqp_channel.queue_declare(exclusive=True)
    amqp_channel.queue_bind(queue, name("destination"), "key")
    amqp_channel.exchange_bind(name("destination"), name("source"))
    amqp_channel.basic_publish(Message("x"), name("source"), "key")
    amqp_channel.basic_publish(Message("y"), name("source"), "other")
    assert amqp_channel.basic_get(queue, no_ack=True).body == "x"
    assert amqp_channel.basic_get(queue) is None
    amqp_channel.exchange_unbind(name("destination"), name("source"))
    amqp_channel.queue_unbind(queue, name("destination"), "key")


def test_errors_map_to_their_exceptions(amqp_connection: Connection, broker_url: str, name: Namer) -> None:
    with pytest.raises(NotFound, match="no queue"):
        amqp_connection.channel().queue_declare(name("missing"), passive=True)
    with pytest.raises(AccessRefused, match="reserved prefix"):
        amqp_connection.channel().queue_declare("amq.mine")
    amqp_connection.channel().queue_declare(name("mine"), exclusive=True, auto_delete=False)
    with pytest.raises(PreconditionFailed, match="inequivalent arg 'auto_delete'"):
        amqp_connection.channel().queue_declare(name("mine"), exclusive=True, auto_delete=True)
    other = _connect(broker_url)
    with pytest.raises(ResourceLocked, match="cannot obtain exclusive access"):
        other.channel().queue_declare(name("mine"), passive=True)
    other.close()


def test_both_login_methods_of_rabbitmq_work(broker_url: str) -> None:
    for method in ("PLAIN", "AMQPLAIN"):
        connection = _connect(broker_url, login_method=method)
        assert connection.channel().queue_declare(exclusive=True).queue.startswith("amq.gen-")
        connection.close()


def test_heartbeats_keep_an_idle_connection(broker_url: str) -> None:
    connection = _connect(broker_url, heartbeat=1)
    assert connection.heartbeat == 1
    received_before = connection.bytes_recv
    deadline = time.monotonic() + 10
    # py-amqp means to be asked several times an interval whether a heartbeat is due.
    while connection.bytes_recv < received_before + 4 and time.monotonic() < deadline:
        connection.heartbeat_tick()
        try:
            connection.drain_events(timeout=0.1)
        except TimeoutError:
            continue
    assert connection.bytes_recv >= received_before + 4
    assert connection.channel().queue_declare(exclusive=True).queue
    connection.close()
