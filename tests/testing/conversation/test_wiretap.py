"""A broker can be listened to, and serves as ever."""

from __future__ import annotations

from pathlib import Path

from pamqp.commands import Basic, Queue

from amqpy_broker.testing.conversation.events import Ended, Event, Opened, Said
from amqpy_broker.testing.conversation.wiretap import WiretappedBroker
from tests.server.loops import connected, on_each_loop, until
from tests.wire import publish


@on_each_loop
async def test_every_connection_is_heard_from_its_beginning_to_its_end() -> None:
    events: list[Event] = []
    broker = WiretappedBroker()
    broker.on_event = events.append
    async with broker:
        async with connected(broker.port) as client, connected(broker.port):
            await client.call(Queue.Declare, queue="q")
            await client.send(publish(1, "", "q", b"body"))
            assert (await client.call(Basic.Get, queue="q")).body == b"body"
        await until(lambda: sum(isinstance(event, Ended) for event in events) == 2)
    assert [event.connection for event in events if isinstance(event, Opened)] == [1, 2]
    first = [event for event in events if isinstance(event, Said) and event.connection == 1]
    assert [event.name for event in first][-5:] == [
        "queue.declare",
        "queue.declare-ok",
        "basic.publish",
        "basic.get",
        "basic.get-ok",
    ]


@on_each_loop
async def test_a_broker_that_is_heard_notices_a_full_disk(tmp_path: Path) -> None:
    broker = WiretappedBroker(data_dir=tmp_path, disk_free_limit_bytes=2**62)
    async with broker:
        await until(lambda: broker.core.alarms.raised)
