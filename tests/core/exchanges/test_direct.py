"""The direct exchange and the default exchange."""

import pytest

from amqpy_broker.core.exchanges.direct import DefaultExchange
from amqpy_broker.core.profile import profile_named
from tests.fakes import FakeDestination, a_vhost, an_exchange, bind, matched_by


def test_a_message_goes_where_the_binding_key_equals_its_routing_key() -> None:
    x = an_exchange("direct")
    bind(x, FakeDestination("q1"), "k1")
    bind(x, FakeDestination("q2"), "k2")

    assert matched_by(x, "k1") == ["q1"]
    assert matched_by(x, "k2") == ["q2"]


@pytest.mark.parametrize("routing_key", ["", "K", "k ", "k.k", "*", "#"])
def test_keys_are_compared_letter_by_letter(routing_key: str) -> None:
    x = an_exchange("direct")
    bind(x, FakeDestination("q"), "k")

    assert matched_by(x, routing_key) == []


@pytest.mark.parametrize("key", ["", "#", "*", "a.b", "ключ", "k" * 255])
def test_any_text_is_a_binding_key(key: str) -> None:
    x = an_exchange("direct")
    bind(x, FakeDestination("q"), key)

    assert matched_by(x, key) == ["q"]


def test_many_destinations_share_a_key() -> None:
    x = an_exchange("direct")
    for name in ("q1", "q2", "q3"):
        bind(x, FakeDestination(name), "k")

    assert matched_by(x, "k") == ["q1", "q2", "q3"]


def test_bindings_that_differ_in_arguments_only_lead_there_until_the_last_is_gone() -> None:
    x, q = an_exchange("direct"), FakeDestination("q")
    first, second = bind(x, q, "k", a=1), bind(x, q, "k", a=2)

    x.remove_binding(first)
    assert matched_by(x, "k") == ["q"]
    x.remove_binding(second)
    assert matched_by(x, "k") == []


def test_the_default_exchange_finds_a_queue_by_its_name() -> None:
    queues = {"q": FakeDestination("q"), "": FakeDestination("nameless")}
    default = DefaultExchange("/", profile_named("4.0"), a_vhost(), queues)

    assert matched_by(default, "q") == ["q"]
    assert matched_by(default, "other") == []


def test_the_default_exchange_follows_what_is_declared_and_deleted() -> None:
    queues: dict[str, FakeDestination] = {}
    default = DefaultExchange("/", profile_named("4.0"), a_vhost(), queues)

    queues["q"] = FakeDestination("q")
    assert matched_by(default, "q") == ["q"]
    del queues["q"]
    assert matched_by(default, "q") == []


def test_the_default_exchange_is_called_amq_default_in_texts() -> None:
    assert str(DefaultExchange("/", profile_named("4.0"), a_vhost(), {})) == "exchange 'amq.default' in vhost '/'"
