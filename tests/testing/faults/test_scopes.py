"""How long faults last, how they are chosen, what they say of themselves, and of what they complain."""

from __future__ import annotations

import logging

import pytest
from pamqp.commands import Basic, Queue

from amqpy_broker.testing import Broker
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.faults.errors import FaultNeverFired, UnusedFaultWarning
from amqpy_broker.testing.faults.seen import Seen
from tests.server.loops import on_each_loop
from tests.testing.faults.clients import bodies_in, connected, declared, named, publish_all
from tests.wire import method, publish


@on_each_loop
async def test_a_fault_that_never_fired_in_its_scope_is_complained_of_with_what_passed() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        with (  # noqa: PT012 - it is the end of the scope that raises
            pytest.raises(FaultNeverFired, match=r"queue='other'.*these frames passed: .*basic.publish \(2\)"),
            broker.faults.swallow("basic.publish", queue="other"),
        ):
            await declared(client, "q")
            await publish_all(client, "q", b"1", b"2")
            await broker.settled()


@on_each_loop
async def test_a_fault_that_need_not_fire_is_not_complained_of() -> None:
    async with Broker() as broker:
        with broker.faults.swallow("basic.publish", may_not_fire=True) as fault:
            pass
        assert (fault.fired, fault.is_over) == (0, True)


@on_each_loop
async def test_what_went_wrong_in_the_scope_is_what_is_seen() -> None:
    async with Broker() as broker:
        with pytest.raises(ValueError, match="the test's own"), broker.faults.swallow("basic.publish"):
            raise ValueError("the test's own")


@on_each_loop
async def test_a_fault_without_a_scope_that_never_fired_is_warned_of_when_the_broker_stops() -> None:
    with pytest.warns(UnusedFaultWarning, match="times=2.*never fired"):
        async with Broker() as broker:
            broker.faults.swallow("basic.publish", times=2)


@on_each_loop
async def test_nothing_is_warned_of_when_the_test_failed() -> None:
    with pytest.raises(ValueError, match="the test's own"):  # noqa: PT012 - what else the broker says is the question
        async with Broker() as broker:
            broker.faults.swallow("basic.publish", times=2)
            raise ValueError("the test's own")


@on_each_loop
async def test_faults_that_were_cleared_are_not_complained_of() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        broker.faults.swallow("queue.*", times=2)
        broker.faults.memory_alarm()
        broker.faults.clear()
        assert list(broker.faults.in_force) == []
        assert not broker.core.alarms.raised
        await declared(client, "q")


@on_each_loop
async def test_a_fault_that_has_happened_often_enough_leaves_the_connection_alone() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        (connection,) = broker.inside().connections
        broker.faults.swallow("basic.qos", times=1)
        assert len(connection.link.filters) == 1
        await client.send(method(1, Basic.Qos, prefetch_count=1))
        await declared(client, "q")
        assert len(connection.link.filters) == 0


@on_each_loop
async def test_the_first_fault_decides_and_the_next_has_its_turn_later() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        first = broker.faults.swallow("queue.declare", times=1)
        second = broker.faults.close_channel(406, method="queue.declare", times=1)
        await client.send(method(1, Queue.Declare, queue="q"))
        assert (await client.call(Queue.Declare, queue="q")).name == "Channel.Close"
        assert (first.fired, second.fired) == (1, 1)


@on_each_loop
async def test_frames_are_chosen_by_all_that_is_told() -> None:
    async with Broker() as broker, named(broker, "web") as web, named(broker, "worker") as worker:
        await declared(web, "q", "r")
        with broker.faults.swallow(
            "basic.publish", connection="w?b", channel=1, exchange="", routing_key="[q]", sent_by="client"
        ) as fault:
            await publish_all(web, "q", b"no")
            await publish_all(web, "r", b"yes")
            await publish_all(worker, "q", b"yes")
            await broker.settled()
            assert fault.fired == 1
        assert await bodies_in(web, "q") == [b"yes"]
        assert await bodies_in(web, "r") == [b"yes"]


@on_each_loop
async def test_acknowledgements_are_chosen_by_the_queue_that_they_are_about() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q", "r")
        await publish_all(client, "q", b"1")
        await publish_all(client, "r", b"1")
        assert (await client.call(Basic.Get, queue="q"))["delivery_tag"] == 1
        assert (await client.call(Basic.Get, queue="r"))["delivery_tag"] == 2
        with broker.faults.swallow("basic.ack", queue="r"):
            await client.send(method(1, Basic.Ack, delivery_tag=1) + method(1, Basic.Ack, delivery_tag=2))
            await broker.settled(unacked_ok=True)
        queues = broker.core.vhosts["/"].queues
        assert (queues["q"].unacked_count, queues["r"].unacked_count) == (0, 1)


