"""Queues of a vhost: declaring, equivalence, locks, deleting. Texts are those of RabbitMQ 3.10.8 and 4.0.5."""

import re

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.arguments import Argument
from amqpy_broker.core.errors import AccessRefused, NotFound, PreconditionFailed, ResourceLocked
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import FakeConsumer, a_vhost, an_actor, declare_queue, delete_queue, drained, filled, refused, routed

LOCKED = (
    "cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on another "
    "connection or the exclusive property value does not match that of the original declaration."
)


# Declaring ------------------------------------------------------------------------------------------------------------


def test_declaring_a_queue_twice_finds_the_same(vhost: VirtualHost, actor: Actor, stranger: Actor) -> None:
    queue = declare_queue(vhost, actor, durable=True, auto_delete=True, x_message_ttl=5)

    assert declare_queue(vhost, stranger, durable=True, auto_delete=True, x_message_ttl=5) is queue


def test_every_queue_is_bound_to_the_default_exchange_by_its_name(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor)

    assert routed(vhost, "", "q") == ["q"]


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ({"durable": True}, {}, "'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"),
        ({}, {"durable": True}, "'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'"),
        ({}, {"auto_delete": True}, "'auto_delete' for queue 'q' in vhost '/': received 'true' but current is 'false'"),
        (
            {"durable": True},
            {"auto_delete": True, "x_expires": 5},
            "'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'",
        ),
        (
            {},
            {"x_message_ttl": Argument("short", 5000)},
            "'x-message-ttl' for queue 'q' in vhost '/': received the value '5000' of type 'short' but current is none",
        ),
        (
            {"x_message_ttl": 5000},
            {"x_message_ttl": 6000},
            "'x-message-ttl' for queue 'q' in vhost '/': received '6000' but current is '5000'",
        ),
        (
            {"x_message_ttl": 5000},
            {},
            "'x-message-ttl' for queue 'q' in vhost '/': received none but current is the value '5000' of type"
            " 'signedint'",
        ),
        (
            {"x_max_length": 1, "x_expires": 1},
            {"x_max_length": 2, "x_expires": 2},
            "'x-expires' for queue 'q' in vhost '/': received '2' but current is '1'",
        ),
    ],
)
def test_a_queue_that_is_declared_otherwise_is_refused_for_the_first_difference(
    vhost: VirtualHost, actor: Actor, first: dict[str, object], second: dict[str, object], text: str
) -> None:
    declare_queue(vhost, actor, "q", **first)

    with refused(PreconditionFailed, f"inequivalent arg {text}"):
        declare_queue(vhost, actor, "q", **second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"x_foo": 1}),
        ({"x_foo": 1}, {}),
        ({"x_expires": Argument("byte", 5)}, {"x_expires": Argument("long", 5)}),
        ({}, {"x_queue_type": "classic"}),
        ({"x_queue_type": "classic"}, {}),
    ],
)
@pytest.mark.parametrize("profile", ["3.10", "4.0"])
def test_what_does_not_matter_is_not_compared(
    actor: Actor, first: dict[str, object], second: dict[str, object], profile: str
) -> None:
    vhost = a_vhost(profile)

    assert declare_queue(vhost, actor, "q", **first) is declare_queue(vhost, actor, "q", **second)


@pytest.mark.parametrize(
    ("profile", "text"),
    [
        ("3.10", "received the value 'quorum' of type 'longstr' but current is none"),
        ("4.0", "received 'quorum' but current is 'classic'"),
    ],
)
def test_another_queue_type_is_refused_in_the_words_of_the_version(actor: Actor, profile: str, text: str) -> None:
    vhost = a_vhost(profile)
    declare_queue(vhost, actor)

    with refused(PreconditionFailed, f"inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': {text}"):
        declare_queue(vhost, actor, x_queue_type="quorum")


def test_a_queue_type_that_there_is_not_is_refused(vhost: VirtualHost, actor: Actor) -> None:
    with refused(
        PreconditionFailed,
        "invalid arg 'x-queue-type' for queue 'q' in vhost '/': \"unsupported queue type 'foo'\"",
    ):
        declare_queue(vhost, actor, x_queue_type="foo")

    assert "q" not in vhost.queues


@pytest.mark.parametrize(
    ("profile", "stored"), [("3.10", {}), ("4.0", {"x-queue-type": Argument("longstr", "classic")})]
)
def test_version_4_writes_the_queue_type_into_the_arguments(
    actor: Actor, profile: str, stored: dict[str, Argument]
) -> None:
    assert declare_queue(a_vhost(profile), actor).arguments == stored


