"""Queues through aio-pika: names, exclusivity, lifetimes, passive declares, equivalence, purge and delete."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("aio_pika")

import aio_pika
import aiormq.exceptions
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed, QueueEmpty

from interop.clients.python.support.inbox import Inbox

Namer = Callable[[str], str]


async def test_a_queue_without_a_name_gets_one_from_the_broker(channel: AbstractChannel) -> None:
    first, second = [await channel.declare_queue(exclusive=True) for _ in range(2)]
    assert first.name.startswith("amq.gen-")
    assert second.name.startswith("amq.gen-")
    assert first.name != second.name


async def test_a_passive_declare_of_a_missing_queue_is_not_found(channel: AbstractChannel, name: Namer) -> None:
    with pytest.raises(ChannelNotFoundEntity) as caught:
        await channel.declare_queue(name("missing"), passive=True)
    assert caught.value.args[-1] == f"NOT_FOUND - no queue '{name('missing')}' in vhost '/'"


async def test_a_passive_declare_of_a_missing_exchange_is_not_found(channel: AbstractChannel, name: Namer) -> None:
    with pytest.raises(ChannelNotFoundEntity) as caught:
        await channel.declare_exchange(name("missing"), passive=True)
    assert caught.value.args[-1] == f"NOT_FOUND - no exchange '{name('missing')}' in vhost '/'"


async def test_a_passive_declare_counts_ready_messages_and_consumers(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("counted"), exclusive=True)
    for _ in range(3):
        await channel.default_exchange.publish(Message(b"x"), queue.name)
    unacked = await queue.get()
    result = (await channel.declare_queue(queue.name, passive=True)).declaration_result
    assert (result.queue, result.message_count, result.consumer_count) == (queue.name, 2, 0)
    await channel.set_qos(prefetch_count=1)
    inbox = Inbox()
    await queue.consume(inbox)
    await inbox.take_one()
    result = (await channel.declare_queue(queue.name, passive=True)).declaration_result
    assert (result.message_count, result.consumer_count) == (1, 1)
    await unacked.ack()


async def test_an_exclusive_queue_is_locked_to_its_connection(
    broker_url: str, channel: AbstractChannel, name: Namer
) -> None:
    queue = await channel.declare_queue(name("mine"), exclusive=True)
    async with await aio_pika.connect(broker_url) as other:
        for attempt in ("declare", "passive", "get", "consume", "purge", "delete"):
            async with other.channel() as intruder:
                handle = await intruder.get_queue(queue.name, ensure=False)
                actions: dict[str, Callable[[], Any]] = {
                    "declare": lambda c=intruder: c.declare_queue(queue.name, exclusive=True),
                    "passive": lambda c=intruder: c.declare_queue(queue.name, passive=True),
                    "get": handle.get,
                    "consume": lambda h=handle: h.consume(Inbox()),
                    "purge": handle.purge,
                    "delete": handle.delete,
                }
                with pytest.raises(aiormq.exceptions.ChannelLockedResource) as caught:
                    await actions[attempt]()
                # RabbitMQ cuts every reply text at 255.
                assert caught.value.args[-1].startswith(
                    f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue.name}' in vhost '/'. "
                    "It could be originally declared on another connection or the exclusive property value does not "
                    "match that of the original "
                )


async def test_an_exclusive_queue_goes_with_its_connection(
    broker_url: str, channel: AbstractChannel, name: Namer
) -> None:
    async with await aio_pika.connect(broker_url) as other:
        await (await other.channel()).declare_queue(name("theirs"), exclusive=True)
    with pytest.raises(ChannelNotFoundEntity):
        await channel.declare_queue(name("theirs"), passive=True)


async def test_an_auto_delete_queue_goes_with_its_last_consumer(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("temporary"), auto_delete=True)
    tags = [await queue.consume(Inbox()) for _ in range(2)]
    await queue.cancel(tags[0])
    await channel.declare_queue(queue.name, passive=True)
    await queue.cancel(tags[1])
    with pytest.raises(ChannelNotFoundEntity):
        await channel.declare_queue(queue.name, passive=True)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"durable": False}, "'durable' for {queue}: received 'false' but current is 'true'"),
        ({"auto_delete": True}, "'auto_delete' for {queue}: received 'true' but current is 'false'"),
        (
            {"arguments": {"x-max-length": 5, "x-message-ttl": 60000}},
            "'x-max-length' for {queue}: received the value '5' of type 'signedint' but current is none",
        ),
        ({"arguments": {"x-message-ttl": 5}}, "'x-message-ttl' for {queue}: received '5' but current is '60000'"),
    ],
)
async def test_a_queue_is_not_declared_differently(
    connection: AbstractConnection, name: Namer, change: dict[str, Any], text: str
) -> None:
    settings = {"durable": True, "arguments": {"x-message-ttl": 60000}}
    async with connection.channel() as channel:
        await channel.declare_queue(name("declared"), **settings)
        await channel.declare_queue(name("declared"), **settings)
    async with connection.channel() as channel:
        with pytest.raises(ChannelPreconditionFailed) as caught:
            await channel.declare_queue(name("declared"), **{**settings, **change})
    queue = f"queue '{name('declared')}' in vhost '/'"
    # The wire type of the integer is the client library's choice.
    received = caught.value.args[-1].replace("'byte'", "'signedint'").replace("'short'", "'signedint'")
    assert received == f"PRECONDITION_FAILED - inequivalent arg {text.format(queue=queue)}"
    async with connection.channel() as channel:
        await channel.queue_delete(name("declared"))


async def test_an_exclusive_queue_is_never_durable_whatever_its_declarer_says(
    channel: AbstractChannel, name: Namer
) -> None:
    await channel.declare_queue(name("mine"), exclusive=True, durable=True)
    await channel.declare_queue(name("mine"), exclusive=True, durable=False)


async def test_purge_removes_what_is_ready_and_leaves_what_is_unacked(channel: AbstractChannel, name: Namer) -> None:
    queue = await channel.declare_queue(name("purged"), exclusive=True)
    for number in range(5):
        await channel.default_exchange.publish(Message(str(number).encode()), queue.name)
    unacked = await queue.get()
    assert (await queue.purge()).message_count == 4
    await unacked.nack(requeue=True)
    assert (await queue.get(no_ack=True)).body == b"0"
    with pytest.raises(QueueEmpty):
        await queue.get()


async def test_delete_if_unused_and_if_empty_refuse_with_rabbitmqs_words(
    connection: AbstractConnection, name: Namer
) -> None:
    channel = await connection.channel()
    queue = await channel.declare_queue(name("kept"), exclusive=True)
    await channel.default_exchange.publish(Message(b"x"), queue.name)
    async with connection.channel() as deleter:
        with pytest.raises(ChannelPreconditionFailed) as caught:
            await deleter.queue_delete(queue.name, if_empty=True)
    assert caught.value.args[-1] == f"PRECONDITION_FAILED - queue '{queue.name}' in vhost '/' not empty"
    inbox = Inbox()
    await queue.consume(inbox, no_ack=True)
    await inbox.take_one()
    async with connection.channel() as deleter:
        with pytest.raises(ChannelPreconditionFailed) as caught:
            await deleter.queue_delete(queue.name, if_unused=True)
    assert caught.value.args[-1] == f"PRECONDITION_FAILED - queue '{queue.name}' in vhost '/' in use"
    result = await channel.queue_delete(queue.name)
    assert result.message_count == 0


async def test_deleting_what_is_missing_succeeds(channel: AbstractChannel, name: Namer) -> None:
    assert (await channel.queue_delete(name("missing"))).message_count == 0
    await channel.exchange_delete(name("missing"))


async def test_an_unbound_queue_gets_nothing_more(channel: AbstractChannel, name: Namer) -> None:
    exchange = await channel.declare_exchange(name("exchange"))
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(exchange, "a")
    await queue.bind(exchange, "b")
    await queue.unbind(exchange, "a")
    await exchange.publish(Message(b"to a"), "a", mandatory=False)
    await exchange.publish(Message(b"to b"), "b")
    assert (await queue.get(no_ack=True)).body == b"to b"
    assert await queue.get(fail=False) is None
    await exchange.delete()


async def test_binding_to_what_is_missing_is_not_found(connection: AbstractConnection, name: Namer) -> None:
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    with pytest.raises(ChannelNotFoundEntity) as caught:
        await queue.bind(name("missing"), "key")
    assert caught.value.args[-1] == f"NOT_FOUND - no exchange '{name('missing')}' in vhost '/'"


async def test_a_thousand_queues_are_declared_concurrently(connection: AbstractConnection) -> None:
    channels = [await connection.channel() for _ in range(10)]

    async def declare(channel: AbstractChannel) -> set[str]:
        return {(await channel.declare_queue(exclusive=True)).name for _ in range(100)}

    names = await asyncio.gather(*map(declare, channels))
    assert len(set.union(*names)) == 1000
