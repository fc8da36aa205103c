"""Frames that are damaged."""

from __future__ import annotations

import aio_pika
import pytest
from pamqp.commands import Basic, Queue

from amqpy_broker.testing import Broker
from amqpy_broker.testing.errors import Misuse
from tests.server.loops import on_each_loop
from tests.testing.faults.clients import bodies_in, connected, declared, publish_all
from tests.wire import method


@on_each_loop
async def test_the_broker_complains_of_a_frame_that_ends_badly() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        with broker.faults.corrupt_frames(method="queue.declare"):
            said = await client.call(Queue.Declare, queue="q")
        assert (said.name, said["reply_code"]) == ("Connection.Close", 501)
        assert "invalid_frame_end_marker" in said["reply_text"]


@on_each_loop
async def test_flipped_bits_repeat_with_their_seed() -> None:
    bodies = []
    for seed in (3, 3, 4):
        async with Broker() as broker, connected(broker.port) as client:
            await declared(client, "q")
            with broker.faults.corrupt_frames(damage="bits", bits=2, method="body", seed=seed):
                await publish_all(client, "q", b"abcdefgh")
                bodies += await bodies_in(client, "q")
    assert bodies[0] == bodies[1] != bodies[2]
    flipped = int.from_bytes(bodies[0], "big") ^ int.from_bytes(b"abcdefgh", "big")
    assert flipped.bit_count() == 2


async def test_aio_pika_loses_its_connection_over_a_bad_frame_and_recovers() -> None:
    async with (
        Broker() as broker,
        await aio_pika.connect_robust(broker.url, reconnect_interval=0.01) as connection,
    ):
        channel = await connection.channel()
        queue = await channel.declare_queue("q")
        with (
            broker.faults.corrupt_frames(method="queue.declare", sent_by="client"),
            pytest.raises(aio_pika.exceptions.AMQPError),
        ):
            await queue.declare()
        await channel.ready()
        await queue.declare()


@on_each_loop
async def test_once_is_enough_unless_it_is_told_how_often() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        fault = broker.faults.corrupt_frames(damage="bits", method="body")
        await publish_all(client, "q", b"aaaa", b"aaaa")
        await client.send(method(1, Basic.Qos, prefetch_count=1))
        await client.hear()
        assert (fault.fired, fault.is_over) == (1, True)


def test_frames_are_damaged_at_the_end_or_in_bits() -> None:
    with pytest.raises(Misuse, match="frame-end"):
        Broker().faults.corrupt_frames(damage="middle")  # type: ignore[arg-type]
