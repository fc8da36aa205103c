"""The modulus hash exchange. That it chooses as RabbitMQ does is compared in interop/differential."""

from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.bindings import Destination
from tests.fakes import FakeDestination, an_exchange, bind, matched_by

KEYS = [f"key.{number}" for number in range(100)]


def chosen(x: Exchange) -> dict[str, list[str]]:
    return {key: matched_by(x, key) for key in KEYS}


def test_a_key_goes_to_one_queue_always_the_same_and_each_queue_gets_some() -> None:
    x = an_exchange("x-modulus-hash")
    for number in range(3):
        bind(x, FakeDestination(f"q{number}"), "k")

    assert chosen(x) == chosen(x)
    assert sorted(map(tuple, {tuple(names) for names in chosen(x).values()})) == [("q0",), ("q1",), ("q2",)]


def test_the_order_of_binding_does_not_matter() -> None:
    x, y = an_exchange("x-modulus-hash"), an_exchange("x-modulus-hash")
    queues = [(FakeDestination(name), key) for name in ("a", "b", "é") for key in ("", "k")]
    for queue, key in queues:
        bind(x, queue, key)
    for queue, key in reversed(queues):
        bind(y, queue, key)

    assert chosen(x) == chosen(y)


def test_a_binding_that_goes_leaves_the_others() -> None:
    x = an_exchange("x-modulus-hash")
    first = bind(x, FakeDestination("q1"), "b")
    second = bind(x, FakeDestination("q2"), "a")
    x.remove_binding(first)
    assert set(map(tuple, chosen(x).values())) == {("q2",)}
    x.remove_binding(second)
    assert set(map(tuple, chosen(x).values())) == {()}


def test_several_routing_keys_are_hashed_as_one() -> None:
    x = an_exchange("x-modulus-hash")
    for number in range(5):
        bind(x, FakeDestination(f"q{number}"))
    places: set[Destination] = set()
    for key in KEYS:
        found: dict[Destination, None] = {}
        x.route_keys((key, "b"), found)
        assert len(found) == 1
        places.update(found)
    assert len(places) == 5
