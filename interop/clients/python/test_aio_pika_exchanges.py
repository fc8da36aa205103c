"""Exchanges through aio-pika: headers, exchange-to-exchange bindings, alternate exchanges, lifetimes, refusals."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("aio_pika")

import aiormq.exceptions
from aio_pika import ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

Namer = Callable[[str], str]


@pytest.mark.parametrize(
    ("binding", "headers", "is_routed"),
    [
        ({"x-match": "all", "format": "pdf", "pages": 3}, {"format": "pdf", "pages": 3, "other": 1}, True),
        ({"x-match": "all", "format": "pdf", "pages": 3}, {"format": "pdf"}, False),
        ({"x-match": "any", "format": "pdf", "pages": 3}, {"format": "pdf"}, True),
        ({"x-match": "any", "format": "pdf", "pages": 3}, {"format": "txt", "pages": 4}, False),
        ({"format": "pdf", "pages": 3}, {"format": "pdf"}, False),
        ({"x-match": "all", "flag": None}, {"flag": "any value"}, True),
        ({"x-match": "all"}, {}, True),
        ({"x-match": "any"}, {"format": "pdf"}, False),
        ({"x-match": "all", "x-kind": "a"}, {}, True),
        ({"x-match": "all-with-x", "x-kind": "a"}, {}, False),
        ({"x-match": "any-with-x", "x-kind": "a"}, {"x-kind": "a"}, True),
        ({"x-match": "all", "exact": True}, {"exact": False}, False),
    ],
)
async def test_a_headers_exchange_compares_the_tables(
    channel: AbstractChannel, name: Namer, binding: dict[str, object], headers: dict[str, object], is_routed: bool
) -> None:
    exchange = await channel.declare_exchange(name("headers"), ExchangeType.HEADERS, auto_delete=True)
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(exchange, arguments=binding)
    await exchange.publish(Message(b"x", headers=headers), "ignored", mandatory=False)
    assert await _count(channel, queue) == int(is_routed)


async def test_a_bad_x_match_is_refused_with_rabbitmqs_words(channel: AbstractChannel, name: Namer) -> None:
    exchange = await channel.declare_exchange(name("headers"), ExchangeType.HEADERS, auto_delete=True)
    queue = await channel.declare_queue(exclusive=True)
    with pytest.raises(ChannelPreconditionFailed) as caught:
        await queue.bind(exchange, arguments={"x-match": "foo"})
    assert caught.value.args[-1] == (
        'PRECONDITION_FAILED - Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x'
    )


async def test_an_exchange_bound_to_an_exchange_passes_its_messages_on(channel: AbstractChannel, name: Namer) -> None:
    source = await channel.declare_exchange(name("source"), ExchangeType.TOPIC, auto_delete=True)
    destination = await channel.declare_exchange(name("destination"), ExchangeType.FANOUT)
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(destination)
    await destination.bind(source, "orders.#")
    await source.publish(Message(b"routed"), "orders.new")
    await source.publish(Message(b"dropped"), "invoices.new", mandatory=False)
    assert await _count(channel, queue) == 1
    message = await queue.get(no_ack=True)
    assert (message.body, message.exchange, message.routing_key) == (b"routed", source.name, "orders.new")
    await destination.unbind(source, "orders.#")  # the last binding goes, and the auto-delete exchange with it
    with pytest.raises(ChannelNotFoundEntity):
        await channel.declare_exchange(source.name, passive=True)


async def test_a_circle_of_exchanges_delivers_once(channel: AbstractChannel, name: Namer) -> None:
    first = await channel.declare_exchange(name("first"), ExchangeType.FANOUT)
    second = await channel.declare_exchange(name("second"), ExchangeType.FANOUT)
    queue = await channel.declare_queue(exclusive=True)
    await first.bind(second)
    await second.bind(first)
    await queue.bind(first)
    await queue.bind(second)
    await first.publish(Message(b"once"), "")
    assert await _count(channel, queue) == 1
    await first.delete()
    await second.delete()


async def test_an_alternate_exchange_takes_what_matches_nothing(channel: AbstractChannel, name: Namer) -> None:
    unrouted = await channel.declare_exchange(name("unrouted"), ExchangeType.FANOUT)
    arguments = {"alternate-exchange": unrouted.name}
    main = await channel.declare_exchange(name("main"), ExchangeType.DIRECT, arguments=arguments)
    routed_queue, unrouted_queue = [await channel.declare_queue(exclusive=True) for _ in range(2)]
    await routed_queue.bind(main, "known")
    await unrouted_queue.bind(unrouted)
    await main.publish(Message(b"1"), "known")
    await main.publish(Message(b"2"), "unknown")  # mandatory, and not returned: the alternate exchange routed it
    assert (await routed_queue.get(no_ack=True)).body == b"1"
    message = await unrouted_queue.get(no_ack=True)
    assert (message.body, message.exchange, message.routing_key) == (b"2", main.name, "unknown")
    await main.delete()
    await unrouted.delete()


@pytest.mark.parametrize("kind", ["direct", "fanout", "topic", "headers", "match"])
async def test_the_predeclared_exchanges_exist(channel: AbstractChannel, kind: str) -> None:
    exchange = await channel.get_exchange(f"amq.{kind}")
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(exchange, queue.name, arguments={"to": queue.name})
    await exchange.publish(Message(b"x", headers={"to": queue.name}), queue.name)
    assert await _count(channel, queue) == 1


async def test_an_auto_delete_exchange_goes_with_its_last_queue(channel: AbstractChannel, name: Namer) -> None:
    exchange = await channel.declare_exchange(name("temporary"), auto_delete=True)
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(exchange, "key")
    await channel.declare_exchange(exchange.name, passive=True)
    await queue.delete()
    with pytest.raises(ChannelNotFoundEntity) as caught:
        await channel.declare_exchange(exchange.name, passive=True)
    assert caught.value.args[-1] == f"NOT_FOUND - no exchange '{exchange.name}' in vhost '/'"


async def test_an_internal_exchange_takes_no_publishes(channel: AbstractChannel, name: Namer) -> None:
    await channel.declare_exchange(name("internal"), internal=True, durable=True)
    # A handle that does not know: aio-pika itself refuses to publish to an exchange that it declared internal.
    exchange = await channel.get_exchange(name("internal"), ensure=False)
    with pytest.raises(aiormq.exceptions.ChannelAccessRefused) as caught:
        await exchange.publish(Message(b"x"), "key")
    assert caught.value.args[-1] == (
        f"ACCESS_REFUSED - cannot publish to internal exchange '{exchange.name}' in vhost '/'"
    )
    await channel.reopen()
    await channel.exchange_delete(exchange.name)


async def test_publishing_to_a_missing_exchange_closes_the_channel(channel: AbstractChannel, name: Namer) -> None:
    exchange = await channel.get_exchange(name("missing"), ensure=False)
    with pytest.raises(ChannelNotFoundEntity) as caught:
        await exchange.publish(Message(b"x"), "key")
    assert caught.value.args[-1] == f"NOT_FOUND - no exchange '{exchange.name}' in vhost '/'"


@pytest.mark.parametrize(
    ("change", "received", "current"),
    [
        ({"type": ExchangeType.TOPIC}, "topic", "direct"),
        ({"durable": False}, "false", "true"),
        ({"auto_delete": True}, "true", "false"),
        ({"internal": True}, "true", "false"),
    ],
)
async def test_an_exchange_is_not_declared_differently(
    connection: AbstractConnection, name: Namer, change: dict[str, Any], received: str, current: str
) -> None:
    exchange_name = name("declared")
    async with connection.channel() as channel:
        await channel.declare_exchange(exchange_name, durable=True)
    async with connection.channel() as channel:
        with pytest.raises(ChannelPreconditionFailed) as caught:
            await channel.declare_exchange(exchange_name, **{"durable": True, **change})
    assert caught.value.args[-1] == (
        f"PRECONDITION_FAILED - inequivalent arg '{next(iter(change))}' for exchange '{exchange_name}' in vhost '/': "
        f"received '{received}' but current is '{current}'"
    )
    async with connection.channel() as channel:
        await channel.exchange_delete(exchange_name)


async def test_names_with_the_reserved_prefix_are_refused(channel: AbstractChannel) -> None:
    with pytest.raises(aiormq.exceptions.ChannelAccessRefused) as caught:
        await channel.declare_exchange("amq.mine")
    assert caught.value.args[-1] == "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"


async def test_an_exchange_in_use_survives_delete_if_unused(channel: AbstractChannel, name: Namer) -> None:
    exchange = await channel.declare_exchange(name("used"), auto_delete=True)
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(exchange, "key")
    with pytest.raises(ChannelPreconditionFailed) as caught:
        await exchange.delete(if_unused=True)
    assert caught.value.args[-1] == f"PRECONDITION_FAILED - exchange '{exchange.name}' in vhost '/' in use"


async def _count(channel: AbstractChannel, queue: AbstractQueue) -> int:
    count = (await channel.declare_queue(queue.name, passive=True)).declaration_result.message_count
    assert count is not None
    return count
