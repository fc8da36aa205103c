"""Brokers without an event loop, and clients without a socket, for tests of what the kit sees."""

from __future__ import annotations

from typing import Any

from pamqp.commands import Basic, Queue

from amqpy_broker.core.clock import VirtualClock
from amqpy_broker.testing import Broker
from tests.wire import Client, Said


def new_broker(**options: Any) -> Broker:
    """Make a broker of the kit that does not listen, and whose time stands still."""
    return Broker(virtual_time=True, seed=1, **options)


def new_client(broker: Broker, **options: Any) -> Client:
    """Connect a client, and open a channel."""
    return Client(broker.core).open(**options)


def declare(client: Client, name: str, **arguments: Any) -> None:
    """Declare a durable queue; `x_max_length=1` is the argument x-max-length."""
    table = {key.replace("_", "-"): value for key, value in arguments.items()}
    assert client.call(Queue.Declare, queue=name, durable=True, arguments=table).name == "Queue.DeclareOk"


def consume(client: Client, queue: str, tag: str = "c", **options: Any) -> None:
    """Consume from a queue."""
    client.send(Basic.Consume, queue=queue, consumer_tag=tag, **options)


def get(client: Client, queue: str, **options: Any) -> Said:
    """Get a message from a queue."""
    return client.call(Basic.Get, queue=queue, **options)


def pass_time(broker: Broker, seconds: float) -> None:
    """Let time pass, and happen what is due, in order."""
    clock, timers = broker.core.clock, broker.core.timers
    assert isinstance(clock, VirtualClock)
    end_s = clock.monotonic_s() + seconds
    while timers.next_deadline_s <= end_s:
        clock.set(timers.next_deadline_s)
        timers.handle_deadline()
    clock.set(end_s)
