"""Alarms: publishers are told, and not read from, until the alarm is over."""

from __future__ import annotations

import asyncio

import aio_pika
import pytest
from pamqp.commands import Queue

from amqpy_broker.testing import Broker
from amqpy_broker.testing.faults.errors import FaultNeverFired
from tests.server.loops import on_each_loop
from tests.testing.faults.clients import connected, declared, publish_all


@on_each_loop
async def test_a_publisher_is_told_what_is_low_and_when_it_is_no_longer() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        for alarm, reason in (
            (broker.faults.memory_alarm, "low on memory"),
            (broker.faults.disk_alarm, "low on disk"),
        ):
            with alarm() as fault:
                await publish_all(client, "q", b"1")
                said = await client.hear()
                assert (said.name, said["reason"]) == ("Connection.Blocked", reason)
                assert fault.fired == 1
            assert (await client.hear()).name == "Connection.Unblocked"


@on_each_loop
async def test_publishers_wait_for_the_last_alarm_to_end() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        memory = broker.faults.memory_alarm()
        with broker.faults.disk_alarm():
            await publish_all(client, "q", b"1")
            assert (await client.hear())["reason"] == "low on disk & memory"
        await publish_all(client, "q", b"2")
        await broker.settled()
        assert broker.core.vhosts["/"].queues["q"].ready_count == 1
        memory.stop()
        assert (await client.hear()).name == "Connection.Unblocked"
        await broker.settled()
        assert broker.core.vhosts["/"].queues["q"].ready_count == 2


@on_each_loop
async def test_who_does_not_publish_goes_on() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        with broker.faults.memory_alarm(may_not_fire=True):
            assert (await client.call(Queue.Declare, queue="q")).name == "Queue.DeclareOk"


@on_each_loop
async def test_an_alarm_during_which_nobody_published_never_fired() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        with pytest.raises(FaultNeverFired, match="memory_alarm"), broker.faults.memory_alarm():
            await declared(client, "q")
        assert not broker.core.alarms.raised


async def test_a_confirm_comes_when_the_alarm_is_over() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("q")
        with broker.faults.memory_alarm():
            first = asyncio.create_task(channel.default_exchange.publish(aio_pika.Message(b"1"), "q"))
            await broker.settled()
            second = asyncio.create_task(channel.default_exchange.publish(aio_pika.Message(b"2"), "q"))
            await broker.settled()
            assert not second.done()
        await asyncio.gather(first, second)
