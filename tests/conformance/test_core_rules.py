"""Rules of the AMQP 0-9-1 specification (amqp0-9-1.xml) that the core obeys: one test a rule, cited by its name.

Rules that RabbitMQ breaks on purpose are broken here too, and their tests say so.
"""

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.errors import AccessRefused, AmqpError, NotFound, PreconditionFailed, ResourceLocked
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import (
    FakeConsumer,
    FakeMessage,
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


@pytest.mark.parametrize("exchange_type", ["fanout", "direct", "topic", "headers"])
def test_standard_exchange_types_are_there(vhost: VirtualHost, actor: Actor, exchange_type: str) -> None:
    """[exchange:required-types, exchange:recommended-types]"""
    declare_exchange(vhost, actor, "x", exchange_type)
    assert vhost.find_exchange("x").type == exchange_type


@pytest.mark.parametrize("exchange_type", ["fanout", "direct", "topic", "headers"])
def test_an_exchange_of_each_standard_type_is_predeclared(vhost: VirtualHost, exchange_type: str) -> None:
    """[exchange:required-instances]"""
    assert vhost.find_exchange(f"amq.{exchange_type}").type == exchange_type


def test_the_exchange_without_a_name_is_a_direct_one(vhost: VirtualHost, actor: Actor) -> None:
    """[exchange:default-exchange]"""
    declare_queue(vhost, actor)
    assert vhost.find_exchange("").type == "direct"
    assert routed(vhost, "", "q") == ["q"]


def test_clients_publish_to_the_default_exchange_and_do_nothing_else_with_it(vhost: VirtualHost, actor: Actor) -> None:
    """[exchange:default-access, but queue.bind.exchange:default-exchange is broken, as in RabbitMQ]"""
    declare_queue(vhost, actor)
    assert vhost.exchange_for_publish(actor, "").name == ""
    for operation in (vhost.bind_queue, vhost.unbind_queue):
        with pytest.raises(AccessRefused):
            operation(actor, "q", "", "q", {})


def test_names_that_begin_with_amq_are_declared_only_where_they_exist(vhost: VirtualHost, actor: Actor) -> None:
    """[exchange.declare.exchange:reserved]"""
    with pytest.raises(AccessRefused):
        declare_exchange(vhost, actor, "amq.mine")
    vhost.check_exchange(actor, "amq.topic")
    declare_exchange(vhost, actor, "amq.topic", "topic", durable=True)


def test_an_exchange_keeps_its_type(vhost: VirtualHost, actor: Actor) -> None:
    """[exchange.declare.type:typed]"""
    declare_exchange(vhost, actor, "x", "direct")
    with pytest.raises(PreconditionFailed):
        declare_exchange(vhost, actor, "x", "fanout")


def test_only_supported_types_are_declared(vhost: VirtualHost, actor: Actor) -> None:
    """[exchange.declare.type:support]"""
    with pytest.raises(AmqpError):
        declare_exchange(vhost, actor, "x", "x-nope")


def test_a_passive_declare_of_a_missing_exchange_is_404(vhost: VirtualHost, actor: Actor) -> None:
    """[exchange.declare.passive:not-found]"""
    with pytest.raises(NotFound):
        vhost.check_exchange(actor, "nope")


def test_an_exchange_is_declared_again_only_as_the_same(vhost: VirtualHost, actor: Actor) -> None:
    """[exchange.declare.passive:equivalent]"""
    declare_exchange(vhost, actor, durable=True)
    declare_exchange(vhost, actor, durable=True)
    with pytest.raises(PreconditionFailed):
        declare_exchange(vhost, actor, durable=False)


def test_a_missing_exchange_may_be_deleted(vhost: VirtualHost, actor: Actor) -> None:
    """[exchange.delete.exchange:exists, broken as in RabbitMQ]"""
    vhost.delete_exchange(actor, "nope", if_unused=False)


def test_if_unused_keeps_an_exchange_with_bindings(vhost: VirtualHost, actor: Actor) -> None:
    """[exchange.delete.if-unused:in-use]"""
    declare_queue(vhost, actor)
    declare_exchange(vhost, actor)
    vhost.bind_queue(actor, "q", "x", "k", {})
    with pytest.raises(PreconditionFailed):
        vhost.delete_exchange(actor, "x", if_unused=True)


# queue ----------------------------------------------------------------------------------------------------------------


def test_a_new_queue_is_bound_to_the_default_exchange(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.declare:default-binding]"""
    declare_queue(vhost, actor)
    assert routed(vhost, "", "q") == ["q"]


def test_an_empty_name_makes_a_queue_with_a_unique_name(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.declare.queue:default-name]"""
    assert len({declare_queue(vhost, actor, "").name for _ in range(10)}) == 10


def test_queue_names_that_begin_with_amq_are_not_declared(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.declare.queue:reserved, stricter as in RabbitMQ: not even where there is one]"""
    with pytest.raises(AccessRefused):
        declare_queue(vhost, actor, declare_queue(vhost, actor, "").name)


def test_a_queue_is_declared_again_only_as_the_same(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.declare.passive:equivalent, queue.declare.auto-delete:pre-existence broken as in RabbitMQ]"""
    queue = declare_queue(vhost, actor)
    assert declare_queue(vhost, actor) is queue
    for difference in ("durable", "exclusive", "auto_delete", "x_max_length"):
        with pytest.raises(AmqpError):
            declare_queue(vhost, actor, "q", **{difference: True})


@pytest.mark.parametrize("durable", [True, False])
def test_queues_are_durable_or_transient(vhost: VirtualHost, actor: Actor, durable: bool) -> None:
    """[queue.declare.durable:types]"""
    assert declare_queue(vhost, actor, durable=durable).durable == durable


@pytest.mark.parametrize("exclusive", [True, False])
def test_queues_are_private_or_shared(vhost: VirtualHost, actor: Actor, exclusive: bool) -> None:
    """[queue.declare.exclusive:types]"""
    assert declare_queue(vhost, actor, exclusive=exclusive).exclusive == exclusive


def test_nobody_uses_the_exclusive_queue_of_another_connection(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.declare.exclusive:exclusive]"""
    declare_queue(vhost, actor, exclusive=True)
    with pytest.raises(ResourceLocked):
        vhost.find_queue("q", an_actor())


def test_the_same_binding_twice_is_one(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.bind:duplicates]"""
    declare_queue(vhost, actor)
    for _ in range(2):
        vhost.bind_queue(actor, "q", "amq.direct", "k", {})
    assert len(list(vhost.find_exchange("amq.direct").bindings)) == 1


def test_a_message_reaches_a_queue_once_however_many_bindings_match(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.bind:unique]"""
    declare_queue(vhost, actor)
    for key in ("a.b", "a.*", "#"):
        vhost.bind_queue(actor, "q", "amq.topic", key, {})
    assert [queue.name for queue in vhost.route(vhost.find_exchange("amq.topic"), "a.b").queues] == ["q"]


@pytest.mark.parametrize("durable_queue", [True, False])
@pytest.mark.parametrize("durable_exchange", [True, False])
def test_durable_and_transient_things_are_bound_to_each_other(
    vhost: VirtualHost, actor: Actor, durable_queue: bool, durable_exchange: bool
) -> None:
    """[queue.bind:transient-exchange]"""
    declare_queue(vhost, actor, durable=durable_queue)
    declare_exchange(vhost, actor, durable=durable_exchange)
    vhost.bind_queue(actor, "q", "x", "k", {})
    assert routed(vhost, "x", "k") == ["q"]


def test_a_queue_has_as_many_bindings_as_one_likes(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.bind:binding-count]"""
    declare_queue(vhost, actor)
    for number in range(1000):
        vhost.bind_queue(actor, "q", "amq.direct", f"k{number}", {})
    assert routed(vhost, "amq.direct", "k999") == ["q"]


@pytest.mark.parametrize(("queue", "exchange"), [("nope", "amq.direct"), ("q", "nope")])
def test_what_does_not_exist_is_not_bound(vhost: VirtualHost, actor: Actor, queue: str, exchange: str) -> None:
    """[queue.bind.queue:must-exist, queue.bind.exchange:exchange-existence]"""
    declare_queue(vhost, actor)
    with pytest.raises(NotFound):
        vhost.bind_queue(actor, queue, exchange, "k", {})


def test_a_direct_exchange_passes_a_message_on_if_the_keys_are_equal(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.bind.routing-key:direct-exchange-key-matching]"""
    declare_queue(vhost, actor)
    vhost.bind_queue(actor, "q", "amq.direct", "k", {})
    assert routed(vhost, "amq.direct", "k") == ["q"]
    assert routed(vhost, "amq.direct", "r") == []


@pytest.mark.parametrize(("queue", "exchange"), [("nope", "amq.direct"), ("q", "nope"), ("q", "amq.direct")])
def test_what_is_not_bound_may_be_unbound(vhost: VirtualHost, actor: Actor, queue: str, exchange: str) -> None:
    """[queue.unbind.queue:must-exist, queue.unbind.exchange:must-exist, broken as in RabbitMQ]"""
    declare_queue(vhost, actor)
    vhost.unbind_queue(actor, queue, exchange, "k", {})


def test_a_purge_spares_what_is_unacknowledged(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.purge:02]"""
    queue = filled(declare_queue(vhost, actor), "1", "2")
    kept = queue.get()
    assert vhost.purge_queue(actor, "q") == 1
    assert kept is not None
    queue.requeue([kept])
    assert drained(queue) == ["1*"]


def test_a_missing_queue_is_not_purged(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.purge.queue:must-exist]"""
    with pytest.raises(NotFound):
        vhost.purge_queue(actor, "nope")


def test_a_missing_queue_may_be_deleted(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.delete.queue:must-exist, broken as in RabbitMQ]"""
    assert delete_queue(vhost, actor, "nope") == 0


def test_if_unused_keeps_a_queue_with_consumers(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.delete.if-unused:in-use]"""
    FakeConsumer(declare_queue(vhost, actor)).start()
    with pytest.raises(PreconditionFailed):
        delete_queue(vhost, actor, if_unused=True)


def test_if_empty_keeps_a_queue_with_messages(vhost: VirtualHost, actor: Actor) -> None:
    """[queue.delete.if-empty:not-empty]"""
    filled(declare_queue(vhost, actor), "1")
    with pytest.raises(PreconditionFailed):
        delete_queue(vhost, actor, if_empty=True)


# basic ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("no_ack", [True, False])
def test_messages_arrive_in_order_with_and_without_acknowledgement(
    vhost: VirtualHost, actor: Actor, no_ack: bool
) -> None:
    """[basic:08, basic:09, basic:10]"""
    queue = declare_queue(vhost, actor)
    consumer = FakeConsumer(queue, no_ack=no_ack).start()
    queue.enqueue(FakeMessage("1", persistent=True))
    queue.enqueue(FakeMessage("2", persistent=False))
    queue.enqueue(FakeMessage("3", persistent=True))
    assert consumer.got == ["1", "2", "3"]


def test_no_more_is_sent_in_advance_than_the_prefetch_count(vhost: VirtualHost, actor: Actor) -> None:
    """[basic.qos.prefetch-count:01]"""
    queue = declare_queue(vhost, actor)
    consumer = FakeConsumer(queue, prefetch_count=2).start()
    filled(queue, "1", "2", "3")
    assert consumer.got == ["1", "2"]


def test_a_queue_has_as_many_consumers_as_one_likes(vhost: VirtualHost, actor: Actor) -> None:
    """[basic.consume:01]"""
    queue = declare_queue(vhost, actor)
    consumers = [FakeConsumer(queue).start() for _ in range(1000)]
    filled(queue, *map(str, range(1000)))
    assert all(len(consumer.got) == 1 for consumer in consumers)


def test_exclusive_consumption_needs_a_queue_without_consumers(vhost: VirtualHost, actor: Actor) -> None:
    """[basic.consume.exclusive:01]"""
    queue = declare_queue(vhost, actor)
    FakeConsumer(queue).start()
    with pytest.raises(AccessRefused):
        FakeConsumer(queue, exclusive=True).start()


def test_nobody_publishes_to_a_missing_exchange(vhost: VirtualHost, actor: Actor) -> None:
    """[basic.publish.exchange:must-exist]"""
    with pytest.raises(NotFound):
        vhost.exchange_for_publish(actor, "nope")


def test_nobody_publishes_to_an_internal_exchange(vhost: VirtualHost, actor: Actor) -> None:
    """[basic.publish.exchange:02]"""
    declare_exchange(vhost, actor, internal=True)
    with pytest.raises(AccessRefused):
        vhost.exchange_for_publish(actor, "x")
