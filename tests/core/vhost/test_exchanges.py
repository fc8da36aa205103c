"""Exchanges of a vhost: declaring, equivalence, deleting, auto-delete. Texts are those of RabbitMQ 3.10.8 and 4.0.5."""

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.errors import AccessRefused, AmqpError, CommandInvalid, NotFound, PreconditionFailed
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import a_vhost, declare_exchange, declare_queue, delete_queue, refused, routed

DEFAULT_EXCHANGE_TEXT = "operation not permitted on the default exchange"


# Declaring ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange_type", ["direct", "fanout", "topic", "headers"])
def test_an_exchange_of_each_type_can_be_declared_twice(vhost: VirtualHost, actor: Actor, exchange_type: str) -> None:
    declare_exchange(vhost, actor, "x", exchange_type)
    x = vhost.find_exchange("x")
    declare_exchange(vhost, actor, "x", exchange_type)

    assert vhost.find_exchange("x") is x
    assert x.type == exchange_type
    vhost.check_exchange(actor, "x")


@pytest.mark.parametrize(
    ("exchange_type", "fields", "text"),
    [
        ("topic", {}, "'type' for exchange 'x' in vhost '/': received 'topic' but current is 'direct'"),
        (
            "direct",
            {"durable": True},
            "'durable' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            "direct",
            {"auto_delete": True},
            "'auto_delete' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            "direct",
            {"internal": True},
            "'internal' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            "direct",
            {"alternate_exchange": "ae"},
            "'alternate-exchange' for exchange 'x' in vhost '/': received the value 'ae' of type 'longstr' but current"
            " is none",
        ),
        (
            "fanout",
            {"durable": True, "auto_delete": True, "internal": True, "alternate_exchange": "ae"},
            "'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'",
        ),
    ],
)
def test_an_exchange_that_is_declared_otherwise_is_refused_for_the_first_difference(
    vhost: VirtualHost, actor: Actor, exchange_type: str, fields: dict[str, object], text: str
) -> None:
    declare_exchange(vhost, actor)

    with refused(PreconditionFailed, f"inequivalent arg {text}"):
        declare_exchange(vhost, actor, "x", exchange_type, **fields)


def test_other_arguments_are_not_compared(vhost: VirtualHost, actor: Actor) -> None:
    declare_exchange(vhost, actor, x_foo=1)
    declare_exchange(vhost, actor, x_foo=2)


@pytest.mark.parametrize(("profile", "error"), [("3.10", CommandInvalid), ("4.0", PreconditionFailed)])
def test_an_unknown_type_is_refused_as_the_version_does(actor: Actor, profile: str, error: type[AmqpError]) -> None:
    with refused(error, "unknown exchange type 'x-nope'"):
        declare_exchange(a_vhost(profile), actor, "x", "x-nope")


def test_reserved_names_are_refused(vhost: VirtualHost, actor: Actor) -> None:
    with refused(AccessRefused, "exchange name 'amq.foo' contains reserved prefix 'amq.*'"):
        declare_exchange(vhost, actor, "amq.foo")


def test_a_system_exchange_can_be_declared_as_what_it_is(vhost: VirtualHost, actor: Actor) -> None:
    declare_exchange(vhost, actor, "amq.direct", "direct", durable=True)

    with pytest.raises(PreconditionFailed, match="inequivalent arg 'durable'"):
        declare_exchange(vhost, actor, "amq.direct", "direct")


def test_nobody_declares_checks_or_deletes_the_default_exchange(vhost: VirtualHost, actor: Actor) -> None:
    with refused(AccessRefused, DEFAULT_EXCHANGE_TEXT):
        declare_exchange(vhost, actor, "")
    with refused(AccessRefused, DEFAULT_EXCHANGE_TEXT):
        vhost.check_exchange(actor, "")
    with refused(AccessRefused, DEFAULT_EXCHANGE_TEXT):
        vhost.delete_exchange(actor, "", if_unused=False)


def test_a_missing_exchange_is_not_found(vhost: VirtualHost, actor: Actor) -> None:
    with refused(NotFound, "no exchange 'nope' in vhost '/'"):
        vhost.check_exchange(actor, "nope")


def test_the_name_of_an_alternate_exchange_must_be_text(vhost: VirtualHost, actor: Actor) -> None:
    with refused(
        PreconditionFailed, "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost '/'"
    ):
        declare_exchange(vhost, actor, alternate_exchange=5)


def test_an_alternate_exchange_may_be_declared_later(vhost: VirtualHost, actor: Actor) -> None:
    declare_exchange(vhost, actor, alternate_exchange="ae")
    declare_queue(vhost, actor)
    declare_exchange(vhost, actor, "ae", "fanout")
    vhost.bind_queue(actor, "q", "ae", "", {})

    assert routed(vhost, "x") == ["q"]


# Publishing -----------------------------------------------------------------------------------------------------------


def test_clients_do_not_publish_to_an_internal_exchange(vhost: VirtualHost, actor: Actor) -> None:
    declare_exchange(vhost, actor, internal=True)

    with refused(AccessRefused, "cannot publish to internal exchange 'x' in vhost '/'"):
        vhost.exchange_for_publish(actor, "x")


def test_a_publish_to_a_missing_exchange_is_not_found(vhost: VirtualHost, actor: Actor) -> None:
    with refused(NotFound, "no exchange 'nope' in vhost '/'"):
        vhost.exchange_for_publish(actor, "nope")


# Deleting -------------------------------------------------------------------------------------------------------------


