"""The registry of exchange types."""

import pytest

from amqpy_broker.core.exchanges.types import EXCHANGE_TYPES
from tests.fakes import a_vhost, an_exchange


def test_the_types_of_the_specification_and_of_rabbitmq_are_there() -> None:
    assert set(EXCHANGE_TYPES) == {
        "direct",
        "fanout",
        "headers",
        "topic",
        "x-consistent-hash",
        "x-delayed-message",
        "x-local-random",
        "x-modulus-hash",
        "x-random",
        "x-recent-history",
    }


@pytest.mark.parametrize("exchange_type", EXCHANGE_TYPES)
def test_a_type_is_registered_under_its_own_name(exchange_type: str) -> None:
    assert EXCHANGE_TYPES[exchange_type].type == exchange_type


@pytest.mark.parametrize("exchange_type", ["direct", "fanout", "topic", "x-consistent-hash", "x-modulus-hash"])
def test_where_the_routing_key_decides_a_route_can_be_remembered(exchange_type: str) -> None:
    assert not an_exchange(exchange_type).decides_for_each_message


def test_a_vhost_begins_with_rabbitmqs_exchanges() -> None:
    exchanges = a_vhost().exchanges.values()

    assert {(x.name, x.type, x.durable, x.auto_delete, x.internal) for x in exchanges} == {
        ("", "direct", True, False, False),
        ("amq.direct", "direct", True, False, False),
        ("amq.fanout", "fanout", True, False, False),
        ("amq.topic", "topic", True, False, False),
        ("amq.headers", "headers", True, False, False),
        ("amq.match", "headers", True, False, False),
        ("amq.rabbitmq.trace", "topic", True, False, True),
    }
