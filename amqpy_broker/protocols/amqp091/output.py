"""What a connection has to say: pieces of bytes, gathered until its writer task takes them.

Rule 1: whoever writes the first piece wakes the writer; the writer sends once a turn of the loop.
Rule 2: above the high watermark a connection takes no deliveries: consumers are parked, their queues keep the
        messages; when the writer has taken what there was, the consumers go on.
"""

from collections.abc import Callable
from typing import Final, Protocol

from amqpy_broker.core.limits import OUTPUT_HIGH_WATERMARK_BYTES
from amqpy_broker.core.queues.base import Consumer

# From this size on, one more system call costs less than one more copy.
_LARGE_BYTES: Final = 131_072
# When pieces are larger than this on the average, there may be large ones among them.
_SMALL_BYTES: Final = 16_384
HIGH_WATERMARK_BYTES: Final = OUTPUT_HIGH_WATERMARK_BYTES


class Parked(Protocol):
    """Who waits for room."""

    def resume_if_waiting(self) -> None:
        """Go on, if there is any."""


class Output:
    """Pieces of bytes on their way out. The delivery path appends to `pieces` itself, and counts in `size`."""

    __slots__ = ("_parked", "consumers", "pieces", "size", "wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.wake = wake
        # All consumers of the connection, and those that wait for the writer.
        self.consumers: dict[Consumer, None] = {}
        self._parked: dict[Parked, None] = {}

    @property
    def congested(self) -> bool:
        """Whether the peer reads more slowly than we write."""
        return self.size > HIGH_WATERMARK_BYTES

    def write(self, octets: bytes) -> None:
        """Add a piece."""
        if not self.pieces:
            self.wake()
        self.pieces.append(octets)
        self.size += len(octets)

    def congest(self, asked: Consumer) -> None:
        """Let every consumer of the connection wait for the writer; the one just asked says so itself."""
        for consumer in self.consumers:
            self._parked[consumer] = None
            if consumer is not asked:
                consumer.queue.pause(consumer)

    def forget(self, consumer: Consumer) -> None:
        """Let a consumer go."""
        self.consumers.pop(consumer, None)
        self._parked.pop(consumer, None)

    def park(self, consumer: Parked) -> None:
        """Remember a consumer that found the connection congested."""
        self._parked[consumer] = None

    def take(self) -> bytes:
        """Take what is there, and let parked consumers go on. Large pieces come one by one: joining would copy them."""
        pieces = self.pieces
        if self.size >= _LARGE_BYTES and self.size > len(pieces) * _SMALL_BYTES:
            octets = self._take_large()
        else:
            octets = b"".join(pieces)
            pieces.clear()
        self.size = max(self.size - len(octets), 0) if pieces else 0
        if self._parked:
            parked, self._parked = self._parked, {}
            for consumer in parked:
                consumer.resume_if_waiting()
        return octets

    def _take_large(self) -> bytes:
        """Take the first large piece, or what is before it."""
        pieces = self.pieces
        large_at = next((at for at, piece in enumerate(pieces) if len(piece) >= _LARGE_BYTES), len(pieces))
        count = large_at or 1
        octets = pieces[0] if count == 1 else b"".join(pieces[:count])
        del pieces[:count]
        return octets
