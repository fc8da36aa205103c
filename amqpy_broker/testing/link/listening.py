"""Who hears what goes over the wire: recorders and judges. They hear connections that begin later, from the start.

What is heard is what the client said, before any fault, and what it was sent, after all faults.
"""

from typing import Protocol

from amqpy_broker.testing.conversation.frames import Direction
from amqpy_broker.testing.link.link import Link


class Ear(Protocol):
    """Hears one connection. It never raises."""

    def heard(self, direction: Direction, octets: bytes) -> None:
        """Hear bytes, cut anywhere."""
        ...

    def ended(self) -> None:
        """Learn that the socket is gone."""
        ...


class Listener(Protocol):
    """Gets an ear for every connection."""

    def connected(self, link: Link) -> Ear:
        """Make the ear for a connection that begins now."""
        ...
