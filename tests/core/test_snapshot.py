"""Snapshots: what a broker held, it holds again; what is the same stays, and nobody is harmed."""

from collections.abc import Iterator
from random import Random

import pytest

from amqpy_broker.core.arguments import Argument, arguments
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.definitions import dump
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.exchanges.delayed_message import DelayedMessageExchange
from amqpy_broker.core.exchanges.recent_history import RecentHistoryExchange
from amqpy_broker.core.firehose import Firehose
from amqpy_broker.core.profile import profile_named
from amqpy_broker.core.queues.base import Queue, QueuedMessage
from amqpy_broker.core.snapshot import restore, take
from amqpy_broker.core.users import Permissions, User
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import FakeConsumer, FakeMessage, ManualClock
from tests.memory_journal import MemoryJournal


class FakeChannel:
    """A channel: consumers, and what they have unacknowledged."""

    def __init__(self, vhost: VirtualHost) -> None:
        self.consumers: list[FakeConsumer] = []
        self.got: list[QueuedMessage] = []
        vhost.channels[self] = None

    def consume(self, queue: Queue, prefetch_count: int = 0) -> FakeConsumer:
        self.consumers.append(FakeConsumer(queue, prefetch_count=prefetch_count))
        return self.consumers[-1].start()

    def get(self, queue: Queue) -> QueuedMessage:
        queued = queue.get()
        assert queued is not None
        self.got.append(queued)
        return queued

    def ack(self, consumer: FakeConsumer) -> None:
        queued = consumer.unacked[0]
        consumer.forget(queued)
        queued.queue.settle(queued)
        consumer.resume_if_waiting()

    def trace(self, firehose: Firehose | None) -> None:
        raise AssertionError("nobody traces here")

    def unacked(self) -> Iterator[QueuedMessage]:
        yield from self.got
        for consumer in self.consumers:
            yield from consumer.unacked


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def core(clock: ManualClock) -> BrokerCore:
    return BrokerCore(clock=clock)


@pytest.fixture
def vhost(core: BrokerCore) -> VirtualHost:
    return core.vhosts["/"]


def a_queue(vhost: VirtualHost, name: str = "q", *texts: str, durable: bool = True, **asked: object) -> Queue:
    queue = vhost.create_queue(name, durable=durable, arguments=arguments(asked))
    publish(queue, *texts)
    return queue


def publish(queue: Queue, *texts: str, persistent: bool = True) -> None:
    for text in texts:
        queue.enqueue(FakeMessage(text, persistent=persistent))


def texts(queue: Queue) -> list[str]:
    """What is ready, in the order in which it would leave; those that were handed out before have a star."""
    assert queue.vhost == "/"
    found = []
    while (queued := queue.get()) is not None:
        message = queued.message
        assert isinstance(message, FakeMessage)
        found.append(message.text + "*" * queued.redelivered)
        queue.settle(queued)
    return found


def let_time_pass(core: BrokerCore, clock: ManualClock, seconds: float) -> None:
    until_s = clock.now_s + seconds
    while core.timers.next_deadline_s <= until_s:
        clock.now_s = core.timers.next_deadline_s
        core.timers.handle_deadline()
    clock.now_s = until_s


# Topology -------------------------------------------------------------------------------------------------------------


def test_what_was_there_comes_back_and_what_is_new_goes(core: BrokerCore, vhost: VirtualHost) -> None:
    source = vhost.create_exchange("e", "topic", durable=True)
    vhost.create_binding(Binding("e", a_queue(vhost), "k", {}))
    vhost.create_binding(Binding("amq.fanout", source, "", {}))
    before = dump(core)
    snapshot = take(core)
    vhost.drop_queue(vhost.queues["q"])
    vhost.drop_exchange(source)
    vhost.create_binding(Binding("amq.topic", a_queue(vhost, "new"), "k", {}))
    vhost.create_exchange("new", "fanout", durable=False)
    restore(core, snapshot)
    assert dump(core) == before


