"""The registry of exchange types."""

import pytest

from amqpy_broker.core.exchanges.types import EXCHANGE_TYPES
from tests.fakes import a_vhost


def test_the_types_of_the_specification_and_of_rabbitmq_are_there() -> None:
    assert set(EXCHANGE_TYPES) == {"direct", "fanout", "topic", "headers"}


@pytest.mark.parametrize("exchange_type", EXCHANGE_TYPES)
def test_a_type_is_registered_under_its_own_name(exchange_type: str) -> None:
    assert EXCHANGE_TYPES[exchange_type].type == exchange_type


def test_only_the_headers_exchange_looks_at_headers() -> None:
    assert [name for name, kind in EXCHANGE_TYPES.items() if kind.looks_at_headers] == ["headers"]


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
