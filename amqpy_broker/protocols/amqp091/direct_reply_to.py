"""The consumer of direct replies: a channel has one at most (https://www.rabbitmq.com/docs/direct-reply-to).

Rule 1: replies need no acknowledgement, and no prefetch count holds them back.
Rule 2: before 4.2 they carry the delivery tag that the next delivery of a queue will have, and so use up none.
Rule 3: while the connection is congested they wait here, and count as memory.
"""

from collections import deque
from struct import Struct
from typing import Final

from amqpy_broker.core.direct_replies import DirectReplies, ReplyReceiver
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.message import Message
from amqpy_broker.protocols.amqp091.codec import short_string
from amqpy_broker.protocols.amqp091.content import FramedMessage
from amqpy_broker.protocols.amqp091.deliveries import Deliveries
from amqpy_broker.protocols.amqp091.frames import FRAME_HEAD, METHOD

_BASIC_DELIVER: Final = b"\x00\x3c\x00\x3c"
# delivery tag, redelivered
_TAG: Final = Struct(">Q?")


class ReplyConsumer(ReplyReceiver):
    """Where the replies to one channel's requests go."""

    __slots__ = ("_backlog", "_backlog_bytes", "_deliveries", "_replies", "_start", "name", "tag")

    def __init__(self, replies: DirectReplies, deliveries: Deliveries, tag: str) -> None:
        self._replies = replies
        self._deliveries = deliveries
        self.tag = tag
        # What requests carry in `reply-to`.
        self.name = replies.open(self)
        # How basic.deliver begins.
        self._start = _BASIC_DELIVER + short_string(tag)
        self._backlog: deque[FramedMessage] = deque()
        self._backlog_bytes = 0

    @property
    def memory_bytes(self) -> int:
        """Memory that replies hold which could not be sent yet."""
        return self._backlog_bytes

    def receive(self, message: Message) -> None:
        """Send a reply, or keep it until the connection has room."""
        assert isinstance(message, FramedMessage)
        output = self._deliveries.output
        if self._backlog or output.congested:
            self._backlog.append(message)
            self._backlog_bytes += message.memory_size + MESSAGE_OVERHEAD_BYTES
            output.park(self)
        else:
            self._send(message)

    def resume_if_waiting(self) -> None:
        """Send what waits, as long as there is room."""
        output = self._deliveries.output
        while self._backlog and not output.congested:
            message = self._backlog.popleft()
            self._backlog_bytes -= message.memory_size + MESSAGE_OVERHEAD_BYTES
            self._send(message)
        if self._backlog:
            output.park(self)

    def close(self) -> None:
        """End: replies find nobody here from now on."""
        self._replies.close(self.name)
        self._backlog.clear()
        self._backlog_bytes = 0

    def _send(self, message: FramedMessage) -> None:
        deliveries = self._deliveries
        number = deliveries.last_tag + 1
        if self._replies.use_tags:
            deliveries.last_tag = number
        rest = _TAG.pack(number, False) + message.publish.address
        # The address ends with the octet that ends the frame, which does not count.
        head = FRAME_HEAD.pack(METHOD, deliveries.channel, len(self._start) + len(rest) - 1)
        deliveries.output.write(head + self._start + rest)
        deliveries.output.write(message.frames_for(deliveries.channel, deliveries.payload_max))