def test_deleting_an_exchange_takes_the_bindings_from_it_and_to_it(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor)
    declare_exchange(vhost, actor, "source", "fanout")
    declare_exchange(vhost, actor, "x", "fanout")
    vhost.bind_exchange(actor, "x", "source", "", {})
    vhost.bind_queue(actor, "q", "x", "", {})
    assert routed(vhost, "source") == ["q"]

    vhost.delete_exchange(actor, "x", if_unused=False)
    declare_exchange(vhost, actor, "x", "fanout")

    assert routed(vhost, "source") == []
    assert routed(vhost, "x") == []
    assert not vhost.find_exchange("source").in_use
    assert list(vhost.bindings) == []


def test_deleting_a_queue_takes_the_bindings_to_it(vhost: VirtualHost, actor: Actor) -> None:
    for name in ("amq.direct", "amq.fanout", "amq.topic", "amq.headers"):
        declare_queue(vhost, actor)
        vhost.bind_queue(actor, "q", name, "k1", {})
        vhost.bind_queue(actor, "q", name, "k2", {})

    delete_queue(vhost, actor)
    declare_queue(vhost, actor)

    assert all(not exchange.in_use for exchange in vhost.exchanges.values())
    assert routed(vhost, "amq.fanout") == []
    assert list(vhost.bindings) == []


def test_deleting_a_missing_exchange_is_fine(vhost: VirtualHost, actor: Actor) -> None:
    vhost.delete_exchange(actor, "nope", if_unused=True)


@pytest.mark.parametrize("name", ["amq.direct", "amq.nope"])
def test_system_exchanges_are_not_deleted(vhost: VirtualHost, actor: Actor, name: str) -> None:
    with refused(AccessRefused, f"deletion of system exchange '{name}' in vhost '/' not allowed"):
        vhost.delete_exchange(actor, name, if_unused=False)


def test_if_unused_spares_an_exchange_with_bindings_from_it(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor)
    declare_exchange(vhost, actor)
    vhost.bind_queue(actor, "q", "x", "k", {})

    with refused(PreconditionFailed, "exchange 'x' in vhost '/' in use"):
        vhost.delete_exchange(actor, "x", if_unused=True)
    vhost.unbind_queue(actor, "q", "x", "k", {})
    vhost.delete_exchange(actor, "x", if_unused=True)
    assert "x" not in vhost.exchanges


def test_an_exchange_is_unused_when_it_is_only_a_destination(vhost: VirtualHost, actor: Actor) -> None:
    declare_exchange(vhost, actor)
    vhost.bind_exchange(actor, "x", "amq.fanout", "", {})

    vhost.delete_exchange(actor, "x", if_unused=True)

    assert "x" not in vhost.exchanges
    assert not vhost.find_exchange("amq.fanout").in_use


# Auto-delete ----------------------------------------------------------------------------------------------------------


def test_an_auto_delete_exchange_goes_with_its_last_binding(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor)
    declare_exchange(vhost, actor, "x", auto_delete=True)
    vhost.bind_queue(actor, "q", "x", "k1", {})
    vhost.bind_queue(actor, "q", "x", "k2", {})

    vhost.unbind_queue(actor, "q", "x", "k1", {})
    assert "x" in vhost.exchanges
    vhost.unbind_queue(actor, "q", "x", "k2", {})
    assert "x" not in vhost.exchanges


def test_an_auto_delete_exchange_that_never_had_a_binding_stays(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor)
    declare_exchange(vhost, actor, "x", auto_delete=True)

    vhost.unbind_queue(actor, "q", "x", "k", {})

    assert "x" in vhost.exchanges


def test_auto_delete_runs_up_a_chain_of_exchanges(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor)
    for name in ("x", "y", "z"):
        declare_exchange(vhost, actor, name, "fanout", auto_delete=True)
    vhost.bind_exchange(actor, "y", "x", "", {})
    vhost.bind_exchange(actor, "z", "y", "", {})
    vhost.bind_queue(actor, "q", "z", "", {})

    delete_queue(vhost, actor)

    assert not {"x", "y", "z"} & set(vhost.exchanges)
    assert list(vhost.bindings) == []


def test_auto_delete_stops_where_there_is_another_binding(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor, "q1")
    declare_queue(vhost, actor, "q2")
    for name in ("x", "y"):
        declare_exchange(vhost, actor, name, "fanout", auto_delete=True)
    vhost.bind_exchange(actor, "y", "x", "", {})
    vhost.bind_queue(actor, "q1", "y", "", {})
    vhost.bind_queue(actor, "q2", "x", "", {})

    delete_queue(vhost, actor, "q1")

    assert "y" not in vhost.exchanges
    assert routed(vhost, "x") == ["q2"]


def test_a_circle_of_auto_delete_exchanges_goes_together(vhost: VirtualHost, actor: Actor) -> None:
    for name in ("x", "y"):
        declare_exchange(vhost, actor, name, "fanout", auto_delete=True)
    vhost.bind_exchange(actor, "y", "x", "", {})
    vhost.bind_exchange(actor, "x", "y", "", {})

    vhost.delete_exchange(actor, "x", if_unused=False)

    assert not {"x", "y"} & set(vhost.exchanges)
    assert list(vhost.bindings) == []


def test_an_exchange_that_is_bound_to_itself_is_in_use(vhost: VirtualHost, actor: Actor) -> None:
    declare_queue(vhost, actor)
    declare_exchange(vhost, actor, "x", "fanout", auto_delete=True)
    vhost.bind_exchange(actor, "x", "x", "", {})
    vhost.bind_queue(actor, "q", "x", "", {})

    vhost.unbind_queue(actor, "q", "x", "", {})
    assert "x" in vhost.exchanges
    vhost.unbind_exchange(actor, "x", "x", "", {})
    assert "x" not in vhost.exchanges
