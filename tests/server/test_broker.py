"""The broker as an object: it starts, serves, and stops without leaving anything behind."""

import socket
from pathlib import Path

import anyio
import pytest
from pamqp.commands import Basic, Connection, Queue

from amqpy_broker import Broker
from tests.server.loops import SocketClient, connected, on_each_loop, until
from tests.wire import PROTOCOL_HEADER, method, publish, refusal

SHUTDOWN = (
    "connection",
    320,
    "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
    0,
    0,
)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


# --- start and stop ---------------------------------------------------------------------------------------------------


@on_each_loop
async def test_a_broker_serves_while_it_is_entered() -> None:
    async with Broker() as broker:
        assert broker.url == f"amqp://guest:guest@127.0.0.1:{broker.port}/"
        async with connected(broker.port) as client:
            await client.call(Queue.Declare, queue="q")
            await client.send(publish(1, "", "q", b"hello"))
            assert (await client.call(Basic.Get, queue="q")).body == b"hello"
            assert broker.connection_count == 1
        await until(lambda: broker.connection_count == 0)

    assert is_free(broker.port)


@on_each_loop
async def test_port_0_is_any_free_port() -> None:
    async with Broker() as one, Broker() as two:
        assert 0 != one.port != two.port != 0


@on_each_loop
async def test_a_port_is_free_again_after_the_stop() -> None:
    async with Broker() as first, connected(first.port):
        pass

    async with Broker(port=first.port) as second, connected(second.port):
        assert second.port == first.port


@on_each_loop
async def test_a_broker_starts_once() -> None:
    broker = Broker()
    await broker.start()
    with pytest.raises(RuntimeError, match="started before"):
        await broker.start()
    await broker.stop()

    with pytest.raises(RuntimeError, match="started before"):
        await broker.start()


@on_each_loop
async def test_a_broker_may_be_stopped_twice_and_before_it_started() -> None:
    broker = Broker()
    await broker.stop()
    await broker.start()

    await broker.stop()
    await broker.stop()


@on_each_loop
async def test_a_port_in_use_is_an_os_error_and_leaves_nothing() -> None:
    async with Broker() as broker:
        other = Broker(port=broker.port)
        with pytest.raises(OSError, match=r".+"):
            await other.start()
        await other.stop()

        async with connected(broker.port):
            pass


@on_each_loop
async def test_a_unix_socket_that_cannot_be_had_frees_the_port_too(tmp_path: Path) -> None:
    broker = Broker(unix_path=str(tmp_path / "missing" / "socket"))

    with pytest.raises(OSError, match=r".+"):
        await broker.start()

    assert is_free(broker.port)


@on_each_loop
async def test_a_start_that_is_cancelled_leaves_nothing() -> None:
    broker = Broker()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await broker.start()
    await broker.stop()

    assert is_free(broker.port)


@on_each_loop
async def test_an_entering_that_is_cancelled_leaves_nothing() -> None:
    broker = Broker()

    with anyio.CancelScope() as scope:
        scope.cancel()
        async with broker:
            pass

    await anyio.lowlevel.checkpoint()
    assert is_free(broker.port)


@on_each_loop
async def test_a_broker_may_be_started_in_one_task_and_stopped_in_another() -> None:
    broker = Broker()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broker.start)
    async with connected(broker.port):
        pass
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broker.stop)

    assert is_free(broker.port)


@on_each_loop
async def test_a_broker_that_is_never_stopped_ends_with_its_loop() -> None:
    broker = Broker()
    await broker.start()
    async with connected(broker.port):
        pass


@pytest.mark.parametrize("profile", ["3.9", "", "5"])
def test_an_unknown_profile_is_a_value_error(profile: str) -> None:
    with pytest.raises(ValueError, match=r"there are 3\.10, 4\.0"):
        Broker(profile=profile)


@on_each_loop
async def test_a_broker_stands_in_for_the_version_that_is_asked_for() -> None:
    async with Broker(profile="3.10") as broker, await anyio.connect_tcp("127.0.0.1", broker.port) as stream:
        client = SocketClient(stream)
        await client.send(PROTOCOL_HEADER)

        assert (await client.hear())["server_properties"]["version"] == "3.10.8"


# --- shutdown ---------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_clients_are_told_that_the_broker_stops() -> None:
    broker = Broker()
    await broker.start()
    async with connected(broker.port) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(broker.stop)

        assert refusal(await client.hear()) == SHUTDOWN
        await client.send(method(0, Connection.CloseOk))
        assert await client.ended()


