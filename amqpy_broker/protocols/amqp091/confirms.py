"""Publisher confirms (https://www.rabbitmq.com/docs/confirms#publisher-confirms).

Rule 1: publishes are numbered from 1, from confirm.select on.
Rule 2: a publish is confirmed once every queue it was routed to has it; an unroutable one at once, after its return.
Rule 3: a publish that a queue refused is answered with basic.nack.
Rule 4: confirms coalesce: what one read brought in is confirmed with one basic.ack, unless something was refused.
Rule 5: what must outlive the broker is confirmed once the journal holds it, and so is what came after it.
"""

from collections import deque
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

    __slots__ = ("_channel", "_refused", "_waiting", "confirmed", "pending", "published")

    def __init__(self, channel: int) -> None:
        self._channel = channel
        # The number of the last publish, and of the last one confirmed.
        self.published = 0
        self.confirmed = 0
        # The numbers of those that were refused since.
        self._refused: list[int] = []
        # Whether the channel is on its connection's list of those with confirms to send.
        self.pending = False
        # Batches of the journal, and up to which number a publish is confirmed when each is durable.
        self._waiting: deque[tuple[int, int]] = deque()

    def refuse_last(self) -> None:
        """Remember that a queue refused the last publish."""
        self._refused.append(self.published)

    def take(self) -> bytes:
        """Confirm all that was published since the last time."""
        self.pending = False
        return self._take(self.published)

    # --- with a journal ---------------------------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Whether there are confirms that wait for the journal."""
        return bool(self._waiting)

    def wait_for(self, batch: int) -> None:
        """Let all that was published so far wait until a batch is durable."""
        self.pending = False
        if self._waiting and self._waiting[-1][0] == batch:
            self._waiting.pop()
        self._waiting.append((batch, self.published))

    def wait_behind(self) -> None:
        """Let all that was published so far wait for what came before it."""
        self.wait_for(self._waiting[-1][0])

    def take_synced(self, batch: int) -> bytes:
        """Confirm what has waited for a batch that is durable now, or for an earlier one."""
        waiting = self._waiting
        last = self.confirmed
        while waiting and waiting[0][0] <= batch:
            last = waiting.popleft()[1]
        return self._take(last)

    def _take(self, last: int) -> bytes:
        """Confirm or refuse everything up to a number."""
        frames = []
        refused = self._refused
        while refused and refused[0] <= last:
            first = refused.pop(0)
            end = first
            while refused and refused[0] == end + 1 <= last:
                end = refused.pop(0)
            frames += [self._frame(_ACK, first - 1), self._frame(_NACK, end)]
        frames.append(self._frame(_ACK, last))
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
