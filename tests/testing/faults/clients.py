"""Clients that speak frames to a broker of the test kit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from pamqp.commands import Basic, Channel, Confirm, Queue

from amqpy_broker.testing import Broker
from tests.server.loops import SocketClient, connected
from tests.wire import CAPABILITIES, PROTOCOL_HEADER, handshake, method, publish
from tests.wire import Connection as ConnectionMethods

__all__ = ["connected", "declared", "named", "publish_all", "refused_numbers"]


@asynccontextmanager
async def named(broker: Broker, name: str, **options: Any) -> AsyncIterator[SocketClient]:
    """Connect a client that gives its connection a name."""
    async with await anyio.connect_tcp("127.0.0.1", broker.port) as stream:
        client = SocketClient(stream)
        start_ok = method(
            0,
            ConnectionMethods.StartOk,
            client_properties={"capabilities": dict(CAPABILITIES), "connection_name": name},
            mechanism="PLAIN",
            response="\0guest\0guest",
            locale="en_US",
        )
        tune_and_open = handshake(**options)[2:]
        await client.send(b"".join((PROTOCOL_HEADER, start_ok, *tune_and_open)))
        for said in ("Connection.Start", "Connection.Tune", "Connection.OpenOk"):
            assert (await client.hear()).name == said
        assert (await client.call(Channel.Open)).name == "Channel.OpenOk"
        yield client


async def declared(client: SocketClient, *names: str, confirms: bool = False) -> None:
    """Declare queues, and select confirms on channel 1."""
    for name in names:
        assert (await client.call(Queue.Declare, queue=name)).name == "Queue.DeclareOk"
    if confirms:
        assert (await client.call(Confirm.Select)).name == "Confirm.SelectOk"


async def publish_all(client: SocketClient, queue: str, *bodies: bytes) -> None:
    """Publish messages, all in one piece."""
    await client.send(b"".join(publish(1, "", queue, body) for body in bodies))


async def refused_numbers(client: SocketClient, last: int) -> list[int]:
    """Hear confirms until all up to a number have come; return those that were refused.

    Each must be told of exactly once.
    """
    told: dict[int, bool] = {}
    while len(told) < last:
        said = await client.hear()
        assert said.name in ("Basic.Ack", "Basic.Nack"), said
        tag = said["delivery_tag"]
        first = min((number for number in range(1, tag + 1) if number not in told), default=tag)
        for number in range(first, tag + 1) if said["multiple"] else [tag]:
            assert number not in told or said["multiple"], number
            told.setdefault(number, said.name == "Basic.Ack")
    return [number for number, is_acked in sorted(told.items()) if not is_acked]


async def bodies_in(client: SocketClient, queue: str) -> list[bytes]:
    """Get everything that is in a queue."""
    bodies = []
    while (said := await client.call(Basic.Get, queue=queue, no_ack=True)).name == "Basic.GetOk":
        bodies.append(said.body)
    return bodies
