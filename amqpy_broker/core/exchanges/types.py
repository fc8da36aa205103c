"""The registry of exchange types: a new type is a new file and one row here."""

from typing import Final

from amqpy_broker.core.errors import CommandInvalid, PreconditionFailed
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.consistent_hash import ConsistentHashExchange
from amqpy_broker.core.exchanges.delayed_message import DelayedMessageExchange
from amqpy_broker.core.exchanges.direct import DirectExchange
from amqpy_broker.core.exchanges.fanout import FanoutExchange
from amqpy_broker.core.exchanges.headers import HeadersExchange
from amqpy_broker.core.exchanges.modulus_hash import ModulusHashExchange
from amqpy_broker.core.exchanges.random import LocalRandomExchange, RandomExchange
from amqpy_broker.core.exchanges.recent_history import RecentHistoryExchange
from amqpy_broker.core.exchanges.topic import TopicExchange
from amqpy_broker.core.profile import Profile

EXCHANGE_TYPES: Final[dict[str, type[Exchange]]] = {
    exchange_type.type: exchange_type
    for exchange_type in (
        DirectExchange,
        FanoutExchange,
        TopicExchange,
        HeadersExchange,
        ConsistentHashExchange,
        ModulusHashExchange,
        RandomExchange,
        LocalRandomExchange,
        RecentHistoryExchange,
        DelayedMessageExchange,
    )
}
# Words that RabbitMQ knows from elsewhere, and tells so.
_NO_EXCHANGE_TYPES: Final = frozenset(("", "default"))

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


def find_exchange_type(name: str, profile: Profile) -> type[Exchange]:
    """Find the class of an exchange type.

    Raises:
        CommandInvalid: there is none, in 3.x.
        PreconditionFailed: there is none, in 4.x.
    """
    found = EXCHANGE_TYPES.get(name)
    if found is None or name in profile.missing_exchange_types:
        text = f"{'invalid' if name in _NO_EXCHANGE_TYPES else 'unknown'} exchange type '{name}'"
        closes_connection = profile.unknown_exchange_type_closes_connection
        raise CommandInvalid(text) if closes_connection else PreconditionFailed(text)
    return found
