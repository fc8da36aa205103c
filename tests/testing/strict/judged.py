"""A broker that judges, and pika to give it something to judge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pika
from pika.adapters.blocking_connection import BlockingChannel

from amqpy_broker.testing import BrokerThread

PERSISTENT = pika.BasicProperties(delivery_mode=2)


@contextmanager
def judged(**options: object) -> Iterator[BrokerThread]:
    """A broker that judges, and says nothing of itself."""
    broker = BrokerThread(strict="warn", **options)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def connected(broker: BrokerThread, **parameters: object) -> Iterator[pika.BlockingConnection]:
    """A connection that is closed as one should."""
    wanted = pika.URLParameters(broker.url)
    for name, value in parameters.items():
        setattr(wanted, name, value)
    connection = pika.BlockingConnection(wanted)
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()
        else:
            # What pika leaves open when the broker was first.
            connection._impl.ioloop.close()


@contextmanager
def channel_of(broker: BrokerThread, **parameters: object) -> Iterator[BlockingChannel]:
    """A channel of a connection of its own."""
    with connected(broker, **parameters) as connection:
        yield connection.channel()


def rules(broker: BrokerThread) -> list[str]:
    """The names of the rules that were broken, in order."""
    return [finding.rule for finding in broker.findings]
