"""Logins that are refused, in the broker's own words."""

from __future__ import annotations

import aio_pika
import anyio
import pytest
from aio_pika.exceptions import ProbableAuthenticationError

from amqpy_broker.testing import Broker
from amqpy_broker.testing.faults.errors import FaultNeverFired
from tests.server.loops import SocketClient, on_each_loop
from tests.testing.faults.clients import connected
from tests.wire import CAPABILITIES, handshake


async def _refused(broker: Broker, **options: object) -> str:
    async with await anyio.connect_tcp("127.0.0.1", broker.port) as stream:
        client = SocketClient(stream)
        for octets in handshake(**options)[:2]:  # type: ignore[arg-type]
            await client.send(octets)
        assert (await client.hear()).name == "Connection.Start"
        said = await client.hear()
        assert (said.name, said["reply_code"]) == ("Connection.Close", 403)
        text = said["reply_text"]
        assert isinstance(text, str)
        return text


@on_each_loop
async def test_a_login_is_refused_with_403_and_then_no_more() -> None:
    async with Broker() as broker:
        with broker.faults.refuse_login(user="guest", times=1):
            text = await _refused(broker)
        assert text == (
            "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."
            " For details see the broker logfile."
        )
        async with connected(broker.port):
            assert broker.connection_count == 1


@on_each_loop
async def test_other_mechanisms_are_refused_by_name() -> None:
    async with Broker() as broker:
        with broker.faults.refuse_login():
            response = "\x05LOGINS\x00\x00\x00\x05guest\x08PASSWORDS\x00\x00\x00\x05guest"
            text = await _refused(broker, mechanism="AMQPLAIN", response=response)
        assert "mechanism AMQPLAIN." in text


@on_each_loop
async def test_clients_that_do_not_understand_it_find_the_socket_closed() -> None:
    async with Broker(virtual_time=True) as broker:
        with broker.faults.refuse_login():
            async with await anyio.connect_tcp("127.0.0.1", broker.port) as stream:
                client = SocketClient(stream)
                without = {name: name != "authentication_failure_close" for name in CAPABILITIES}
                for octets in handshake(capabilities=without)[:2]:
                    await client.send(octets)
                assert (await client.hear()).name == "Connection.Start"
                await broker.settled()
                broker.clock.advance(seconds=5)
                assert await client.ended()


@on_each_loop
async def test_other_users_may_log_in() -> None:
    async with Broker() as broker:
        with pytest.raises(FaultNeverFired), broker.faults.refuse_login(user="bob"):
            async with connected(broker.port):
                pass


async def test_aio_pika_is_refused_and_a_robust_connection_tries_again() -> None:
    async with Broker() as broker:
        with broker.faults.refuse_login(times=1), pytest.raises(ProbableAuthenticationError):
            await aio_pika.connect(broker.url)
        with broker.faults.refuse_login(times=2):
            connection = await aio_pika.connect_robust(broker.url, reconnect_interval=0.01, fail_fast=False)
            async with connection:
                await connection.channel()
