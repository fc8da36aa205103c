"""The consistent hash exchange. That it chooses as RabbitMQ does is compared in interop/differential."""

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.arguments import Argument, Kind, arguments
from amqpy_broker.core.errors import InternalError, PreconditionFailed
from amqpy_broker.core.exchanges.base import Exchange, Matched
from amqpy_broker.core.exchanges.consistent_hash import ConsistentHashExchange
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import (
    FakeDestination,
    FakeMessage,
    a_vhost,
    an_actor,
    an_exchange,
    bind,
    declare_exchange,
    matched_by,
    refused,
)

HASH = "x-consistent-hash"
KEYS = [f"key.{number}" for number in range(200)]


def hash_exchange(*weights: int) -> tuple[Exchange, list[FakeDestination]]:
    x = an_exchange(HASH)
    queues = [FakeDestination(f"q{number}") for number in range(len(weights))]
    for queue, weight in zip(queues, weights, strict=True):
        bind(x, queue, str(weight))
    return x, queues


def chosen(x: Exchange) -> dict[str, str]:
    """Where each of many keys leads; every one must lead somewhere, and to one place."""
    found = {key: matched_by(x, key) for key in KEYS}
    assert all(len(names) == 1 for names in found.values())
    return {key: names[0] for key, names in found.items()}


# Declaring and binding ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"hash_header": "h", "hash_property": "message_id"}, "hash-header and hash-property are mutually exclusive"),
        ({"hash_property": "app_id"}, "Unsupported property: app_id"),
        ({"hash_property": ""}, "Unsupported property: "),
    ],
)
def test_what_cannot_be_hashed_is_refused_before_there_is_an_exchange(
    vhost: VirtualHost, actor: Actor, values: dict[str, object], text: str
) -> None:
    with refused(PreconditionFailed, text):
        declare_exchange(vhost, actor, "x", HASH, **values)

    assert "x" not in vhost.exchanges


@pytest.mark.parametrize("name", ["hash_header", "hash_property"])
def test_what_is_hashed_must_be_text_or_rabbitmq_dies_of_it(vhost: VirtualHost, actor: Actor, name: str) -> None:
    with refused(InternalError, ""):
        declare_exchange(vhost, actor, "x", HASH, **{name: 5})

    assert "x" not in vhost.exchanges


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("0", "The binding key must be greater than 0"),
        ("-1", "The binding key must be greater than 0"),
        ("abc", 'The binding key must be an integer: <<"abc">>'),
        ("", "The binding key must be an integer: <<>>"),
        ("1.5", 'The binding key must be an integer: <<"1.5">>'),
        ("1\n", 'The binding key must be an integer: <<"1\\n">>'),
        ("é", 'The binding key must be an integer: <<"é"/utf8>>'),
    ],
)
def test_a_binding_key_that_is_no_weight_is_refused(key: str, text: str) -> None:
    x = an_exchange(HASH)

    with refused(PreconditionFailed, text):
        bind(x, FakeDestination("q"), key)

    assert not x.in_use


def test_weights_are_integers_as_erlang_reads_them_of_any_size() -> None:
    x, _ = hash_exchange()
    for number, key in enumerate(("1", "+2", "007", "10001", str(10**30))):
        bind(x, FakeDestination(f"q{number}"), key)

    assert set(chosen(x).values()) == {"q4"}


def test_4_3_limits_weights() -> None:
    x = an_exchange(HASH, profile="4.3")

    bind(x, FakeDestination("q"), "10000")
    with refused(PreconditionFailed, "The binding key must not exceed 10000"):
        bind(x, FakeDestination("q"), "10001")


# Routing --------------------------------------------------------------------------------------------------------------


def test_the_same_key_goes_to_the_same_queue_and_each_queue_gets_some() -> None:
    x, _ = hash_exchange(1, 1, 1)

    assert chosen(x) == chosen(x)
    assert set(chosen(x).values()) == {"q0", "q1", "q2"}


def test_with_nothing_bound_a_message_goes_nowhere() -> None:
    x, _ = hash_exchange()

    assert matched_by(x, "k") == []


def test_what_is_bound_later_takes_from_all_and_moves_nothing_else() -> None:
    x, _ = hash_exchange(2, 2)
    before = chosen(x)
    bind(x, FakeDestination("new"), "2")

    after = chosen(x)

    moved = {key for key in KEYS if before[key] != after[key]}
    assert {after[key] for key in moved} == {"new"}
    assert {before[key] for key in moved} == {"q0", "q1"}


