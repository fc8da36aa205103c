"""Publishes that repeat: a client in a loop sends the same method, the same header and another body, again and again.

What stands before the body is compared as one piece of bytes, and everything that was found out about it still holds.
"""

from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.content import FramedMessage


class Repeat:
    """The last publish of a connection, as the pattern of the next one."""

    __slots__ = ("channel", "content_at", "header", "prefix", "publish", "size")

    def __init__(self, channel: Channel, message: FramedMessage, frames: bytes) -> None:
        """Keep the pattern; `frames` are the method frame and the content, of which the body is the last frame."""
        self.channel = channel
        self.publish = message.publish
        self.header = message.header
        self.size = len(frames)
        # Where the content begins, after the method frame.
        self.content_at = len(frames) - len(message.frames)
        body_size = message.header.body_size
        # All that comes before the body itself; the whole, if there is no body.
        self.prefix = frames[: len(frames) - body_size - 1] if body_size else frames