# Names ----------------------------------------------------------------------------------------------------------------


def test_an_empty_name_makes_a_new_queue_each_time(vhost: VirtualHost, actor: Actor) -> None:
    first, second = declare_queue(vhost, actor, ""), declare_queue(vhost, actor, "")

    assert first is not second
    assert re.fullmatch(r"amq\.gen-[A-Za-z0-9_-]{22}", first.name)
    assert set(vhost.queues) == {first.name, second.name}


@pytest.mark.parametrize("name", ["amq.foo", "amq.", "amq.gen-foo"])
def test_reserved_names_are_refused(vhost: VirtualHost, actor: Actor, name: str) -> None:
    with refused(AccessRefused, f"queue name '{name}' contains reserved prefix 'amq.*'"):
        declare_queue(vhost, actor, name)


def test_a_server_named_queue_is_not_declared_again_by_its_name(vhost: VirtualHost, actor: Actor) -> None:
    name = declare_queue(vhost, actor, "", exclusive=True).name

    with refused(AccessRefused, f"queue name '{name}' contains reserved prefix 'amq.*'"):
        declare_queue(vhost, actor, name, exclusive=True)
    assert vhost.find_queue(name, actor).name == name


@pytest.mark.parametrize("name", ["amq", "AMQ.q", "a b$", "очередь", "q" * 255, "default"])
def test_any_other_text_is_a_name(vhost: VirtualHost, actor: Actor, name: str) -> None:
    assert declare_queue(vhost, actor, name).name == name


# Exclusive queues -----------------------------------------------------------------------------------------------------


def test_only_its_connection_finds_an_exclusive_queue(vhost: VirtualHost, actor: Actor, stranger: Actor) -> None:
    queue = declare_queue(vhost, actor, exclusive=True)

    assert queue.exclusive
    assert vhost.find_queue("q", actor) is queue
    assert declare_queue(vhost, actor, exclusive=True) is queue
    with refused(ResourceLocked, LOCKED):
        vhost.find_queue("q", stranger)


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_stranger_cannot_declare_an_exclusive_queue(
    vhost: VirtualHost, actor: Actor, stranger: Actor, exclusive: bool
) -> None:
    declare_queue(vhost, actor, exclusive=True)

    with refused(ResourceLocked, LOCKED):
        declare_queue(vhost, stranger, exclusive=exclusive)


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_queue_does_not_become_exclusive_nor_shared(vhost: VirtualHost, actor: Actor, exclusive: bool) -> None:
    declare_queue(vhost, actor, exclusive=exclusive)

    with refused(ResourceLocked, LOCKED):
        declare_queue(vhost, actor, exclusive=not exclusive)


def test_a_stranger_cannot_touch_an_exclusive_queue(vhost: VirtualHost, actor: Actor, stranger: Actor) -> None:
    filled(declare_queue(vhost, actor, exclusive=True), "1")
    vhost.bind_queue(actor, "q", "amq.direct", "k", {})

    with refused(ResourceLocked, LOCKED):
        vhost.purge_queue(stranger, "q")
    with refused(ResourceLocked, LOCKED):
        delete_queue(vhost, stranger)
    with refused(ResourceLocked, LOCKED):
        vhost.bind_queue(stranger, "q", "amq.fanout", "", {})
    with refused(ResourceLocked, LOCKED):
        vhost.unbind_queue(stranger, "q", "amq.direct", "k", {})
    assert routed(vhost, "amq.direct", "k") == ["q"]
    assert routed(vhost, "amq.fanout") == []


def test_an_exclusive_queue_is_not_durable_whatever_was_asked(vhost: VirtualHost, actor: Actor) -> None:
    queue = declare_queue(vhost, actor, exclusive=True, durable=True)

    assert not queue.durable
    assert declare_queue(vhost, actor, exclusive=True, durable=False) is queue


def test_exclusive_queues_go_with_their_connection(vhost: VirtualHost, actor: Actor, stranger: Actor) -> None:
    consumer = FakeConsumer(declare_queue(vhost, actor, "q1", exclusive=True)).start()
    declare_queue(vhost, actor, "q2", exclusive=True)
    declare_queue(vhost, actor, "shared")
    declare_queue(vhost, stranger, "theirs", exclusive=True)

    assert vhost.drop_exclusive_queues(actor.owner) == [consumer]
    assert set(vhost.queues) == {"shared", "theirs"}
    assert vhost.drop_exclusive_queues(actor.owner) == []