def test_what_stays_is_the_same_object(core: BrokerCore, vhost: VirtualHost) -> None:
    exchange = vhost.create_exchange("e", "topic", durable=True)
    queue = a_queue(vhost)
    binding = Binding("e", queue, "k", {})
    vhost.create_binding(binding)
    restore(core, take(core))
    assert vhost.exchanges["e"] is exchange
    assert vhost.queues["q"] is queue
    assert list(exchange.bindings) == [binding]


def test_a_queue_or_an_exchange_that_is_another_one_now_is_replaced(core: BrokerCore, vhost: VirtualHost) -> None:
    a_queue(vhost, "q", **{"x-max-length": 5})
    vhost.create_exchange("e", "topic", durable=True)
    snapshot = take(core)
    vhost.drop_queue(vhost.queues["q"])
    vhost.drop_exchange(vhost.exchanges["e"])
    a_queue(vhost, "q", **{"x-max-length": 6})
    vhost.create_exchange("e", "topic", durable=False)
    restore(core, snapshot)
    assert vhost.queues["q"].settings.max_length == 5
    assert vhost.exchanges["e"].durable


def test_bindings_come_back_in_their_order_because_some_exchanges_go_by_it(
    core: BrokerCore, vhost: VirtualHost
) -> None:
    exchange = vhost.create_exchange("e", "x-consistent-hash", durable=True)
    bindings = [Binding("e", a_queue(vhost, name), "1", {}) for name in "abc"]
    for binding in bindings:
        vhost.create_binding(binding)
    snapshot = take(core)
    routes = [vhost.route(exchange, str(number)).queues for number in range(50)]
    vhost.drop_binding(bindings[0])
    vhost.create_binding(bindings[0])
    restore(core, snapshot)
    assert [binding.destination.name for binding in exchange.bindings] == ["a", "b", "c"]
    assert [vhost.route(exchange, str(number)).queues for number in range(50)] == routes


def test_an_auto_delete_exchange_that_went_with_its_last_binding_is_there_again(
    core: BrokerCore, vhost: VirtualHost
) -> None:
    vhost.create_exchange("e", "fanout", durable=True, auto_delete=True)
    snapshot = take(core)
    vhost.create_binding(Binding("e", a_queue(vhost), "", {}))
    restore(core, snapshot)
    assert "e" in vhost.exchanges
    assert not vhost.exchanges["e"].in_use


def test_users_and_vhosts_come_and_go(core: BrokerCore) -> None:
    core.add_vhost("orders")
    core.users.add(User("clerk", b"x", ("monitoring",), {"orders": Permissions("a", "b", "c")}))
    before = dump(core)
    snapshot = take(core)
    clerk = core.users.find("clerk")
    assert clerk is not None
    clerk.permissions["/"] = Permissions()
    core.users.remove("guest")
    core.users.add(User("new"))
    core.add_vhost("new")
    assert restore(core, snapshot) == ["new"]
    assert {user["name"]: user for user in users(dump(core))} == {user["name"]: user for user in users(before)}
    assert clerk.permissions != {}
    assert list(core.vhosts) == ["/", "orders"]


def users(document: dict[str, object]) -> list[dict[str, object]]:
    found = document["users"]
    assert isinstance(found, list)
    return found


def test_a_vhost_that_goes_cancels_its_consumers(core: BrokerCore) -> None:
    snapshot = take(core)
    consumer = FakeConsumer(core.add_vhost("new").create_queue("q", durable=True)).start()
    restore(core, snapshot)
    assert consumer.was_cancelled


def test_a_snapshot_goes_to_another_broker(core: BrokerCore, vhost: VirtualHost) -> None:
    vhost.create_binding(Binding("amq.topic", a_queue(vhost, "q", "a", "b"), "k", {}))
    other = BrokerCore(clock=ManualClock(5.0))
    restore(other, take(core))
    assert dump(other) == dump(core)
    assert texts(other.vhosts["/"].queues["q"]) == ["a", "b"]
    assert texts(vhost.queues["q"]) == ["a", "b"]


# What is somebody's own -----------------------------------------------------------------------------------------------


