"""Where frames begin and end in one direction of a conversation, however its bytes are cut.

`Follower` lets bytes pass and only knows whether it is between two frames. `Splitter` holds back a frame that is not
complete, and hands out complete ones. Bytes that cannot be frames never raise: from there on everything is handed out
as it comes, as `UNREADABLE`.
"""

from struct import Struct
from typing import Final

from amqpy_broker.protocols.amqp091.frames import (
    BODY,
    ENVELOPE_SIZE,
    FRAME_END,
    HEAD_SIZE,
    HEADER,
    HEARTBEAT,
    METHOD,
)
from amqpy_broker.testing.conversation.frames import (
    PROTOCOL_HEADER_SIZE,
    PROTOCOL_HEADER_START,
    Direction,
    FrameKind,
    WireFrame,
    read_frame,
)

# A hundred times what brokers and clients agree on: more is taken for garbage, and not waited for.
FRAME_SIZE_MAX_BYTES: Final = 16 * 1024 * 1024
_SIZE_AT: Final = 3
_unpack_size: Final = Struct(">I").unpack_from
# The types of frames, and how a protocol header begins.
_FIRST_OCTETS: Final = frozenset((METHOD, HEADER, BODY, HEARTBEAT, PROTOCOL_HEADER_START[0]))


class Follower:
    """Knows where frames begin in bytes that pass by, and keeps none of them."""

    __slots__ = ("_head", "_left", "lost")

    def __init__(self) -> None:
        # Octets that are still to come of a frame, or else the beginning of a head that is not complete.
        self._left = 0
        self._head = b""
        # Whether frames can be told apart no more.
        self.lost = False

    @property
    def between_frames(self) -> bool:
        """Whether the next octet begins a frame."""
        return not (self._left or self._head)

    def pass_by(self, octets: bytes) -> int:
        """Follow octets; return where in them the first frame begins, or their length if none does."""
        if self.lost:
            return len(octets)
        head_size = len(self._head)
        passed = self._head + octets if head_size else octets
        first = at = self._left
        if head_size and len(passed) >= HEAD_SIZE:
            first = at = self._frame_stop(passed, 0)
        end = len(passed)
        while end - at >= HEAD_SIZE:
            stop = at + ENVELOPE_SIZE + _unpack_size(passed, at + _SIZE_AT)[0]
            at = stop if stop - at <= FRAME_SIZE_MAX_BYTES else self._frame_stop(passed, at)
        self._left, self._head = (at - end, b"") if at >= end else (0, passed[at:])
        return min(first - head_size, len(octets)) if first else len(octets) if head_size else 0

    def _frame_stop(self, octets: bytes, at: int) -> int:
        """Find the end of a frame of any size, or none: then that of everything."""
        size = frame_size(octets, at)
        self.lost = size == 0
        return at + size if size else len(octets)


def frame_size(octets: bytes, at: int) -> int:
    """Return the size of the frame that begins at `at`, of which the head is there; 0 if that cannot be."""
    if octets.startswith(PROTOCOL_HEADER_START, at):
        return PROTOCOL_HEADER_SIZE
    size: int = ENVELOPE_SIZE + _unpack_size(octets, at + _SIZE_AT)[0]
    return size if size <= FRAME_SIZE_MAX_BYTES else 0


class Splitter:
    """Cuts one direction's bytes into frames."""

    def __init__(self, direction: Direction, *, lost: bool = False) -> None:
        self._direction = direction
        self._held: list[bytes] = []
        self._held_size = 0
        # How many octets there must be before anything can be handed out.
        self._needed_size = HEAD_SIZE
        # For each channel, the method whose content comes now.
        self._content_of: dict[int, WireFrame] = {}
        # Whether frames can be told apart no more.
        self.lost = lost

    @property
    def held_size(self) -> int:
        """Octets of a frame that is not complete."""
        return self._held_size

    def take_held(self) -> bytes:
        """Take what there is of a frame that is not complete."""
        held = b"".join(self._held)
        self._held.clear()
        self._held_size, self._needed_size = 0, HEAD_SIZE
        return held

    def push(self, octets: bytes) -> list[WireFrame]:
        """Take octets in, and return the frames that are complete now."""
        self._held.append(octets)
        self._held_size += len(octets)
        if self._held_size < self._needed_size and not self.lost:
            return []
        return self._split(self.take_held())

    def _split(self, octets: bytes) -> list[WireFrame]:
        frames: list[WireFrame] = []
        at, end = 0, len(octets)
        while end - at >= HEAD_SIZE and not self.lost:
            size = frame_size(octets, at) if octets[at] in _FIRST_OCTETS else 0
            stop = at + size
            if stop > end:
                self._needed_size = size
                break
            ends_well = octets[stop - 1] == FRAME_END or octets[at] == PROTOCOL_HEADER_START[0]
            self.lost = not (size and ends_well)
            if not self.lost:
                frames.append(self._frame(octets[at:stop]))
                at = stop
        if self.lost and at < end:
            frames.append(WireFrame(self._direction, octets[at:], FrameKind.UNREADABLE))
        elif at < end:
            self._held.append(octets[at:])
            self._held_size = end - at
        return frames

    def _frame(self, octets: bytes) -> WireFrame:
        frame = read_frame(self._direction, octets)
        if frame.kind is FrameKind.METHOD:
            if frame.begins_content:
                self._content_of[frame.channel] = frame
            else:
                self._content_of.pop(frame.channel, None)
        elif frame.kind in (FrameKind.HEADER, FrameKind.BODY):
            frame.content_of = self._content_of.get(frame.channel)
        return frame
