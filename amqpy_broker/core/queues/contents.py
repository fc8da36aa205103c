"""What a queue holds, taken down so that it can be put back: for snapshots."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from amqpy_broker.core.message import Message

_NEVER: Final = float("inf")


class Kept(NamedTuple):
    """A message in a queue. Times are the clock's."""

    # As it was published: without the counts that some queues write into what they hand out.
    message: Message
    # Its place among all messages of the queue, ever.
    position: int
    redelivered: bool
    # Whether it stands among those that came back, or among those that were never handed out.
    came_back: bool
    expires_at_s: float
    delivery_count: int
    acquired_count: int
    # When it is ready again, if it waits after it came back.
    due_s: float = _NEVER

    @property
    def returned(self) -> "Kept":
        """The same message after it has come back once more."""
        return self._replace(
            redelivered=True, delivery_count=self.delivery_count + 1, acquired_count=self.acquired_count + 1
        )


class Contents(NamedTuple):
    """All messages of a queue, in an order in which they can be put back."""

    messages: tuple[Kept, ...]
    # No message had a higher position.
    last_position: int
    # The keys of a queue without duplicates, and when each is forgotten.
    seen: Mapping[bytes, float]
    # Whose turn it is, where messages leave by turns.
    turn: int

    @property
    def is_timed(self) -> bool:
        """Whether anything in it depends on time."""
        return bool(self.seen) or any(kept.expires_at_s != _NEVER or kept.due_s != _NEVER for kept in self.messages)
