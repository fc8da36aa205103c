"""The last that was said on a connection, kept as bytes and read only when somebody asks.

Listening costs one look at the size of each frame; memory has a bound.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from amqpy_broker.core.clock import Clock
from amqpy_broker.testing.conversation.decoder import Joiner
from amqpy_broker.testing.conversation.events import Event
from amqpy_broker.testing.conversation.frames import Direction, FrameKind
from amqpy_broker.testing.conversation.splitter import Follower, Splitter

# Some hundred small messages both ways; more than a person reads.
KEPT_BYTES: Final = 128 * 1024


class _Chunk(NamedTuple):
    """What was said at once, and where in it the first frame begins."""

    time_s: float
    direction: Direction
    octets: bytes
    first: int
    lost: bool


class FlightRecorder:
    """Keeps the last that was said on one connection.

    Args:
        clock: tells when it was said.
        connection: the number that the events bear.
        kept_bytes: how much is kept; the last piece is kept however large it is.
    """

    def __init__(self, clock: Clock, connection: int = 1, *, kept_bytes: int = KEPT_BYTES) -> None:
        self.connection = connection
        self._clock = clock
        self._kept_bytes = kept_bytes
        self._followers = {direction: Follower() for direction in Direction}
        self._chunks: deque[_Chunk] = deque()
        self._size = 0

    def client_sent(self, octets: bytes) -> None:
        """Hear what the client says."""
        self.heard(Direction.TO_SERVER, octets)

    def server_sent(self, octets: bytes) -> None:
        """Hear what the server says."""
        self.heard(Direction.TO_CLIENT, octets)

    def heard(self, direction: Direction, octets: bytes) -> None:
        """Hear what one side says."""
        if not octets:
            return
        follower = self._followers[direction]
        was_lost = follower.lost
        first = follower.pass_by(octets)
        self._chunks.append(_Chunk(self._clock.unix_s(), direction, octets, 0 if was_lost else first, was_lost))
        self._size += len(octets)
        while self._size > self._kept_bytes and len(self._chunks) > 1:
            self._size -= len(self._chunks.popleft().octets)

    def events(self, last: int | None = None) -> list[Event]:
        """Read what is kept: from the first frame of each direction that is there from its beginning on.

        Args:
            last: return no more than this many, the last ones.
        """
        joiner = Joiner(self.connection)
        splitters: dict[Direction, Splitter] = {}
        events: list[Event] = []
        for time_s, direction, octets, first, lost in self._chunks:
            start = 0
            if direction not in splitters:
                if first == len(octets):
                    continue
                splitters[direction] = Splitter(direction, lost=lost)
                start = first
            for frame in splitters[direction].push(octets[start:]):
                # Without its method, which is gone, the rest of a message is nothing to show.
                is_rest = frame.kind in (FrameKind.HEADER, FrameKind.BODY) and frame.content_of is None
                if not is_rest:
                    events += joiner.add(frame, time_s)
        return events if last is None else events[max(len(events) - last, 0) :]
