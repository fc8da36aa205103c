"""Publisher confirms (https://www.rabbitmq.com/docs/confirms#publisher-confirms).

Rule 1: publishes are numbered from 1, from confirm.select on.
Rule 2: a publish is confirmed once every queue it was routed to has it; an unroutable one at once, after its return.
Rule 3: a publish that a queue refused is answered with basic.nack.
Rule 4: confirms coalesce: what one read brought in is confirmed with one basic.ack, unless something was refused.
"""

from struct import Struct
from typing import Final

from amqpy_broker.protocols.amqp091.frames import END_OCTET, FRAME_HEAD, METHOD

_BASIC: Final = 60
_ACK: Final = 80
_NACK: Final = 120
# class, method, delivery tag, bits: multiple, and for a nack requeue, which means nothing here
_CONFIRM: Final = Struct(">HHQB")


class Confirms:
    """The confirms of one channel."""

    __slots__ = ("_channel", "_refused", "confirmed", "pending", "published")

    def __init__(self, channel: int) -> None:
        self._channel = channel
        # The number of the last publish, and of the last one confirmed.
        self.published = 0
        self.confirmed = 0
        # The numbers of those that were refused since.
        self._refused: list[int] = []
        # Whether the channel is on its connection's list of those with confirms to send.
        self.pending = False

    def refuse_last(self) -> None:
        """Remember that a queue refused the last publish."""
        self._refused.append(self.published)

    def take(self) -> bytes:
        """Confirm all that was published since the last time."""
        self.pending = False
        frames = []
        refused, self._refused = self._refused, []
        while refused:
            first = last = refused.pop(0)
            while refused and refused[0] == last + 1:
                last = refused.pop(0)
            frames += [self._frame(_ACK, first - 1), self._frame(_NACK, last)]
        frames.append(self._frame(_ACK, self.published))
        return b"".join(frames)

    def _frame(self, method: int, last: int) -> bytes:
        """Confirm everything up to a number."""
        count, self.confirmed = last - self.confirmed, last
        if not count:
            return b""
        return b"".join(
            (
                FRAME_HEAD.pack(METHOD, self._channel, _CONFIRM.size),
                _CONFIRM.pack(_BASIC, method, last, count > 1),
                END_OCTET,
            )
        )