def test_an_exclusive_queue_is_left_alone_with_its_messages_and_bindings(core: BrokerCore, vhost: VirtualHost) -> None:
    snapshot = take(core)
    mine = vhost.create_queue("mine", durable=False, owner=object())
    publish(mine, "a")
    vhost.create_binding(Binding("amq.topic", mine, "k", {}))
    restore(core, snapshot)
    assert vhost.route(vhost.exchanges["amq.topic"], "k").queues == (mine,)
    assert texts(mine) == ["a"]


def test_an_exclusive_queue_is_not_in_a_snapshot(core: BrokerCore, vhost: VirtualHost) -> None:
    mine = vhost.create_queue("mine", durable=False, owner=object())
    vhost.create_binding(Binding("amq.topic", mine, "k", {}))
    snapshot = take(core)
    vhost.drop_queue(mine)
    restore(core, snapshot)
    assert "mine" not in vhost.queues
    assert not vhost.exchanges["amq.topic"].in_use


# Messages -------------------------------------------------------------------------------------------------------------


def test_messages_come_back_and_are_the_same_ones(core: BrokerCore, vhost: VirtualHost) -> None:
    queue = a_queue(vhost)
    first, second = FakeMessage("a"), FakeMessage("b")
    queue.enqueue(first)
    queue.enqueue(second)
    memory_bytes = queue.memory_bytes
    snapshot = take(core)
    queue.purge()
    publish(queue, "new")
    restore(core, snapshot)
    assert queue.memory_bytes == memory_bytes
    returned = [queue.get(), queue.get()]
    assert [queued.message for queued in returned if queued is not None] == [first, second]
    assert queue.get() is None


def test_a_snapshot_may_be_restored_again_and_again(core: BrokerCore, vhost: VirtualHost) -> None:
    queue = a_queue(vhost, "q", "a", "b")
    snapshot = take(core)
    for _ in range(3):
        restore(core, snapshot)
        assert texts(queue) == ["a", "b"]


def test_what_is_published_afterwards_comes_behind(core: BrokerCore, vhost: VirtualHost) -> None:
    queue = a_queue(vhost, "q", "a", "b")
    snapshot = take(core)
    vhost.drop_queue(queue)
    restore(core, snapshot)
    again = vhost.queues["q"]
    publish(again, "c")
    assert texts(again) == ["a", "b", "c"]


def test_a_message_lives_as_long_as_it_had_to_live(core: BrokerCore, vhost: VirtualHost, clock: ManualClock) -> None:
    queue = a_queue(vhost, "q", "a", **{"x-message-ttl": 60_000})
    let_time_pass(core, clock, 20)
    snapshot = take(core)
    let_time_pass(core, clock, 1000)
    assert queue.ready_count == 0
    restore(core, snapshot)
    let_time_pass(core, clock, 39.9)
    assert queue.ready_count == 1
    let_time_pass(core, clock, 0.2)
    assert queue.ready_count == 0


def test_time_may_have_passed_for_a_snapshot_and_what_died_is_dead_lettered(
    core: BrokerCore, vhost: VirtualHost, clock: ManualClock
) -> None:
    a_queue(
        vhost, "q", "a", **{"x-message-ttl": 60_000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "d"}
    )
    a_queue(vhost, "d")
    snapshot = take(core)
    restore(core, snapshot.bare)
    let_time_pass(core, clock, 61)
    restore(core, snapshot, time_stood_still=False)
    assert vhost.queues["q"].ready_count == 0
    assert texts(vhost.queues["d"]) == ["a"]


def test_the_keys_of_a_queue_without_duplicates_come_back(core: BrokerCore, vhost: VirtualHost) -> None:
    queue = a_queue(vhost, "q", **{"x-message-deduplication": True})
    headers = arguments({"x-deduplication-header": "1"})
    snapshot = take(core)
    queue.enqueue(FakeMessage("a", headers=headers))
    seen = take(core)
    restore(core, snapshot)
    queue.enqueue(FakeMessage("b", headers=headers))
    assert texts(queue) == ["b"]
    restore(core, seen)
    queue.enqueue(FakeMessage("c", headers=headers))
    assert texts(queue) == ["a"]


