"""The fanout exchange."""

import pytest

from tests.fakes import FakeDestination, an_exchange, bind, matched_by


@pytest.mark.parametrize("routing_key", ["", "k", "other", "#"])
def test_every_bound_destination_gets_a_message_whatever_its_routing_key(routing_key: str) -> None:
    x = an_exchange("fanout")
    bind(x, FakeDestination("q1"), "k")
    bind(x, FakeDestination("q2"))

    assert matched_by(x, routing_key) == ["q1", "q2"]


def test_a_destination_that_is_bound_twice_matches_once() -> None:
    x, q = an_exchange("fanout"), FakeDestination("q")
    bind(x, q, "k1")
    bind(x, q, "k2")

    assert matched_by(x) == ["q"]


def test_a_destination_matches_until_its_last_binding_is_gone() -> None:
    x, q = an_exchange("fanout"), FakeDestination("q")
    first, second = bind(x, q, "k1"), bind(x, q, "k2")

    x.remove_binding(first)
    assert matched_by(x) == ["q"]
    x.remove_binding(second)
    assert matched_by(x) == []


def test_without_bindings_a_message_goes_nowhere() -> None:
    assert matched_by(an_exchange("fanout"), "k") == []
