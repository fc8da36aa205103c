"""A channel that we closed, until its client says close-ok: everything is ignored, but must still be in order.

Clients that publish in a stream have contents under way when a channel is closed [channel.close-ok].
"""

from typing import Final

from pamqp import commands

from amqpy_broker.core.errors import ChannelError, UnexpectedFrame
from amqpy_broker.protocols.amqp091.codec import method_index
from amqpy_broker.protocols.amqp091.frames import HEADER, METHOD

_BODY_SIZE: Final = slice(4, 12)


class ClosingChannel:
    """Watches what comes on a channel that is closing."""

    __slots__ = ("_expects_header", "_missing_bytes", "closed")

    def __init__(self, missing_bytes: int = 0, *, expects_header: bool = False) -> None:
        self._expects_header = expects_header
        self._missing_bytes = missing_bytes
        self.closed = False

    def receive(self, frame_type: int, payload: bytes) -> bool:
        """Take a frame; say whether it is a channel.close, which wants an answer.

        Raises:
            ChannelError: channel.open.
            UnexpectedFrame: a frame that cannot follow the one before.
        """
        if frame_type == METHOD:
            return self._receive_method(method_index(payload))
        if frame_type == HEADER and self._expects_header:
            self._expects_header = False
            self._missing_bytes = int.from_bytes(payload[_BODY_SIZE], "big")
        elif frame_type != HEADER and self._missing_bytes >= len(payload):
            self._missing_bytes -= len(payload)
        else:
            raise UnexpectedFrame("expected method frame, got non method frame instead")
        return False

    def _receive_method(self, index: int) -> bool:
        if index == commands.Channel.Open.index:
            raise ChannelError("second 'channel.open' seen")
        self._expects_header = index == commands.Basic.Publish.index
        self._missing_bytes = 0
        self.closed = index == commands.Channel.CloseOk.index
        return index == commands.Channel.Close.index
