"""Waiting until something is so, without polling."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import anyio.lowlevel
import pika
import pytest
from pamqp.commands import Basic, Queue

from amqpy_broker.testing import Broker, BrokerThread, Misuse, NotSeen
from tests.server.loops import connected, on_each_loop
from tests.wire import publish


async def soon(action: Any) -> None:
    """Do something when who waits is waiting."""
    await anyio.wait_all_tasks_blocked()
    action()


@on_each_loop
async def test_what_is_so_already_is_not_waited_for() -> None:
    async with Broker() as broker:
        broker.declare_queue("q")
        broker.publish("", "q", b"1")
        assert (await broker.wait_for_queue("q", ready=1)).ready == 1
        assert [message.body for message in await broker.wait_for_published("", "q")] == [b"1"]
        assert await broker.wait_for(lambda broker: broker.queue("q").messages)


@on_each_loop
async def test_a_predicate_is_looked_at_after_what_a_client_does() -> None:
    async with Broker() as broker, connected(broker.port) as client, anyio.create_task_group() as tasks:

        async def speak() -> None:
            await client.call(Queue.Declare, queue="q")
            await client.send(publish(1, "", "q", b"1"))
            await client.send(publish(1, "", "q", b"2"))

        tasks.start_soon(speak)
        assert (await broker.wait_for_queue("q", ready=2)).ready == 2
        assert len(await broker.wait_for_published(routing_key="q", count=2)) == 2


@on_each_loop
async def test_a_predicate_gets_the_broker_and_its_answer_is_returned() -> None:
    async with Broker() as broker, anyio.create_task_group() as tasks:
        broker.declare_queue("q")
        tasks.start_soon(soon, lambda: broker.publish("", "q", {"n": 7}))
        (message,) = await broker.wait_for(lambda seen: seen is broker and seen.queue("q").messages)
        assert message.json() == {"n": 7}


@on_each_loop
async def test_what_is_so_for_one_step_only_is_seen() -> None:
    async with Broker() as broker, anyio.create_task_group() as tasks:
        broker.declare_queue("q")

        def there_and_gone() -> None:
            broker.publish("", "q")
            broker.take("q")

        tasks.start_soon(soon, there_and_gone)
        assert (await broker.wait_for_queue("q", ready=1)).ready == 1
        broker.assert_queue_empty("q")


@on_each_loop
async def test_a_predicate_is_looked_at_when_another_part_of_the_kit_does_something() -> None:
    async with Broker() as broker, anyio.create_task_group() as tasks:
        broker.declare_queue("q")
        broker.publish("", "q")
        snapshot = broker.snapshot()
        broker.purge("q")
        tasks.start_soon(soon, lambda: broker.restore(snapshot))
        await broker.wait_for_queue("q", ready=1)


@on_each_loop
async def test_several_wait_at_once_and_let_each_other_rest() -> None:
    looks = 0

    def look(broker: Broker) -> bool:
        nonlocal looks
        looks += 1
        return bool(broker.queue("q").messages)

    async with Broker(virtual_time=True) as broker, anyio.create_task_group() as tasks:
        broker.declare_queue("q")
        for _ in range(3):
            tasks.start_soon(broker.wait_for, look)
        await anyio.wait_all_tasks_blocked()
        before = looks
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert looks == before
        broker.publish("", "q")


@on_each_loop
async def test_a_predicate_is_looked_at_when_virtual_time_is_turned() -> None:
    async with Broker(virtual_time=True) as broker, anyio.create_task_group() as tasks:
        broker.declare_queue("q", arguments={"x-message-ttl": 1000})
        broker.publish("", "q")
        tasks.start_soon(soon, lambda: broker.clock.advance(seconds=2))
        await broker.wait_for(lambda broker: broker.expired("q"))
        await broker.wait_for_queue("q", ready=0)


@on_each_loop
async def test_a_predicate_is_looked_at_when_real_time_brings_something() -> None:
    async with Broker() as broker:
        broker.declare_queue("q", arguments={"x-expires": 20})
        assert await broker.wait_for(lambda broker: not broker.queues())


@on_each_loop
async def test_time_is_waited_for_that_matters_only_since_the_waiting_began() -> None:
    async with Broker() as broker, anyio.create_task_group() as tasks:
        broker.declare_queue("q", arguments={"x-message-ttl": 20})
        tasks.start_soon(soon, lambda: broker.publish("", "q", "mortal"))
        (record,) = await broker.wait_for(lambda broker: broker.expired("q"))
        assert record.message.text == "mortal"


@on_each_loop
async def test_what_is_so_only_on_the_way_is_seen_when_time_is_turned() -> None:
    async with Broker(virtual_time=True) as broker, anyio.create_task_group() as tasks:
        broker.declare_queue("second", arguments={"x-message-ttl": 500})
        dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "second"}
        broker.declare_queue("first", arguments={"x-message-ttl": 1000, **dead_letters})
        broker.publish("", "first")

        async def pass_time() -> None:
            await anyio.wait_all_tasks_blocked()
            await broker.advance(seconds=2)

        tasks.start_soon(pass_time)
        assert (await broker.wait_for_queue("second", ready=1)).ready == 1
        await broker.wait_for(lambda broker: broker.expired("second"))


@on_each_loop
async def test_a_client_that_comes_and_one_that_goes_are_seen() -> None:
    async with Broker() as broker:
        async with connected(broker.port):
            await broker.wait_for(lambda broker: [one for one in broker.connections if one.channels])
        await broker.wait_for(lambda broker: not any(one.is_open for one in broker.connections))


@on_each_loop
async def test_a_time_out_tells_what_the_queue_has() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        broker.declare_queue("orders")
        broker.publish("", "orders", b"1")
        await client.call(Basic.Get, queue="orders")
        with pytest.raises(NotSeen) as caught:
            await broker.wait_for_queue("orders", ready=1, unacked=0, timeout_s=0.01)
        text = str(caught.value)
        assert text.startswith(
            "not so after 0.01 s. Wanted queue 'orders' with ready=1, unacked=0; there is\n"
            "  queue 'orders': 0 ready, 1 unacked, 0 consumers\n"
        )
        with pytest.raises(NotSeen, match="Wanted queue 'order'; there is no such queue; near: 'orders'"):
            await broker.wait_for_queue("order", timeout_s=0.01)


@on_each_loop
async def test_a_time_out_tells_what_came_near() -> None:
    async with Broker() as broker:
        broker.publish("amq.topic", "a", b"1")
        with pytest.raises(NotSeen) as caught:
            await broker.wait_for_published("amq.topic", "b", count=2, timeout_s=0.01)
        assert "Wanted 2 times published\n    exchange = 'amq.topic'\n    routing_key = 'b'\n" in str(caught.value)
        assert "of 1 messages 0 were like this" in str(caught.value)
        assert "routing_key is 'a', not 'b'" in str(caught.value)


@on_each_loop
async def test_a_time_out_of_any_predicate_tells_what_there_is() -> None:
    async with Broker() as broker:
        broker.declare_queue("q")
        broker.publish("", "q", b"1")
        with pytest.raises(TimeoutError) as caught:
            await broker.wait_for(lambda broker: False, timeout_s=0.01)
        text = str(caught.value)
        assert "queue 'q': 1 ready, 0 unacked, 0 consumers" in text
        assert "#1 published exchange='' routing_key='q' body='1' -> q" in text


@on_each_loop
async def test_a_predicate_that_fails_fails_whoever_waits_and_nobody_else() -> None:
    async with Broker() as broker, connected(broker.port) as client:
        await client.call(Queue.Declare, queue="q")

        def fails_later(broker: Broker) -> bool:
            if broker.queue("q").ready:
                raise ZeroDivisionError
            return False

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.send, publish(1, "", "q", b"1"))
            with pytest.raises(ZeroDivisionError):
                await broker.wait_for(fails_later)
        assert (await client.call(Basic.Get, queue="q")).body == b"1"


@on_each_loop
async def test_what_a_predicate_does_not_find_may_come_yet() -> None:
    async with Broker() as broker, anyio.create_task_group() as tasks:
        tasks.start_soon(soon, lambda: broker.declare_queue("q"))
        assert (await broker.wait_for(lambda broker: broker.queue("q"))).name == "q"
        with pytest.raises(NotSeen, match=r"It found no queue 'r' in vhost '/'; there is: 'q'\. There is:"):
            await broker.wait_for(lambda broker: broker.queue("r"), timeout_s=0.01)


@on_each_loop
async def test_a_predicate_that_does_something_is_not_asked_about_that() -> None:
    async with Broker() as broker:
        broker.declare_queue("q")
        with pytest.raises(NotSeen):
            await broker.wait_for(lambda broker: broker.purge("q"), timeout_s=0.01)


@on_each_loop
async def test_waiting_that_is_cancelled_leaves_nothing_behind() -> None:
    looks = 0

    def look(broker: Broker) -> bool:
        nonlocal looks
        looks += 1
        return False

    async with Broker() as broker:
        with anyio.move_on_after(0.01):
            await broker.wait_for(look, timeout_s=60)
        before = looks
        broker.publish("", "x")
        assert looks == before


@on_each_loop
async def test_what_can_never_come_is_misuse() -> None:
    async with Broker() as broker:
        with pytest.raises(Misuse, match="no property 'x'"):
            await broker.wait_for_published(properties={"x": 1})


# --- in a thread ------------------------------------------------------------------------------------------------------


def test_a_thread_waits_for_what_another_does() -> None:
    with BrokerThread() as broker:

        def work() -> None:
            connection = pika.BlockingConnection(pika.URLParameters(broker.url))
            channel = connection.channel()
            channel.queue_declare("q")
            channel.basic_publish("", "q", b"1", pika.BasicProperties(app_id="worker"))
            connection.close()

        worker = threading.Thread(target=work)
        worker.start()
        assert broker.wait_for_queue("q", ready=1).messages[0].body == b"1"
        (message,) = broker.wait_for_published("", "q", properties={"app_id": "worker"})
        assert message == broker.wait_for(lambda seen: seen is broker and seen.queue("q").messages)[0]
        worker.join()


def test_a_time_out_in_a_thread_tells_what_there_is() -> None:
    with BrokerThread() as broker:
        broker.declare_queue("q")
        for wait in (
            lambda: broker.wait_for_queue("q", ready=1, timeout_s=0.01),
            lambda: broker.wait_for_published("e", timeout_s=0.01),
            lambda: broker.wait_for(lambda broker: False, timeout_s=0.01),
        ):
            with pytest.raises(NotSeen, match=r"not so after 0\.01 s\."):
                wait()


@on_each_loop
async def test_a_time_out_in_an_event_loop_tells_that_clients_in_it_stood_still() -> None:
    with BrokerThread() as broker:
        waits = (
            lambda: broker.wait_for_queue("q", timeout_s=0.01),
            lambda: broker.vhost("/").wait_for(lambda broker: False, timeout_s=0.01),
            lambda: broker.settled(timeout_s=0),
        )
        for wait in waits:
            with pytest.raises(TimeoutError) as from_loop:
                wait()
            assert "use `async with Broker()`" in from_loop.value.__notes__[0]
        with pytest.raises(NotSeen) as from_thread:
            await anyio.to_thread.run_sync(waits[0])
        assert not hasattr(from_thread.value, "__notes__")


def test_everything_else_works_from_another_thread_too() -> None:
    with BrokerThread(virtual_time=True) as broker:
        broker.declare_queue("q")
        broker.declare_exchange("e", "topic")
        broker.bind("q", "e", "#")
        assert broker.publish("e", "k", "1") == ("q",)
        assert broker.explain("e", "k").queues == ("q",)
        assert broker.assert_published("e").text == "1"
        broker.assert_queue("q", ready=1)
        assert broker.take("q").text == "1"
        broker.assert_all_acked("q")
        assert [record.queues for record in broker.published()] == [("q",)]
        assert broker.vhosts[0].name == "/"
        assert broker.connections == ()
        broker.clear_history()
        assert broker.history() == []
