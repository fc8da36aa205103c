"""aio-pika's own patterns: RPC and Master/Worker, which live on headers exchanges, reply queues and returns."""

import asyncio
from collections.abc import Callable

import pytest

pytest.importorskip("aio_pika")

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import MessageProcessError
from aio_pika.patterns import RPC, JsonRPC, Master, RejectMessage

Namer = Callable[[str], str]


async def test_rpc_calls_a_function_of_another_connection(
    broker_url: str, connection: AbstractConnection, name: Namer
) -> None:
    import aio_pika

    async def multiply(*, x: int, y: int) -> int:
        return x * y

    async with await aio_pika.connect(broker_url) as server_connection:
        server = await RPC.create(await server_connection.channel())
        await server.register(name("multiply"), multiply, auto_delete=True)
        client = await RPC.create(await connection.channel())
        calls = [client.call(name("multiply"), {"x": x, "y": x + 1}) for x in range(100)]
        assert await asyncio.gather(*calls) == [x * (x + 1) for x in range(100)]
        await client.close()
        await server.close()


async def test_rpc_passes_exceptions_to_the_caller(connection: AbstractConnection, name: Namer) -> None:
    async def fail() -> None:
        raise LookupError("nothing here")

    rpc = await RPC.create(await connection.channel())
    await rpc.register(name("fail"), fail, auto_delete=True)
    with pytest.raises(LookupError, match="nothing here"):
        await rpc.call(name("fail"))
    await rpc.close()


async def test_rpc_to_a_function_that_nobody_serves_is_returned(connection: AbstractConnection, name: Namer) -> None:
    rpc = await RPC.create(await connection.channel())
    with pytest.raises(MessageProcessError, match="Message has been returned"):
        await asyncio.wait_for(rpc.call(name("nobody")), 10)
    await rpc.close()


async def test_json_rpc_works_over_an_exchange_of_its_own(connection: AbstractConnection, name: Namer) -> None:
    async def greet(*, who: str) -> str:
        return f"cześć {who}"

    rpc = await JsonRPC.create(await connection.channel(), exchange=name("rpc"))
    await rpc.register("greet", greet, auto_delete=True)
    assert await rpc.proxy.greet(who="żółw") == "cześć żółw"
    await rpc.close()


async def test_two_workers_share_the_masters_tasks(connection: AbstractConnection, name: Namer) -> None:
    done: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    workers = []
    for worker_name in ("left", "right"):

        async def work(*, task_id: int, worker_name: str = worker_name) -> None:
            done.put_nowait((worker_name, task_id))

        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        workers.append(await Master(channel).create_worker(name("tasks"), work, auto_delete=True))
    master = Master(await connection.channel())
    for task_id in range(50):
        await master.create_task(name("tasks"), {"task_id": task_id})
    results = [await asyncio.wait_for(done.get(), 10) for _ in range(50)]
    assert sorted(task_id for _, task_id in results) == list(range(50))
    assert {worker_name for worker_name, _ in results} == {"left", "right"}
    for worker in workers:
        await worker.close()


async def test_a_failed_task_is_tried_again_and_a_rejected_one_is_not(
    connection: AbstractConnection, name: Namer
) -> None:
    attempts: asyncio.Queue[str] = asyncio.Queue()
    seen: set[str] = set()

    async def work(*, kind: str) -> None:
        attempts.put_nowait(kind)
        if kind == "rejected":
            raise RejectMessage(requeue=False)
        if kind not in seen:
            seen.add(kind)
            raise LookupError(kind)

    channel = await connection.channel()
    await channel.set_qos(prefetch_count=1)
    master = Master(channel)
    worker = await master.create_worker(name("tasks"), work, auto_delete=True)
    for kind in ("rejected", "failed", "last"):
        await master.create_task(name("tasks"), {"kind": kind})
    tried = [await asyncio.wait_for(attempts.get(), 10) for _ in range(5)]
    assert tried == ["rejected", "failed", "failed", "last", "last"]
    await worker.close()
