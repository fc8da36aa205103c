"""From an exchange to queues, over other exchanges."""

from itertools import pairwise

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.router import route
from amqpy_broker.core.queues.base import Queue
from tests.fakes import a_queue, an_exchange, bind


def reached(start: Exchange, *others: Exchange, key: str = "") -> list[str]:
    """Names of the queues reached, each as often as it is."""
    exchanges = {exchange.name: exchange for exchange in (start, *others)}
    return sorted(queue.name for queue in route(start, key, {}, exchanges).queues)


def fanouts(*names: str) -> list[Exchange]:
    return [an_exchange("fanout", name) for name in names]


# Exchange to exchange -------------------------------------------------------------------------------------------------


def test_a_message_passes_through_exchanges_with_its_own_routing_key() -> None:
    x, y = an_exchange("topic", "x"), an_exchange("direct", "y")
    bind(x, y, "a.#")
    bind(y, a_queue("q1"), "a.b")
    bind(y, a_queue("q2"), "a.c")

    assert reached(x, y, key="a.b") == ["q1"]


def test_a_long_chain_of_exchanges_is_followed_to_its_end() -> None:
    chain = fanouts(*(f"x{number}" for number in range(2000)))
    for source, destination in pairwise(chain):
        bind(source, destination)
    bind(chain[-1], a_queue("q"))

    assert reached(*chain) == ["q"]


def test_a_queue_at_the_end_of_a_diamond_is_reached_once() -> None:
    x, left, right = fanouts("x", "left", "right")
    q = a_queue("q")
    bind(x, left)
    bind(x, right)
    bind(left, q)
    bind(right, q)
    bind(x, q)

    assert reached(x, left, right) == ["q"]


def test_an_exchange_that_is_bound_to_itself_is_visited_once() -> None:
    (x,) = fanouts("x")
    bind(x, x)
    bind(x, a_queue("q"))

    assert reached(x) == ["q"]


def test_a_cycle_of_exchanges_ends() -> None:
    x, y, z = fanouts("x", "y", "z")
    for source, destination in ((x, y), (y, z), (z, x)):
        bind(source, destination)
        bind(source, a_queue(f"q{source.name}"))

    for start in (x, y, z):
        assert reached(start, x, y, z) == ["qx", "qy", "qz"]


def test_a_queue_and_an_exchange_of_one_name_are_not_mixed_up() -> None:
    x, same = fanouts("x", "same")
    bind(x, same)
    bind(x, a_queue("same"))
    bind(same, a_queue("behind"))

    assert reached(x, same) == ["behind", "same"]


# Alternate exchanges --------------------------------------------------------------------------------------------------


def test_what_finds_no_destination_goes_to_the_alternate_exchange() -> None:
    x, alternate = an_exchange("direct", "x", alternate="ae"), an_exchange("fanout", "ae")
    bind(x, a_queue("q"), "k")
    bind(alternate, a_queue("rest"))

    assert reached(x, alternate, key="k") == ["q"]
    assert reached(x, alternate, key="other") == ["rest"]


def test_alternate_exchanges_are_asked_one_after_the_other() -> None:
    x, y, z = (
        an_exchange("direct", "x", alternate="y"),
        an_exchange("direct", "y", alternate="z"),
        an_exchange("fanout", "z"),
    )
    bind(z, a_queue("q"))

    assert reached(x, y, z) == ["q"]


def test_alternate_exchanges_in_a_circle_end() -> None:
    x, y = an_exchange("direct", "x", alternate="y"), an_exchange("direct", "y", alternate="x")

    assert reached(x, y) == []


def test_an_exchange_that_is_its_own_alternate_ends() -> None:
    x = an_exchange("direct", "x", alternate="x")

    assert reached(x) == []


def test_a_missing_alternate_exchange_is_nothing() -> None:
    assert reached(an_exchange("direct", "x", alternate="nope")) == []


def test_an_empty_alternate_exchange_is_not_the_default_exchange() -> None:
    default = an_exchange("fanout", "")
    bind(default, a_queue("q"))

    assert reached(an_exchange("direct", "x", alternate=""), default) == []


def test_an_exchange_in_the_middle_has_its_alternate_too() -> None:
    x, alternate = fanouts("x", "ae")
    y = an_exchange("direct", "y", alternate="ae")
    bind(x, y)
    bind(x, a_queue("q"))
    bind(alternate, a_queue("rest"))

    assert reached(x, y, alternate) == ["q", "rest"]


def test_an_exchange_that_found_an_exchange_has_found_a_destination() -> None:
    x, y, alternate = an_exchange("fanout", "x", alternate="ae"), *fanouts("y", "ae")
    bind(x, y)
    bind(alternate, a_queue("rest"))

    assert reached(x, y, alternate) == []


# Routes that may be remembered ----------------------------------------------------------------------------------------


def test_a_route_holds_whatever_the_headers_unless_a_headers_exchange_was_asked() -> None:
    x, y = an_exchange("fanout", "x"), an_exchange("headers", "y")
    assert route(x, "k", {}, {}).for_any_message
    assert not route(y, "k", {}, {}).for_any_message

    bind(x, y)
    assert not route(x, "k", {}, {}).for_any_message


def test_a_headers_exchange_behind_an_alternate_counts_too() -> None:
    x, alternate = an_exchange("direct", "x", alternate="ae"), an_exchange("headers", "ae")
    q: Queue = a_queue("q")
    bind(alternate, q, "", a=1)
    exchanges = {"ae": alternate}

    assert route(x, "k", arguments({"a": 1}), exchanges) == ((q,), False)
    assert route(x, "k", arguments({"a": 2}), exchanges) == ((), False)
