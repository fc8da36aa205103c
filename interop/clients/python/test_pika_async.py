"""pika without blocking: AsyncioConnection and SelectConnection, all callbacks."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("pika")

import pika
from pika import BasicProperties
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel

Namer = Callable[[str], str]

_MESSAGE_COUNT = 1000


async def test_asyncio_connection_publishes_with_confirms_and_consumes(broker_url: str, name: Namer) -> None:
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[AsyncioConnection] = loop.create_future()
    AsyncioConnection(
        pika.URLParameters(broker_url),
        on_open_callback=opened.set_result,
        on_open_error_callback=lambda _connection, error: opened.set_exception(error),
    )
    connection = await asyncio.wait_for(opened, 10)
    channel = await _channel(connection)
    declared: asyncio.Future[Any] = loop.create_future()
    channel.queue_declare(name("queue"), exclusive=True, callback=declared.set_result)
    assert (await declared).method.queue == name("queue")

    confirmed: set[int] = set()
    bodies: list[int] = []
    is_complete = asyncio.Event()

    def check() -> None:
        if len(confirmed) == _MESSAGE_COUNT and len(bodies) == _MESSAGE_COUNT:
            is_complete.set()

    def on_confirm(frame: Any) -> None:
        assert isinstance(frame.method, pika.spec.Basic.Ack)
        first = len(confirmed) + 1 if frame.method.multiple else frame.method.delivery_tag
        confirmed.update(range(first, frame.method.delivery_tag + 1))
        check()

    def on_message(on: Channel, method: Any, _properties: BasicProperties, body: bytes) -> None:
        bodies.append(int(body))
        on.basic_ack(method.delivery_tag)
        check()

    selected: asyncio.Future[Any] = loop.create_future()
    channel.confirm_delivery(on_confirm, callback=selected.set_result)
    await selected
    channel.basic_qos(prefetch_count=50)
    channel.basic_consume(name("queue"), on_message)
    for number in range(_MESSAGE_COUNT):
        channel.basic_publish("", name("queue"), str(number).encode())
    await asyncio.wait_for(is_complete.wait(), 20)
    assert bodies == list(range(_MESSAGE_COUNT))
    assert confirmed == set(range(1, _MESSAGE_COUNT + 1))

    closed: asyncio.Future[BaseException] = loop.create_future()
    connection.add_on_close_callback(lambda _connection, reason: closed.set_result(reason))
    connection.close()
    assert (await asyncio.wait_for(closed, 10)).args == (200, "Normal shutdown")


def test_select_connection_goes_through_the_whole_conversation(broker_url: str, name: Namer) -> None:
    steps: list[str] = []

    def on_open(connection: SelectConnection) -> None:
        steps.append("open")
        connection.channel(on_open_callback=on_channel)

    def on_channel(channel: Channel) -> None:
        steps.append("channel")
        channel.add_on_return_callback(on_return)
        channel.exchange_declare(name("exchange"), "topic", auto_delete=True, callback=lambda _: on_exchange(channel))

    def on_exchange(channel: Channel) -> None:
        steps.append("exchange")
        channel.queue_declare("", exclusive=True, callback=lambda frame: on_queue(channel, frame.method.queue))

    def on_queue(channel: Channel, queue: str) -> None:
        steps.append("queue")
        channel.queue_bind(queue, name("exchange"), "a.*", callback=lambda _: on_bound(channel, queue))

    def on_bound(channel: Channel, queue: str) -> None:
        steps.append("bound")
        channel.basic_consume(queue, on_message, auto_ack=True, callback=lambda _: on_consuming(channel))

    def on_consuming(channel: Channel) -> None:
        steps.append("consuming")
        channel.basic_publish(name("exchange"), "b", b"returned", mandatory=True)

    def on_return(channel: Channel, method: Any, _properties: BasicProperties, body: bytes) -> None:
        steps.append(f"{body.decode()} {method.reply_code}")
        channel.basic_publish(name("exchange"), "a.b", b"delivered", BasicProperties(headers={"k": [1]}))

    def on_message(channel: Channel, method: Any, properties: BasicProperties, body: bytes) -> None:
        steps.append(f"{body.decode()} {method.routing_key} {properties.headers}")
        channel.connection.close()

    def on_close(connection: SelectConnection, reason: BaseException) -> None:
        steps.append(f"closed {reason.args[0]}")
        connection.ioloop.stop()

    connection = SelectConnection(pika.URLParameters(broker_url), on_open_callback=on_open, on_close_callback=on_close)
    connection.ioloop.start()
    assert steps == [
        "open",
        "channel",
        "exchange",
        "queue",
        "bound",
        "consuming",
        "returned 312",
        "delivered a.b {'k': [1]}",
        "closed 200",
    ]


async def _channel(connection: AsyncioConnection) -> Channel:
    opened: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()
    connection.channel(on_open_callback=opened.set_result)
    return await asyncio.wait_for(opened, 10)
