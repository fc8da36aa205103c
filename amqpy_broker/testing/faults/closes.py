"""Channels and connections that the broker closes, with any code and text."""

from __future__ import annotations

from typing import ClassVar

from amqpy_broker.core.errors import AmqpError, Scope
from amqpy_broker.protocols.amqp091.codec import method_index
from amqpy_broker.protocols.amqp091.replies import channel_close, connection_close
from amqpy_broker.testing.conversation.frames import Direction, FrameKind, read_frame
from amqpy_broker.testing.faults.ends import End
from amqpy_broker.testing.faults.fault import ImmediateFault
from amqpy_broker.testing.faults.line import Line
from amqpy_broker.testing.faults.reasons import refusal
from amqpy_broker.testing.faults.seen import Seen
from amqpy_broker.testing.faults.selection import Selection
from amqpy_broker.testing.link.link import DROP, PASS, Verdict


class _Close(ImmediateFault):
    """A channel or a connection is closed, in place of the method for which it happens."""

    scope: ClassVar[Scope]

    def __init__(self, selection: Selection, code: int, text: str) -> None:
        super().__init__(selection, details=f"{code}, {text!r}")
        self._refusal = refusal(code, text, self.scope)
        # A proxy can close only in place of a frame, when it knows where it is in the conversation.
        self.needs_broker = not selection.is_about_frames

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Close it. What the client said is not acted on; what the broker said is said."""
        index = method_index(seen.frame.payload) if seen.is_from_client else 0
        broker = line.end.broker
        if broker is None:
            self.close_in_brokers_place(line, seen.channel, index)
            return DROP
        if seen.is_from_client:
            broker.catch_up()
        self.close(line.end, seen.channel, index)
        return DROP if seen.is_from_client else PASS

    def close(self, end: End, channel: int, index: int) -> bool:
        """Let the broker close it; False if it is not open."""
        raise NotImplementedError

    def close_in_brokers_place(self, line: Line, channel: int, index: int) -> None:
        """Close it where the broker cannot be asked to."""
        raise NotImplementedError

    @property
    def refusal(self) -> AmqpError:
        """Why it is closed."""
        return self._refusal


class CloseChannel(_Close):
    """The broker closes the channel."""

    name: ClassVar[str] = "close_channel"
    scope = Scope.CHANNEL

    def wants(self, line: Line, seen: Seen) -> bool:
        """Say whether a frame closes its channel: a method, but none that opens or closes it."""
        is_on_it = seen.channel > 0 and seen.frame.kind is FrameKind.METHOD and not seen.method.startswith("channel.")
        return is_on_it and super().wants(line, seen)

    def happen_at_once(self, end: End) -> None:
        """Close the channels that are open."""
        channels = end.broker.channels() if end.broker is not None else ()
        for number in channels:
            if not self.is_over and self.selection.channel in (None, number) and self.close(end, number, 0):
                self.note_fired(f"channel {number} of {end.peer} closed")

    def close(self, end: End, channel: int, index: int) -> bool:
        """Let the broker close the channel."""
        return end.broker is not None and end.broker.close_channel(channel, self.refusal, index)

    def close_in_brokers_place(self, line: Line, channel: int, index: int) -> None:
        """Say channel.close to both sides."""
        line.close(channel, read_frame(Direction.TO_CLIENT, channel_close(channel, self.refusal, index)))


class CloseConnection(_Close):
    """The broker closes the connection."""

    name: ClassVar[str] = "close_connection"
    scope = Scope.CONNECTION

    def wants(self, line: Line, seen: Seen) -> bool:
        """Say whether a frame closes its connection: a method, but none of those that open and close it."""
        is_method = seen.frame.kind is FrameKind.METHOD and not seen.method.startswith("connection.")
        return is_method and super().wants(line, seen)

    def happen_at_once(self, end: End) -> None:
        """Close the connection, if it is open."""
        if self.close(end, 0, 0):
            self.note_fired(f"{end.peer} closed")

    def close(self, end: End, channel: int, index: int) -> bool:
        """Let the broker close the connection."""
        return end.broker is not None and end.broker.close(self.refusal, index)

    def close_in_brokers_place(self, line: Line, channel: int, index: int) -> None:
        """Say connection.close to the client, and end the broker's side when it has answered."""
        line.close(0, read_frame(Direction.TO_CLIENT, connection_close(self.refusal, index)))
