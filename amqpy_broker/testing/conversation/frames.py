"""Frames as they went over the wire, decoded only when somebody looks inside."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cached_property
from typing import Final

from amqpy_broker.protocols.amqp091.frames import (
    BODY,
    END_OCTET,
    FRAME_HEAD,
    HEAD_SIZE,
    HEADER,
    HEARTBEAT,
    METHOD,
    is_complete,
)
from amqpy_broker.testing.conversation.methods import (
    CONTENT_METHODS,
    MethodArguments,
    ReadMethod,
    UnreadableMethod,
    name_of,
    read_method,
    write_method,
)

_NO_ARGUMENTS: Final[MethodArguments] = {}
PROTOCOL_HEADER_START: Final = b"AMQP"
PROTOCOL_HEADER_SIZE: Final = 8


class Direction(Enum):
    """Which way something goes, by who says it."""

    TO_SERVER = "client"
    TO_CLIENT = "server"

    @property
    def opposite(self) -> Direction:
        """The other way."""
        return Direction.TO_CLIENT if self is Direction.TO_SERVER else Direction.TO_SERVER


class FrameKind(Enum):
    """What a frame is."""

    PROTOCOL_HEADER = "protocol-header"
    METHOD = "method"
    HEADER = "header"
    BODY = "body"
    HEARTBEAT = "heartbeat"
    # Not a frame of a known type; or, once frames cannot be told apart any more, just bytes, cut anywhere.
    UNREADABLE = "unreadable"


_KINDS: Final[Mapping[int, FrameKind]] = {
    METHOD: FrameKind.METHOD,
    HEADER: FrameKind.HEADER,
    BODY: FrameKind.BODY,
    HEARTBEAT: FrameKind.HEARTBEAT,
}


class WireFrame:
    """One frame, one way. `octets` is all of it, envelope included.

    `content_of` is, for a header or body frame, the method frame that it belongs to, if that was seen.
    """

    def __init__(
        self,
        direction: Direction,
        octets: bytes,
        kind: FrameKind,
        channel: int = 0,
        content_of: WireFrame | None = None,
    ) -> None:
        self.direction = direction
        self.octets = octets
        self.kind = kind
        self.channel = channel
        self.content_of = content_of
        # The frame that somebody sent, if this one came into its place.
        self.origin: WireFrame = self

    @property
    def payload(self) -> bytes:
        """What is in the envelope."""
        if self.kind in (FrameKind.PROTOCOL_HEADER, FrameKind.UNREADABLE):
            return self.octets
        return self.octets[HEAD_SIZE:-1]

    @cached_property
    def name(self) -> str:
        """The method, as in `basic.publish`; what it is for other frames: `header`, `body`, `heartbeat`, …."""
        return name_of(self.octets[HEAD_SIZE:-1]) if self.kind is FrameKind.METHOD else self.kind.value

    @cached_property
    def method(self) -> ReadMethod | None:
        """The method, read; None if this is none that can be read."""
        if self.kind is not FrameKind.METHOD:
            return None
        try:
            return read_method(self.payload)
        except UnreadableMethod:
            return None

    @property
    def arguments(self) -> MethodArguments:
        """The method's arguments; none if this is not a method that can be read."""
        return _NO_ARGUMENTS if self.method is None else self.method.arguments

    @property
    def begins_content(self) -> bool:
        """Whether a header frame and body frames follow."""
        return self.kind is FrameKind.METHOD and self.name in CONTENT_METHODS

    def replaced_by(self, octets: bytes) -> WireFrame:
        """Make the frame that goes on in place of this one, and belongs where it belongs."""
        frame = read_frame(self.direction, octets)
        frame.content_of = self.content_of
        frame.origin = self.origin
        return frame

    def __repr__(self) -> str:
        return f"<{self.direction.value} #{self.channel} {self.name}, {len(self.octets)} octets>"


def read_frame(direction: Direction, octets: bytes) -> WireFrame:
    """Make a frame of octets that should be exactly one; they are `UNREADABLE` if they are not."""
    if octets.startswith(PROTOCOL_HEADER_START) and len(octets) == PROTOCOL_HEADER_SIZE:
        return WireFrame(direction, octets, FrameKind.PROTOCOL_HEADER)
    if len(octets) <= HEAD_SIZE or not octets.endswith(END_OCTET):
        return WireFrame(direction, octets, FrameKind.UNREADABLE)
    frame_type, channel, size = FRAME_HEAD.unpack_from(octets)
    payload = octets[HEAD_SIZE:-1]
    if size != len(payload) or not is_complete(frame_type, payload):
        return WireFrame(direction, octets, FrameKind.UNREADABLE, channel)
    return WireFrame(direction, octets, _KINDS[frame_type], channel)


def method_frame_of(direction: Direction, channel: int, name: str, arguments: MethodArguments) -> WireFrame:
    """Write a method as a frame.

    Raises:
        ValueError: there is no such method, or it has no such argument.
    """
    return WireFrame(direction, write_method(channel, name, arguments), FrameKind.METHOD, channel)
