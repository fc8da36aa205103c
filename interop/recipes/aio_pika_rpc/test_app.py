import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pytest
from app import Client, NoAnswer, serve

from amqpy_broker.testing import Broker

PRICES = {"egg": 3}


async def price_of(product: str) -> int:
    return PRICES[product]


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    # The app runs in the event loop of the test, and so does its broker. What it does wrong fails the test.
    async with Broker(virtual_time=True, strict="error") as broker:
        yield broker


@pytest.fixture
async def server(broker: Broker) -> AsyncIterator[aio_pika.abc.AbstractRobustConnection]:
    properties = {"connection_name": "server"}
    async with await aio_pika.connect_robust(
        broker.url, client_properties=properties, reconnect_interval=0.01
    ) as connection:
        yield connection


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[Client]:
    properties = {"connection_name": "client"}
    async with await aio_pika.connect_robust(
        broker.url, client_properties=properties, reconnect_interval=0.01
    ) as connection:
        yield await Client.open(connection)


async def test_a_price_is_told(broker: Broker, server: aio_pika.abc.AbstractRobustConnection, client: Client) -> None:
    await serve(server, price_of)
    assert await client.price_of("egg") == 3
    await broker.settled()
    broker.assert_all_acked("prices")


async def test_the_service_dies_amid_a_call_and_the_caller_does_not_notice(
    broker: Broker, server: aio_pika.abc.AbstractRobustConnection, client: Client
) -> None:
    await serve(server, price_of)
    with broker.faults.drop_connection(how="reset", connection="server", method="basic.publish", times=1):
        assert await client.price_of("egg") == 3
    first, second = broker.delivered("prices")
    assert (first.redelivered, second.redelivered) == (False, True)


async def test_the_callers_connection_breaks_and_it_asks_again(
    broker: Broker, server: aio_pika.abc.AbstractRobustConnection, client: Client
) -> None:
    await serve(server, price_of)
    with broker.faults.drop_connection(connection="client", method="basic.deliver", times=1):
        assert await client.price_of("egg") == 3
    assert len(broker.published("", "prices")) == 2


async def test_nobody_answers_in_time(broker: Broker, client: Client) -> None:
    asking = asyncio.create_task(client.price_of("egg"))
    await broker.wait_for_queue("prices", ready=1)
    await broker.advance(seconds=29)
    assert not asking.done()
    await broker.advance(seconds=1)
    with pytest.raises(NoAnswer, match="expired"):
        await asking


async def test_a_service_that_hangs_is_found_out_after_half_an_hour(
    broker: Broker, server: aio_pika.abc.AbstractRobustConnection, client: Client
) -> None:
    async def never(_: str) -> int:
        return await asyncio.Event().wait()

    await serve(server, never)
    asking = asyncio.create_task(client.price_of("egg"))
    await broker.wait_for_queue("prices", unacked=1)
    await broker.advance(minutes=31)
    with pytest.raises(NoAnswer, match="expired"):
        await asking


async def test_what_the_service_fails_on_comes_back(
    server: aio_pika.abc.AbstractRobustConnection, client: Client
) -> None:
    await serve(server, price_of)
    with pytest.raises(NoAnswer, match="rejected"):
        await client.price_of("ham")
