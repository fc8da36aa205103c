"""What a queue is declared with, where, and what it needs of the broker around it."""

from dataclasses import dataclass, field

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.queues.settings import QueueSettings


@dataclass(frozen=True, slots=True)
class QueueProperties:
    """What a queue is declared with, and where. `owner` makes it exclusive."""

    name: str
    vhost: str
    durable: bool = False
    auto_delete: bool = False
    owner: object | None = None
    arguments: Arguments = field(default_factory=dict)
    settings: QueueSettings = field(default_factory=QueueSettings)
    # Its name in the journal, if its messages are to be there.
    journal_id: int | None = None
