"""What outlives the broker, and how it comes back: as in RabbitMQ 3.10 and 4.0, asked live where it says so."""

from __future__ import annotations

import pytest

from amqpy_broker.core.arguments import Argument, arguments
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.documents import About, key_of
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.journal import JournalFailed
from amqpy_broker.core.limits import DEATHS_AT_ONCE_MAX
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.journaled import JournaledClassicQueue
from amqpy_broker.core.users import Permissions, User, hash_password
from tests.core.durable import Durable, fill, persistent
from tests.fakes import FakeConsumer, FakeMessage, an_actor, bind, declare_exchange, declare_queue, drained, routed

HOW = ["stop_and_start", "crash_and_start"]


@pytest.fixture
def broker() -> Durable:
    return Durable()


def restart(broker: Durable, how: str = "stop_and_start") -> None:
    broker.sync()
    getattr(broker, how)()


# Topology -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOW)
def test_durable_exchanges_queues_and_bindings_survive_and_others_do_not(broker: Durable, how: str) -> None:
    actor, vhost = an_actor(), broker.vhost
    declare_exchange(vhost, actor, "x", "topic", durable=True, internal=True)
    declare_exchange(vhost, actor, "transient-x", "topic")
    declare_queue(vhost, actor, "q", durable=True, x_max_length=5)
    declare_queue(vhost, actor, "transient-q")
    declare_queue(vhost, actor, "exclusive-q", durable=True, exclusive=True)
    for source, queue in (("x", "q"), ("x", "transient-q"), ("transient-x", "q"), ("amq.topic", "q")):
        vhost.bind_queue(actor, queue, source, "a.*", arguments({"n": 1}))

    restart(broker, how)

    vhost = broker.vhost
    assert set(vhost.queues) == {"q"}
    assert vhost.find_exchange("x").internal
    assert "transient-x" not in vhost.exchanges
    assert {(binding.source, binding.key) for binding in vhost.bindings} == {("x", "a.*"), ("amq.topic", "a.*")}
    assert routed(vhost, "x", "a.b") == ["q"]
    # Declared again as they were: nothing is different.
    declare_exchange(vhost, actor, "x", "topic", durable=True, internal=True)
    declare_queue(vhost, actor, "q", durable=True, x_max_length=5)


def test_what_was_deleted_stays_deleted(broker: Durable) -> None:
    actor, vhost = an_actor(), broker.vhost
    declare_exchange(vhost, actor, "x", durable=True)
    declare_exchange(vhost, actor, "auto", durable=True, auto_delete=True)
    declare_queue(vhost, actor, "q", durable=True)
    declare_queue(vhost, actor, "gone", durable=True)
    for source in ("x", "auto", "amq.direct"):
        vhost.bind_queue(actor, "q", source, "k", {})
        vhost.bind_queue(actor, "gone", source, "k", {})
    restart(broker)
    vhost = broker.vhost
    vhost.delete_queue(actor, "gone", if_unused=False, if_empty=False)
    vhost.unbind_queue(actor, "q", "auto", "k", {})
    vhost.delete_exchange(actor, "x", if_unused=False)

    restart(broker)

    assert set(broker.vhost.queues) == {"q"}
    assert not {"x", "auto"} & set(broker.vhost.exchanges)
    assert [binding.source for binding in broker.vhost.bindings] == ["amq.direct"]


def test_exchanges_bound_to_exchanges_survive(broker: Durable) -> None:
    actor, vhost = an_actor(), broker.vhost
    declare_exchange(vhost, actor, "x", "fanout", durable=True)
    declare_queue(vhost, actor, "q", durable=True)
    vhost.bind_exchange(actor, "x", "amq.topic", "#", {})
    vhost.bind_queue(actor, "q", "x", "", {})

    restart(broker)

    assert routed(broker.vhost, "amq.topic", "anything") == ["q"]


