"""Names of things: how texts refer to them, which are reserved, and how the broker makes up its own."""

import base64
import random

from amqpy_broker.core.errors import AccessRefused

RESERVED_PREFIX = "amq."
DEFAULT_EXCHANGE = ""
# What the node, and the cluster that it is, are called.
NODE_NAME = "rabbit@localhost"


def queue_text(name: str, vhost: str) -> str:
    """Say which queue, as RabbitMQ's reply texts do."""
    return f"queue '{name}' in vhost '{vhost}'"


def exchange_text(name: str, vhost: str) -> str:
    """Say which exchange, as RabbitMQ's reply texts do. The default exchange has a name there."""
    return f"exchange '{name or 'amq.default'}' in vhost '{vhost}'"


def without_line_breaks(name: str) -> str:
    """Strip what RabbitMQ strips from the names of queues and exchanges (`rabbit_channel:strip_cr_lf`)."""
    return name.replace("\n", "").replace("\r", "") if "\n" in name or "\r" in name else name


def refuse_reserved(kind: str, name: str) -> None:
    """Refuse to create what begins with `amq.` [queue.declare.queue:reserved, exchange.declare.exchange:reserved]."""
    if name.startswith(RESERVED_PREFIX):
        raise AccessRefused(f"{kind} name '{name}' contains reserved prefix 'amq.*'")


class NameSource:
    """Makes unique names: `amq.gen-` and `amq.ctag-` with 22 characters, as RabbitMQ does. A seed makes them repeat."""

    def __init__(self, seed: int | None = None) -> None:
        # Uniqueness, not secrecy: an exclusive queue is guarded by its connection, not by its name.
        self._random: random.Random = random.SystemRandom() if seed is None else random.Random(seed)

    def new_random(self) -> random.Random:
        """Make a generator of random numbers, which repeats with the seed."""
        return random.Random(self._random.getrandbits(64))

    def unique(self, prefix: str) -> str:
        """Make a new name."""
        octets = self._random.getrandbits(128).to_bytes(16, "big")
        return prefix + base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
