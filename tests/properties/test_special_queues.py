"""Queues that expire, limit, prioritise and dead-letter into each other, against a naive oracle under virtual time.

Whatever is done to them, every copy of a message meets exactly one fate: it is settled, or dead-lettered (and each of
its letters is a copy with a fate of its own), or dropped by a rule that has a name, or refused to its publisher, or it
is still there. The oracle keeps plain lists and looks for the first message with `min`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.names import NameSource
from amqpy_broker.core.policies import Policy
from amqpy_broker.core.profile import profile_named
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.timers import Timers
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import FakeConsumer, FakeMessage, ManualClock, an_actor, declare_exchange, declare_queue

QUEUE_COUNT = 4
CONSUMERS_MAX = 4
NEVER = float("inf")
FAN, MISSING = "fan", "missing"


class Asked(NamedTuple):
    """What a queue is asked for."""

    ttl_ms: int | None
    max_length: int | None
    max_length_bytes: int | None
    overflow: str | None
    max_priority: int | None
    # A queue's number, the fanout exchange, one that is not there, or none.
    dead_letter_to: int | str | None

    def under(self, policy: Asked) -> Asked:
        """What counts: the lower limit, and what the queue was declared with before anything else."""
        lower = [lowest(mine, its) for mine, its in zip(self[:3], policy[:3], strict=True)]
        overflow = self.overflow or policy.overflow or "drop-head"
        to = policy.dead_letter_to if self.dead_letter_to is None else self.dead_letter_to
        return Asked(*lower, overflow, self.max_priority, to)  # type: ignore[arg-type]

    def definition(self) -> dict[str, object]:
        """The same as a policy says it."""
        fields = {name[2:].replace("_", "-"): value for name, value in self.fields().items()}
        return {name: value for name, value in fields.items() if name != "max-priority"}

    def fields(self) -> dict[str, object]:
        exchange = {FAN: FAN, MISSING: MISSING, None: None}.get(self.dead_letter_to, "")  # type: ignore[call-overload]
        key = f"q{self.dead_letter_to}" if exchange == "" else None
        fields = {
            "x_message_ttl": self.ttl_ms,
            "x_max_length": self.max_length,
            "x_max_length_bytes": self.max_length_bytes,
            "x_overflow": self.overflow,
            "x_max_priority": self.max_priority,
            "x_dead_letter_exchange": exchange,
            "x_dead_letter_routing_key": key,
        }
        return {name: value for name, value in fields.items() if value is not None}


def lowest(*limits: int | str | None) -> int | None:
    return min((limit for limit in limits if isinstance(limit, int)), default=None)


NOTHING = Asked(None, None, None, None, None, None)
ASKED = st.builds(
    Asked,
    ttl_ms=st.sampled_from([None, None, 0, 5, 20]),
    max_length=st.sampled_from([None, None, 0, 1, 3]),
    max_length_bytes=st.sampled_from([None, None, 0, 6, 12]),
    overflow=st.sampled_from([None, "drop-head", "reject-publish", "reject-publish-dlx"]),
    max_priority=st.sampled_from([None, None, 0, 2]),
    dead_letter_to=st.sampled_from([None, FAN, MISSING, *range(QUEUE_COUNT), *range(QUEUE_COUNT)]),
)


# eq: copies are compared by who they are.
@dataclass(eq=False)
class Copy:
    """A message in one queue."""

    text: str
    priority: int
    expiration_ms: int | None
    # Where it died and why, the latest death first.
    deaths: tuple[tuple[int, str], ...] = ()
    fate: str = "there"
    position: int = 0
    expires_at_s: float = NEVER
    redelivered: bool = False

    def meet(self, fate: str) -> None:
        assert self.fate == "there", (self.fate, fate)
        self.fate = fate


@dataclass(eq=False)
class Turn:
    """A consumer as its queue should see it."""

    real: FakeConsumer
    got: list[str] = field(default_factory=list)
    unacked: list[Copy] = field(default_factory=list)

    @property
    def has_room(self) -> bool:
        return not self.real.prefetch_count or len(self.unacked) < self.real.prefetch_count


class OracleQueue:
    """What one queue should do."""

    def __init__(self, number: int, asked: Asked, oracle: Oracle) -> None:
        self.number = number
        self.declared = asked
        # All in all, with what a policy says.
        self.asked = asked.under(NOTHING)
        self.oracle = oracle
        self.ready: list[Copy] = []
        # What was got without a consumer, or outlived its consumer.
        self.held: list[Copy] = []
        self.consumers: list[Turn] = []
        # Those that can take, as far as the queue knows.
        self.turns: list[Turn] = []
        self.last_position = 0

    def level(self, copy: Copy) -> int:
        return 0 if self.asked.max_priority is None else min(copy.priority, self.asked.max_priority)

    @property
    def first(self) -> Copy | None:
        return min(self.ready, key=lambda copy: (-self.level(copy), copy.position), default=None)

    @property
    def ready_bytes(self) -> int:
        return sum(len(copy.text) for copy in self.ready)

    @property
    def unacked(self) -> list[Copy]:
        return [*self.held, *(copy for consumer in self.consumers for copy in consumer.unacked)]

    def is_too_much(self, more: Iterable[Copy] = ()) -> bool:
        copies = [*self.ready, *more]
        length, size = self.asked.max_length, self.asked.max_length_bytes
        too_many = length is not None and len(copies) > length
        return too_many or (size is not None and sum(len(copy.text) for copy in copies) > size)

    # --- what it does -----------------------------------------------------------------------------------------------

    def enqueue(self, copy: Copy) -> bool:
        if self.asked.overflow != "drop-head" and self.is_too_much([copy]):
            if self.asked.overflow == "reject-publish-dlx":
                self.oracle.bury([(self, copy, "maxlen")])
            else:
                copy.meet("refused")
            return False
        self.last_position += 1
        copy.position = self.last_position
        ttl_ms = min((ttl for ttl in (self.asked.ttl_ms, copy.expiration_ms) if ttl is not None), default=None)
        copy.expires_at_s = NEVER if ttl_ms is None else self.oracle.clock.now_s + ttl_ms / 1000
        if self.turns:
            # Even with a time of 0.
            assert not self.ready
            self.hand_out_one(copy)
            return True
        self.ready.append(copy)
        self.oracle.bury(self.over_limit())
        self.oracle.bury(self.expired())
        return True

    def over_limit(self) -> list[Death]:
        dropped: list[Death] = []
        while self.asked.overflow == "drop-head" and self.is_too_much():
            dropped.append((self, self.pop(), "maxlen"))
        return dropped

    def expired(self) -> list[Death]:
        dropped: list[Death] = []
        while self.first is not None and self.first.expires_at_s <= self.oracle.clock.now_s:
            dropped.append((self, self.pop(), "expired"))
        return dropped

    def pop(self) -> Copy:
        assert self.first is not None
        copy = self.first
        self.ready.remove(copy)
        return copy

    def hand_out(self) -> list[Death]:
        dropped: list[Death] = []
        while self.turns:
            dropped += self.expired()
            if not self.ready:
                break
            self.hand_out_one(self.pop())
        return dropped

    def hand_out_one(self, copy: Copy) -> None:
        turn = max(self.turns, key=lambda turn: turn.real.priority)
        self.turns.remove(turn)
        turn.got.append(copy.text + "*" * copy.redelivered)
        if turn.real.no_ack:
            copy.meet("settled")
        else:
            turn.unacked.append(copy)
        if turn.has_room:
            self.turns.append(turn)

    def get(self) -> Copy | None:
        if self.first is None:
            return None
        copy = self.pop()
        self.held.append(copy)
        self.oracle.bury(self.expired())
        return copy

    def requeue(self, copies: Iterable[Copy]) -> None:
        for copy in copies:
            copy.redelivered = True
            self.ready.append(copy)
        self.oracle.bury([*self.over_limit(), *self.expired(), *self.hand_out(), *self.expired()])

    def govern(self, policy: Asked) -> None:
        """Follow a policy: limits come first, with what happened until now to what is too much."""
        wanted = self.declared.under(policy)
        if wanted.overflow != self.asked.overflow:
            self.follow(wanted._replace(overflow=self.asked.overflow))
        self.follow(wanted)

    def follow(self, wanted: Asked) -> None:
        self.asked = wanted
        self.oracle.bury([*self.over_limit(), *self.expired(), *self.hand_out(), *self.expired()])

    def resume(self, turn: Turn) -> None:
        if turn in self.consumers and turn not in self.turns and turn.has_room:
            self.turns.append(turn)
            self.oracle.bury([*self.expired(), *self.hand_out(), *self.expired()])

    def purge(self) -> int:
        copies, self.ready = self.ready, []
        for copy in copies:
            copy.meet("purged")
        return len(copies)


Death = tuple[OracleQueue, Copy, str]


class Oracle:
    """What the queues of a vhost should do together."""

    def __init__(self, asked: list[Asked], fan: list[int], clock: ManualClock) -> None:
        self.clock = clock
        self.fan = fan
        self.queues = [OracleQueue(number, one, self) for number, one in enumerate(asked)]
        self.copies: list[Copy] = []
        self.dead: list[Death] = []
        self.burying = False

    def publish(self, number: int, text: str, priority: int, expiration_ms: int | None) -> bool:
        return self.queues[number].enqueue(self.copy(Copy(text, priority, expiration_ms)))

    def copy(self, copy: Copy) -> Copy:
        self.copies.append(copy)
        return copy

    def bury(self, deaths: list[Death]) -> None:
        """Publish those who died in the order of their deaths, and then those who died of it."""
        for death in deaths:
            self.dead.append(death)
            if self.burying:
                continue
            self.burying = True
            while self.dead:
                self.publish_dead(*self.dead.pop(0))
            self.burying = False

    def publish_dead(self, queue: OracleQueue, copy: Copy, reason: str) -> None:
        to = queue.asked.dead_letter_to
        if to is None:
            copy.meet(f"dropped: {reason}")
            return
        if to == MISSING:
            copy.meet(f"dropped: {reason}, and the exchange is not there")
            return
        deaths = ((queue.number, reason), *copy.deaths)
        targets = [number for number in (self.fan if to == FAN else [to]) if not is_cycle(deaths, number)]
        copy.meet("dead-lettered" if targets else f"dropped: {reason}, and it would go round for ever")
        for number in targets:
            assert isinstance(number, int)
            letter = self.copy(Copy(copy.text, copy.priority, None, deaths))
            self.queues[number].enqueue(letter)


def is_cycle(deaths: Iterable[tuple[int, str]], target: int | str) -> bool:
    """Whether it died there, and nobody rejected it since."""
    for queue, reason in deaths:
        if reason == "rejected":
            return False
        if queue == target:
            return True
    return False


class SpecialQueuesMachine(RuleBasedStateMachine):
    """Does what channels do with queues of all kinds, and the same with the oracle."""

    @initialize(
        asked=st.lists(ASKED, min_size=QUEUE_COUNT, max_size=QUEUE_COUNT),
        fan=st.sets(st.integers(0, QUEUE_COUNT - 1)),
        profile=st.just("4.0"),
    )
    def begin(self, asked: list[Asked], fan: set[int], profile: str) -> None:
        self.clock = ManualClock(1000.0)
        self.timers = Timers(self.clock)
        vhost, actor = VirtualHost("/", profile_named(profile), NameSource(seed=1), self.timers), an_actor()
        self.policies = vhost.policies
        declare_exchange(vhost, actor, FAN, "fanout")
        self.queues = [declare_queue(vhost, actor, f"q{number}", **one.fields()) for number, one in enumerate(asked)]
        for number in sorted(fan):
            vhost.bind_queue(actor, f"q{number}", FAN, "", {})
        fan_order = [self.queues.index(queue) for queue in vhost.route(vhost.find_exchange(FAN), "").queues]
        self.oracle = Oracle(asked, fan_order, self.clock)
        self.held: list[list[QueuedMessage]] = [[] for _ in self.queues]
        self.count = 0

    # --- messages ---------------------------------------------------------------------------------------------------

    @rule(
        number=st.integers(0, QUEUE_COUNT - 1),
        padding=st.integers(0, 5),
        priority=st.integers(0, 3),
        expiration_ms=st.sampled_from([None, None, None, 0, 3, 10, 40]),
    )
    def publish(self, number: int, padding: int, priority: int, expiration_ms: int | None) -> None:
        self.count += 1
        text = str(self.count) + "." * padding
        accepted = self.oracle.publish(number, text, priority, expiration_ms)
        message = FakeMessage(text, priority=priority, expiration_ms=expiration_ms)
        assert self.queues[number].enqueue(message) == accepted

    @rule(number=st.integers(0, QUEUE_COUNT - 1))
    def get(self, number: int) -> None:
        copy, queued = self.oracle.queues[number].get(), self.queues[number].get()
        assert (copy is None) == (queued is None)
        if copy is not None and queued is not None:
            assert shown(queued) == copy.text + "*" * copy.redelivered
            self.held[number].append(queued)

    @rule(number=st.integers(0, QUEUE_COUNT - 1))
    def purge(self, number: int) -> None:
        assert self.queues[number].purge() == self.oracle.queues[number].purge()

    @rule(number=st.integers(0, QUEUE_COUNT - 1), wanted=ASKED)
    def set_policy(self, number: int, wanted: Asked) -> None:
        name = f"of q{number}"
        there, wanted = self.policies.users.find(name), wanted._replace(max_priority=None)
        if wanted != NOTHING:
            policy = Policy(name, f"^q{number}$", wanted.definition())
            if policy != there:
                self.oracle.queues[number].govern(wanted)
            self.policies.set(policy)
        elif there is not None:
            self.oracle.queues[number].govern(NOTHING)
            self.policies.clear(name)

    @rule(ms=st.integers(1, 25))
    def let_time_pass(self, ms: int) -> None:
        until_s = self.clock.now_s + ms / 1000
        while True:
            firsts = [(queue.first.expires_at_s, queue.number) for queue in self.oracle.queues if queue.first]
            due_s = min((expires_at_s for expires_at_s, _ in firsts), default=NEVER)
            if due_s > until_s:
                break
            # Nobody promises an order when two queues expire at the same moment: one goes.
            for number in [number for expires_at_s, number in firsts if expires_at_s == due_s][1:]:
                self.purge(number)
            self.clock.now_s = due_s
            self.timers.handle_deadline()
            for queue in self.oracle.queues:
                self.oracle.bury(queue.expired())
        self.clock.now_s = until_s
        self.timers.handle_deadline()

    # --- settling ---------------------------------------------------------------------------------------------------

    def holders(self) -> list[tuple[OracleQueue, Turn | None]]:
        """Who has anything to settle: consumers, and those who got."""
        held = [(queue, None) for queue in self.oracle.queues if queue.held]
        return [*held, *((queue, turn) for queue in self.oracle.queues for turn in queue.consumers if turn.unacked)]

    @precondition(lambda self: self.holders())
    @rule(data=st.data(), fate=st.sampled_from(["settle", "discard", "requeue"]))
    def settle(self, data: st.DataObject, fate: str) -> None:
        queue, turn = data.draw(st.sampled_from(self.holders()))
        copies = queue.held if turn is None else turn.unacked
        places = data.draw(st.lists(st.integers(0, len(copies) - 1), min_size=1, max_size=4, unique=True))
        self.end_deliveries(queue, turn, places, fate)

    def end_deliveries(self, queue: OracleQueue, turn: Turn | None, places: list[int], fate: str) -> None:
        copies = queue.held if turn is None else turn.unacked
        taken = [copies[place] for place in places]
        unacked = self.held[queue.number] if turn is None else turn.real.unacked
        deliveries = [unacked[place] for place in places]
        for copy, queued in zip(taken, deliveries, strict=True):
            assert shown(queued).rstrip("*") == copy.text
            copies.remove(copy)
            if turn is None:
                unacked.remove(queued)
            else:
                turn.real.forget(queued)
        real = self.queues[queue.number]
        if fate == "requeue":
            queue.requeue(taken)
            real.requeue(deliveries)
        for copy, queued in zip(taken, deliveries, strict=True):
            if fate == "settle":
                copy.meet("settled")
                real.settle(queued)
            elif fate == "discard":
                self.oracle.bury([(queue, copy, "rejected")])
                real.discard(queued)
        if turn is not None:
            queue.resume(turn)
            turn.real.resume_if_waiting()

    # --- consumers --------------------------------------------------------------------------------------------------

    @precondition(lambda self: sum(len(queue.consumers) for queue in self.oracle.queues) < CONSUMERS_MAX)
    @rule(
        number=st.integers(0, QUEUE_COUNT - 1),
        no_ack=st.booleans(),
        prefetch_count=st.integers(1, 3),
        priority=st.sampled_from([0, 0, 1]),
    )
    def consume(self, number: int, no_ack: bool, prefetch_count: int, priority: int) -> None:
        real = FakeConsumer(
            self.queues[number],
            no_ack=no_ack,
            prefetch_count=0 if no_ack else prefetch_count,
            priority=priority,
        )
        turn, queue = Turn(real), self.oracle.queues[number]
        queue.consumers.append(turn)
        queue.resume(turn)
        real.start()

    @precondition(lambda self: any(queue.consumers for queue in self.oracle.queues))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        turns = [(queue, turn) for queue in self.oracle.queues for turn in queue.consumers]
        queue, turn = data.draw(st.sampled_from(turns))
        self.leave(queue, turn)

    def leave(self, queue: OracleQueue, turn: Turn) -> None:
        queue.consumers.remove(turn)
        if turn in queue.turns:
            queue.turns.remove(turn)
        queue.held += turn.unacked
        self.held[queue.number] += turn.real.unacked
        assert turn.real.got == turn.got
        turn.real.stop()

    # --- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def everybody_got_what_they_should(self) -> None:
        for queue in self.oracle.queues:
            for turn in queue.consumers:
                assert turn.real.got == turn.got
                assert [text(queued) for queued in turn.real.unacked] == [copy.text for copy in turn.unacked]

    @invariant()
    def counts_and_memory_are_right(self) -> None:
        for queue, real in zip(self.oracle.queues, self.queues, strict=True):
            assert real.ready_count == len(queue.ready)
            assert real.unacked_count == len(queue.unacked)
            copies = [*queue.ready, *queue.unacked]
            assert real.memory_bytes == sum(len(copy.text) + MESSAGE_OVERHEAD_BYTES for copy in copies)

    @invariant()
    def every_copy_met_one_fate_or_is_there(self) -> None:
        there = [copy for queue in self.oracle.queues for copy in (*queue.ready, *queue.unacked)]
        assert len(there) == len(set(there))
        assert set(there) == {copy for copy in self.oracle.copies if copy.fate == "there"}

    def teardown(self) -> None:
        """Everybody leaves, everything is settled, and got in the order that it should have: nothing is left."""
        if not hasattr(self, "oracle"):
            return
        for queue in self.oracle.queues:
            for turn in tuple(queue.consumers):
                self.leave(queue, turn)
        # What expires on the way comes to other queues, but not for ever.
        while any(queue.ready for queue in self.oracle.queues):
            for queue in self.oracle.queues:
                self.get(queue.number)
        for queue in self.oracle.queues:
            self.end_deliveries(queue, None, list(range(len(queue.held))), "settle")
        for real in self.queues:
            assert (real.ready_count, real.unacked_count, real.memory_bytes) == (0, 0, 0)
        assert all(copy.fate != "there" for copy in self.oracle.copies)


def text(queued: QueuedMessage) -> str:
    assert isinstance(queued.message, FakeMessage)
    return queued.message.text


def shown(queued: QueuedMessage) -> str:
    return text(queued) + "*" * queued.redelivered


# Long runs take their time.
TestSpecialQueues = pytest.mark.timeout(900)(SpecialQueuesMachine.TestCase)
TestSpecialQueues.settings = settings(stateful_step_count=60)
