"""A broker can be listened to, and serves as ever."""

from __future__ import annotations

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
