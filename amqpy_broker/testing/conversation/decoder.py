"""From bytes to events: a passive ear on both directions of one connection. It never raises, whatever it hears.

`Joiner` makes events of frames: a method that carries a message becomes one event with it. `Conversation` makes frames
of bytes, cut anywhere, first.
"""

from __future__ import annotations

from typing import Final

from amqpy_broker.core.clock import Clock
from amqpy_broker.testing.conversation.events import (
    Content,
    Ended,
    Event,
    Heartbeat,
    Opened,
    ProtocolHeader,
    Said,
    Unreadable,
)
from amqpy_broker.testing.conversation.frames import Direction, FrameKind, WireFrame
from amqpy_broker.testing.conversation.methods import UnreadableMethod, read_method
from amqpy_broker.testing.conversation.properties import ContentHead, MalformedHeader, read_header
from amqpy_broker.testing.conversation.splitter import Splitter

# As much of a body as anybody will look at, and of what cannot be read.
BODY_KEPT_BYTES: Final = 16 * 1024 * 1024
UNREADABLE_KEPT_BYTES: Final = 4096


class _Unfinished:
    """A message on its way: its method, and what has come of the rest."""

    def __init__(self, method: WireFrame) -> None:
        self.method = method
        self.head: ContentHead | None = None
        self._bodies: list[bytes] = []
        self._size = 0
        self._kept_size = 0

    @property
    def is_complete(self) -> bool:
        return self.head is not None and self._size >= self.head.body_size

    def add_body(self, octets: bytes, kept_max: int) -> None:
        self._size += len(octets)
        kept = octets[: max(kept_max - self._kept_size, 0)]
        if kept:
            self._bodies.append(kept)
            self._kept_size += len(kept)

    @property
    def content(self) -> Content:
        """What has come."""
        properties = self.head.properties if self.head is not None else {}
        return Content(properties, b"".join(self._bodies), self._size)


class Joiner:
    """Makes events of the frames of one connection.

    Args:
        connection: the number that the events bear.
        body_kept_bytes: how much of a body is kept.
    """

    def __init__(self, connection: int, *, body_kept_bytes: int = BODY_KEPT_BYTES) -> None:
        self._connection = connection
        self._body_kept_bytes = body_kept_bytes
        self._unfinished: dict[tuple[Direction, int], _Unfinished] = {}

    def add(self, frame: WireFrame, time_s: float) -> list[Event]:
        """Take one frame in, and return what has happened by it."""
        match frame.kind:
            case FrameKind.METHOD:
                return self._add_method(frame, time_s)
            case FrameKind.HEADER | FrameKind.BODY:
                return self._add_content(frame, time_s)
            case FrameKind.HEARTBEAT:
                return [Heartbeat(time_s, self._connection, frame.direction)]
            case FrameKind.PROTOCOL_HEADER:
                return [ProtocolHeader(time_s, self._connection, frame.direction, frame.octets)]
            case FrameKind.UNREADABLE:
                return [self._unreadable(frame, time_s, "this is no frame")]

    def end(self, time_s: float) -> list[Event]:
        """Tell what was begun and will not be ended."""
        unfinished = [*self._unfinished.values()]
        self._unfinished.clear()
        return [self._cut_short(one, time_s, "the connection") for one in unfinished]

    def _add_method(self, frame: WireFrame, time_s: float) -> list[Event]:
        where = frame.direction, frame.channel
        before = self._unfinished.pop(where, None)
        events: list[Event] = [] if before is None else [self._cut_short(before, time_s, frame.name)]
        if frame.begins_content:
            self._unfinished[where] = _Unfinished(frame)
            return events
        return [*events, self._said(frame, time_s, None)]

    def _add_content(self, frame: WireFrame, time_s: float) -> list[Event]:
        where = frame.direction, frame.channel
        unfinished = self._unfinished.get(where)
        if unfinished is None or (unfinished.head is None) is not (frame.kind is FrameKind.HEADER):
            return [self._unreadable(frame, time_s, f"a {frame.name} frame that belongs to nothing")]
        if frame.kind is FrameKind.BODY:
            unfinished.add_body(frame.payload, self._body_kept_bytes)
        else:
            try:
                unfinished.head = read_header(frame.payload)
            except MalformedHeader as malformed:
                del self._unfinished[where]
                return [self._said(unfinished.method, time_s, None), self._unreadable(frame, time_s, str(malformed))]
        if not unfinished.is_complete:
            return []
        del self._unfinished[where]
        return [self._said(unfinished.method, time_s, unfinished.content)]

    def _said(self, frame: WireFrame, time_s: float, content: Content | None) -> Event:
        try:
            method = read_method(frame.payload)
        except UnreadableMethod as unreadable:
            return self._unreadable(frame, time_s, str(unreadable))
        return Said(time_s, self._connection, frame.direction, frame.channel, method.name, method.arguments, content)

    def _cut_short(self, unfinished: _Unfinished, time_s: float, by: str) -> Event:
        frame, size = unfinished.method, unfinished.content.body_size
        wanted = "its header" if unfinished.head is None else f"{unfinished.head.body_size} octets"
        reason = f"{frame.name} waits for {wanted}, and is cut short after {size} octets by {by}"
        return self._unreadable(frame, time_s, reason)

    def _unreadable(self, frame: WireFrame, time_s: float, reason: str) -> Unreadable:
        octets = frame.octets
        kept = octets[:UNREADABLE_KEPT_BYTES]
        return Unreadable(time_s, self._connection, frame.direction, frame.channel, kept, len(octets), reason)


class Conversation:
    """Listens to one connection.

    Args:
        clock: tells when things were said.
        connection: the number that the events bear.
        name: who talks with whom.
        body_kept_bytes: how much of a body is kept.
    """

    def __init__(
        self, clock: Clock, connection: int = 1, *, name: str = "", body_kept_bytes: int = BODY_KEPT_BYTES
    ) -> None:
        self.opened = Opened(clock.unix_s(), connection, name)
        self._clock = clock
        self._connection = connection
        self._joiner = Joiner(connection, body_kept_bytes=body_kept_bytes)
        self._splitters = {direction: Splitter(direction) for direction in Direction}

    def client_sent(self, octets: bytes) -> list[Event]:
        """Hear what the client says; return what has happened by it."""
        return self.heard(Direction.TO_SERVER, octets)

    def server_sent(self, octets: bytes) -> list[Event]:
        """Hear what the server says; return what has happened by it."""
        return self.heard(Direction.TO_CLIENT, octets)

    def heard(self, direction: Direction, octets: bytes) -> list[Event]:
        """Hear what one side says; return what has happened by it."""
        time_s = self._clock.unix_s()
        events: list[Event] = []
        for frame in self._splitters[direction].push(octets):
            events += self._joiner.add(frame, time_s)
        return events

    def ended(self, how: str = "") -> list[Event]:
        """Learn that the connection is over; return what was left open by it, and the end."""
        time_s = self._clock.unix_s()
        events = self._joiner.end(time_s)
        for direction, splitter in self._splitters.items():
            held = splitter.take_held()
            if held:
                reason = "the connection ends within a frame"
                kept = held[:UNREADABLE_KEPT_BYTES]
                events.append(Unreadable(time_s, self._connection, direction, 0, kept, len(held), reason))
        return [*events, Ended(time_s, self._connection, how)]
