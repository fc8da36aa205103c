"""What a journal holds is what the broker held when it handed over its last batch, whatever was done before.

The model is the broker itself, looked at when each batch is handed over. After a crash the broker must be what it was
at the last batch that reached the disk, and everything that may have been handed out must say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpy_broker.core.arguments import Argument, arguments
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.journal import Batch, queue_of
from amqpy_broker.core.queues.base import Queue, QueuedMessage
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.priority import PriorityQueue
from amqpy_broker.core.queues.values import KeyedMessage
from amqpy_broker.core.queues.window import Window
from tests.fakes import FakeConsumer, FakeMessage, ManualClock
from tests.memory_journal import Disk, MemoryJournal

LIMIT = 3
TTL_MS = 60_000
KINDS: Mapping[str, Mapping[str, object]] = {
    "plain": {},
    "other": {},
    "priority": {"x-max-priority": 2},
    "quorum": {"x-queue-type": "quorum", "x-delivery-limit": 3},
    "values": {"x-last-value-key": "key"},
    "groups": {"x-message-groups": True},
    "limited": {"x-max-length": LIMIT, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"},
    "short-lived": {"x-message-ttl": TTL_MS},
    "dead": {},
}
KEYS = ["a", "b"]
# So small that paging happens all the time.
TINY = Window(
    queue_bytes=900,
    step_bytes=1,
    consumed_bytes=900,
    head_bytes=450,
    head_min_bytes=1,
    read_count=3,
    read_bytes=1000,
    ahead_bytes=900,
)
EXCHANGES = ["x", "y", "amq.topic"]


class WatchedJournal(MemoryJournal):
    """Tells when a batch is handed over."""

    def __init__(self, disk: Disk, machine: JournalMachine) -> None:
        super().__init__(disk)
        self.machine = machine

    def append(self, batch: Batch) -> None:
        super().append(batch)
        self.machine.states[batch.number] = self.machine.state()


@dataclass
class Kept:
    """A message that outlives the broker, and what is known of it."""

    text: str
    handed_out: bool
    counts: tuple[int, int] = (0, 0)
    expires_at_s: float = float("inf")
    key: object = None


@dataclass
class State:
    """All that outlives a broker."""

    queues: dict[str, list[Kept]] = field(default_factory=dict)
    exchanges: set[str] = field(default_factory=set)
    bindings: set[tuple[str, str, str]] = field(default_factory=set)
    users: set[str] = field(default_factory=set)


class JournalMachine(RuleBasedStateMachine):
    """Does what clients do; syncs, crashes and stops when it likes."""

    window = TINY

    @initialize()
    def begin(self) -> None:
        self.clock = ManualClock()
        self.disk = Disk()
        self.states: dict[int, State] = {0: State()}
        self.last_number = 0
        self.start()
        for name in KINDS:
            self.declare_queue(name)

    def start(self) -> None:
        self.journal = WatchedJournal(self.disk, self)
        self.deliveries: list[QueuedMessage] = []
        self.consumers: list[FakeConsumer] = []
        self.core = BrokerCore(clock=self.clock, journal=self.journal, window=self.window, seed=1)
        self.vhost = self.core.vhosts["/"]

    # --- topology ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.vhost.queues) < len(KINDS))
    @rule()
    def declare_queues(self) -> None:
        for name in KINDS:
            if name not in self.vhost.queues:
                self.declare_queue(name)

    def declare_queue(self, name: str) -> None:
        self.vhost.create_queue(name, durable=True, arguments=arguments(KINDS[name]))

    @precondition(lambda self: self.vhost.queues)
    @rule(data=st.data())
    def delete_queue(self, data: st.DataObject) -> None:
        self.vhost.drop_queue(self.draw_queue(data))
        self.consumers = [consumer for consumer in self.consumers if not consumer.queue.deleted]

    @rule(name=st.sampled_from(["x", "y"]), durable=st.booleans())
    def declare_exchange(self, name: str, durable: bool) -> None:
        if name not in self.vhost.exchanges:
            self.vhost.create_exchange(name, "direct", durable=durable)

    @rule(source=st.sampled_from(EXCHANGES), name=st.sampled_from(list(KINDS)), key=st.sampled_from(KEYS))
    def bind(self, source: str, name: str, key: str) -> None:
        exchange, queue = self.vhost.exchanges.get(source), self.vhost.queues.get(name)
        if exchange is not None and queue is not None and exchange.find_binding(queue, key, {}) is None:
            self.vhost.create_binding(Binding(source, queue, key, {}))

    @rule(name=st.sampled_from(["guest", "other"]))
    def remove_user(self, name: str) -> None:
        self.core.users.remove(name)

    # --- messages ---------------------------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        count=st.integers(1, 8),
        persistent=st.sampled_from([True, True, True, False]),
        key=st.sampled_from([*KEYS, None]),
    )
    def publish(self, data: st.DataObject, count: int, persistent: bool, key: str | None) -> None:
        names = data.draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=3, unique=True))
        for _ in range(count):
            self.last_number += 1
            headers = (
                {} if key is None else {"key": Argument("longstr", key), "x-message-group": Argument("longstr", key)}
            )
            message = FakeMessage(
                str(self.last_number), persistent=persistent, headers=headers, priority=self.last_number % 3
            )
            for name in names:
                if name in self.vhost.queues:
                    self.vhost.queues[name].enqueue(message)
        self.learn_deliveries()

    @rule(name=st.sampled_from(["plain", "priority", "groups"]), rounds=st.integers(1, 4))
    def publish_and_sync(self, name: str, rounds: int) -> None:
        """Grow in such a way that there is something to page out."""
        for _ in range(rounds if name in self.vhost.queues else 0):
            for _ in range(4):
                self.last_number += 1
                group = {"x-message-group": Argument("longstr", KEYS[self.last_number % 2])}
                message = FakeMessage(
                    str(self.last_number), persistent=True, headers=group, priority=self.last_number % 3
                )
                self.vhost.queues[name].enqueue(message)
            self.flush_and_sync()
        self.learn_deliveries()

    @rule(keys=st.lists(st.integers(0, 11), min_size=4, max_size=30), persistent=st.sampled_from([True, True, False]))
    def publish_values_and_sync(self, keys: list[int], persistent: bool) -> None:
        """Have values on disk, and replace some of them there."""
        for at, key in enumerate(keys if "values" in self.vhost.queues else ()):
            self.last_number += 1
            headers = {"key": Argument("longstr", str(key))}
            message = FakeMessage(str(self.last_number), persistent=persistent or key % 3 > 0, headers=headers)
            self.vhost.queues["values"].enqueue(message)
            if at % 5 == 4:
                self.flush_and_sync()
        self.learn_deliveries()

    @precondition(lambda self: self.vhost.queues)
    @rule(data=st.data())
    def get(self, data: st.DataObject) -> None:
        queued = self.draw_queue(data).get()
        if queued is not None:
            self.deliveries.append(queued)

    @precondition(lambda self: self.deliveries)
    @rule(data=st.data(), fate=st.sampled_from(["settle", "settle", "discard", "requeue"]))
    def end_delivery(self, data: st.DataObject, fate: str) -> None:
        queued = data.draw(st.sampled_from(self.deliveries))
        self.deliveries.remove(queued)
        consumer, queue = queued.consumer, queued.queue
        if isinstance(consumer, FakeConsumer):
            consumer.forget(queued)
        if fate == "requeue":
            queue.requeue([queued])
        else:
            (queue.settle if fate == "settle" else queue.discard)(queued)
        if isinstance(consumer, FakeConsumer) and consumer in self.consumers:
            consumer.resume_if_waiting()
        self.learn_deliveries()

    @precondition(lambda self: self.vhost.queues and len(self.consumers) < 2)
    @rule(data=st.data(), no_ack=st.booleans())
    def consume(self, data: st.DataObject, no_ack: bool) -> None:
        consumer = FakeConsumer(self.draw_queue(data), no_ack=no_ack, prefetch_count=0 if no_ack else 2)
        self.consumers.append(consumer.start())
        self.learn_deliveries()

    @precondition(lambda self: self.consumers)
    @rule()
    def cancel(self) -> None:
        self.consumers.pop().stop()
        self.learn_deliveries()

    @precondition(lambda self: self.vhost.queues)
    @rule(data=st.data())
    def purge(self, data: st.DataObject) -> None:
        queue = self.draw_queue(data)
        count = queue.ready_count
        assert queue.purge() == count
        assert queue.ready_count == 0

    @precondition(lambda self: self.vhost.queues)
    @rule(data=st.data(), wanted_bytes=st.sampled_from([1, 1000, 10_000]))
    def page_out(self, data: st.DataObject, wanted_bytes: int) -> None:
        self.draw_queue(data).page_out(wanted_bytes)

    @rule(seconds=st.sampled_from([1, 30, 61]))
    def pass_time(self, seconds: int) -> None:
        self.clock.now_s += seconds
        self.core.timers.handle_deadline()
        self.learn_deliveries()

    # --- the disk ---------------------------------------------------------------------------------------------------

    @rule()
    def flush(self) -> None:
        assert self.core.journal is not None
        self.core.journal.flush()

    @rule()
    def flush_and_sync(self) -> None:
        self.flush()
        self.journal.sync_all()

    @rule()
    def sync(self) -> None:
        self.journal.sync()

    @rule(how=st.sampled_from(["stop", "crash", "crash and lose the last batch"]))
    def restart(self, how: str) -> None:
        expected = self.stop() if how == "stop" else self.crash(last_batch_arrives=how == "crash")
        self.start()
        if self.disk.last_batch:
            self.check(expected)

    def crash(self, *, last_batch_arrives: bool) -> State:
        if last_batch_arrives:
            self.journal.write_down()
        expected = self.states[self.disk.last_batch]
        for kept in (kept for several in expected.queues.values() for kept in several):
            kept.handed_out = True
        return expected

    def stop(self) -> State:
        """Stop as a server does: everything comes back, then the broker is closed."""
        while self.consumers:
            self.consumers.pop().stop()
        by_queue: dict[Queue, list[QueuedMessage]] = {}
        for queued in self.deliveries:
            by_queue.setdefault(queued.queue, []).append(queued)
        for queue, returned in by_queue.items():
            queue.requeue(returned)
        self.deliveries.clear()
        expected = self.state()
        self.core.close()
        assert self.disk.closed
        names = {queue.journal_id for queue in self.vhost.queues.values()}
        assert {queue_of(name.queue) for name in self.disk.messages} <= names, "deleted queues leave nothing"
        return expected

    # --- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def memory_is_counted_right(self) -> None:
        for queue in self.vhost.queues.values():
            assert queue.memory_bytes >= 0
            if not queue.ready_count and not queue.unacked_count:
                assert queue.memory_bytes == 0

    def check(self, expected: State) -> None:
        self.kill_what_is_too_old_or_too_much(expected)
        found = self.state()
        assert found == expected
        assert sum(len(messages) for messages in found.queues.values()) == sum(
            queue.ready_count for queue in self.vhost.queues.values()
        )

    def kill_what_is_too_old_or_too_much(self, expected: State) -> None:
        """Do what a broker does when it begins."""
        for name, messages in expected.queues.items():
            messages[:] = [kept for kept in messages if kept.expires_at_s > self.clock.now_s]
            if name == "values":
                newest = {kept.key: kept for kept in messages}
                messages[:] = [kept for kept in messages if kept.key is None or kept is newest[kept.key]]
            while name == "limited" and len(messages) > LIMIT:
                dropped = messages.pop(0)
                if "dead" in expected.queues:
                    expected.queues["dead"].append(Kept(dropped.text, handed_out=False, key=dropped.key))

    # --- steps ------------------------------------------------------------------------------------------------------

    def draw_queue(self, data: st.DataObject) -> Queue:
        return self.vhost.queues[data.draw(st.sampled_from(sorted(self.vhost.queues)))]

    def learn_deliveries(self) -> None:
        known = set(map(id, self.deliveries))
        for consumer in self.consumers:
            self.deliveries += [queued for queued in consumer.unacked if id(queued) not in known]

    def state(self) -> State:
        """Look at everything that is to outlive the broker."""
        self.learn_deliveries()
        vhost = self.core.vhosts["/"]
        return State(
            {name: self.kept_in(queue) for name, queue in vhost.queues.items()},
            {name for name, exchange in vhost.exchanges.items() if exchange.durable},
            {
                (binding.source, binding.destination.name, binding.key)
                for binding in vhost.bindings
                if vhost.exchanges[binding.source].durable
            },
            {name for name in ("guest", "other") if self.core.users.find(name)},
        )

    def kept_in(self, queue: Queue) -> list[Kept]:
        assert isinstance(queue, ClassicQueue)
        unacked = [queued for queued in self.deliveries if queued.queue is queue]
        ready = list(queue._ready.after(None))
        found = sorted([*unacked, *ready], key=stored_place)
        kept = []
        for queued in found:
            message = queued.message if queue.type == "classic" else queued.original
            assert isinstance(message, FakeMessage)
            if message.persistent or queue.type == "quorum":
                counts = (queued.delivery_count, queued.acquired_count) if queue.type == "quorum" else (0, 0)
                handed_out = queued.redelivered or queued in unacked
                key = message.headers["key"].value if "key" in message.headers else None
                kept.append(Kept(message.text, handed_out, counts, queued.expires_at_s, key))
        return kept


def stored_place(queued: QueuedMessage) -> tuple[int, int]:
    if isinstance(queued, KeyedMessage):
        return 0, queued.stored_place
    return queued.message.priority if isinstance(queued.queue, PriorityQueue) else 0, queued.position


# Long runs take their time.
TestJournal = pytest.mark.timeout(900)(JournalMachine.TestCase)
TestJournal.settings = settings(stateful_step_count=50)
