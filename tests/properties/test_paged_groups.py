"""Groups in a queue that looks only so far ahead: order in each, one consumer at a time, and nobody waits for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.queues.groups import GroupedQueue
from amqpy_broker.core.queues.paged_lanes import PagedLanes
from tests.core.durable import Durable
from tests.fakes import FakeConsumer, FakeMessage
from tests.properties.test_groups import check
from tests.properties.test_journal import TINY

SETTINGS: list[dict[str, object]] = [{}, {}, {"x-max-length": 8}, {"x-message-ttl": 20_000}]
GROUPS = (None, "a", "b", "c")


class Worker(FakeConsumer):
    """A consumer that tells everybody's log what it gets."""

    __slots__ = ("log",)

    def deliver(self, message: object, redelivered: bool, queued: QueuedMessage | None) -> bool:
        assert isinstance(message, FakeMessage)
        self.log.append(message)
        return super().deliver(message, redelivered, queued)


class AheadMachine(RuleBasedStateMachine):
    """Has consumers that are slow, cancelled and started; pages, syncs, stops and crashes."""

    @initialize(wanted=st.sampled_from(SETTINGS), ahead_count=st.integers(1, 5))
    def begin(self, wanted: dict[str, object], ahead_count: int) -> None:
        self.wanted = wanted
        self.broker = Durable(window=replace(TINY, ahead_bytes=400 * ahead_count))
        self.broker.vhost.create_queue("dead", durable=True)
        letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        self.broker.vhost.create_queue(
            "q", durable=True, arguments=arguments({"x-message-groups": True, **letters, **wanted})
        )
        self.log: list[FakeMessage] = []
        self.last_number = self.settled_count = 0
        self.got: list[QueuedMessage] = []
        self.workers: list[Worker] = []
        self.gone: list[Worker] = []

    @property
    def queue(self) -> GroupedQueue:
        queue = self.broker.queue()
        assert isinstance(queue, GroupedQueue)
        return queue

    # --- what is done -----------------------------------------------------------------------------------------------

    @rule(
        groups=st.lists(st.sampled_from(GROUPS), min_size=1, max_size=10),
        ttl_s=st.sampled_from([None, None, None, 5]),
        sync=st.booleans(),
    )
    def publish(self, groups: list[str | None], ttl_s: int | None, sync: bool) -> None:
        if ttl_s is not None:
            self.wanted = {"x-message-ttl": 0, **self.wanted}
        for group in groups:
            self.last_number += 1
            self.queue.enqueue(
                FakeMessage(
                    str(self.last_number),
                    headers=arguments({} if group is None else {"x-message-group": group}),
                    persistent=True,
                    expiration_ms=None if ttl_s is None else ttl_s * 1000,
                )
            )
            if sync:
                self.broker.sync()

    @precondition(lambda self: len(self.workers) < 4)
    @rule(prefetch_count=st.integers(0, 3), no_ack=st.sampled_from([False, False, False, True]))
    def start(self, prefetch_count: int, no_ack: bool) -> None:
        worker = Worker(self.queue, f"w{len(self.log)}", prefetch_count=prefetch_count, no_ack=no_ack)
        worker.log = self.log
        self.workers.append(worker)
        worker.start()
        if no_ack:
            self.stop(worker)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def stop_one(self, data: st.DataObject) -> None:
        self.stop(data.draw(st.sampled_from(self.workers)))

    def stop(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.gone.append(worker)
        worker.stop()
        self.settled_count += worker.no_ack * len(worker.got)

    @precondition(lambda self: self.holders)
    @rule(data=st.data(), fate=st.sampled_from(["settle", "settle", "settle", "discard", "requeue"]))
    def end(self, data: st.DataObject, fate: str) -> None:
        holder = data.draw(st.sampled_from(self.holders))
        getattr(holder, fate)(data.draw(st.sampled_from(holder.unacked)))
        self.settled_count += fate != "requeue"

    @rule()
    def get(self) -> None:
        queued = self.queue.get()
        if queued is not None:
            self.got.append(queued)

    @precondition(lambda self: self.got)
    @rule(data=st.data(), fate=st.sampled_from(["settle", "requeue"]))
    def end_got(self, data: st.DataObject, fate: str) -> None:
        queued = self.got.pop(data.draw(st.integers(0, len(self.got) - 1)))
        self.queue.settle(queued) if fate == "settle" else self.queue.requeue([queued])
        self.settled_count += fate == "settle"

    @rule(seconds=st.sampled_from([1, 6, 21]))
    def pass_time(self, seconds: int) -> None:
        self.broker.clock.now_s += seconds
        self.broker.core.timers.handle_deadline()

    @rule()
    def sync(self) -> None:
        self.broker.sync()

    @rule()
    def page_out(self) -> None:
        self.queue.page_out(100_000)

    @rule()
    def purge(self) -> None:
        self.settled_count += self.queue.purge()

    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        """Start again. What was handed out comes back before a stop, and is there again after a crash."""
        for worker in list(self.workers):
            self.stop(worker)
        if crash:
            self.broker.sync()
            self.broker.sync()
            self.broker.crash_and_start()
        else:
            self.queue.requeue([*self.got, *(queued for holder in self.holders for queued in holder.unacked)])
            self.broker.stop_and_start()
        self.got, self.gone = [], []

    # --- what always holds ------------------------------------------------------------------------------------------

    @property
    def holders(self) -> list[Worker]:
        return [worker for worker in self.workers + self.gone if worker.unacked]

    @property
    def nothing_dies(self) -> bool:
        return not self.wanted

    @invariant()
    def a_group_is_worked_on_in_order_by_one_consumer_at_a_time(self) -> None:
        check([*self.workers, *self.gone], self.got)

    @invariant()
    def nothing_is_lost(self) -> None:
        unacked_count = sum(len(holder.unacked) for holder in self.holders) + len(self.got)
        assert self.queue.unacked_count == unacked_count
        if self.nothing_dies:
            assert self.queue.ready_count + unacked_count + self.settled_count == self.last_number

    @invariant()
    def nobody_waits_for_what_is_there(self) -> None:
        ready = self.queue._grouped
        assert isinstance(ready, PagedLanes)
        for worker in self.workers:
            assert not worker.waiting or not worker.can_take()
            # It is taken out if there is anything; then this fails.
            assert worker.waiting or self.queue._pop_for(worker) is None

    @invariant()
    def what_is_looked_at_is_counted(self) -> None:
        ready = self.queue._grouped
        assert isinstance(ready, PagedLanes)
        held = list(ready.looked_at)
        assert len(held) == ready._held_count
        assert sum(queued.message.memory_size + 400 for queued in held) == ready._held_bytes

    def teardown(self) -> None:
        """Let whoever is there work on, and be done."""
        if not hasattr(self, "workers"):
            return
        for queued in self.got:
            self.queue.settle(queued)
        if not self.workers:
            self.start(1, no_ack=False)
        self.log.clear()
        while self.holders:
            self.holders[0].settle(self.holders[0].unacked[0])
        assert (self.queue.ready_count, self.queue.unacked_count, self.queue.memory_bytes) == (0, 0, 0)
        last: dict[object, int] = {}
        for message in self.log:
            group = message.headers.get("x-message-group")
            if group is not None:
                assert last.get(group.value, 0) < int(message.text)
                last[group.value] = int(message.text)
        self.broker.queue("dead").purge()
        for _ in range(2):
            self.broker.sync()
        assert not self.broker.disk.messages


# Long runs take their time.
TestAhead = pytest.mark.timeout(900)(AheadMachine.TestCase)
TestAhead.settings = settings(stateful_step_count=50)
