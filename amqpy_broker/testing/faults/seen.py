"""A frame as faults and predicates see it: read, and with what is known of its conversation."""

from __future__ import annotations

from functools import cached_property

from amqpy_broker.testing.conversation.frames import Direction, FrameKind, WireFrame
from amqpy_broker.testing.conversation.methods import MethodArguments
from amqpy_broker.testing.faults.knowledge import Knowledge

_CONTENT_KINDS = (FrameKind.HEADER, FrameKind.BODY)


class Seen:
    """A frame that passes. What does not apply is "" or 0."""

    def __init__(self, frame: WireFrame, peer: str, knowledge: Knowledge) -> None:
        self.frame = frame
        # Both ends of the socket, as RabbitMQ names connections: 127.0.0.1:50712 -> 127.0.0.1:5672.
        self.peer = peer
        self._knowledge = knowledge

    @property
    def connection(self) -> str:
        """The name that the client gave its connection, or else both ends of its socket."""
        return self._knowledge.connection_name or self.peer

    @property
    def connection_names(self) -> tuple[str, ...]:
        """All that the connection may be called."""
        return self._knowledge.names(self.peer)

    @property
    def channel(self) -> int:
        """The channel's number; 0 is the connection itself."""
        return self.frame.channel

    @property
    def sent_by(self) -> str:
        """Who says it: `client` or `broker`."""
        return "client" if self.is_from_client else "broker"

    @property
    def is_from_client(self) -> bool:
        """Whether the client says it."""
        return self.frame.direction is Direction.TO_SERVER

    @property
    def method(self) -> str:
        """The method, as in `basic.publish`; for other frames `header`, `body`, `heartbeat` or `protocol-header`."""
        return self.frame.name

    @property
    def arguments(self) -> MethodArguments:
        """The method's arguments, called as in the specification, with underscores."""
        return self.frame.arguments

    @property
    def exchange(self) -> str:
        """The exchange that the method names; the default exchange is "", too."""
        return self._text("exchange")

    @property
    def routing_key(self) -> str:
        """The routing key that the method names."""
        return self._text("routing_key")

    @property
    def consumer_tag(self) -> str:
        """The consumer tag that the method names."""
        return self._text("consumer_tag")

    @property
    def delivery_tag(self) -> int:
        """The delivery tag that the method names."""
        tag = self.frame.arguments.get("delivery_tag")
        return tag if isinstance(tag, int) else 0

    @cached_property
    def queue(self) -> str:
        """The queue that it is about, by name, consumer tag or delivery tag; of a publish by way of `""` its target."""
        return self._knowledge.queue_of(self.frame) if self.is_readable else ""

    @property
    def is_readable(self) -> bool:
        """Whether it is a method with all of its arguments."""
        return self.frame.method is not None

    @property
    def is_part_of_content(self) -> bool:
        """Whether this is no method, but a part of the message that a method carries."""
        return self.frame.kind in _CONTENT_KINDS

    def _text(self, name: str) -> str:
        value = self.frame.arguments.get(name)
        return value if isinstance(value, str) else ""

    def __str__(self) -> str:
        return f"{self.method} of the {self.sent_by} on channel {self.channel} of {self.connection}"
