"""The random exchanges."""

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.errors import CommandInvalid, PreconditionFailed
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import (
    FakeDestination,
    a_vhost,
    an_exchange,
    bind,
    declare_exchange,
    declare_queue,
    matched_by,
    refused,
    routed,
)


def picks(x: Exchange, count: int = 400) -> list[str]:
    found = [matched_by(x, "k") for _ in range(count)]
    assert all(len(names) == 1 for names in found)
    return [names[0] for names in found]


def test_each_message_goes_to_one_queue_and_each_queue_gets_its_share() -> None:
    x = an_exchange("x-random")
    for number in range(4):
        bind(x, FakeDestination(f"q{number}"), "any key")

    found = picks(x)

    assert all(60 < found.count(f"q{number}") < 140 for number in range(4))


def test_who_is_bound_twice_gets_twice_as_many() -> None:
    x, q1, q2 = an_exchange("x-random"), FakeDestination("q1"), FakeDestination("q2")
    bind(x, q1, "a")
    again = bind(x, q1, "b")
    bind(x, q2, "a")
    assert picks(x, 600).count("q1") > 340

    x.remove_binding(again)
    assert picks(x, 600).count("q1") < 360


def test_with_one_queue_it_gets_everything_and_with_none_nobody_does() -> None:
    x = an_exchange("x-random")
    binding = bind(x, FakeDestination("q"))
    assert set(picks(x, 20)) == {"q"}
    x.remove_binding(binding)
    assert matched_by(x) == []


def test_chance_repeats_with_the_brokers_seed() -> None:
    def run() -> list[str]:
        x = an_exchange("x-random")
        for number in range(4):
            bind(x, FakeDestination(f"q{number}"))
        return picks(x, 50)

    assert run() == run()


def test_no_route_is_remembered() -> None:
    assert an_exchange("x-random").decides_for_each_message
    assert an_exchange("x-local-random").decides_for_each_message


# Local random ---------------------------------------------------------------------------------------------------------


def test_3_10_has_no_local_random_exchange(actor: Actor) -> None:
    with refused(CommandInvalid, "unknown exchange type 'x-local-random'"):
        declare_exchange(a_vhost("3.10"), actor, "x", "x-local-random")


def test_local_random_sends_to_one_of_its_queues(vhost: VirtualHost, actor: Actor) -> None:
    declare_exchange(vhost, actor, "x", "x-local-random")
    for name in ("q1", "q2"):
        declare_queue(vhost, actor, name)
        vhost.bind_queue(actor, name, "x", "", {})

    found = [routed(vhost, "x", "whatever") for _ in range(100)]

    assert {len(names) for names in found} == {1}
    assert {names[0] for names in found} == {"q1", "q2"}


@pytest.mark.parametrize(("key", "shown"), [("k", "k"), (" ", " "), ("é", "Ã©")])
def test_local_random_takes_no_binding_key(vhost: VirtualHost, actor: Actor, key: str, shown: str) -> None:
    declare_exchange(vhost, actor, "x", "x-local-random")
    declare_queue(vhost, actor)

    with refused(PreconditionFailed, f"Non empty binding '{shown}' key not permitted"):
        vhost.bind_queue(actor, "q", "x", key, {})
    assert not vhost.find_exchange("x").in_use


def test_local_random_is_not_for_exchanges(vhost: VirtualHost, actor: Actor) -> None:
    declare_exchange(vhost, actor, "x", "x-local-random")

    with refused(PreconditionFailed, "Destination not found"):
        vhost.bind_exchange(actor, "amq.fanout", "x", "", {})
    with refused(PreconditionFailed, "Non empty binding 'k' key not permitted"):
        vhost.bind_exchange(actor, "amq.fanout", "x", "k", {})
    assert not vhost.find_exchange("x").in_use


def test_local_random_is_for_classic_queues(vhost: VirtualHost, actor: Actor) -> None:
    declare_exchange(vhost, actor, "x", "x-local-random")
    declare_queue(vhost, actor, durable=True, x_queue_type="quorum")

    with refused(PreconditionFailed, "Queue type rabbit_quorum_queue not valid for this exchange type"):
        vhost.bind_queue(actor, "q", "x", "", {})
