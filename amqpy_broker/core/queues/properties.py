"""What a queue is declared with, and where."""

from dataclasses import dataclass, field

from amqpy_broker.core.arguments import Arguments


@dataclass(frozen=True, slots=True)
class QueueProperties:
    """What a queue is declared with, and where. `owner` makes it exclusive."""

    name: str
    vhost: str
    durable: bool = False
    auto_delete: bool = False
    owner: object | None = None
    arguments: Arguments = field(default_factory=dict)
