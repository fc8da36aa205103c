"""A queue that pages all the time and its twin in memory: nobody can tell one from the other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpy_broker.core.arguments import NO_ARGUMENTS, Arguments, arguments
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.profile import profile_named
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.settings import Overflow
from tests.fakes import FakeConsumer, FakeMessage, ManualClock
from tests.memory_journal import MemoryJournal
from tests.properties.test_journal import TINY

SETTINGS: list[dict[str, object]] = [
    {},
    {"x-max-length": 12},
    {"x-max-length-bytes": 25},
    {"x-message-ttl": 20_000},
    {"x-delayed-retry-type": "all", "x-delayed-retry-min": 5000},
]
GROUPS_SETTINGS = SETTINGS[:4]
# Of messages that follow each other, where they have any.
GROUPS = ("a", "b", "a", None, "a", "c", "b")
QUORUM_SETTINGS: list[dict[str, object]] = [*SETTINGS, {"x-delivery-limit": 2}]
# Limits that a policy brings, and takes away.
LIMITS = [
    (None, None, Overflow.DROP_HEAD),
    (9, None, Overflow.DROP_HEAD),
    (None, 40, Overflow.DROP_HEAD),
    (14, 60, Overflow.REJECT_PUBLISH),
]
# Of messages that follow each other, where they have any: urgent to some versions, and to all that know any.
PRIORITIES = (0, 0, 7, 4, 0, 0, 1, 5, 0)


class PagingMachine(RuleBasedStateMachine):
    """Does the same to both, and compares what comes of it."""

    window = TINY
    # Whether messages have expirations of their own.
    may_expire_alone = True
    journal: MemoryJournal
    cores: tuple[BrokerCore, BrokerCore]

    def begin_with(self, *, durable: bool, wanted: dict[str, object], profile: str = "4.0") -> None:
        self.clock = ManualClock()
        self.journal = MemoryJournal()
        self.cores = (
            BrokerCore(clock=self.clock, journal=self.journal, window=self.window, profile=profile_named(profile)),
            BrokerCore(clock=self.clock, profile=profile_named(profile)),
        )
        for core in self.cores:
            core.vhosts["/"].create_queue("dead", durable=False)
        letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        self.wanted, self.profile = wanted, profile
        self.queues = [
            core.vhosts["/"].create_queue("q", durable=durable, arguments=arguments({**wanted, **letters}))
            for core in self.cores
        ]
        self.last_number = 0
        self.unacked: list[tuple[QueuedMessage, QueuedMessage]] = []
        self.consumers: list[FakeConsumer] = []

    @rule(
        count=st.integers(1, 20),
        persistent=st.booleans(),
        mixed=st.booleans(),
        urgent=st.booleans(),
        ttl_s=st.sampled_from([None, None, 9]),
    )
    def publish(self, count: int, persistent: bool, mixed: bool, urgent: bool, ttl_s: int | None) -> None:
        for index in range(count):
            self.last_number += 1
            message = FakeMessage(
                str(self.last_number),
                headers=self.headers_of(self.last_number),
                persistent=persistent != (mixed and index % 3 == 0),
                expiration_ms=ttl_s * 1000 if ttl_s is not None and self.may_expire_alone else None,
                priority=PRIORITIES[self.last_number % len(PRIORITIES)] if urgent else 0,
            )
            accepted = [queue.enqueue(message) for queue in self.queues]
            assert accepted[0] == accepted[1]

    def headers_of(self, number: int) -> Arguments:
        """Say what a message has for headers."""
        return NO_ARGUMENTS

    @rule(rounds=st.integers(1, 4), persistent=st.booleans(), mixed=st.booleans(), urgent=st.booleans())
    def publish_and_sync(self, rounds: int, persistent: bool, mixed: bool, urgent: bool) -> None:
        """Grow in such a way that there is something to page out."""
        for _ in range(rounds):
            self.publish(6, persistent=persistent, mixed=mixed, urgent=urgent, ttl_s=None)
            self.flush(all_of_it=True)

    @rule(count=st.integers(1, 8))
    def get(self, count: int) -> None:
        for _ in range(count):
            ours, theirs = (queue.get() for queue in self.queues)
            assert shown(ours) == shown(theirs)
            if ours is not None and theirs is not None:
                self.unacked.append((ours, theirs))

    @precondition(lambda self: self.unacked)
    @rule(data=st.data(), fate=st.sampled_from(["settle", "discard", "requeue"]), count=st.integers(1, 4))
    def end_deliveries(self, data: st.DataObject, fate: str, count: int) -> None:
        at = data.draw(st.integers(0, len(self.unacked) - 1))
        ended, self.unacked[at : at + count] = self.unacked[at : at + count], []
        for queue, returned in zip(self.queues, zip(*ended, strict=True), strict=True):
            if fate == "requeue":
                queue.requeue(returned)
            for queued in returned if fate != "requeue" else ():
                (queue.settle if fate == "settle" else queue.discard)(queued)

    @rule()
    def consume_some_and_stop(self) -> None:
        consumers = [FakeConsumer(queue, prefetch_count=5).start() for queue in self.queues]
        assert consumers[0].got == consumers[1].got
        self.unacked += zip(consumers[0].unacked, consumers[1].unacked, strict=True)
        for consumer in consumers:
            consumer.stop()

    @rule()
    def browse(self) -> None:
        consumers = [FakeConsumer(queue, browses=True, no_ack=True).start() for queue in self.queues]
        assert consumers[0].got == consumers[1].got
        assert all(consumer.was_cancelled for consumer in consumers)

    @rule()
    def purge(self) -> None:
        ours, theirs = (queue.purge() for queue in self.queues)
        assert ours == theirs

    @rule(seconds=st.sampled_from([1, 6, 10]))
    def pass_time(self, seconds: int) -> None:
        self.clock.now_s += seconds
        for core in self.cores:
            core.timers.handle_deadline()

    @rule(wanted_bytes=st.sampled_from([1, 1500, 100_000]))
    def page_out(self, wanted_bytes: int) -> None:
        self.queues[0].page_out(wanted_bytes)

    @rule(all_of_it=st.booleans())
    def flush(self, all_of_it: bool) -> None:
        assert self.cores[0].journal is not None
        self.cores[0].journal.flush()
        if all_of_it:
            self.journal.sync_all()

    def restart_paged(self, *, crash: bool) -> ClassicQueue:
        """Start the one again that pages, when everything has come back; return its twin."""
        ended, self.unacked = self.unacked, []
        if ended:
            for queue, returned in zip(self.queues, zip(*ended, strict=True), strict=True):
                queue.requeue(returned)
        for _ in range(2):
            self.flush(all_of_it=True)
        if not crash:
            self.cores[0].close()
        self.journal = MemoryJournal(self.journal.disk)
        again = BrokerCore(
            clock=self.clock, journal=self.journal, window=self.window, profile=profile_named(self.profile)
        )
        again.vhosts["/"].create_queue("dead", durable=False)
        self.cores = again, self.cores[1]
        self.queues[0] = again.vhosts["/"].queues["q"]
        self.cores[1].vhosts["/"].queues["dead"].purge()
        twin = self.queues[1]
        assert isinstance(twin, ClassicQueue)
        return twin

    def restart_both(self, *, crash: bool) -> None:
        """Start again; what is transient is gone, and a crash marks everything that is left."""
        twin = self.restart_paged(crash=crash)
        contents = twin.contents(())
        kept = [
            one._replace(redelivered=one.redelivered or crash) for one in contents.messages if one.message.persistent
        ]
        twin.refill(contents._replace(messages=tuple(kept)))
        # Something that has expired may be the first now. In the other one that happened when nothing was there yet.
        twin.go_on()
        self.cores[1].vhosts["/"].queues["dead"].purge()

    @invariant()
    def both_look_the_same(self) -> None:
        ours, theirs = self.queues
        assert ours.ready_count == theirs.ready_count
        assert ours.unacked_count == theirs.unacked_count
        assert 0 <= ours.memory_bytes <= theirs.memory_bytes
        dead = [core.vhosts["/"].queues["dead"].ready_count for core in self.cores]
        assert dead[0] == dead[1]

    def teardown(self) -> None:
        """Drain both: what is left is the same, too, and nothing is left on the disk."""
        if not hasattr(self, "queues"):
            return
        self.get(10_000 if self.queues[1].ready_count == 0 else self.queues[1].ready_count + 1)
        for ours, theirs in self.unacked:
            self.queues[0].settle(ours)
            self.queues[1].settle(theirs)
        for queue in self.queues:
            queue.purge()
        self.both_look_the_same()
        assert self.queues[0].memory_bytes == 0
        self.flush(all_of_it=True)
        self.flush(all_of_it=True)
        assert not self.journal.disk.messages


class ClassicPagingMachine(PagingMachine):
    """Does it with classic queues."""

    @initialize(durable=st.booleans(), wanted=st.sampled_from(SETTINGS))
    def begin(self, durable: bool, wanted: dict[str, object]) -> None:
        self.begin_with(durable=durable, wanted=wanted)


class PriorityPagingMachine(PagingMachine):
    """Does it with priorities, and through restarts of the one that pages."""

    @initialize(durable=st.booleans(), max_priority=st.sampled_from([1, 3, 9]), wanted=st.sampled_from(SETTINGS))
    def begin_with_priorities(self, durable: bool, max_priority: int, wanted: dict[str, object]) -> None:
        self.begin_with(durable=durable, wanted={**wanted, "x-max-priority": max_priority})

    @precondition(lambda self: self.queues[1].durable and "x-delayed-retry-type" not in self.wanted)
    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        self.restart_both(crash=crash)


class GroupsPagingMachine(PagingMachine):
    """Does it with groups, consumers that own them, and restarts, and never looks at more than it may."""

    window = replace(TINY, ahead_bytes=1_000_000)
    # In line a message may be behind others that are not in its lane.
    may_expire_alone = False

    @initialize(durable=st.booleans(), wanted=st.sampled_from(GROUPS_SETTINGS))
    def begin_with_groups(self, durable: bool, wanted: dict[str, object]) -> None:
        self.begin_with(durable=durable, wanted={**wanted, "x-message-groups": True})
        self.workers: list[tuple[FakeConsumer, FakeConsumer]] = []

    def headers_of(self, number: int) -> Arguments:
        group = GROUPS[number % len(GROUPS)]
        return arguments({} if group is None else {"x-message-group": group})

    @precondition(lambda self: len(self.workers) < 3)
    @rule(prefetch_count=st.integers(1, 3), no_ack=st.booleans())
    def start(self, prefetch_count: int, no_ack: bool) -> None:
        ours, theirs = (
            FakeConsumer(queue, prefetch_count=prefetch_count, no_ack=no_ack).start() for queue in self.queues
        )
        self.workers.append((ours, theirs))

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), fate=st.sampled_from(["settle", "settle", "discard", "requeue", "stop"]))
    def work(self, data: st.DataObject, fate: str) -> None:
        workers = data.draw(st.sampled_from(self.workers))
        held_count = len(workers[0].unacked)
        if fate == "stop":
            self.stop(workers)
        elif held_count:
            at = data.draw(st.integers(0, held_count - 1))
            for worker in workers:
                getattr(worker, fate)(worker.unacked[at])

    def stop(self, workers: tuple[FakeConsumer, FakeConsumer]) -> None:
        self.workers.remove(workers)
        ours, theirs = workers
        for worker in workers:
            worker.stop()
        self.unacked += zip(ours.unacked, theirs.unacked, strict=True)

    @precondition(lambda self: self.queues[1].durable)
    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        while self.workers:
            self.stop(self.workers[0])
        self.restart_both(crash=crash)

    @invariant()
    def workers_got_the_same(self) -> None:
        for ours, theirs in self.workers:
            assert ours.got == theirs.got

    def teardown(self) -> None:
        if not hasattr(self, "workers"):
            return
        while self.workers:
            self.stop(self.workers[0])
        for queue, returned in zip(self.queues, zip(*self.unacked, strict=True), strict=True) if self.unacked else ():
            queue.requeue(returned)
        self.unacked = []
        super().teardown()


class QuorumPagingMachine(PagingMachine):
    """Does the same with quorum queues, of any version, and through restarts of the one that pages."""

    @initialize(profile=st.sampled_from(["3.10", "4.0", "4.3"]), wanted=st.sampled_from(QUORUM_SETTINGS))
    def begin_quorum(self, profile: str, wanted: dict[str, object]) -> None:
        self.begin_with(durable=True, wanted={**wanted, "x-queue-type": "quorum"}, profile=profile)

    @precondition(lambda self: "x-delayed-retry-type" not in self.wanted)
    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        """Start again; only a crash makes a difference that can be seen."""
        twin = self.restart_paged(crash=crash)
        # Whose turn it is between levels is not kept.
        twin._ready.turn = 0
        for queued, _ in twin._ready.listed() if crash else ():
            queued.redelivered = True


class LastValuePagingMachine(PagingMachine):
    """Does it with last values, and through restarts of the one that pages."""

    @initialize(durable=st.booleans(), wanted=st.sampled_from(SETTINGS))
    def begin_with_keys(self, durable: bool, wanted: dict[str, object]) -> None:
        self.begin_with(durable=durable, wanted={**wanted, "x-last-value-key": "key"})
        self.settings_at_first = self.queues[0].settings
        # The key that is published next, again and again, if there is one.
        self.hot_key: int | None = None

    def headers_of(self, number: int) -> Arguments:
        key = number * 7 % 29 if self.hot_key is None else self.hot_key
        # Every eighth has no key.
        return arguments({"key": key} if number % 8 else {})

    @rule(key=st.integers(0, 28), count=st.integers(1, 3), persistent=st.booleans())
    def replace(self, key: int, count: int, persistent: bool) -> None:
        self.hot_key = key
        self.publish(count, persistent=persistent, mixed=False, urgent=False, ttl_s=None)
        self.hot_key = None

    @rule(limits=st.sampled_from(LIMITS))
    def change_limits(self, limits: tuple[int | None, int | None, Overflow]) -> None:
        max_length, max_length_bytes, overflow = limits
        changed = replace(
            self.settings_at_first, max_length=max_length, max_length_bytes=max_length_bytes, overflow=overflow
        )
        for queue in self.queues:
            queue.change_settings(changed)

    @precondition(lambda self: self.queues[1].durable and "x-delayed-retry-type" not in self.wanted)
    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        """Start again: what is left leaves in the order in which it was published, and a crash marks all of it."""
        for queue in self.queues:
            queue.change_settings(self.settings_at_first)
        twin = self.restart_paged(crash=crash)
        contents = twin.contents(())
        kept = [
            one._replace(redelivered=one.redelivered or crash, position=int(one.message.body), came_back=False)
            for one in contents.messages
            if one.message.persistent
        ]
        kept.sort(key=lambda one: one.position)
        twin.refill(contents._replace(messages=tuple(kept), last_position=self.last_number))
        twin.go_on()
        self.cores[1].vhosts["/"].queues["dead"].purge()


def shown(queued: QueuedMessage | None) -> tuple[str, bool, object] | None:
    if queued is None:
        return None
    assert isinstance(queued.message, FakeMessage)
    return queued.message.text, queued.redelivered, dict(queued.message.headers)


# Long runs take their time.
TestPaging = pytest.mark.timeout(900)(ClassicPagingMachine.TestCase)
TestPaging.settings = settings(stateful_step_count=50)
TestPriorityPaging = pytest.mark.timeout(900)(PriorityPagingMachine.TestCase)
TestPriorityPaging.settings = settings(stateful_step_count=50)
TestGroupsPaging = pytest.mark.timeout(900)(GroupsPagingMachine.TestCase)
TestGroupsPaging.settings = settings(stateful_step_count=50)
TestQuorumPaging = pytest.mark.timeout(900)(QuorumPagingMachine.TestCase)
TestQuorumPaging.settings = settings(stateful_step_count=50)
TestLastValuePaging = pytest.mark.timeout(900)(LastValuePagingMachine.TestCase)
TestLastValuePaging.settings = settings(stateful_step_count=50)
