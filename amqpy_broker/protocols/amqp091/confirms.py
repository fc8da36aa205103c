"""Publisher confirms (https://www.rabbitmq.com/docs/confirms#publisher-confirms).

Rule 1: publishes are numbered from 1, from confirm.select on.
Rule 2: a publish is confirmed once every queue it was routed to has it; an unroutable one at once, after its return.
Rule 3: confirms coalesce: what one read brought in is confirmed with one basic.ack.
"""

from struct import Struct
from typing import Final

from amqpy_broker.protocols.amqp091.frames import END_OCTET, FRAME_HEAD, METHOD

# basic.ack: class, method, delivery tag, multiple
_ACK: Final = Struct(">HHQB")


class Confirms:
    """The confirms of one channel."""

    __slots__ = ("_channel", "_confirmed", "pending", "published")

    def __init__(self, channel: int) -> None:
        self._channel = channel
        # The number of the last publish, and of the last one confirmed.
        self.published = 0
        self._confirmed = 0
        # Whether the channel is on its connection's list of those with confirms to send.
        self.pending = False

    def take(self) -> bytes:
        """Confirm all that was published since the last time."""
        self.pending = False
        count, self._confirmed = self.published - self._confirmed, self.published
        if not count:
            return b""
        return (
            FRAME_HEAD.pack(METHOD, self._channel, _ACK.size) + _ACK.pack(60, 80, self.published, count > 1) + END_OCTET
        )
