"""A program that asks the broker for everything that it makes up or leaves to chance, and prints what it gets.

Run as a script: that texts have other hashes in each process must not change anything.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pamqp.commands import Basic, Exchange, Queue

from amqpy_broker.testing import Broker
from tests.testing.brokers import consume
from tests.wire import Client


def answers(profile: str, seed: int | None) -> Iterator[str]:
    """Ask for everything."""
    broker = Broker(profile=profile, seed=seed, virtual_time=True)
    client = Client(broker.core).open()
    names = [client.call(Queue.Declare, durable=True)["queue"] for _ in range(2)]
    yield from names
    exclusive = client.call(Queue.Declare, exclusive=True)["queue"]
    yield exclusive
    yield client.call(Basic.Consume, queue=exclusive)["consumer_tag"]
    consume(client, "amq.rabbitmq.reply-to", tag="", no_ack=True)
    yield client.heard_one()["consumer_tag"]
    client.publish("", names[1], reply_to="amq.rabbitmq.reply-to")
    yield str(broker.take(names[1]).properties.reply_to)
    for exchange_type in ("x-random", *(("x-local-random",) if profile != "3.10" else ())):
        client.call(Exchange.Declare, exchange=exchange_type, exchange_type=exchange_type)
        for name in names:
            client.call(Queue.Bind, queue=name, exchange=exchange_type)
        yield from choices(broker, exchange_type)
    broker.add_vhost("later")
    yield broker.declare_queue(vhost="later")
    broker.declare_exchange("r", "x-random", vhost="later")
    for name in ("a", "b"):
        broker.declare_queue(name, vhost="later")
        broker.bind(name, "r", vhost="later")
    yield from choices(broker, "r", vhost="later")


def choices(broker: Broker, exchange: str, **where: str) -> list[str]:
    """Let an exchange choose forty times."""
    return [",".join(broker.publish(exchange, "", **where)) for _ in range(40)]  # type: ignore[arg-type]


if __name__ == "__main__":
    for line in answers(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else None):
        sys.stdout.write(line + "\n")
