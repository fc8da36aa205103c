"""Messages that outlive the broker come back as they were, octet by octet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic, Queue

from amqpy_broker.core.arguments import Argument
from amqpy_broker.core.message import Message
from amqpy_broker.protocols.amqp091.content import FramedMessage
from amqpy_broker.protocols.amqp091.own_messages import make_message
from amqpy_broker.protocols.amqp091.stored import StoredMessages
from tests.wire import Client

HEADERS = {"h": Argument("short", 7), "list": Argument("array", [Argument("void", None)])}


def published(exchange: str, routing_key: str, body: bytes = b"hello", **properties: object) -> FramedMessage:
    """A message as a queue gets it from a client."""
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    if exchange:
        client.call(Queue.Bind, queue="q", exchange=exchange, routing_key=routing_key)
    client.publish(exchange, routing_key, body, **properties)
    queued = client.broker.vhosts["/"].queues["q"].get()
    assert queued is not None
    assert isinstance(queued.message, FramedMessage)
    return queued.message


def same(one: Message, other: Message) -> bool:
    assert isinstance(one, FramedMessage)
    assert isinstance(other, FramedMessage)
    return (
        (one.exchange, one.routing_key, one.copies, one.frames, one.channel, one.memory_size, one.died)
        == (other.exchange, other.routing_key, other.copies, other.frames, other.channel, other.memory_size, other.died)
        and one.persistent == other.persistent
        and one.expiration_ms == other.expiration_ms
        and one.headers == other.headers
        and one.body == other.body
    )


def dumped(stored: StoredMessages, message: Message) -> bytes:
    octets: list[bytes] = []
    size = stored.dump(message, octets)
    joined = b"".join(octets)
    assert len(joined) == size
    return joined


def stored_and_read(message: Message) -> Message:
    # What dumps and what loads share nothing.
    return StoredMessages().load(dumped(StoredMessages(), message))


@pytest.mark.parametrize(
    "message",
    [
        published("", "q"),
        published("", "q", b""),
        published("amq.topic", "a.b.c", delivery_mode=2, expiration="60000", headers={"a": {"b": [1, "c"]}}),
        published("", "q", b"x" * 5000, body_frame_size=1000, message_id="m", priority=5),
        published("amq.topic", "k", headers={"CC": ["one", "two"]}),
        published("", "q").edited(headers=HEADERS, died=True),
        published("amq.topic", "k", headers={"CC": ["one"]}).edited(headers=HEADERS, died=True),
        make_message("", "\udcff", HEADERS, body=b"\xce" * 3, persistent=True, timestamp_s=5),
    ],
    ids=["plain", "empty", "properties", "many frames", "copies", "dead", "dead with copies", "not UTF-8"],
)
def test_a_message_comes_back_as_it_was(message: FramedMessage) -> None:
    assert same(stored_and_read(message), message)


@given(bodies=st.lists(st.binary(max_size=20), min_size=1, max_size=5), data=st.data())
def test_what_repeats_is_read_like_what_is_new(bodies: list[bytes], data: st.DataObject) -> None:
    messages = [
        make_message("x", data.draw(st.sampled_from(["a", "b"])), HEADERS, body=body, persistent=True)
        for body in bodies
    ]
    messages = [data.draw(st.sampled_from([m, m.edited(died=True)])) for m in messages]
    stored = StoredMessages()

    for message in messages:
        assert same(stored.load(dumped(stored, message)), message)


@given(octets=st.binary(max_size=60))
def test_octets_that_are_no_message_are_refused(octets: bytes) -> None:
    with pytest.raises(ValueError, match="stored message"):
        StoredMessages().load(octets)


@given(cut=st.integers(0, 1000), known=st.booleans())
def test_a_message_that_is_cut_short_is_refused(cut: int, known: bool) -> None:
    stored = StoredMessages()
    octets = dumped(stored, make_message("x", "key", HEADERS, body=b"body" * 5))
    if known:
        stored.load(octets)

    with pytest.raises(ValueError, match="stored message"):
        stored.load(octets[: cut % len(octets)])


def test_a_stored_message_goes_to_a_client_like_any_other() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    message = stored_and_read(make_message("x", "key", HEADERS, body=b"hello"))
    client.broker.vhosts["/"].queues["q"].enqueue(message)

    got = client.call(Basic.Get, queue="q")

    assert (got["exchange"], got["routing_key"], got.body) == ("x", "key", b"hello")
