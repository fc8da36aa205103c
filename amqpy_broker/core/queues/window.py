"""How much of a queue is in memory, if the rest may be on disk."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from amqpy_broker.core.journal import Page
from amqpy_broker.core.limits import (
    PAGE_READ_BYTES,
    PAGE_READ_MESSAGES,
    QUEUE_AHEAD_BYTES,
    QUEUE_CONSUMED_BYTES,
    QUEUE_HEAD_BYTES,
    QUEUE_HEAD_MIN_BYTES,
    QUEUE_WINDOW_BYTES,
    QUEUE_WINDOW_STEP_BYTES,
)


@dataclass(frozen=True, slots=True)
class Window:
    """The numbers; tests make them small."""

    # A queue that holds more looks what it can let go of, and again whenever it has grown by a step.
    queue_bytes: int = QUEUE_WINDOW_BYTES
    step_bytes: int = QUEUE_WINDOW_STEP_BYTES
    # The same for a queue that has consumers: what would leave would be read back soon.
    consumed_bytes: int = QUEUE_CONSUMED_BYTES
    # What stays of the first messages.
    head_bytes: int = QUEUE_HEAD_BYTES
    # The same, when memory is short.
    head_min_bytes: int = QUEUE_HEAD_MIN_BYTES
    # About how many messages, and how many octets of bodies, are read at once.
    read_count: int = PAGE_READ_MESSAGES
    read_bytes: int = PAGE_READ_BYTES
    # What a queue with groups looks at in search of a message for a consumer that is free.
    ahead_bytes: int = QUEUE_AHEAD_BYTES

    def end_of_piece(self, page: Page) -> int:
        """Say up to which place to read, so that it is about as much as it should be."""
        wanted = self.read_count
        if page.body_bytes > self.read_bytes:
            wanted = min(wanted, max(1, page.count * self.read_bytes // page.body_bytes))
        if page.count <= wanted:
            return page.last
        return page.first + max(1, (page.last - page.first + 1) * wanted // page.count) - 1

    def pieces(self, page: Page) -> Iterator[Page]:
        """Cut a page, so that not all of it is in memory at once."""
        first = page.first
        while first <= page.last:
            piece = replace(page, first=first)
            last = self.end_of_piece(piece)
            yield replace(piece, last=last)
            first = last + 1
