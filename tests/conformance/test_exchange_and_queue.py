"""Rules of the specification for the classes exchange and queue, each by its name, with RabbitMQ's texts."""

import pytest
from pamqp.commands import Basic, Channel, Exchange, Queue

from tests.wire import Client, Said, refusal


@pytest.fixture
def client() -> Client:
    return Client().open()


def text(said: Said) -> tuple[int, str]:
    _, code, reply_text, _, _ = refusal(said)
    return code, reply_text


# --- exchange ---------------------------------------------------------------------------------------------------------


def test_standard_exchanges_are_there(client: Client) -> None:
    """[exchange.declare.exchange:required-types] direct, fanout, topic and headers, each predeclared."""
    for name in ("amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"):
        assert client.call(Exchange.Declare, exchange=name, passive=True).name == "Exchange.DeclareOk"


def test_the_default_exchange_reaches_every_queue_by_name(client: Client) -> None:
    """[exchange:default] Every queue is bound to it with its own name, and cannot be unbound."""
    client.call(Queue.Declare, queue="q")

    client.publish("", "q", b"hello")

    assert client.call(Basic.Get, queue="q").body == b"hello"


def test_exchange_declare_reserved(client: Client) -> None:
    """[exchange.declare.exchange:reserved] Names that begin with amq. are the server's."""
    answer = client.call(Exchange.Declare, exchange="amq.foo", exchange_type="direct")

    assert text(answer) == (403, "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'")


def test_exchange_declare_typed(client: Client) -> None:
    """[exchange.declare.type:typed] An exchange cannot be redeclared with another type."""
    client.call(Exchange.Declare, exchange="e", exchange_type="direct")

    answer = client.call(Exchange.Declare, exchange="e", exchange_type="topic")

    assert text(answer) == (
        406,
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'e' in vhost '/': "
        "received 'topic' but current is 'direct'",
    )


@pytest.mark.parametrize("field", ["durable", "auto_delete", "internal"])
def test_exchange_declare_equivalence(client: Client, field: str) -> None:
    """[exchange.declare] Redeclaring with other properties is refused."""
    client.call(Exchange.Declare, exchange="e", exchange_type="direct", **{field: True})

    answer = client.call(Exchange.Declare, exchange="e", exchange_type="direct")

    assert text(answer) == (
        406,
        f"PRECONDITION_FAILED - inequivalent arg '{field}' for exchange 'e' in vhost '/': "
        "received 'false' but current is 'true'",
    )


@pytest.mark.parametrize(("profile", "scope", "code"), [("3.10", "connection", 503), ("4.0", "channel", 406)])
def test_exchange_declare_support(profile: str, scope: str, code: int) -> None:
    """[exchange.declare.type:support] An unknown type is refused."""
    answer = Client(profile=profile).open().call(Exchange.Declare, exchange="e", exchange_type="x-nope")

    assert refusal(answer)[:2] == (scope, code)
    assert answer["reply_text"].endswith("unknown exchange type 'x-nope'")


def test_exchange_declare_passive_not_found(client: Client) -> None:
    """[exchange.declare.passive:not-found] 404 when the exchange does not exist."""
    answer = client.call(Exchange.Declare, exchange="nope", passive=True)

    assert refusal(answer) == ("channel", 404, "NOT_FOUND - no exchange 'nope' in vhost '/'", 40, 10)


def test_exchange_declare_no_wait(client: Client) -> None:
    """[exchange.declare.no-wait] No answer, but it is done."""
    client.send(Exchange.Declare, exchange="e", exchange_type="direct", nowait=True)

    assert client.heard() == []
    assert client.call(Exchange.Declare, exchange="e", passive=True).name == "Exchange.DeclareOk"


def test_exchange_delete_exists(client: Client) -> None:
    """[exchange.delete.exchange:exists] RabbitMQ does not mind one that is missing."""
    assert client.call(Exchange.Delete, exchange="nope").name == "Exchange.DeleteOk"


def test_exchange_delete_if_unused(client: Client) -> None:
    """[exchange.delete.if-unused] An exchange with bindings stays."""
    client.call(Exchange.Declare, exchange="e", exchange_type="direct")
    client.call(Queue.Declare, queue="q")
    client.call(Queue.Bind, queue="q", exchange="e", routing_key="k")

    answer = client.call(Exchange.Delete, exchange="e", if_unused=True)

    assert text(answer) == (406, "PRECONDITION_FAILED - exchange 'e' in vhost '/' in use")


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        (Exchange.Declare, {"exchange": "", "exchange_type": "direct"}),
        (Exchange.Delete, {"exchange": ""}),
        (Queue.Bind, {"queue": "q", "exchange": ""}),
        (Queue.Unbind, {"queue": "q", "exchange": ""}),
        (Exchange.Bind, {"destination": "amq.direct", "source": ""}),
        (Exchange.Bind, {"destination": "", "source": "amq.direct"}),
    ],
)
def test_the_default_exchange_is_the_servers(client: Client, shape: type, fields: dict[str, str]) -> None:
    """[exchange.declare.exchange:default] Nothing can be done to it."""
    client.call(Queue.Declare, queue="q")

    answer = client.call(shape, **fields)

    assert text(answer) == (403, "ACCESS_REFUSED - operation not permitted on the default exchange")


