"""connect_robust lives through a restart of the broker, whether it was asked to stop or taken away."""

import asyncio
from collections.abc import Callable

import pytest

pytest.importorskip("aio_pika")

import aio_pika
from aio_pika import ExchangeType, Message, connect_robust
from aio_pika.abc import AbstractExchange, AbstractRobustConnection
from aio_pika.patterns import RPC

from interop.clients.python.support.broker_process import BrokerProcess
from interop.clients.python.support.inbox import Inbox
from interop.clients.python.support.robust import Recovery

_STOPS = [
    pytest.param(BrokerProcess.terminate, id="SIGTERM"),
    pytest.param(BrokerProcess.kill, id="SIGKILL"),
]


@pytest.mark.parametrize("stop", _STOPS)
async def test_publisher_and_consumer_recover_with_their_topology(
    restartable_broker: BrokerProcess, stop: Callable[[BrokerProcess], int]
) -> None:
    async with await _connect(restartable_broker) as consuming, await _connect(restartable_broker) as publishing:
        inbox = Inbox()
        await _subscribe(consuming, inbox)
        # A producer declares the exchange too: who reconnects first is left to chance.
        publisher = await publishing.channel()
        exchange = await publisher.declare_exchange("events", ExchangeType.TOPIC)
        await _publish(exchange, b"before")
        await (await inbox.take_one()).ack()
        for life in range(2):
            async with Recovery(consuming, publishing):
                await asyncio.to_thread(stop, restartable_broker)
                await asyncio.to_thread(restartable_broker.start)
            await _publish(exchange, f"life {life}".encode())
            message = await inbox.take_one()
            assert (message.body, message.redelivered) == (f"life {life}".encode(), False)
            await message.ack()


@pytest.mark.parametrize("stop", _STOPS)
async def test_rpc_answers_again_after_a_restart(
    restartable_broker: BrokerProcess, stop: Callable[[BrokerProcess], int]
) -> None:
    async def double(*, x: int) -> int:
        return 2 * x

    async with await _connect(restartable_broker) as connection:
        rpc = await RPC.create(await connection.channel())
        await rpc.register("double", double)
        assert await rpc.call("double", {"x": 4}) == 8
        async with Recovery(connection):
            await asyncio.to_thread(stop, restartable_broker)
            await asyncio.to_thread(restartable_broker.start)
        # The robust channel declares and consumes the server-named reply queue again under its old name.
        assert await asyncio.wait_for(rpc.call("double", {"x": 21}), 20) == 42


async def test_sigterm_tells_the_clients_why_and_exits_with_success(restartable_broker: BrokerProcess) -> None:
    closed: asyncio.Queue[BaseException | None] = asyncio.Queue()
    connection = await aio_pika.connect(restartable_broker.url)
    connection.close_callbacks.add(lambda _connection, error: closed.put_nowait(error))
    await connection.channel()
    assert await asyncio.to_thread(restartable_broker.terminate) == 0
    error = await asyncio.wait_for(closed.get(), 10)
    assert error is not None
    assert error.args == (
        320,
        "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
    )


async def test_a_restarted_broker_takes_new_clients_at_once(restartable_broker: BrokerProcess) -> None:
    for _ in range(3):
        async with await aio_pika.connect(restartable_broker.url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(exclusive=True)
            await channel.default_exchange.publish(Message(b"x"), queue.name)
            assert (await queue.get(no_ack=True)).body == b"x"
        await asyncio.to_thread(restartable_broker.kill)
        await asyncio.to_thread(restartable_broker.start)


async def _connect(broker: BrokerProcess) -> AbstractRobustConnection:
    return await connect_robust(broker.url, reconnect_interval=0.1)


async def _subscribe(connection: AbstractRobustConnection, inbox: Inbox) -> None:
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=10)
    exchange = await channel.declare_exchange("events", ExchangeType.TOPIC)
    audit = await channel.declare_exchange("audit", ExchangeType.FANOUT)
    await audit.bind(exchange, "user.#")
    queue = await channel.declare_queue("audited")
    await queue.bind(audit)
    await queue.consume(inbox)


async def _publish(exchange: AbstractExchange, body: bytes) -> None:
    """Publish what must be routed: events -> audit -> audited."""
    confirm = await exchange.publish(Message(body), "user.created")
    assert confirm is not None
    assert confirm.name == "Basic.Ack"
