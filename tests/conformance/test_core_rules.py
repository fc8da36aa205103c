"""Rules of the AMQP 0-9-1 specification (amqp0-9-1.xml) that the core obeys, each under its own name.

Rules that RabbitMQ breaks on purpose are broken here too, and say so.
"""

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.errors import AccessRefused, NotFound, PreconditionFailed, ResourceLocked
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import (
    FakeConsumer,
    a_vhost,
    an_actor,
    declare_exchange,
    declare_queue,
    delete_queue,
    drained,
    filled,
    routed,
)


@pytest.fixture
def vhost() -> VirtualHost:
    return a_vhost()


@pytest.fixture
def actor() -> Actor:
    return an_actor()


# exchange -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange_type", ["fanout", "direct"])
def test_exchange_required_types(vhost: VirtualHost, actor: Actor, exchange_type: str) -> None:
    """The server MUST implement these standard exchange types: fanout, direct."""
    declare_exchange(vhost, actor, "x", exchange_type)


@pytest.mark.parametrize("exchange_type", ["topic", "headers"])
def test_exchange_recommended_types(vhost: VirtualHost, actor: Actor, exchange_type: str) -> None:
    """The server SHOULD implement these standard exchange types: topic, headers."""
    declare_exchange(vhost, actor, "x", exchange_type)