def test_a_durable_queue_that_deletes_itself_waits_for_its_first_consumer_again(broker: Durable) -> None:
    # As RabbitMQ, asked live.
    declare_queue(broker.vhost, an_actor(), "q", durable=True, auto_delete=True)

    restart(broker)

    queue = broker.queue()
    FakeConsumer(queue).start().stop()
    broker.vhost.consumer_gone(queue)
    assert queue.deleted
    restart(broker)
    assert not broker.vhost.queues


def test_bindings_come_back_in_the_order_in_which_they_were_made(broker: Durable) -> None:
    vhost = broker.vhost
    vhost.create_exchange("ring", "x-consistent-hash", durable=True)
    names = [f"q{number}" for number in (3, 1, 4, 0, 2)]
    for name in names:
        queue = vhost.create_queue(name, durable=True)
        vhost.create_binding(Binding("ring", queue, "1", {}))
    before = [routed(vhost, "ring", str(number)) for number in range(50)]

    restart(broker)

    assert [binding.destination.name for binding in broker.vhost.exchanges["ring"].bindings] == names
    assert [routed(broker.vhost, "ring", str(number)) for number in range(50)] == before


def test_names_in_the_journal_are_not_given_twice(broker: Durable) -> None:
    first = broker.vhost.create_queue("first", durable=True)
    second = broker.vhost.create_queue("second", durable=True)
    broker.vhost.drop_queue(second)

    restart(broker)

    third = broker.vhost.create_queue("third", durable=True)
    assert third.journal_id not in (first.journal_id, second.journal_id, None)


def test_users_and_vhosts_survive_and_a_guest_that_was_removed_does_not_come_back(broker: Durable) -> None:
    broker.core.add_vhost("other")
    rights = {"other": Permissions("a", "b", "")}
    broker.core.users.add(User("me\udcff", hash_password("secret"), ("management", "tag"), rights))
    broker.core.users.remove("guest")

    restart(broker)

    assert set(broker.core.vhosts) == {"/", "other"}
    user = broker.core.users.authenticate("me\udcff", "secret")
    assert user is not None
    assert (user.tags, user.permissions) == (("management", "tag"), rights)
    assert broker.core.users.find("guest") is None
    assert not broker.core.found.is_new


def test_a_vhost_that_was_removed_stays_away_with_everything_in_it(broker: Durable) -> None:
    vhost = broker.core.add_vhost("other")
    vhost.create_exchange("x", "fanout", durable=True, auto_delete=True)
    vhost.create_binding(Binding("x", vhost.create_queue("q", durable=True), "", {}))
    fill(vhost.queues["q"], "a")
    guest = broker.core.users.find("guest")
    assert guest is not None
    guest.permissions["other"] = Permissions()
    broker.core.users.add(guest)
    restart(broker)

    broker.core.remove_vhost("other")
    restart(broker)

    assert set(broker.core.vhosts) == {"/"}
    assert not broker.disk.messages
    assert not any("other" in key for key in broker.disk.documents)
    guest = broker.core.users.find("guest")
    assert guest is not None
    assert set(guest.permissions) == {"/"}


def test_a_new_journal_begins_with_the_defaults(broker: Durable) -> None:
    assert broker.core.found.is_new
    broker.crash_and_start()
    assert broker.core.found.is_new
    assert broker.core.users.authenticate("guest", "guest")
    restart(broker)
    assert not broker.core.found.is_new
    assert broker.core.users.authenticate("guest", "guest")


def test_the_event_exchange_works_again_with_its_bindings(broker: Durable) -> None:
    def make_message(exchange: str, routing_key: str, headers: object, **rest: object) -> FakeMessage:
        return FakeMessage(routing_key, exchange=exchange, routing_key=routing_key)

    broker.core.publish_events(make_message)
    queue = broker.vhost.create_queue("q", durable=True)
    broker.vhost.create_binding(Binding("amq.rabbitmq.event", queue, "vhost.*", {}))

    restart(broker)
    broker.core.publish_events(make_message)
    broker.core.add_vhost("v")
    broker.core.timers.handle_deadline()

    assert "vhost.created" in drained(broker.queue())