@on_each_loop
async def test_deliveries_are_chosen_by_queue_for_consumers_of_before_and_of_later() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await declared(client, "q", "r")
        await client.call(Basic.Consume, queue="q", consumer_tag="before")
        with broker.faults.swallow("basic.deliver", queue="q", times=2) as fault:
            await client.call(Basic.Consume, queue="r", consumer_tag="later")
            await publish_all(client, "q", b"1", b"2")
            await publish_all(client, "r", b"3")
            assert (await client.hear()).body == b"3"
        assert fault.fired == 2


@on_each_loop
async def test_a_predicate_sees_the_arguments() -> None:
    seen: list[Seen] = []

    def is_durable(frame: Seen) -> bool:
        seen.append(frame)
        return bool(frame.arguments["durable"])

    async with Broker() as broker, connected(broker.port) as client:
        with broker.faults.swallow("queue.declare", predicate=is_durable):
            await client.send(method(1, Queue.Declare, queue="lost", durable=True))
            await declared(client, "q")
        assert set(broker.core.vhosts["/"].queues) == {"q"}
        assert str(seen[0]).startswith("queue.declare of the client on channel 1 of 127.0.0.1:")


@on_each_loop
async def test_a_predicate_that_fails_ends_its_fault_and_the_test_hears_of_it() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        with (
            pytest.raises(Misuse, match="predicate failed: ZeroDivisionError") as raised,
            broker.faults.swallow("queue.declare", predicate=lambda _: bool(1 / 0)),
        ):
            await declared(client, "q")
        assert isinstance(raised.value.__cause__, ZeroDivisionError)


@on_each_loop
async def test_what_is_random_repeats_with_its_seed_which_the_fault_tells(caplog: pytest.LogCaptureFixture) -> None:
    survivors = []
    with caplog.at_level(logging.WARNING, "amqpy_broker.testing.faults"):
        for seed in (5, 5, 6):
            async with Broker() as broker, connected(broker.port) as client:
                await declared(client, "q")
                with broker.faults.swallow("basic.publish", probability=0.5, seed=seed) as fault:
                    await publish_all(client, "q", *(b"%d" % number for number in range(40)))
                    survivors.append(await bodies_in(client, "q"))
                assert f"seed={seed}" in repr(fault)
    assert survivors[0] == survivors[1] != survivors[2]
    assert 0 < len(survivors[0]) < 40
    assert "probability=0.5, seed=5" in caplog.text


@on_each_loop
async def test_seeds_that_are_not_told_come_from_the_brokers() -> None:
    seeds = []
    for _ in range(2):
        async with Broker(seed=1) as broker:
            with broker.faults.swallow("basic.publish", probability=0.5, may_not_fire=True) as first:
                seeds.append(first.seed)
    async with Broker() as broker, connected(broker.port):
        with broker.faults.swallow("basic.publish", probability=0.5, may_not_fire=True) as other:
            seeds.append(other.seed)
    assert seeds[0] == seeds[1] != seeds[2]


@on_each_loop
async def test_misuse_is_told_at_once() -> None:
    async with Broker() as broker:
        faults = broker.faults
        with pytest.raises(Misuse, match=r"no method 'publish'.*basic\.publish"):
            faults.swallow("publish")
        with pytest.raises(Misuse, match="probability"):
            faults.swallow("basic.publish", probability=0)
        with pytest.raises(Misuse, match="'client' or 'broker'"):
            faults.swallow("basic.publish", sent_by="server")  # type: ignore[arg-type]
        with pytest.raises(Misuse, match="times=0"):
            faults.swallow("basic.publish", times=0)
        with pytest.raises(TypeError, match="they take channel, connection"):
            faults.swallow("basic.publish", que="q")  # type: ignore[call-arg]
        with pytest.raises(Misuse, match="half-open"):
            faults.drop_connection(how="softly")  # type: ignore[arg-type]
        assert list(faults.in_force) == []


@on_each_loop
async def test_a_fault_has_one_scope() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        with broker.faults.swallow("basic.publish") as fault:
            with pytest.raises(Misuse, match="scope already"), fault:
                pass
            await client.send(publish(1, "", "q", b"1"))
            await declared(client, "q")


def test_a_fault_says_what_it_is() -> None:
    fault = Broker().faults.close_channel(406, "no", method="basic.*", connection="web", times=3)
    assert repr(fault) == (
        "<fault close_channel(406, 'no', connection='web', method='basic.*', times=3): fired 0 times>"
    )


@on_each_loop
async def test_faults_can_be_finished_between_two_tests_on_one_broker() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        broker.faults.swallow("basic.publish", times=1)
        broker.faults.delay("queue.declare")
        await client.send(method(1, Queue.Declare, queue="q"))
        await broker.settled()
        with pytest.warns(UnusedFaultWarning, match="swallow") as warned:
            broker.faults.finish()
        assert len(warned) == 1
        assert (await client.hear()).name == "Queue.DeclareOk"
        assert list(broker.faults.in_force) == []
