"""A broker inside the test: in its event loop, in a thread, without a socket, many at once. Nothing stays behind."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import aio_pika
import anyio
import pika
import pytest

from amqpy_broker.testing import Broker, BrokerThread, Misuse
from tests.server.loops import SocketClient, connected, on_each_loop
from tests.wire import publish

OPEN_FILES = Path("/proc/self/fd")


@on_each_loop
async def test_it_serves_clients_in_the_same_loop() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await client.send(publish(1, "", "nobody", b"hello"))
        assert len(list(broker.inside().connections)) == 1
    assert broker.connection_count == 0


def test_it_serves_blocking_clients_from_a_thread() -> None:
    with BrokerThread() as broker:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = connection.channel()
        channel.queue_declare("q")
        channel.basic_publish("", "q", b"hello")
        broker.settled()
        assert broker.core.vhosts["/"].queues["q"].ready_count == 1
        connection.close()


@on_each_loop
async def test_it_serves_clients_without_a_socket() -> None:
    async with Broker() as broker:
        client = await SocketClient(await broker.connect_in_memory()).open()
        await client.stream.aclose()
        await broker.settled()
        assert broker.connection_count == 0


@on_each_loop
async def test_without_a_socket_the_end_is_seen_too() -> None:
    async with Broker() as broker:
        stream = await broker.connect_in_memory()
        await stream.send(b"GET / HTTP/1.1\r\n\r\n")
        assert (await stream.receive()).startswith(b"AMQP")
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()


@on_each_loop
async def test_in_memory_only_a_running_broker_can_be_connected_to() -> None:
    broker = Broker()
    with pytest.raises(RuntimeError, match="does not run"):
        await broker.connect_in_memory()


@on_each_loop
async def test_hundreds_run_side_by_side() -> None:
    brokers = [Broker() for _ in range(200)]
    for broker in brokers:
        await broker.start()
    assert len({broker.port for broker in brokers}) == len(brokers)
    async with connected(brokers[-1].port):
        pass
    for broker in brokers:
        await broker.stop()


def test_threads_run_side_by_side() -> None:
    brokers = [BrokerThread() for _ in range(50)]
    for broker in brokers:
        broker.start()
    assert len({broker.url for broker in brokers}) == len(brokers)
    for broker in brokers:
        broker.stop()


def test_no_thread_and_no_file_stays_behind() -> None:
    def live_through_a_broker() -> None:
        with BrokerThread() as broker:
            connection = pika.BlockingConnection(pika.URLParameters(broker.url))
            connection.channel().queue_declare("q")
            connection.close()

    live_through_a_broker()
    threads, files = threading.active_count(), len(list(OPEN_FILES.iterdir())) if OPEN_FILES.exists() else 0
    for _ in range(5):
        live_through_a_broker()
    gc.collect()
    assert threading.active_count() == threads
    assert not OPEN_FILES.exists() or len(list(OPEN_FILES.iterdir())) <= files


def test_nothing_warns_of_what_stays_behind() -> None:
    program = """
import gc
import anyio
from amqpy_broker.testing import Broker, BrokerThread

async def main():
    async with Broker() as broker:
        stream = await anyio.connect_tcp("127.0.0.1", broker.port)
        await stream.aclose()

for backend in ("asyncio", "trio"):
    anyio.run(main, backend=backend)
with BrokerThread():
    pass
gc.collect()
"""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_a_thread_that_does_not_run_says_what_to_do() -> None:
    broker = BrokerThread()
    with pytest.raises(Misuse, match="with BrokerThread"):
        _ = broker.url
    broker.stop()


def test_a_thread_runs_once_at_a_time() -> None:
    with BrokerThread() as broker, pytest.raises(Misuse, match="runs already"):
        broker.start()


def test_a_port_in_use_is_told_and_leaves_no_thread() -> None:
    with BrokerThread() as broker:
        threads = threading.active_count()
        with pytest.raises(OSError, match="in use"):
            BrokerThread(port=broker.port).start()
        assert threading.active_count() == threads


def test_what_the_broker_does_in_its_thread_is_seen_from_outside() -> None:
    with BrokerThread() as broker:
        assert broker.run_in_broker(threading.current_thread) is not threading.current_thread()
        with pytest.raises(ZeroDivisionError):
            broker.run_in_broker(lambda: 1 // 0)


async def test_aio_pika_works_in_the_same_loop() -> None:
    async with Broker() as broker:
        connection = await aio_pika.connect(broker.url)
        channel = await connection.channel()
        queue = await channel.declare_queue("q")
        await channel.default_exchange.publish(aio_pika.Message(b"hello"), "q")
        message = await queue.get(timeout=5)
        await message.ack()
        await connection.close()