# --- queue ------------------------------------------------------------------------------------------------------------


def test_queue_declare_default_name(client: Client) -> None:
    """[queue.declare.queue:default-name] An empty name asks for a new one, which the answer tells."""
    names = {client.call(Queue.Declare, queue="")["queue"] for _ in range(3)}

    assert len(names) == 3
    assert all(name.startswith("amq.gen-") for name in names)


def test_queue_declare_reserved(client: Client) -> None:
    """[queue.declare.queue:reserved] Names that begin with amq. are the server's."""
    answer = client.call(Queue.Declare, queue="amq.foo")

    assert text(answer) == (403, "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'")


def test_queue_declare_passive(client: Client) -> None:
    """[queue.declare.passive:passive] It tells the counts of a queue that exists."""
    client.call(Queue.Declare, queue="q")
    client.publish("", "q")

    answer = client.call(Queue.Declare, queue="q", passive=True)

    assert (answer["queue"], answer["message_count"], answer["consumer_count"]) == ("q", 1, 0)


def test_queue_declare_passive_not_found(client: Client) -> None:
    """[queue.declare.passive:passive] 404 when the queue does not exist."""
    answer = client.call(Queue.Declare, queue="nope", passive=True)

    assert refusal(answer) == ("channel", 404, "NOT_FOUND - no queue 'nope' in vhost '/'", 50, 10)


def test_queue_declare_exclusive(client: Client) -> None:
    """[queue.declare.exclusive:exclusive] Only the connection that declared it may use it: 405."""
    client.call(Queue.Declare, queue="q", exclusive=True)
    other = Client(client.broker).open()

    assert refusal(other.call(Queue.Declare, queue="q", passive=True))[1] == 405


def test_an_exclusive_queue_goes_with_its_connection(client: Client) -> None:
    """[queue.declare.exclusive] Exclusive queues are deleted when their connection closes."""
    client.call(Queue.Declare, queue="q", exclusive=True)

    client.connection.lost()

    assert "q" not in client.broker.vhosts["/"].queues


def test_queue_declare_auto_delete(client: Client) -> None:
    """[queue.declare.auto-delete] It goes with its last consumer, not before it had one."""
    client.call(Queue.Declare, queue="q", auto_delete=True)
    assert client.call(Queue.Declare, queue="q", auto_delete=True).name == "Queue.DeclareOk"

    client.call(Basic.Consume, queue="q", consumer_tag="c")
    client.call(Basic.Cancel, consumer_tag="c")

    assert text(client.call(Queue.Declare, queue="q", passive=True))[0] == 404


@pytest.mark.parametrize("field", ["durable", "auto_delete"])
def test_queue_declare_equivalence(client: Client, field: str) -> None:
    """[queue.declare] Redeclaring with other properties is refused."""
    client.call(Queue.Declare, queue="q", **{field: True})

    answer = client.call(Queue.Declare, queue="q")

    assert text(answer) == (
        406,
        f"PRECONDITION_FAILED - inequivalent arg '{field}' for queue 'q' in vhost '/': "
        "received 'false' but current is 'true'",
    )


def test_queue_bind_queue_known(client: Client) -> None:
    """[queue.bind.queue:queue-known] An empty name means the queue last declared on the channel."""
    client.call(Queue.Declare, queue="q")
    client.call(Queue.Bind, queue="", exchange="amq.fanout")

    client.publish("amq.fanout", "", b"hello")

    assert client.call(Basic.Get, queue="q").body == b"hello"


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        (Queue.Bind, {"exchange": "amq.fanout"}),
        (Queue.Unbind, {"exchange": "amq.fanout"}),
        (Queue.Purge, {}),
        (Queue.Delete, {}),
        (Basic.Consume, {}),
        (Basic.Get, {}),
    ],
)
def test_queue_known_is_an_error_without_one(client: Client, shape: type, fields: dict[str, object]) -> None:
    """[queue.bind.queue:queue-known] 404 when nothing was declared on the channel."""
    answer = client.call(shape, **fields)

    assert text(answer) == (404, "NOT_FOUND - no previously declared queue")


def test_queue_known_is_of_the_channel(client: Client) -> None:
    """[queue.bind.queue:queue-known] Another channel's declaration does not count."""
    client.call(Queue.Declare, queue="q")
    client.call(Channel.Open, channel=2)

    assert text(client.call(Queue.Purge, channel=2))[0] == 404


