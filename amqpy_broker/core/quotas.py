"""How many of each thing clients may have: what RabbitMQ limits, in its words, and what it does not, generously.

None is no limit. See https://www.rabbitmq.com/docs/vhosts#limits and https://www.rabbitmq.com/docs/configure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from amqpy_broker.core.errors import NotAllowed, PreconditionFailed
from amqpy_broker.core.limits import (
    BINDINGS_PER_VHOST_MAX,
    CHANNEL_MAX,
    CONNECTIONS_MAX,
    CONSUMERS_PER_CHANNEL_MAX,
    EXCHANGES_PER_VHOST_MAX,
    QUEUES_PER_VHOST_MAX,
)
from amqpy_broker.core.names import NODE_NAME, exchange_text


@dataclass(frozen=True, slots=True)
class VhostLimits:
    """What there may be in one vhost."""

    max_connections: int | None = None
    max_queues: int | None = QUEUES_PER_VHOST_MAX
    max_exchanges: int | None = EXCHANGES_PER_VHOST_MAX
    max_bindings: int | None = BINDINGS_PER_VHOST_MAX

    def check_connections(self, count: int, vhost: str, user: str) -> None:
        """Refuse one more connection if there are enough.

        Raises:
            NotAllowed: there are.
        """
        if _is_reached(self.max_connections, count):
            limit = self.max_connections
            raise NotAllowed(
                f"access to vhost '{vhost}' refused for user '{user}': connection limit ({limit}) is reached"
            )

    def check_queues(self, count: int, name: str, vhost: str) -> None:
        """Refuse one more queue if there are enough.

        Raises:
            PreconditionFailed: there are.
        """
        if _is_reached(self.max_queues, count):
            limit = self.max_queues
            raise PreconditionFailed(
                f"cannot declare queue '{name}': queue limit in vhost '{vhost}' ({limit}) is reached"
            )

    def check_exchanges(self, count: int, name: str, vhost: str) -> None:
        """Refuse one more exchange if there are enough.

        Raises:
            PreconditionFailed: there are.
        """
        if _is_reached(self.max_exchanges, count):
            raise PreconditionFailed(
                f"cannot declare {exchange_text(name, vhost)}: exchange limit of {self.max_exchanges} is reached"
            )

    def check_bindings(self, count: int, source: str, vhost: str) -> None:
        """Refuse one more binding if there are enough.

        Raises:
            PreconditionFailed: there are.
        """
        if _is_reached(self.max_bindings, count):
            raise PreconditionFailed(
                f"cannot bind to {exchange_text(source, vhost)}: binding limit of {self.max_bindings} is reached"
            )


@dataclass(frozen=True, slots=True)
class Limits:
    """What there may be in one broker, and in each of its vhosts; the names are those of RabbitMQ's settings."""

    connection_max: int | None = CONNECTIONS_MAX
    # Channels of one connection, as it is negotiated with each.
    channel_max: int = CHANNEL_MAX
    channel_max_per_node: int | None = None
    consumer_max_per_channel: int | None = CONSUMERS_PER_CHANNEL_MAX
    # Of every vhost that has none of its own.
    vhost: VhostLimits = field(default_factory=VhostLimits)

    def check_connections(self, count: int) -> None:
        """Refuse one more connection if there are enough.

        Raises:
            NotAllowed: there are.
        """
        if _is_reached(self.connection_max, count):
            raise NotAllowed(f"connection refused: node connection limit ({self.connection_max}) is reached")

    def check_channels(self, count: int) -> None:
        """Refuse one more channel if there are enough.

        Raises:
            NotAllowed: there are.
        """
        if _is_reached(self.channel_max_per_node, count):
            raise NotAllowed(
                f"number of channels opened on node '{NODE_NAME}' has reached the maximum allowed limit of"
                f" ({self.channel_max_per_node})"
            )

    def check_consumers(self, count: int) -> None:
        """Refuse one more consumer of a channel if there are enough.

        Raises:
            NotAllowed: there are.
        """
        if _is_reached(self.consumer_max_per_channel, count):
            raise NotAllowed(f"reached maximum ({self.consumer_max_per_channel}) of consumers per channel")


def _is_reached(limit: int | None, count: int) -> bool:
    return limit is not None and count >= limit