def test_what_cannot_be_made_again_is_told_and_nothing_is_started(broker: Durable) -> None:
    broker.vhost.create_queue("old", durable=True, arguments=arguments({"x-queue-version": 1}))
    broker.sync()
    broker.profile = "4.3"

    with pytest.raises(JournalFailed, match=r"queue /, old is in the journal, but cannot be made again: .*version '1'"):
        broker.start()


def test_a_binding_without_its_ends_is_damage(broker: Durable) -> None:
    broker.sync()
    broker.disk.documents[key_of(About.BINDING, "/", "x", "queue", "q", "k")] = b'{"number":1}'

    with pytest.raises(JournalFailed, match="damaged: binding /, x, queue, q, k"):
        broker.start()


# Messages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOW)
def test_persistent_messages_survive_in_order_and_transient_ones_do_not(broker: Durable, how: str) -> None:
    queue = broker.vhost.create_queue("q", durable=True)
    fill(queue, "a", "b")
    queue.enqueue(FakeMessage("transient"))
    fill(queue, "c")

    restart(broker, how)

    assert [text.rstrip("*") for text in drained(broker.queue())] == ["a", "b", "c"]


@pytest.mark.parametrize("values", [{}, {"x-max-priority": 3}, {"x-message-groups": True}, {"x-last-value-key": "k"}])
def test_after_a_stop_what_was_handed_out_is_marked_redelivered(broker: Durable, values: dict[str, object]) -> None:
    # As RabbitMQ, asked live.
    queue = broker.vhost.create_queue("q", durable=True, arguments=arguments(values))
    fill(queue, "acked", "got", "rejected", "ready")
    acked, got, rejected = (queue.get() for _ in range(3))
    assert acked is not None
    queue.settle(acked)
    queue.requeue([queued for queued in (got, rejected) if queued is not None])

    restart(broker)

    assert drained(broker.queue()) == ["got*", "rejected*", "ready"]
    assert broker.core.found.closed_cleanly


def test_after_a_crash_everything_may_have_been_handed_out(broker: Durable) -> None:
    # As classic queues of RabbitMQ, asked live.
    fill(broker.vhost.create_queue("q", durable=True), "a", "b")

    restart(broker, "crash_and_start")
    fill(broker.queue(), "new")

    assert drained(broker.queue()) == ["a*", "b*", "new"]


def test_what_was_acknowledged_is_gone(broker: Durable) -> None:
    queue = broker.vhost.create_queue("q", durable=True)
    consumer = FakeConsumer(queue, no_ack=True).start()
    fill(queue, "straight through")
    consumer.stop()
    fill(queue, "a", "b", "c")
    broker.sync()
    consumer = FakeConsumer(queue, no_ack=True, congested=True).start()
    for _ in range(2):
        queued = queue.get()
        assert queued is not None
        queue.settle(queued)
    consumer.decongest()
    assert consumer.got == ["c"]

    restart(broker, "crash_and_start")

    assert broker.queue().ready_count == 0
    assert not broker.disk.messages


def test_a_quorum_queue_keeps_everything_with_its_counts(broker: Durable) -> None:
    queue = broker.vhost.create_queue("q", durable=True, arguments=arguments({"x-queue-type": "quorum"}))
    queue.enqueue(FakeMessage("twice"))
    queue.enqueue(FakeMessage("never"))
    for _ in range(2):
        queued = queue.get()
        assert queued is not None
        queue.requeue([queued])

    restart(broker)

    first, second = broker.queue().get(), broker.queue().get()
    assert first is not None
    assert second is not None
    assert first.message.headers["x-delivery-count"] == Argument("long", 2)
    assert (first.redelivered, second.redelivered) == (True, False)
    assert "x-delivery-count" not in second.message.headers