@pytest.mark.parametrize("name", ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"])
def test_exchange_required_instances(vhost: VirtualHost, name: str) -> None:
    """The server MUST, in each virtual host, pre-declare an exchange instance for each standard type."""
    assert vhost.find_exchange(name).type in name or name == "amq.match"


def test_exchange_default_exchange(vhost: VirtualHost, actor: Actor) -> None:
    """The server MUST pre-declare a direct exchange with no public name, the default for queue bindings."""
    declare_queue(vhost, actor)
    assert vhost.find_exchange("").type == "direct"
    assert routed(vhost, "", "q") == ["q"]


def test_exchange_default_access(vhost: VirtualHost, actor: Actor) -> None:
    """The server MUST NOT allow clients to access the default exchange except by publishing."""
    declare_queue(vhost, actor)
    assert vhost.exchange_for_publish(actor, "").name == ""
    for operation in (vhost.bind_queue, vhost.unbind_queue):
        with pytest.raises(AccessRefused):
            operation(actor, "q", "", "q", {})


def test_exchange_declare_exchange_reserved(vhost: VirtualHost, actor: Actor) -> None:
    """Exchange names starting with "amq." are reserved for pre-declared and standardised exchanges."""
    with pytest.raises(AccessRefused):
        declare_exchange(vhost, actor, "amq.mine")


def test_exchange_declare_passive_not_found(vhost: VirtualHost, actor: Actor) -> None:
    """If set, and the exchange does not already exist, the server MUST raise a channel exception, code 404."""
    with pytest.raises(NotFound):
        vhost.check_exchange(actor, "nope")


def test_exchange_delete_exists_is_relaxed(vhost: VirtualHost, actor: Actor) -> None:
    """The client MUST NOT attempt to delete an exchange that does not exist: RabbitMQ lets it."""
    vhost.delete_exchange(actor, "nope", if_unused=False)


def test_exchange_delete_in_use(vhost: VirtualHost, actor: Actor) -> None:
    """The server MUST NOT delete an exchange that has bindings on it, if the if-unused field is true."""
    declare_queue(vhost, actor)
    declare_exchange(vhost, actor)
    vhost.bind_queue(actor, "q", "x", "k", {})
    with pytest.raises(PreconditionFailed):
        vhost.delete_exchange(actor, "x", if_unused=True)


# queue ----------------------------------------------------------------------------------------------------------------


def test_queue_declare_default_binding(vhost: VirtualHost, actor: Actor) -> None:
    """The server MUST create a default binding for a newly-declared queue to the default exchange."""
    declare_queue(vhost, actor)
    assert routed(vhost, "", "q") == ["q"]


def test_queue_declare_queue_reserved(vhost: VirtualHost, actor: Actor) -> None:
    """Queue names starting with "amq." are reserved."""
    with pytest.raises(AccessRefused):
        declare_queue(vhost, actor, "amq.mine")


def test_queue_declare_queue_default_name(vhost: VirtualHost, actor: Actor) -> None:
    """The queue name MAY be empty, in which case the server MUST create a new queue with a unique name."""
    assert len({declare_queue(vhost, actor, "").name for _ in range(10)}) == 10


def test_queue_declare_exclusive_exclusive(vhost: VirtualHost, actor: Actor) -> None:
    """The client MAY NOT attempt to use a queue that was declared as exclusive by another open connection."""
    declare_queue(vhost, actor, exclusive=True)
    with pytest.raises(ResourceLocked):
        vhost.find_queue("q", an_actor())


def test_queue_declare_auto_delete_exists(vhost: VirtualHost, actor: Actor) -> None:
    """The server MUST ignore the auto-delete field if the queue already exists: RabbitMQ compares it instead."""
    declare_queue(vhost, actor)
    with pytest.raises(PreconditionFailed):
        declare_queue(vhost, actor, auto_delete=True)


def test_queue_bind_duplicates(vhost: VirtualHost, actor: Actor) -> None:
    """A server MUST allow ignore duplicate bindings without treating these as an error."""
    declare_queue(vhost, actor)
    for _ in range(2):
        vhost.bind_queue(actor, "q", "amq.direct", "k", {})
    assert routed(vhost, "amq.direct", "k") == ["q"]


def test_queue_bind_unique(vhost: VirtualHost, actor: Actor) -> None:
    """A server MUST not deliver the same message more than once to a queue, however many bindings match."""
    declare_queue(vhost, actor)
    for key in ("a.b", "a.*", "#"):
        vhost.bind_queue(actor, "q", "amq.topic", key, {})
    assert routed(vhost, "amq.topic", "a.b") == ["q"]


def test_queue_bind_many_bindings(vhost: VirtualHost, actor: Actor) -> None:
    """A server MUST allow bindings of one queue to several exchanges."""
    declare_queue(vhost, actor)
    for name in ("amq.direct", "amq.fanout", "amq.topic"):
        vhost.bind_queue(actor, "q", name, "k", {})
        assert routed(vhost, name, "k") == ["q"]


def test_queue_purge_purge(vhost: VirtualHost, actor: Actor) -> None:
    """A purge removes all messages from a queue which are not awaiting acknowledgment."""
    queue = filled(declare_queue(vhost, actor), "1", "2")
    kept = queue.get()
    assert vhost.purge_queue(actor, "q") == 1
    assert kept is not None
    queue.requeue([kept])
    assert drained(queue) == ["1*"]


def test_queue_delete_if_unused(vhost: VirtualHost, actor: Actor) -> None:
    """The server MUST NOT delete a queue that has consumers on it, if the if-unused field is true."""
    FakeConsumer(declare_queue(vhost, actor)).start()
    with pytest.raises(PreconditionFailed):
        delete_queue(vhost, actor, if_unused=True)


def test_queue_delete_if_empty(vhost: VirtualHost, actor: Actor) -> None:
    """The server MUST NOT delete a queue that has messages on it, if the if-empty field is true."""
    filled(declare_queue(vhost, actor), "1")
    with pytest.raises(PreconditionFailed):
        delete_queue(vhost, actor, if_empty=True)


# basic ----------------------------------------------------------------------------------------------------------------


def test_basic_consume_exclusive(vhost: VirtualHost, actor: Actor) -> None:
    """The client MAY NOT gain exclusive access to a queue that already has active consumers."""
    queue = declare_queue(vhost, actor)
    FakeConsumer(queue).start()
    with pytest.raises(AccessRefused):
        FakeConsumer(queue, exclusive=True).start()


def test_basic_message_order(vhost: VirtualHost, actor: Actor) -> None:
    """Messages of one publisher, one exchange and one queue arrive in the order they were sent (section 4.7)."""
    queue = declare_queue(vhost, actor)
    consumer = FakeConsumer(queue).start()
    filled(queue, "1", "2", "3")
    assert consumer.got == ["1", "2", "3"]


def test_basic_deliver_redelivered(vhost: VirtualHost, actor: Actor) -> None:
    """A message that is delivered again carries the redelivered flag, to whomever it goes."""
    queue = declare_queue(vhost, actor)
    first = FakeConsumer(queue, prefetch_count=1).start()
    filled(queue, "1")
    second = FakeConsumer(queue).start()
    first.stop()
    first.requeue(*first.unacked)
    assert second.got == ["1*"]