def test_delayed_messages_are_due_as_late_as_they_were(
    core: BrokerCore, vhost: VirtualHost, clock: ManualClock
) -> None:
    exchange = vhost.create_exchange(
        "e", "x-delayed-message", durable=True, arguments=arguments({"x-delayed-type": "fanout"})
    )
    queue = a_queue(vhost)
    vhost.create_binding(Binding("e", queue, "", {}))
    for text, delay_ms in (("late", 60_000), ("soon", 30_000)):
        vhost.send(exchange, FakeMessage(text, headers=arguments({"x-delay": delay_ms})))
    snapshot = take(core)
    let_time_pass(core, clock, 100)
    restore(core, snapshot)
    assert isinstance(exchange, DelayedMessageExchange)
    assert exchange.pending_count == 2
    let_time_pass(core, clock, 31)
    assert texts(queue) == ["soon"]
    let_time_pass(core, clock, 30)
    assert texts(queue) == ["late"]


def test_a_recent_history_comes_back(core: BrokerCore, vhost: VirtualHost) -> None:
    exchange = vhost.create_exchange("e", "x-recent-history", durable=True)
    assert isinstance(exchange, RecentHistoryExchange)
    vhost.send(exchange, FakeMessage("a"))
    snapshot = take(core)
    memory_bytes = exchange.memory_bytes
    vhost.send(exchange, FakeMessage("b"))
    restore(core, snapshot)
    assert [str(message) for message in exchange.history] == ["<a>"]
    assert exchange.memory_bytes == memory_bytes


@pytest.mark.parametrize("profile", ["3.10", "4.0", "4.3"])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"x-max-priority": 3},
        {"x-message-ttl": 5000},
        {"x-max-length": 4, "x-max-length-bytes": 9},
        {"x-queue-type": "quorum", "x-delivery-limit": 3},
        {"x-last-value-key": "key"},
        {"x-message-groups": True},
        {"x-delayed-retry-type": "all", "x-delayed-retry-min": 700},
        {"x-queue-type": "quorum", "x-delayed-retry-type": "all", "x-delayed-retry-min": 700},
    ],
    ids=str,
)
def test_a_queue_goes_on_as_one_that_nothing_happened_to(profile: str, asked: dict[str, object]) -> None:
    for seed in range(12):
        twins = [Twin(profile, asked, seed), Twin(profile, asked, seed)]
        for twin in twins:
            twin.live(30)
            twin.return_all()
        snapshot = take(twins[0].core)
        Random(seed + 1000).random()
        twins[0].live(15, random=Random(seed + 1000))
        restore(twins[0].core, snapshot)
        twins[0].taken.clear()
        restored, untouched = ([*twin.drain()] for twin in twins)
        assert restored == untouched, f"seed {seed}"
        assert twins[0].queue.memory_bytes == twins[1].queue.memory_bytes == 0


class Twin:
    """A queue that lives through random events, which repeat with the seed. Time passes for it, too."""

    def __init__(self, profile: str, asked: dict[str, object], seed: int) -> None:
        self.clock = ManualClock()
        self.core = BrokerCore(profile_named(profile), clock=self.clock)
        self.queue = a_queue(self.core.vhosts["/"], "q", **asked)
        self.channel = FakeChannel(self.core.vhosts["/"])
        self.taken = self.channel.got
        self.random = Random(seed)
        self.number = 0

    def live(self, steps: int, *, random: Random | None = None) -> None:
        random = random or self.random
        for _ in range(steps):
            random.choice((self.publish, self.publish, self.take, self.take, self.give_back, self.ack, self.wait))(
                random
            )

    def publish(self, random: Random) -> None:
        self.number += 1
        headers = arguments({"key": random.choice("abc"), "x-message-group": random.choice("abc")})
        self.queue.enqueue(FakeMessage(f"{self.number}", headers=headers, priority=random.randrange(7)))

    def take(self, random: Random) -> None:
        queued = self.queue.get()
        if queued is not None:
            self.taken.append(queued)

    def give_back(self, random: Random) -> None:
        if self.taken:
            self.queue.requeue([self.taken.pop(random.randrange(len(self.taken)))])

    def ack(self, random: Random) -> None:
        if self.taken:
            self.queue.settle(self.taken.pop(random.randrange(len(self.taken))))

    def wait(self, random: Random) -> None:
        let_time_pass(self.core, self.clock, random.random())

    def return_all(self) -> None:
        self.queue.requeue(self.taken)
        self.taken.clear()

    def drain(self) -> Iterator[tuple[str, bool, int, str]]:
        """Take everything, as soon as it can be had, and then all that comes back once more."""
        for _ in range(20):
            let_time_pass(self.core, self.clock, 0.5)
            while (queued := self.queue.get()) is not None:
                message = queued.message
                assert isinstance(message, FakeMessage)
                headers = str(sorted(message.headers.items()))
                yield message.text, queued.redelivered, queued.delivery_count, headers
                if queued.delivery_count < 2 and self.random.random() < 0.3:
                    self.queue.requeue([queued])
                else:
                    self.queue.settle(queued)


