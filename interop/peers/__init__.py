"""Brokers that interop/ starts on loopback and talks to: RabbitMQ (3.10, 4.0) and our own.

Each is a context manager that yields a `Peer` and leaves nothing behind:

    with rabbitmq("3.10") as peer:
        connect(peer.url)

`python -m interop.peers rabbitmq 4.0` runs one in the foreground until ^C.
"""

from interop.peers.amqpy import amqpy
from interop.peers.peer import Peer
from interop.peers.rabbitmq import rabbitmq, rabbitmq_available

__all__ = ["Peer", "amqpy", "rabbitmq", "rabbitmq_available"]
