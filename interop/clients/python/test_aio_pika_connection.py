"""Connections and channels through aio-pika: opening, refusals, many channels, errors that leave the rest alone."""

import asyncio
from collections.abc import Callable

import pytest

pytest.importorskip("aio_pika")

import aio_pika
import aiormq.exceptions
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ProbableAuthenticationError,
)
from yarl import URL

Namer = Callable[[str], str]


async def test_the_server_introduces_itself_as_rabbitmq(connection: AbstractConnection) -> None:
    assert connection.transport is not None
    properties = connection.transport.connection.server_properties
    assert properties["product"] == "RabbitMQ"
    assert all(
        properties["capabilities"][capability] is True
        for capability in (
            "publisher_confirms",
            "exchange_exchange_bindings",
            "basic.nack",
            "consumer_cancel_notify",
            "connection.blocked",
            "consumer_priorities",
            "authentication_failure_close",
            "per_consumer_qos",
            "direct_reply_to",
        )
    )


async def test_tuning_proposes_rabbitmqs_limits(connection: AbstractConnection) -> None:
    assert connection.transport is not None
    tune = connection.transport.connection.connection_tune
    assert (tune.channel_max, tune.frame_max) == (2047, 131072)


async def test_a_wrong_password_is_refused_in_words(broker_url: str) -> None:
    url = URL(broker_url).with_user("guest").with_password("wrong")
    with pytest.raises(ProbableAuthenticationError) as caught:
        await aio_pika.connect(url)
    assert caught.value.args[-1] == (
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
    )


async def test_a_missing_vhost_is_refused(broker_url: str) -> None:
    # aiormq does not pass the text on; pika does.
    with pytest.raises(CONNECTION_EXCEPTIONS, match=r"Connection\.Close"):
        await aio_pika.connect(URL(broker_url).with_path("/missing"))


async def test_many_channels_work_at_once_on_one_connection(connection: AbstractConnection) -> None:
    channels = await asyncio.gather(*(_open(connection) for _ in range(200)))
    assert len({channel.number for channel in channels}) == 200

    async def round_trip(channel: AbstractChannel) -> bytes:
        queue = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(Message(str(channel.number).encode()), queue.name)
        return (await queue.get(no_ack=True)).body

    bodies = await asyncio.gather(*map(round_trip, channels))
    assert bodies == [str(channel.number).encode() for channel in channels]


async def test_a_channel_number_may_be_chosen_and_used_again(connection: AbstractConnection) -> None:
    for _ in range(5):
        channel = await connection.channel(channel_number=2047)
        assert (await channel.declare_queue(exclusive=True)).name
        await channel.close()


async def test_an_error_closes_its_channel_alone(connection: AbstractConnection, name: Namer) -> None:
    bystander = await connection.channel()
    queue = await bystander.declare_queue(exclusive=True)
    for _ in range(10):
        channel = await connection.channel()
        with pytest.raises(ChannelNotFoundEntity):
            await channel.declare_queue(name("missing"), passive=True)
        assert channel.is_closed
    await bystander.default_exchange.publish(Message(b"still here"), queue.name)
    assert (await queue.get(no_ack=True)).body == b"still here"


async def test_a_channel_reopens_after_an_error(connection: AbstractConnection, name: Namer) -> None:
    channel = await connection.channel()
    await channel.declare_queue(name("kept"), exclusive=True)
    with pytest.raises(ChannelPreconditionFailed):
        await channel.declare_queue(name("kept"), exclusive=True, auto_delete=True)
    await channel.reopen()
    await channel.default_exchange.publish(Message(b"x"), name("kept"))
    assert (await (await channel.get_queue(name("kept"))).get(no_ack=True)).body == b"x"


async def test_a_connection_error_says_why(connection: AbstractConnection) -> None:
    underlay = await (await connection.channel()).get_underlay_channel()
    with pytest.raises(aiormq.exceptions.AMQPError) as caught:
        await underlay.basic_qos(prefetch_size=10)
    assert caught.value.args[-1] == "NOT_IMPLEMENTED - prefetch_size!=0 (10)"


async def test_a_secret_is_updated_while_connected(connection: AbstractConnection) -> None:
    await connection.update_secret("guest", reason="rotation")
    channel = await connection.channel()
    assert (await channel.declare_queue(exclusive=True)).name


async def test_connections_open_and_close_by_the_dozen(broker_url: str) -> None:
    async def visit() -> str:
        async with await aio_pika.connect(broker_url) as connection, connection.channel() as channel:
            return (await channel.declare_queue(exclusive=True)).name

    names = await asyncio.gather(*(visit() for _ in range(30)))
    assert len(set(names)) == 30


async def test_a_client_name_is_accepted(broker_url: str) -> None:
    url = URL(broker_url).update_query(name="interop suite")
    async with await aio_pika.connect(url, client_properties={"custom": {"nested": [1, 2]}}) as connection:
        assert not connection.is_closed


async def _open(connection: AbstractConnection) -> AbstractChannel:
    return await connection.channel()
