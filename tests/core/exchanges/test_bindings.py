"""What makes two bindings the same one [queue.bind.queue:duplicates]."""

import pytest

from amqpy_broker.core.arguments import Argument, arguments
from amqpy_broker.core.exchanges.bindings import Binding, identity
from tests.fakes import FakeDestination, an_exchange, bind, bind_with

TYPES = ["direct", "fanout", "topic", "headers"]


@pytest.mark.parametrize("exchange_type", TYPES)
def test_the_same_binding_is_taken_once(exchange_type: str) -> None:
    x, q = an_exchange(exchange_type), FakeDestination("q")

    assert x.add_binding(Binding("x", q, "k", arguments({"a": 1})))
    assert not x.add_binding(Binding("x", q, "k", arguments({"a": 1})))
    assert len(list(x.bindings)) == 1


@pytest.mark.parametrize("exchange_type", TYPES)
def test_a_binding_is_found_by_what_it_was_made_of(exchange_type: str) -> None:
    x, q = an_exchange(exchange_type), FakeDestination("q")
    binding = bind(x, q, "k", a=1)

    assert x.find_binding(q, "k", arguments({"a": 1})) is binding
    assert x.find_binding(q, "other", arguments({"a": 1})) is None
    assert x.find_binding(q, "k", {}) is None
    assert x.find_binding(FakeDestination("other"), "k", arguments({"a": 1})) is None


@pytest.mark.parametrize("exchange_type", TYPES)
def test_an_exchange_is_in_use_while_a_binding_starts_there(exchange_type: str) -> None:
    x = an_exchange(exchange_type)
    assert not x.in_use
    binding = bind(x, FakeDestination("q"))
    assert x.in_use
    x.remove_binding(binding)
    assert not x.in_use


def test_bindings_are_listed_oldest_first() -> None:
    x, q = an_exchange("direct"), FakeDestination("q")
    for key in ("b", "c", "a"):
        bind(x, q, key)

    assert [binding.key for binding in x.bindings] == ["b", "c", "a"]


DIFFERENT: list[dict[str, object]] = [
    {},
    {"a": 1},
    {"a": 2},
    {"b": 1},
    {"a": 1, "b": 1},
    {"a": True},
    {"a": 1.0},
    {"a": "1"},
    {"a": b"1"},
    {"a": None},
    {"a": Argument("long", 1)},
    {"a": Argument("timestamp", 1)},
    {"a": []},
    {"a": {}},
    {"a": [1]},
    {"a": [[1]]},
    {"a": [1, 2]},
    {"a": [2, 1]},
    {"a": {"b": 1}},
    {"a": {"b": {"c": [{"d": 1}]}}},
    {"a": {"b": {"c": [{"d": 2}]}}},
]


def test_arguments_and_their_types_tell_bindings_apart() -> None:
    x, q = an_exchange("direct"), FakeDestination("q")
    for values in DIFFERENT:
        bind_with(x, q, "k", values)

    assert len(list(x.bindings)) == len(DIFFERENT)


def test_the_order_of_arguments_does_not_matter() -> None:
    q = FakeDestination("q")

    assert identity(q, "k", arguments({"a": 1, "b": 2})) == identity(q, "k", arguments({"b": 2, "a": 1}))


def test_a_queue_and_an_exchange_of_one_name_are_two_destinations() -> None:
    x = an_exchange("fanout")
    bind(x, FakeDestination("same"))
    bind(x, an_exchange("direct", "same"))

    assert len(list(x.bindings)) == 2
