"""What a connection has heard and not acted on yet: the beginning of a frame, and the read that goes on with it.

A read is rarely a whole number of frames. Only the frame that lies across two reads is put together; the rest of a read
is acted on where it lies, however large it is.
"""

from typing import NamedTuple


class Buffer(NamedTuple):
    """Octets to act on, from `at` on."""

    octets: bytes
    at: int


class Input:
    """Octets on their way in."""

    __slots__ = ("_fresh", "_held", "_held_size", "needed_size")

    def __init__(self) -> None:
        # The pieces of an incomplete frame.
        self._held: list[bytes] = []
        self._held_size = 0
        # How many octets are needed before anything can be done with what is held.
        self.needed_size = 0
        self._fresh: Buffer | None = None

    @property
    def held_size(self) -> int:
        """Octets that wait for more."""
        return self._held_size

    def push(self, octets: bytes) -> None:
        """Add what was read."""
        fresh = self._fresh
        self._fresh = Buffer(octets if fresh is None else fresh.octets[fresh.at :] + octets, 0)

    def next(self) -> Buffer | None:
        """Return the next piece to act on; None if more must be read first."""
        fresh = self._fresh
        if fresh is None:
            if not self._held or self._held_size < self.needed_size:
                return None
            fresh = Buffer(b"", 0)
        if not self._held:
            self._fresh = None
            return fresh
        octets, at = fresh
        stop = at + max(self.needed_size - self._held_size, 0)
        if stop < len(octets):
            self._fresh = Buffer(octets, stop)
        else:
            self._fresh = None
        self._hold(octets[at:stop])
        if self._held_size < self.needed_size:
            return None
        joined = b"".join(self._held)
        self._held.clear()
        self._held_size = 0
        return Buffer(joined, 0)

    def keep(self, octets: bytes, at: int) -> None:
        """Hold what could not be acted on."""
        if at < len(octets):
            self._hold(octets[at:])

    def clear(self) -> None:
        """Forget everything."""
        self._held.clear()
        self._held_size = 0
        self._fresh = None

    def _hold(self, octets: bytes) -> None:
        self._held.append(octets)
        self._held_size += len(octets)
