"""Confirms that go wrong: the client's numbers stay right whatever is refused, lost or late."""

from __future__ import annotations

import asyncio

import aio_pika
import pytest
from aio_pika.exceptions import DeliveryError
from pamqp.commands import Basic, Channel, Confirm, Queue

from amqpy_broker.testing import Broker
from tests.server.loops import on_each_loop, until
from tests.testing.faults.clients import bodies_in, connected, declared, publish_all, refused_numbers
from tests.wire import method, publish


@on_each_loop
async def test_a_refused_publish_reaches_no_queue_and_the_client_is_told_its_number() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q", confirms=True)
        with broker.faults.nack_publishes(predicate=lambda seen: seen.routing_key == "q", times=1):
            await publish_all(client, "q", b"1", b"2", b"3")
            assert await refused_numbers(client, 3) == [1]
        assert await bodies_in(client, "q") == [b"2", b"3"]


@on_each_loop
async def test_numbers_stay_right_after_the_fault_is_over() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q", "other", confirms=True)
        with broker.faults.nack_publishes(queue="other"):
            await client.send(publish(1, "", "q", b"1") + publish(1, "", "other", b"2") + publish(1, "", "q", b"3"))
            assert await refused_numbers(client, 3) == [2]
        await publish_all(client, "q", b"4")
        said = await client.hear()
        assert (said.name, said["delivery_tag"]) == ("Basic.Ack", 4)
        await publish_all(client, "other", b"5", b"6")
        said = await client.hear()
        assert (said["delivery_tag"], said["multiple"]) == (6, True)


@on_each_loop
async def test_publishes_may_be_refused_on_a_channel_that_has_confirmed_before() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q", confirms=True)
        await publish_all(client, "q", b"1", b"2")
        assert (await client.hear())["delivery_tag"] == 2
        with broker.faults.nack_publishes(times=1):
            await publish_all(client, "q", b"3", b"4")
            heard = [await client.hear(), await client.hear()]
        assert [(said.name, said["delivery_tag"]) for said in heard] == [("Basic.Nack", 3), ("Basic.Ack", 4)]


@on_each_loop
async def test_a_new_channel_of_the_same_number_counts_from_one() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q", confirms=True)
        with broker.faults.nack_publishes(times=1):
            await publish_all(client, "q", b"1")
            assert await refused_numbers(client, 1) == [1]
        assert (await client.call(Channel.Close)).name == "Channel.CloseOk"
        assert (await client.call(Channel.Open)).name == "Channel.OpenOk"
        assert (await client.call(Confirm.Select)).name == "Confirm.SelectOk"
        await publish_all(client, "q", b"2")
        assert (await client.hear())["delivery_tag"] == 1


@on_each_loop
async def test_without_confirms_nothing_is_refused() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q")
        with broker.faults.nack_publishes(may_not_fire=True) as fault:
            await publish_all(client, "q", b"1")
            assert await bodies_in(client, "q") == [b"1"]
        assert fault.fired == 0


@on_each_loop
async def test_a_lost_confirm_is_not_made_good_by_a_later_one() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q", "other", confirms=True)
        with broker.faults.lose_confirms(queue="other"):
            await client.send(publish(1, "", "q", b"1") + publish(1, "", "other", b"2"))
            assert (await client.hear())["delivery_tag"] == 1
        await client.send(publish(1, "", "q", b"3") + publish(1, "", "q", b"4"))
        heard = [await client.hear(), await client.hear()]
        assert [(said["delivery_tag"], said["multiple"]) for said in heard] == [(3, False), (4, False)]
        assert await bodies_in(client, "other") == [b"2"]


@on_each_loop
async def test_a_late_confirm_comes_at_its_time_and_others_overtake_it() -> None:
    async with Broker(virtual_time=True) as broker, connected(broker.port) as client:
        await declared(client, "q", confirms=True)
        with broker.faults.delay_confirms(30, times=1):
            await publish_all(client, "q", b"1", b"2")
            assert (await client.hear())["delivery_tag"] == 2
        await broker.advance(seconds=29)
        assert (await client.call(Basic.Qos, prefetch_count=1)).name == "Basic.QosOk"
        await broker.advance(seconds=1)
        said = await client.hear()
        assert (said.name, said["delivery_tag"], said["multiple"]) == ("Basic.Ack", 1, False)


@on_each_loop
async def test_a_confirm_never_comes_amid_a_message_on_its_channel() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q", confirms=True)
        await client.call(Basic.Consume, queue="q", no_ack=True)
        with broker.faults.nack_publishes(predicate=lambda seen: seen.frame.channel == 1, times=3):
            await client.send(publish(1, "", "q", b"x" * 300_000, body_frame_size=100_000) * 6)
            heard = [await client.hear() for _ in range(3 + 3)]
        assert {said.name for said in heard} >= {"Basic.Nack", "Basic.Deliver"}
        assert {len(said.body) for said in heard if said.name == "Basic.Deliver"} == {300_000}


@on_each_loop
async def test_a_swallowed_publish_is_never_confirmed() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q", confirms=True)
        with broker.faults.swallow("basic.publish", times=1):
            await publish_all(client, "q", b"1", b"2")
            said = await client.hear()
        assert (said["delivery_tag"], said["multiple"]) == (2, False)
        assert await bodies_in(client, "q") == [b"2"]


async def test_aio_pika_raises_a_delivery_error_for_what_is_refused() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("orders")
        with broker.faults.nack_publishes(queue="orders", times=1), pytest.raises(DeliveryError):
            await channel.default_exchange.publish(aio_pika.Message(b"1"), "orders")
        await channel.default_exchange.publish(aio_pika.Message(b"2"), "orders")


async def test_aio_pika_waits_in_vain_for_a_confirm_that_is_lost() -> None:
    async with Broker() as broker, await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("orders")
        with broker.faults.lose_confirms(times=1) as fault:
            publishing = asyncio.create_task(channel.default_exchange.publish(aio_pika.Message(b"1"), "orders"))
            await until(lambda: fault.fired == 1)
        await channel.default_exchange.publish(aio_pika.Message(b"2"), "orders")
        assert not publishing.done()
        publishing.cancel()


@on_each_loop
async def test_a_nack_of_the_broker_itself_is_told_in_the_clients_numbers() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await client.send(
            method(
                1,
                Queue.Declare,
                queue="full",
                arguments={"x-max-length": 1, "x-overflow": "reject-publish"},
            )
        )
        assert (await client.hear()).name == "Queue.DeclareOk"
        assert (await client.call(Confirm.Select)).name == "Confirm.SelectOk"
        with broker.faults.nack_publishes(times=1):
            await publish_all(client, "full", b"1", b"2", b"3")
            assert await refused_numbers(client, 3) == [1, 3]


@on_each_loop
async def test_numbers_are_right_wherever_a_fault_begins_in_the_middle_of_what_comes() -> None:
    octets = publish(1, "", "q", b"1")
    for cut in range(len(octets)):
        async with Broker() as broker, connected(broker.port) as client:
            await declared(client, "q", confirms=True)
            await client.send(octets[:cut])
            await broker.settled()
            with broker.faults.nack_publishes(predicate=lambda seen: seen.routing_key == "nowhere"):
                await client.send(octets[cut:] + publish(1, "", "nowhere", b"2") + octets)
                assert await refused_numbers(client, 3) == [2], cut
