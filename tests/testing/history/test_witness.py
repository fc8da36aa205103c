"""A witness changes nothing: a client hears the same, octet for octet, whether somebody watches or not.

And the books balance: what was delivered is settled or unacknowledged, what was kept is there, settled or lost.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from pamqp.commands import Basic, Channel, Confirm, Queue

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.profile import profile_named
from amqpy_broker.testing.history.history import History
from amqpy_broker.testing.history.records import Acked, Delivered, Dropped, Rejected, Requeued
from amqpy_broker.testing.history.witness import VhostWitness
from tests.wire import Client, ManualClock, read

QUEUES: dict[str, dict[str, Any]] = {
    "plain": {},
    "quorum": {"x-queue-type": "quorum", "x-delivery-limit": 2},
    "priority": {"x-max-priority": 2},
    "values": {"x-last-value-key": "k"},
    "groups": {"x-message-groups": True},
    "retry": {"x-delayed-retry-type": "all", "x-delayed-retry-min": 1000},
    "short": {"x-max-length": 2, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "plain"},
    "full": {"x-max-length": 2, "x-overflow": "reject-publish"},
    "mortal": {"x-message-ttl": 1000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "quorum"},
    "unique": {"x-message-deduplication": True},
}
NAMES = sorted(QUEUES)
STEPS = {"publish": 30, "flock": 5, "get": 15, "consume": 6, "cancel": 3, "settle": 25, "qos": 2, "time": 4, "end": 3}
STEPS_COUNT = 300


class Program:
    """A client that does what comes into its mind; the same in two brokers."""

    def __init__(self, seed: int, plain: Client, watched: Client) -> None:
        self.random = Random(seed)
        self.plain, self.watched = plain, watched
        self.unacked: list[int] = []
        self.consuming: set[str] = set()
        for name, arguments in QUEUES.items():
            self.say(Queue.Declare, queue=name, durable=True, arguments=arguments)
        self.say(Confirm.Select)

    def run(self) -> None:
        for step in self.random.choices(list(STEPS), list(STEPS.values()), k=STEPS_COUNT):
            getattr(self, step)()

    def publish(self) -> None:
        queue, value = self.random.choice([*NAMES, "nowhere"]), self.random.randrange(3)
        headers = {"k": value, "x-message-group": str(value), "x-deduplication-header": str(value)}
        expiration = self.random.choice([None, None, "500"])
        for client in (self.plain, self.watched):
            client.publish("", queue, b"%d" % value, headers=headers, priority=value, expiration=expiration)
        self.compare()

    def flock(self) -> None:
        queue, count = self.random.choice(NAMES), self.random.randrange(2, 5)
        for client in (self.plain, self.watched):
            for _ in range(count):
                client.publish("", queue, b"same", mandatory=True)
        self.compare()

    def get(self) -> None:
        self.say(Basic.Get, queue=self.random.choice(NAMES), no_ack=self.random.random() < 0.2)

    def consume(self) -> None:
        queue = self.random.choice(NAMES)
        if queue not in self.consuming:
            self.consuming.add(queue)
            self.say(Basic.Consume, queue=queue, consumer_tag=queue, no_ack=self.random.random() < 0.2)

    def cancel(self) -> None:
        if self.consuming:
            queue = self.random.choice(sorted(self.consuming))
            self.consuming.remove(queue)
            self.say(Basic.Cancel, consumer_tag=queue)

    def settle(self) -> None:
        if not self.unacked:
            return
        tag, multiple = self.random.choice(self.unacked), self.random.random() < 0.2
        self.unacked = [one for one in self.unacked if one > tag or (one < tag and not multiple)]
        match self.random.randrange(4):
            case 0:
                self.say(Basic.Nack, delivery_tag=tag, multiple=multiple, requeue=True)
            case 1:
                self.say(Basic.Nack, delivery_tag=tag, multiple=multiple)
            case _:
                self.say(Basic.Ack, delivery_tag=tag, multiple=multiple)

    def qos(self) -> None:
        self.say(Basic.Qos, prefetch_count=self.random.randrange(4))

    def time(self) -> None:
        for client in (self.plain, self.watched):
            client.pass_time(0.6)
        self.compare()

    def end(self) -> None:
        """Something ends: a channel, or a queue, or what is in one."""
        queue = self.random.choice(NAMES)
        match self.random.randrange(3):
            case 0:
                self.unacked, self.consuming = [], set()
                self.say(Channel.Close, reply_code=200)
                self.say(Channel.Open)
                self.say(Confirm.Select)
            case 1:
                self.say(Queue.Purge, queue=queue)
            case _:
                self.consuming.discard(queue)
                self.say(Queue.Delete, queue=queue)
                self.say(Queue.Declare, queue=queue, durable=True, arguments=QUEUES[queue])

    def say(self, shape: Any, **fields: Any) -> None:
        for client in (self.plain, self.watched):
            client.send(shape, **fields)
        self.compare()

    def compare(self) -> None:
        heard = self.plain.output.take()
        assert self.watched.output.take() == heard
        for said in read(heard):
            assert said.name not in ("Channel.Close", "Connection.Close"), said
            if said.name in ("Basic.Deliver", "Basic.GetOk"):
                self.unacked.append(said["delivery_tag"])
        # What needs no acknowledgement has a tag, but cannot be settled.
        held = {tag for deliveries, _ in self.plain.connection.deliveries_of_channels() for tag in deliveries.unacked}
        self.unacked = [tag for tag in self.unacked if tag in held]


def connect(profile: str) -> Client:
    core = BrokerCore(profile_named(profile), clock=ManualClock(), seed=1)
    return Client(core).open()


@pytest.mark.parametrize("profile", ["3.10", "4.0", "4.3"])
def test_a_client_hears_the_same_whether_somebody_watches_or_not(profile: str) -> None:
    happened: Counter[str] = Counter()
    for seed in range(8):
        history = History()
        watched = connect(profile)
        core = watched.broker
        core.watch(lambda vhost, core=core, history=history: VhostWitness(core, vhost, history, [], lambda name: ""))  # type: ignore[misc]
        Program(seed, connect(profile), watched).run()
        check_books(core, history)
        happened.update(type(record).__name__ for record in history.latest(100_000, None))
        happened.update(record.reason for record in history.records(Dropped, None))
    # It is no test if little happens.
    for what in ("Acked", "Rejected", "Requeued", "Expired", "DeadLettered"):
        assert happened[what] > 20, happened
    for reason in ("refused", "duplicate", "replaced", "purged", "queue deleted", "expired", "rejected"):
        assert happened[reason], happened


def check_books(core: BrokerCore, history: History) -> None:
    """Find that what was delivered is settled or unacknowledged."""
    delivered = [record for record in history.records(Delivered, "/") if not record.no_ack]
    ended = [record for kind in (Acked, Rejected, Requeued) for record in history.records(kind, "/")]
    unsettled = history.unsettled()
    assert {record.number for record in delivered} == {
        *(record.delivery.number for record in ended),
        *(record.number for record in unsettled),
    }
    assert len(delivered) == len(ended) + len(unsettled)
    # Deliveries of a queue that was deleted are still with their channel.
    for name, queue in core.vhosts["/"].queues.items():
        assert queue.unacked_count <= sum(record.queue == name for record in unsettled)
    held = sum(len(deliveries.unacked) for channel in core.vhosts["/"].channels for deliveries in [channel.deliveries])  # type: ignore[attr-defined]
    assert held == len(unsettled)