@on_each_loop
async def test_a_client_that_does_not_answer_delays_the_stop_by_seconds_only() -> None:
    broker = Broker()
    await broker.start()
    async with connected(broker.port):
        with anyio.fail_after(6):
            await broker.stop()


@on_each_loop
async def test_a_client_that_has_not_said_anything_does_not_delay_the_stop() -> None:
    broker = Broker()
    await broker.start()
    async with await anyio.connect_tcp("127.0.0.1", broker.port) as stream:
        await until(lambda: broker.connection_count == 1)
        with anyio.fail_after(1):
            await broker.stop()

        assert await SocketClient(stream).ended()


@on_each_loop
async def test_a_publisher_that_is_held_back_is_heard_when_the_broker_stops() -> None:
    broker = Broker(memory_watermark_bytes=100_000)
    await broker.start()
    async with connected(broker.port) as client, anyio.create_task_group() as tasks:
        await client.call(Queue.Declare, queue="q")
        await client.send(publish(1, "", "q", b"x" * 200_000))
        await until(lambda: broker.core.alarms.raised)
        await client.send(publish(1, "", "q"))
        assert (await client.hear()).name == "Connection.Blocked"

        with anyio.fail_after(2):
            tasks.start_soon(broker.stop)
            assert refusal(await client.hear()) == SHUTDOWN
            await client.send(method(0, Connection.CloseOk))
            assert await client.ended()


@on_each_loop
async def test_nobody_can_connect_after_the_stop() -> None:
    async with Broker() as broker:
        pass

    with pytest.raises(OSError, match=r".+"):
        await anyio.connect_tcp("127.0.0.1", broker.port)


# --- Unix sockets -----------------------------------------------------------------------------------------------------


@on_each_loop
async def test_a_unix_socket_serves_as_well_and_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "amqp.sock"
    async with Broker(unix_path=str(path)), await anyio.connect_unix(path) as stream:
        client = await SocketClient(stream).open()
        assert (await client.call(Queue.Declare, queue="q"))["queue"] == "q"

    assert not path.exists()


# --- clients ----------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_two_hundred_clients_at_once() -> None:
    async with Broker() as broker:
        async with connected(broker.port) as first:
            await first.call(Queue.Declare, queue="q")
            ready, done = anyio.Event(), anyio.Event()
            count = 0

            async def one() -> None:
                nonlocal count
                async with connected(broker.port) as client:
                    await client.send(publish(1, "", "q", b"m"))
                    assert (await client.call(Queue.Declare, queue="q", passive=True))["message_count"] > 0
                    count += 1
                    if count == 200:
                        ready.set()
                    await done.wait()

            async with anyio.create_task_group() as tasks:
                for _ in range(200):
                    tasks.start_soon(one)
                await ready.wait()
                assert broker.connection_count == 201
                done.set()

            assert (await first.call(Queue.Purge, queue="q"))["message_count"] == 200
        await until(lambda: broker.connection_count == 0)


@on_each_loop
async def test_what_a_lost_client_had_returns_to_its_queue() -> None:
    async with Broker() as broker, connected(broker.port) as other:
        async with connected(broker.port) as lost:
            await lost.call(Queue.Declare, queue="q")
            await lost.send(publish(1, "", "q", b"precious"))
            assert (await lost.call(Basic.Get, queue="q")).body == b"precious"
        await until(lambda: broker.connection_count == 1)

        got = await other.call(Basic.Get, queue="q")

        assert (got.body, got["redelivered"]) == (b"precious", True)


@on_each_loop
async def test_a_client_that_closes_is_gone_when_it_closes_the_socket() -> None:
    async with Broker() as broker:
        async with connected(broker.port) as client:
            assert (await client.call(Connection.Close, channel=0)).name == "Connection.CloseOk"
        await until(lambda: broker.connection_count == 0)


@on_each_loop
async def test_another_protocol_is_answered_and_closed() -> None:
    async with Broker() as broker, await anyio.connect_tcp("127.0.0.1", broker.port) as stream:
        await stream.send(b"GET / HTTP/1.1\r\n\r\n")

        assert await stream.receive() == b"AMQP\x03\x01\x00\x00"
        assert await SocketClient(stream).ended()


@on_each_loop
async def test_a_large_message_passes() -> None:
    body = bytes(range(256)) * 16_384
    async with Broker() as broker, connected(broker.port) as client:
        await client.call(Queue.Declare, queue="q")
        await client.send(publish(1, "", "q", body))

        assert (await client.call(Basic.Get, queue="q")).body == body