def test_what_was_bound_last_gives_back_what_it_took() -> None:
    x, _ = hash_exchange(2, 2)
    before = chosen(x)
    binding = bind(x, FakeDestination("new"), "2")

    x.remove_binding(binding)

    assert chosen(x) == before


def test_the_first_binding_of_a_destination_has_the_say_and_any_of_them_takes_its_buckets_along() -> None:
    x, (q0, _) = hash_exchange(1, 1)
    before = chosen(x)
    heavier = bind(x, q0, "9")
    assert chosen(x) == before

    x.remove_binding(heavier)

    assert set(chosen(x).values()) == {"q1"}
    assert len(list(x.bindings)) == 2
    x.remove_binding(next(iter(x.bindings)))
    assert set(chosen(x).values()) == {"q1"}


def test_of_several_routing_keys_the_first_is_hashed() -> None:
    x, _ = hash_exchange(1, 1, 1)
    for key, name in chosen(x).items():
        found: Matched = {}
        x.route_keys((key, "another"), found)
        assert [destination.name for destination in found] == [name]


# Headers and properties -----------------------------------------------------------------------------------------------


def routed_to(x: Exchange, message: FakeMessage) -> str:
    found: Matched = {}
    assert not x.route_message(message, (message.routing_key,), found)
    (destination,) = found
    return str(destination.name)


def declared(vhost: VirtualHost, **values: object) -> Exchange:
    declare_exchange(vhost, an_actor(), "x", HASH, **values)
    x = vhost.find_exchange("x")
    assert isinstance(x, ConsistentHashExchange)
    for number in range(3):
        bind(x, FakeDestination(f"q{number}"), "10")
    return x


def test_only_the_routing_key_makes_routes_that_can_be_remembered() -> None:
    assert not declared(a_vhost()).decides_for_each_message
    assert declared(a_vhost(), hash_header="h").decides_for_each_message
    assert declared(a_vhost(), hash_property="message_id").decides_for_each_message


def test_a_header_decides_whatever_the_routing_key() -> None:
    x = declared(a_vhost(), hash_header="h")
    places = {
        value: {routed_to(x, FakeMessage(routing_key=key, headers=arguments({"h": value}))) for key in "abc"}
        for value in map(str, range(30))
    }

    assert all(len(place) == 1 for place in places.values())
    assert {place for (place,) in places.values()} == {"q0", "q1", "q2"}


def test_messages_without_the_header_go_to_one_queue() -> None:
    x = declared(a_vhost(), hash_header="h")

    assert len({routed_to(x, FakeMessage(routing_key=key)) for key in KEYS}) == 1
    assert matched_by(x, "k") == matched_by(x, "other")


def test_in_3_x_the_type_of_a_header_is_part_of_its_value() -> None:
    by_profile = {}
    for profile in ("3.10", "4.0"):
        x = declared(a_vhost(profile), hash_header="h")
        kinds: tuple[Kind, ...] = ("short", "signedint", "long")
        by_profile[profile] = [
            {routed_to(x, FakeMessage(headers={"h": Argument(kind, number)})) for kind in kinds} for number in range(20)
        ]

    assert max(map(len, by_profile["3.10"])) > 1
    assert all(len(places) == 1 for places in by_profile["4.0"])


@pytest.mark.parametrize("profile", ["3.10", "4.0"])
@pytest.mark.parametrize("value", [[], [[]], {}, {"a": []}, None, True, 1.5, b"x", 2**62, "\udcff"])
def test_a_header_may_be_anything(profile: str, value: object) -> None:
    x = declared(a_vhost(profile), hash_header="h")

    assert routed_to(x, FakeMessage(headers=arguments({"h": value}))) in {"q0", "q1", "q2"}


@pytest.mark.parametrize("name", ["correlation_id", "message_id", "timestamp"])
def test_a_property_decides_whatever_the_routing_key(name: str) -> None:
    x = declared(a_vhost(), hash_property=name)

    def message(number: int, key: str) -> FakeMessage:
        if name == "timestamp":
            return FakeMessage(routing_key=key, timestamp_s=number)
        if name == "message_id":
            return FakeMessage(routing_key=key, message_id=b"%d" % number)
        return FakeMessage(routing_key=key, correlation_id=b"%d" % number)

    places = [{routed_to(x, message(number, key)) for key in "abc"} for number in range(30)]

    assert all(len(place) == 1 for place in places)
    assert set.union(*places) == {"q0", "q1", "q2"}
    assert len({routed_to(x, FakeMessage(routing_key=key)) for key in KEYS}) == 1
    assert matched_by(x, "k") == [routed_to(x, FakeMessage())]