def test_dead_letters_that_go_round_for_ever_end(clock: ManualClock) -> None:
    core = BrokerCore(profile_named("3.10"), clock=clock)
    vhost = core.vhosts["/"]
    for name, to in (("a", "b"), ("b", "a")):
        a_queue(vhost, name, **{"x-max-length": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": to})
    snapshot = take(core)
    # To 3.x an old rejection hides the cycle.
    rejected = arguments({"x-death": [{"queue": "x", "reason": "rejected"}]})
    vhost.queues["a"].enqueue(FakeMessage("a", headers=rejected))
    assert core.timers.next_deadline_s < float("inf")
    restore(core, snapshot)
    let_time_pass(core, clock, 1)
    assert core.timers.next_deadline_s == float("inf")


# What is handed out ---------------------------------------------------------------------------------------------------


def test_what_was_handed_out_is_ready_again_and_marked(core: BrokerCore, vhost: VirtualHost) -> None:
    queue, channel = a_queue(vhost, "q", "a", "b", "c"), FakeChannel(vhost)
    channel.get(queue)
    snapshot = take(core)
    queue.purge()
    restore(core, snapshot)
    assert (queue.ready_count, queue.unacked_count) == (3, 0)
    assert texts(queue) == ["a*", "b", "c"]


def test_a_quorum_queue_counts_what_was_handed_out_as_a_return(core: BrokerCore, vhost: VirtualHost) -> None:
    queue, channel = a_queue(vhost, "q", "a", **{"x-queue-type": "quorum"}), FakeChannel(vhost)
    channel.get(queue)
    restore(core, take(core))
    queued = queue.get()
    assert queued is not None
    assert (queued.redelivered, queued.delivery_count) == (True, 1)
    assert queued.message.headers == arguments({"x-delivery-count": Argument("long", 1)})


@pytest.mark.parametrize("fate", ["settle", "discard", "requeue"])
def test_what_a_client_does_with_a_delivery_it_still_has_changes_nothing(
    core: BrokerCore, vhost: VirtualHost, fate: str
) -> None:
    dead = a_queue(vhost, "dead")
    asked = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    queue, channel = a_queue(vhost, "q", "a", **asked), FakeChannel(vhost)
    snapshot = take(core)
    queued = channel.get(queue)
    restore(core, snapshot)
    match fate:
        case "settle":
            queued.queue.settle(queued)
        case "discard":
            queued.queue.discard(queued)
        case _:
            queued.queue.requeue([queued])
    assert (queue.unacked_count, dead.ready_count) == (0, 0)
    assert texts(queue) == ["a"]
    assert queue.memory_bytes == 0


def test_a_consumer_stays_and_gets_the_messages_again(core: BrokerCore, vhost: VirtualHost) -> None:
    queue, channel = a_queue(vhost, "q", "a", "b"), FakeChannel(vhost)
    snapshot = take(core)
    consumer = channel.consume(queue)
    channel.ack(consumer)
    channel.ack(consumer)
    restore(core, snapshot)
    assert consumer.got == ["a", "b", "a", "b"]
    publish(queue, "c")
    assert consumer.got[-1] == "c"


def test_what_a_consumer_still_has_counts_for_its_prefetch_until_it_acknowledges(
    core: BrokerCore, vhost: VirtualHost
) -> None:
    queue, channel = a_queue(vhost, "q", "a", "b"), FakeChannel(vhost)
    snapshot = take(core)
    consumer = channel.consume(queue, prefetch_count=1)
    restore(core, snapshot)
    assert consumer.got == ["a"]
    channel.ack(consumer)
    assert consumer.got == ["a", "a"]
    channel.ack(consumer)
    assert consumer.got == ["a", "a", "b"]


def test_a_consumer_of_a_queue_that_goes_is_cancelled(core: BrokerCore, vhost: VirtualHost) -> None:
    snapshot = take(core)
    consumer = FakeChannel(vhost).consume(a_queue(vhost))
    restore(core, snapshot)
    assert consumer.was_cancelled


def test_messages_reach_consumers_only_when_everything_is_in_its_place(core: BrokerCore, vhost: VirtualHost) -> None:
    class Looking(FakeConsumer):
        __slots__ = ("seen",)
        seen: list[int]

        def deliver(self, message: object, redelivered: bool, queued: QueuedMessage | None) -> bool:
            self.seen.append(vhost.queues["z"].ready_count)
            return True

    queue = a_queue(vhost, "a")
    a_queue(vhost, "z", "1", "2")
    publish(queue, "x")
    snapshot = take(core)
    queue.purge()
    consumer = Looking(queue, no_ack=True)
    consumer.seen = []
    consumer.start()
    vhost.queues["z"].purge()
    restore(core, snapshot)
    assert consumer.seen == [2]


# What outlives a restart ----------------------------------------------------------------------------------------------


def test_only_what_is_durable_outlives_a_restart(core: BrokerCore, vhost: VirtualHost) -> None:
    kept = a_queue(vhost, "kept", "1")
    publish(kept, "transient", persistent=False)
    a_queue(vhost, "quorum", **{"x-queue-type": "quorum"})
    publish(vhost.queues["quorum"], "2", persistent=False)
    lost = a_queue(vhost, "lost", "3", durable=False)
    vhost.create_exchange("kept", "topic", durable=True)
    vhost.create_exchange("lost", "topic", durable=False)
    for source, to in (("kept", kept), ("kept", lost), ("lost", kept), ("amq.topic", vhost.exchanges["lost"])):
        vhost.create_binding(Binding(source, to, "k", {}))
    restore(core, take(core, durable_only=True))
    assert set(vhost.queues) == {"kept", "quorum"}
    assert "kept" in vhost.exchanges
    assert "lost" not in vhost.exchanges
    bindings = [binding for exchange in vhost.exchanges.values() for binding in exchange.bindings]
    assert [(binding.source, binding.destination) for binding in bindings] == [("kept", kept)]
    assert texts(kept) == ["1"]
    assert texts(vhost.queues["quorum"]) == ["2"]


def test_of_a_bare_snapshot_users_and_vhosts_are_left(core: BrokerCore, vhost: VirtualHost) -> None:
    core.add_vhost("orders")
    fresh = dump(core)
    vhost.create_binding(Binding("amq.topic", a_queue(vhost, "q", "a"), "k", {}))
    restore(core, take(core).bare)
    assert dump(core) == fresh
    assert "amq.topic" in vhost.exchanges


def test_a_broker_with_a_journal_has_no_snapshots() -> None:
    core = BrokerCore(journal=MemoryJournal())
    with pytest.raises(ValueError, match="a broker that keeps a journal has no snapshots"):
        take(core)


def test_nothing_is_told_of_a_restore(core: BrokerCore, vhost: VirtualHost) -> None:
    told: list[str] = []
    snapshot = take(core)
    a_queue(vhost)
    core.events.listen(lambda event, details: told.append(event))
    restore(core, snapshot)
    assert told == []
    a_queue(vhost, "other")
    assert told == ["queue.created"]
