"""What is inside a broker of the test kit, for the kit's own parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.server.server import Server
from amqpy_broker.testing.faults.desk import Desk
from amqpy_broker.testing.history.history import History
from amqpy_broker.testing.history.witness import PublishListener
from amqpy_broker.testing.link.connection import LinkedConnection
from amqpy_broker.testing.link.listening import Listener
from amqpy_broker.testing.running.settling import Settling
from amqpy_broker.testing.strict.strict import Strict


@dataclass(frozen=True, slots=True)
class Inside:
    """The parts of a broker. They are touched in the broker's own thread only."""

    core: BrokerCore
    server: Server
    settling: Settling
    # Who hears connections that begin from now on.
    listeners: list[Listener]
    # What happened to messages, and who is told of publishes, too.
    history: History
    publish_listeners: list[PublishListener]
    # Who judges what clients do, if anybody does.
    strict: Strict | None
    # What goes wrong, because a test wants it to.
    faults: Desk

    @property
    def connections(self) -> Iterator[LinkedConnection]:
        """The clients' connections, the oldest first."""
        return (connection for connection in self.server.connections if isinstance(connection, LinkedConnection))
