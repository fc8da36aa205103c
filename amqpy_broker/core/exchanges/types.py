"""The registry of exchange types: a new type is a new file and one row here."""

from typing import Final

from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.direct import DirectExchange
from amqpy_broker.core.exchanges.fanout import FanoutExchange
from amqpy_broker.core.exchanges.headers import HeadersExchange
from amqpy_broker.core.exchanges.topic import TopicExchange

EXCHANGE_TYPES: Final[dict[str, type[Exchange]]] = {
    exchange_type.type: exchange_type
    for exchange_type in (DirectExchange, FanoutExchange, TopicExchange, HeadersExchange)
}

# What every vhost begins with; clients can neither declare nor delete these.
PREDECLARED: Final[tuple[tuple[str, str, bool], ...]] = (
    # name, type, internal
    ("amq.direct", "direct", False),
    ("amq.fanout", "fanout", False),
    ("amq.headers", "headers", False),
    ("amq.match", "headers", False),
    ("amq.rabbitmq.trace", "topic", True),
    ("amq.topic", "topic", False),
)
