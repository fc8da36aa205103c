"""What a connection has to say: pieces of bytes, gathered until its writer task takes them.

Rule 1: whoever writes the first piece wakes the writer; the writer sends once a turn of the loop.
Rule 2: above the high watermark a connection takes no deliveries: consumers are parked, their queues keep the
        messages; when the writer has taken what there was, the consumers go on.
"""

from collections.abc import Callable
from typing import Final

from amqpy_broker.core.limits import OUTPUT_HIGH_WATERMARK_BYTES
from amqpy_broker.core.queues.base import Consumer

HIGH_WATERMARK_BYTES: Final = OUTPUT_HIGH_WATERMARK_BYTES


class Output:
    """Pieces of bytes on their way out. The delivery path appends to `pieces` itself, and counts in `size`."""

    __slots__ = ("_parked", "pieces", "size", "wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.wake = wake
        self._parked: dict[Consumer, None] = {}

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

    def park(self, consumer: Consumer) -> None:
        """Remember a consumer that found the connection congested."""
        self._parked[consumer] = None

    def take(self) -> bytes:
        """Take everything that is there, and let parked consumers go on."""
        octets = b"".join(self.pieces)
        self.pieces.clear()
        self.size = 0
        if self._parked:
            parked, self._parked = self._parked, {}
            for consumer in parked:
                consumer.resume_if_waiting()
        return octets
