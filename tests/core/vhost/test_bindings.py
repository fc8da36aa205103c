"""Binding and unbinding: what is refused, and which refusal comes first. Seen on RabbitMQ 3.10.8 and 4.0.5."""

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.arguments import Argument, arguments
from amqpy_broker.core.errors import AccessRefused, NotFound, PreconditionFailed
from amqpy_broker.core.users import Permissions
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import an_actor, declare_exchange, declare_queue, refused, routed

DEFAULT_EXCHANGE_TEXT = "operation not permitted on the default exchange"
BAD_MODE = arguments({"x-match": "foo"})


def test_binding_twice_is_fine(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor)
    vhost.bind_queue(actor, "q", "amq.direct", "k", {})
    vhost.bind_queue(actor, "q", "amq.direct", "k", {})
    assert routed(vhost, "amq.direct", "k") == ["q"]

    vhost.unbind_queue(actor, "q", "amq.direct", "k", {})
    assert routed(vhost, "amq.direct", "k") == []


def test_unbinding_takes_the_binding_of_the_same_arguments_and_types(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor)
    vhost.bind_queue(actor, "q", "amq.direct", "k", {"a": Argument("signedint", 1)})

    vhost.unbind_queue(actor, "q", "amq.direct", "k", {"a": Argument("long", 1)})
    assert routed(vhost, "amq.direct", "k") == ["q"]
    vhost.unbind_queue(actor, "q", "amq.direct", "k", {"a": Argument("signedint", 1)})
    assert routed(vhost, "amq.direct", "k") == []


def test_exchanges_are_bound_and_unbound(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor)
    vhost.bind_queue(actor, "q", "amq.direct", "k", {})
    vhost.bind_exchange(actor, "amq.direct", "amq.topic", "#", {})
    assert routed(vhost, "amq.topic", "k") == ["q"]

    vhost.unbind_exchange(actor, "amq.direct", "amq.topic", "#", {})
    assert routed(vhost, "amq.topic", "k") == []


@pytest.mark.parametrize(
    ("queue", "exchange", "text"),
    [
        ("nope", "amq.direct", "no queue 'nope' in vhost '/'"),
        ("q", "nope", "no exchange 'nope' in vhost '/'"),
        # The source is looked for first.
        ("nope", "nope", "no exchange 'nope' in vhost '/'"),
    ],
)
def test_what_is_missing_cannot_be_bound(
    vhost: VirtualHost, actor: Actor, queue: str, exchange: str, text: str
) -> None:
    declare_queue(vhost, actor)

    with refused(NotFound, text):
        vhost.bind_queue(actor, queue, exchange, "k", {})


@pytest.mark.parametrize(
    ("to", "source", "missing"),
    [("nope", "amq.direct", "nope"), ("amq.direct", "nope", "nope"), ("nope.to", "nope.source", "nope.source")],
)
def test_an_exchange_that_is_missing_cannot_be_bound(
    vhost: VirtualHost, actor: Actor, to: str, source: str, missing: str
) -> None:
    with refused(NotFound, f"no exchange '{missing}' in vhost '/'"):
        vhost.bind_exchange(actor, to, source, "k", {})


@pytest.mark.parametrize("queue", ["q", "nope"])
@pytest.mark.parametrize("exchange", ["amq.direct", "nope"])
def test_unbinding_what_is_not_there_is_fine(vhost: VirtualHost, actor: Actor, queue: str, exchange: str) -> None:
    declare_queue(vhost, actor)
    before = vhost.generation

    vhost.unbind_queue(actor, queue, exchange, "k", {})
    vhost.unbind_exchange(actor, "amq.fanout", exchange, "k", {})

    assert vhost.generation == before


def test_bad_arguments_are_refused_for_queues_and_exchanges(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor)

    with pytest.raises(PreconditionFailed, match="Invalid x-match field value"):
        vhost.bind_queue(actor, "q", "amq.headers", "", BAD_MODE)
    with pytest.raises(PreconditionFailed, match="Invalid x-match field value"):
        vhost.bind_exchange(actor, "amq.fanout", "amq.headers", "", BAD_MODE)
    assert not vhost.find_exchange("amq.headers").in_use


def test_before_a_lock_everything_else_is_refused(vhost: VirtualHost, actor: Actor, stranger: Actor) -> None:
    declare_queue(vhost, actor, exclusive=True)

    with pytest.raises(NotFound, match="no exchange"):
        vhost.bind_queue(stranger, "q", "nope", "k", {})
    with pytest.raises(PreconditionFailed, match="Invalid x-match"):
        vhost.bind_queue(stranger, "q", "amq.headers", "", BAD_MODE)
    vhost.unbind_queue(stranger, "q", "nope", "k", {})
    vhost.unbind_queue(stranger, "q", "amq.direct", "k", {})


def test_the_default_exchange_is_not_bound_nor_unbound(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor)

    with refused(AccessRefused, DEFAULT_EXCHANGE_TEXT):
        vhost.bind_queue(actor, "q", "", "k", {})
    with refused(AccessRefused, DEFAULT_EXCHANGE_TEXT):
        vhost.unbind_queue(actor, "q", "", "q", {})
    with refused(AccessRefused, DEFAULT_EXCHANGE_TEXT):
        vhost.bind_exchange(actor, "", "amq.fanout", "", {})
    with refused(AccessRefused, DEFAULT_EXCHANGE_TEXT):
        vhost.bind_exchange(actor, "amq.fanout", "", "", {})


@pytest.mark.parametrize(
    ("permissions", "text"),
    [
        (Permissions(write="^x"), "write access to queue 'nope' in vhost '/' refused for user 'bob'"),
        (Permissions(read="^q"), "read access to exchange 'nope' in vhost '/' refused for user 'bob'"),
        (Permissions("", "", ""), "write access to queue 'nope' in vhost '/' refused for user 'bob'"),
    ],
)
def test_permissions_come_before_existence(vhost: VirtualHost, permissions: Permissions, text: str) -> None:
    bob = an_actor("bob", permissions)

    with refused(AccessRefused, text):
        vhost.bind_queue(bob, "nope", "nope", "k", {})
    with pytest.raises(AccessRefused):
        vhost.unbind_queue(bob, "nope", "nope", "k", {})


@pytest.mark.parametrize(
    ("permissions", "text"),
    [
        (Permissions(write="^source"), "write access to exchange 'to' in vhost '/' refused for user 'bob'"),
        (Permissions(read="^to"), "read access to exchange 'source' in vhost '/' refused for user 'bob'"),
    ],
)
def test_binding_exchanges_asks_write_at_the_destination_and_read_at_the_source(
    vhost: VirtualHost, actor: Actor, permissions: Permissions, text: str
) -> None:
    declare_exchange(vhost, actor, "source")
    declare_exchange(vhost, actor, "to")

    with refused(AccessRefused, text):
        vhost.bind_exchange(an_actor("bob", permissions), "to", "source", "k", {})