def test_the_delivery_limit_counts_on_through_a_restart(broker: Durable) -> None:
    limited = arguments({"x-queue-type": "quorum", "x-delivery-limit": 1})
    broker.vhost.create_queue("q", durable=True, arguments=limited).enqueue(FakeMessage("poison"))
    for _ in range(2):
        queued = broker.queue().get()
        assert queued is not None
        broker.queue().requeue([queued])
        restart(broker)

    assert broker.queue().ready_count == 0


def test_time_to_live_goes_on_while_the_broker_is_away(broker: Durable) -> None:
    queue = broker.vhost.create_queue("q", durable=True, arguments=arguments({"x-message-ttl": 60_000}))
    queue.enqueue(persistent("short", expiration_ms=10_000))
    fill(queue, "long")
    restart(broker)
    broker.clock.now_s += 11
    restart(broker)
    assert broker.queue().ready_count == 1

    broker.clock.now_s += 50
    broker.core.timers.handle_deadline()

    assert broker.queue().ready_count == 0


def test_what_expired_while_the_broker_was_away_is_dead_lettered_behind_what_is_there(broker: Durable) -> None:
    broker.vhost.create_queue("dead", durable=True)
    letters = {"x-message-ttl": 1000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    fill(broker.vhost.create_queue("a", durable=True, arguments=arguments(letters)), "late")
    fill(broker.queue("dead"), "first")
    broker.sync()
    broker.clock.now_s += 2

    restart(broker)

    assert drained(broker.queue("dead")) == ["first", "late"]
    restart(broker)
    assert not broker.disk.messages


def test_duplicates_are_told_after_a_restart_by_the_messages_that_are_there(broker: Durable) -> None:
    def keyed(key: str) -> FakeMessage:
        return persistent(key, headers=arguments({"x-deduplication-header": key}))

    queue = broker.vhost.create_queue("q", durable=True, arguments=arguments({"x-message-deduplication": True}))
    queue.enqueue(keyed("a"))

    restart(broker)
    for key in ("a", "b"):
        broker.queue().enqueue(keyed(key))

    assert drained(broker.queue()) == ["a", "b"]


def test_the_newest_value_of_a_key_survives(broker: Durable) -> None:
    def value(text: str, key: str) -> FakeMessage:
        return persistent(text, headers=arguments({"k": key}))

    queue = broker.vhost.create_queue("q", durable=True, arguments=arguments({"x-last-value-key": "k"}))
    for message in (value("1", "a"), value("2", "b"), value("3", "a")):
        queue.enqueue(message)

    restart(broker)
    assert len(broker.disk.messages) == 2
    broker.queue().enqueue(value("4", "a"))

    # In the order in which they were published last, before the restart.
    assert drained(broker.queue()) == ["2", "4"]


def test_a_plain_queue_is_not_read_before_somebody_wants_its_messages(broker: Durable) -> None:
    queue = broker.vhost.create_queue("q", durable=True)
    for number in range(2000):
        fill(queue, str(number))
        if number % 500 == 0:
            broker.sync()

    restart(broker)

    assert isinstance(broker.queue(), JournaledClassicQueue)
    assert (broker.queue().ready_count, broker.queue().memory_bytes) == (2000, 0)
    assert broker.journal.reads_count == 0
    assert broker.core.found.messages_count == 2000
    assert drained(broker.queue()) == [str(number) for number in range(2000)]


@pytest.mark.parametrize("how", HOW)
def test_delayed_messages_wait_on_through_a_restart(broker: Durable, how: str) -> None:
    vhost = broker.vhost
    delayed = vhost.create_exchange(
        "x", "x-delayed-message", durable=True, arguments=arguments({"x-delayed-type": "direct"})
    )
    vhost.create_binding(Binding("x", vhost.create_queue("q", durable=True), "", {}))
    for text, delay_ms in (("third", 30_000), ("gone", 1), ("second", 20_000), ("first", 5_000)):
        vhost.send(delayed, persistent(text, exchange="x", headers=arguments({"x-delay": delay_ms})))
    vhost.send(delayed, FakeMessage("transient", exchange="x", headers=arguments({"x-delay": 20_000})))
    broker.clock.now_s += 1
    broker.core.timers.handle_deadline()
    broker.sync()
    broker.clock.now_s += 9
    restart(broker, how)
    broker.core.timers.handle_deadline()
    assert [text.rstrip("*") for text in drained(broker.queue())] == ["gone", "first"]

    broker.clock.now_s += 25
    broker.core.timers.handle_deadline()

    assert drained(broker.queue()) == ["second", "third"]
    broker.sync()
    assert not broker.disk.messages


def test_a_delayed_message_goes_with_its_exchange(broker: Durable) -> None:
    delayed = broker.vhost.create_exchange(
        "x", "x-delayed-message", durable=True, arguments=arguments({"x-delayed-type": "direct"})
    )
    broker.vhost.send(delayed, persistent("late", exchange="x", headers=arguments({"x-delay": 1000})))
    broker.sync()
    assert len(broker.disk.messages) == 1

    broker.vhost.delete_exchange(an_actor(), "x", if_unused=False)
    broker.sync()

    assert not broker.disk.messages


# Deaths ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("synced_count", range(6))
def test_a_dead_letter_and_the_death_are_durable_together(broker: Durable, synced_count: int) -> None:
    """Whenever the broker crashes, the message is there once, unless the death itself is lost with its letter."""
    broker.vhost.create_queue("dead", durable=True)
    letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-max-length": 1}
    fill(broker.vhost.create_queue("q", durable=True, arguments=arguments(letters)), "a")
    broker.sync()
    for number in range(5):
        fill(broker.queue(), str(number))
        if number < synced_count:
            broker.sync()

    broker.crash_and_start()

    texts = drained(broker.queue("dead")) + drained(broker.queue())
    assert [text.rstrip("*") for text in texts] == ["a", *map(str, range(synced_count))]


def test_deaths_that_wait_for_their_turn_are_not_lost_in_between(broker: Durable) -> None:
    """One dead letter drives out so many that some of their letters are sent later; the broker stops before."""
    count = DEATHS_AT_ONCE_MAX + 500

    def make(name: str, letters_to: str, **limits: object) -> None:
        letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": letters_to, **limits}
        broker.vhost.create_queue(name, durable=True, arguments=arguments(letters))

    broker.vhost.create_queue("dead", durable=True)
    make("full", "dead", **{"x-max-length-bytes": 10_000})
    make("door", "full", **{"x-max-length": 0})
    fill(broker.queue("full"), *map(str, range(count)))
    broker.sync()
    fill(broker.queue("door"), "x" * 10_000)
    assert broker.queue("full").ready_count == 1
    assert 0 < broker.queue("dead").ready_count < count

    restart(broker, "crash_and_start")
    # What was not buried is in its queue again, and dies again.
    for _ in range(3):
        broker.clock.now_s += 1
        broker.core.timers.handle_deadline()

    texts = [text.rstrip("*") for text in drained(broker.queue("dead"))]
    assert sorted(texts, key=int) == [str(number) for number in range(count)]


def test_a_fan_out_stores_the_same_message_in_every_queue(broker: Durable) -> None:
    for name in ("a", "b"):
        bind(broker.vhost.exchanges["amq.fanout"], broker.vhost.create_queue(name, durable=True))
    message = persistent("shared", routing_key="")
    broker.vhost.send(broker.vhost.exchanges["amq.fanout"], message)

    broker.sync()

    assert list(broker.disk.messages.values()) == [message, message]


def test_only_what_outlives_the_broker_knows_of_the_journal(broker: Durable) -> None:
    actor = an_actor()
    kinds = [
        type(declare_queue(broker.vhost, actor, "durable", durable=True)),
        type(declare_queue(broker.vhost, actor, "transient")),
        type(declare_queue(broker.vhost, actor, "own", durable=True, exclusive=True)),
        type(declare_queue(BrokerCore().vhosts["/"], actor, "durable", durable=True)),
    ]

    assert kinds == [JournaledClassicQueue, ClassicQueue, ClassicQueue, ClassicQueue]
