"""A client's connection in the test kit: the broker's own, watched."""

from __future__ import annotations

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.protocols.amqp091.connection import Connection
from amqpy_broker.protocols.amqp091.output import Output
from amqpy_broker.testing.settling import Settling


class WatchedConnection(Connection):
    """A connection whose every step is counted."""

    def __init__(
        self, broker: BrokerCore, output: Output, settling: Settling, *, name: str, peer_is_local: bool
    ) -> None:
        super().__init__(broker, output, name=name, peer_is_local=peer_is_local)
        self._settling = settling
        settling.steps += 1

    def receive(self, data: bytes) -> None:
        """Take in what the peer sent."""
        self._settling.steps += 1
        super().receive(data)

    def data_to_send(self) -> bytes:
        """Hand out what there is to send."""
        self._settling.steps += 1
        return super().data_to_send()

    def lost(self) -> None:
        """Learn that the socket is gone."""
        self._settling.steps += 1
        super().lost()