def test_the_name_of_an_exclusive_queue_is_free_once_it_is_deleted(
    vhost: VirtualHost, actor: Actor, stranger: Actor
) -> None:
    declare_queue(vhost, actor, exclusive=True)
    delete_queue(vhost, actor)
    declare_queue(vhost, stranger, exclusive=True)

    vhost.drop_exclusive_queues(actor.owner)
    assert set(vhost.queues) == {"q"}


# Deleting and purging -------------------------------------------------------------------------------------------------


def test_deleting_says_how_many_messages_were_ready_and_whom_it_cancels(vhost: VirtualHost, actor: Actor) -> None:
    queue = declare_queue(vhost, actor)
    consumer = FakeConsumer(queue, prefetch_count=1).start()
    filled(queue, "1", "2", "3")

    assert vhost.delete_queue(actor, "q", if_unused=False, if_empty=False) == (2, [consumer])
    assert queue.deleted
    assert "q" not in vhost.queues


def test_deleting_a_missing_queue_is_fine(vhost: VirtualHost, actor: Actor) -> None:
    assert delete_queue(vhost, actor, "nope", if_unused=True, if_empty=True) == 0


def test_if_unused_spares_a_queue_with_a_consumer(vhost: VirtualHost, actor: Actor) -> None:
    consumer = FakeConsumer(declare_queue(vhost, actor)).start()

    with refused(PreconditionFailed, "queue 'q' in vhost '/' in use"):
        delete_queue(vhost, actor, if_unused=True)
    consumer.stop()
    assert delete_queue(vhost, actor, if_unused=True) == 0


def test_if_empty_spares_a_queue_with_ready_messages(vhost: VirtualHost, actor: Actor) -> None:
    queue = filled(declare_queue(vhost, actor), "1")

    with refused(PreconditionFailed, "queue 'q' in vhost '/' not empty"):
        delete_queue(vhost, actor, if_empty=True)
    # What is handed out is not in the queue.
    assert queue.get() is not None
    assert delete_queue(vhost, actor, if_empty=True) == 0


def test_a_queue_that_was_dropped_is_not_dropped_again(vhost: VirtualHost, actor: Actor) -> None:
    queue = declare_queue(vhost, actor)
    vhost.drop_queue(queue)
    again = declare_queue(vhost, actor)

    assert vhost.drop_queue(queue) == []
    assert vhost.queues["q"] is again


def test_purging_says_how_many_messages_were_ready(vhost: VirtualHost, actor: Actor) -> None:
    queue = filled(declare_queue(vhost, actor), "1", "2")

    assert vhost.purge_queue(actor, "q") == 2
    assert drained(queue) == []


@pytest.mark.parametrize("operation", ["find_queue", "purge_queue"])
def test_a_missing_queue_is_not_found(vhost: VirtualHost, actor: Actor, operation: str) -> None:
    with refused(NotFound, "no queue 'nope' in vhost '/'"):
        if operation == "find_queue":
            vhost.find_queue("nope", actor)
        else:
            vhost.purge_queue(actor, "nope")


def test_texts_name_the_vhost() -> None:
    with refused(NotFound, "no queue 'q' in vhost 'other'"):
        a_vhost(name="other").find_queue("q", an_actor(vhost="other"))


# Auto-delete ----------------------------------------------------------------------------------------------------------


def test_an_auto_delete_queue_goes_with_its_last_consumer(vhost: VirtualHost, actor: Actor) -> None:
    queue = declare_queue(vhost, actor, auto_delete=True)
    first, second = FakeConsumer(queue).start(), FakeConsumer(queue).start()

    first.stop()
    vhost.consumer_gone(queue)
    assert "q" in vhost.queues
    second.stop()
    vhost.consumer_gone(queue)
    assert "q" not in vhost.queues


def test_an_auto_delete_queue_that_never_had_a_consumer_stays(vhost: VirtualHost, actor: Actor) -> None:
    queue = declare_queue(vhost, actor, auto_delete=True)

    vhost.consumer_gone(queue)

    assert "q" in vhost.queues


def test_another_queue_stays_without_consumers(vhost: VirtualHost, actor: Actor) -> None:
    queue = declare_queue(vhost, actor)
    FakeConsumer(queue).start().stop()

    vhost.consumer_gone(queue)

    assert "q" in vhost.queues