def test_queue_bind_routing_key_empty(client: Client) -> None:
    """[queue.bind.routing-key] Empty queue and empty key: the key is the queue's name."""
    client.call(Queue.Declare, queue="q")
    client.call(Queue.Bind, exchange="amq.direct")

    client.publish("amq.direct", "q", b"hello")

    assert client.call(Basic.Get, queue="q").body == b"hello"


def test_queue_bind_duplicates(client: Client) -> None:
    """[queue.bind:duplicates] Binding twice is fine, and brings a message once."""
    client.call(Queue.Declare, queue="q")
    for _ in range(2):
        client.call(Queue.Bind, queue="q", exchange="amq.direct", routing_key="k")

    client.publish("amq.direct", "k")

    assert client.call(Queue.Declare, queue="q", passive=True)["message_count"] == 1


def test_queue_bind_exchange_existence(client: Client) -> None:
    """[queue.bind.exchange:exchange-existence] 404 for an exchange that does not exist."""
    client.call(Queue.Declare, queue="q")

    answer = client.call(Queue.Bind, queue="q", exchange="nope")

    assert refusal(answer) == ("channel", 404, "NOT_FOUND - no exchange 'nope' in vhost '/'", 50, 20)


def test_queue_bind_queue_existence(client: Client) -> None:
    """[queue.bind.queue] 404 for a queue that does not exist."""
    answer = client.call(Queue.Bind, queue="nope", exchange="amq.direct")

    assert refusal(answer) == ("channel", 404, "NOT_FOUND - no queue 'nope' in vhost '/'", 50, 20)


def test_queue_bind_unique(client: Client) -> None:
    """[queue.bind:unique] A queue bound with two keys that both match gets a message once."""
    client.call(Queue.Declare, queue="q")
    for key in ("a.*", "*.b", "#"):
        client.call(Queue.Bind, queue="q", exchange="amq.topic", routing_key=key)

    client.publish("amq.topic", "a.b")

    assert client.call(Queue.Declare, queue="q", passive=True)["message_count"] == 1


def test_queue_unbind(client: Client) -> None:
    """[queue.unbind] What is unbound gets nothing more."""
    client.call(Queue.Declare, queue="q")
    client.call(Queue.Bind, queue="q", exchange="amq.direct", routing_key="k")
    client.call(Queue.Unbind, queue="q", exchange="amq.direct", routing_key="k")

    client.publish("amq.direct", "k")

    assert client.call(Basic.Get, queue="q").name == "Basic.GetEmpty"


def test_queue_purge(client: Client) -> None:
    """[queue.purge] Ready messages go and are counted; unacknowledged ones stay."""
    client.call(Queue.Declare, queue="q")
    for _ in range(3):
        client.publish("", "q")
    client.call(Basic.Get, queue="q")

    assert client.call(Queue.Purge, queue="q")["message_count"] == 2

    client.send(Basic.Reject, delivery_tag=1, requeue=True)
    assert client.call(Queue.Declare, queue="q", passive=True)["message_count"] == 1


def test_queue_delete_if_unused(client: Client) -> None:
    """[queue.delete.if-unused] A queue with consumers stays."""
    client.call(Queue.Declare, queue="q")
    client.call(Basic.Consume, queue="q")

    answer = client.call(Queue.Delete, queue="q", if_unused=True)

    assert text(answer) == (406, "PRECONDITION_FAILED - queue 'q' in vhost '/' in use")


def test_queue_delete_if_empty(client: Client) -> None:
    """[queue.delete.if-empty] A queue with messages stays."""
    client.call(Queue.Declare, queue="q")
    client.publish("", "q")

    answer = client.call(Queue.Delete, queue="q", if_empty=True)

    assert text(answer) == (406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty")


def test_queue_delete_tells_how_many_messages_went(client: Client) -> None:
    """[queue.delete-ok.message-count]"""
    client.call(Queue.Declare, queue="q")
    for _ in range(3):
        client.publish("", "q")

    assert client.call(Queue.Delete, queue="q")["message_count"] == 3
    assert client.call(Queue.Delete, queue="q")["message_count"] == 0


def test_queue_delete_cancels_consumers(client: Client) -> None:
    """[queue.delete] Consumers of a deleted queue are cancelled, and told so if they understand it."""
    client.call(Queue.Declare, queue="q")
    client.call(Basic.Consume, queue="q", consumer_tag="c")
    deaf = Client(client.broker).open(capabilities={})
    deaf.call(Basic.Consume, queue="q", consumer_tag="d")
    other = Client(client.broker).open()

    other.call(Queue.Delete, queue="q")

    assert [(said.name, said["consumer_tag"]) for said in client.heard()] == [("Basic.Cancel", "c")]
    assert deaf.heard() == []
