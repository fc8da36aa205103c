"""Properties, header tables and names come back as they went, whatever their type and alphabet."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

pytest.importorskip("aio_pika")

from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractChannel

from interop.clients.python.support.inbox import Inbox

Namer = Callable[[str], str]

_UNICODE_NAMES = ["żółw", "очередь", "キュー", "🐇", "a b", "a/b?c=d&e#f", "%2F", "'\"\\", "x" * 200]
_MOMENT = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)


async def test_every_property_round_trips(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("properties"), exclusive=True)
    sent = Message(
        b'{"a": 1}',
        headers={"trace": "abc"},
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=DeliveryMode.PERSISTENT,
        priority=7,
        correlation_id="correlation-ż",
        reply_to="replies",
        expiration=3600.5,
        message_id="message-1",
        timestamp=_MOMENT,
        type="created",
        user_id="guest",
        app_id="suite",
    )
    await channel.default_exchange.publish(sent, queue.name)
    received = await queue.get(no_ack=True)
    assert received.properties == sent.properties
    assert received.timestamp == _MOMENT
    assert received.expiration == 3600.5


async def test_a_message_without_properties_gets_none(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("bare"), exclusive=True)
    await channel.default_exchange.publish(Message(b"x", message_id="only"), queue.name)
    received = await queue.get(no_ack=True)
    assert received.headers == {}
    assert received.message_id == "only"
    for unset in ("content_type", "content_encoding", "correlation_id", "reply_to", "expiration", "timestamp"):
        assert getattr(received, unset) is None, unset


@pytest.mark.parametrize(
    "value",
    [
        *("text", "", "żółw 🐇", "x" * 5000),
        # Not -1 to -128, which pamqp 3 fails to write.
        *(0, 1, -129, 127, 128, 255, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**32, 2**63 - 1, -(2**63)),
        *(0.0, 1.5, -1024.25),  # pamqp writes single floats only
        *(True, False, None),
        *(bytearray(), bytearray(b"\x00\xff binary")),
        _MOMENT,
        Decimal("3.14"),
        *([], [1, "two", 3.0, None, True], [[1], [[2]]]),
        *({}, {"nested": {"deeper": {"list": [1, {"a": "b"}]}}}),
    ],
    ids=repr,
)
async def test_a_header_of_any_type_round_trips(channel: AbstractChannel, name: Namer, value: Any) -> None:
    queue = await channel.declare_queue(name("headers"), exclusive=True)
    headers = {"before": 1, "value": value, "after": "end"}
    await channel.default_exchange.publish(Message(b"x", headers=headers), queue.name)
    received = (await queue.get(no_ack=True)).headers
    assert received == headers
    assert type(received["value"]) is type(value)


async def test_headers_of_unicode_keys_round_trip(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("headers"), exclusive=True)
    headers = {key[:60]: number for number, key in enumerate(_UNICODE_NAMES)}
    await channel.default_exchange.publish(Message(b"x", headers=headers), queue.name)
    assert (await queue.get(no_ack=True)).headers == headers


async def test_a_table_of_a_hundred_kilobytes_round_trips(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("headers"), exclusive=True)
    headers = {f"key-{number}": "v" * 100 for number in range(1000)}
    await channel.default_exchange.publish(Message(b"x", headers=headers), queue.name)
    assert (await queue.get(no_ack=True)).headers == headers


@pytest.mark.parametrize("text", _UNICODE_NAMES)
async def test_keys_and_consumer_tags_of_any_alphabet_work(channel: AbstractChannel, name: Namer, text: str) -> None:
    exchange = await channel.declare_exchange(name("exchange"), ExchangeType.DIRECT, auto_delete=True)
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(exchange, text)
    inbox = Inbox()
    tag = await queue.consume(inbox, consumer_tag=text, no_ack=True)
    assert tag == text
    await exchange.publish(Message(b"x"), text)
    received = await inbox.take_one()
    assert (received.routing_key, received.consumer_tag) == (text, text)


@pytest.mark.parametrize("stem", ["a b", "a/b", "a.b.c", "a:b", "a@b", "a#b", "a,b", "-", "_", "0"])
async def test_names_of_all_that_aio_pika_allows_work(channel: AbstractChannel, name: Namer, stem: str) -> None:
    exchange = await channel.declare_exchange(name(stem), ExchangeType.DIRECT, auto_delete=True)
    queue = await channel.declare_queue(name(stem), exclusive=True)
    assert queue.name == name(stem)
    await queue.bind(exchange, "key")
    await exchange.publish(Message(b"x"), "key")
    received = await queue.get(no_ack=True)
    assert (received.exchange, received.routing_key) == (name(stem), "key")


async def test_routing_keys_may_have_255_octets(channel: AbstractChannel) -> None:
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind("amq.topic", "k" * 255)
    await (await channel.get_exchange("amq.topic")).publish(Message(b"x"), "k" * 255)
    assert (await queue.get(no_ack=True)).routing_key == "k" * 255
