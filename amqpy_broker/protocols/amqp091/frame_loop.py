"""The frame loop of a connection: octets are split into frames, and each frame goes where it belongs.

Publishes that repeat, and acknowledgements, take a short way through `_receive_frames`; everything else is decoded and
goes to `methods`. docs/internals/performance.md tells what each step costs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from struct import Struct
from typing import Final

from pamqp import commands

from amqpy_broker.core.erlang_terms import Atom
from amqpy_broker.core.errors import AmqpError, ChannelError, CommandInvalid
from amqpy_broker.core.limits import MEMO_KEY_MAX_BYTES, PUBLISH_MEMO_MAX
from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.codec import decode_method, method_index
from amqpy_broker.protocols.amqp091.content import ContentHeader, FramedMessage
from amqpy_broker.protocols.amqp091.frames import (
    BODY,
    ENVELOPE_SIZE,
    FRAME_END,
    FRAME_HEAD,
    HEAD_SIZE,
    HEADER,
    METHOD,
    UNKNOWN_FRAME,
    bad_frame,
    is_complete,
    lost_sync,
    unexpected_frame,
)
from amqpy_broker.protocols.amqp091.input import Input
from amqpy_broker.protocols.amqp091.methods import HANDLERS, basic
from amqpy_broker.protocols.amqp091.output import Output
from amqpy_broker.protocols.amqp091.publishes import Publish
from amqpy_broker.protocols.amqp091.repeats import Repeat

_PUBLISH: Final = commands.Basic.Publish.index
_ACK_INDEX: Final = commands.Basic.Ack.index
_ACK_START: Final = _ACK_INDEX.to_bytes(4, "big")
# basic.ack, after its class and method: delivery tag, multiple; and the end of its frame.
_ACK: Final = Struct(">QBB")
_ACK_SIZE: Final = 13
_ACK_FRAME_SIZE: Final = _ACK_SIZE + ENVELOPE_SIZE
_ACK_TAG_AT: Final = HEAD_SIZE + len(_ACK_START)
_LARGE_FRAME_BYTES: Final = 8192
_CHANNEL_OPEN: Final = commands.Channel.Open.index
_CHANNEL_CLOSE: Final = commands.Channel.Close.index
_unpack_head: Final = FRAME_HEAD.unpack_from
_unpack_ack: Final = _ACK.unpack_from


class FrameLoop(ABC):
    """What a connection does with the frames of its open channels.

    It is what connections are built on, not a part of them: on the hot path there is no object in between.
    """

    def __init__(self, output: Output, frame_size_max: int) -> None:
        self.output = output
        self._frame_size_max = frame_size_max
        self._channels: dict[int, Channel] = {}
        self._publish_memo: dict[bytes, Publish] = {}
        # The last publish and header that were looked up, and what they became when they came twice.
        self._last_publish: Publish | None = None
        self._last_header: ContentHeader | None = None
        self._repeat: Repeat | None = None
        # The last publish of the last read.
        self._published: Publish | None = None
        self._input = Input()
        # Whether there is more to act on, by `resume`, once what there is to say has been sent.
        self.paused = False

    # --- what the loop leaves to others -----------------------------------------------------------------------------

    @abstractmethod
    def _receive_elsewhere(self, frame_type: int, number: int, payload: bytes) -> None:
        """Take a frame on channel 0, or on a channel that is not open."""

    @abstractmethod
    def _close_channel(self, channel: Channel) -> None:
        """Close a channel because its client asks for it."""

    @abstractmethod
    def _refuse(self, channel: Channel, refusal: AmqpError, index: int) -> None:
        """Close a channel, or the connection, because of a mistake."""

    @abstractmethod
    def _fail(self, refusal: AmqpError, index: int) -> None:
        """Close the connection because of a mistake."""

    @abstractmethod
    def _note_publish(self) -> None:
        """Learn that the peer publishes, in a way that is not remembered."""

    # --- the loop ---------------------------------------------------------------------------------------------------

    def _receive_frames(self, buffer: bytes, at: int) -> int:  # noqa: PLR0912, PLR0915 - the hot path, unrolled
        end = len(buffer)
        memo = self._publish_memo
        channels = self._channels
        size_max = self._frame_size_max
        while end - at >= HEAD_SIZE:
            frame_type, number, size = _unpack_head(buffer, at)
            stop = at + HEAD_SIZE + size
            if size > size_max:
                raise lost_sync(frame_type, b"", (Atom("frame_too_large"), size, size_max - ENVELOPE_SIZE))
            if stop >= end:
                self._input.needed_size = stop + 1 - at
                return at
            if buffer[stop] != FRAME_END:
                payload = buffer[at + HEAD_SIZE : stop]
                raise lost_sync(frame_type, payload, (Atom("invalid_frame_end_marker"), buffer[stop]))
            start, at = at, stop + 1
            channel = channels.get(number)
            if channel is None:
                try:
                    self._receive_elsewhere(frame_type, number, buffer[start + HEAD_SIZE : stop])
                except AmqpError as refusal:
                    self._fail(refusal, 0)
                size_max = self._frame_size_max
            elif frame_type != METHOD:
                # A large frame is copied once, when its content is put together. It must be a large part of what was
                # read, too: the view keeps all of that alive.
                is_large = size >= _LARGE_FRAME_BYTES and size * 4 >= end
                frame = memoryview(buffer)[start:at] if is_large else buffer[start:at]
                self._receive_content(channel, frame_type, frame)
            elif channel.publishing is not None:
                self._fail(channel.expected_content(), _PUBLISH)
            else:
                try:
                    if size == _ACK_SIZE and buffer.startswith(_ACK_START, start + HEAD_SIZE):
                        at = self._receive_acks(channel, buffer, start, end)
                        continue
                    payload = buffer[start + HEAD_SIZE : stop]
                    publish = memo.get(payload)
                    if publish is None:
                        index = method_index(payload)
                        publish = self._receive_method(channel, index, payload)
                        if publish is None:
                            # One read may ask for a thousand times as much as it is: the rest of it must wait.
                            if self.output.congested:
                                self.paused, self._input.needed_size = True, 0
                                return at
                            continue
                    index = _PUBLISH
                    self._published = publish
                    at, message = channel.take_content(publish, buffer, at, end)
                    if message is not None:
                        channel.publish(publish, message)
                        if publish is self._last_publish and message.header is self._last_header:
                            self._repeat = Repeat(channel, message, buffer[start:at])
                            at = self._receive_repeats(self._repeat, buffer, at, end)
                        else:
                            self._last_publish, self._last_header = publish, message.header
                except AmqpError as refusal:
                    self._refuse(channel, refusal, index)
        self._input.needed_size = HEAD_SIZE
        return at

    def _receive_acks(self, channel: Channel, buffer: bytes, at: int, end: int) -> int:
        """Take an acknowledgement and those that follow it: they come in flocks."""
        start = buffer[at : at + _ACK_TAG_AT]
        deliveries = channel.deliveries
        settle_one = deliveries.settle_one
        in_transaction = channel.transaction is not None
        try:
            while end - at >= _ACK_FRAME_SIZE and buffer.startswith(start, at):
                tag, multiple, frame_end = _unpack_ack(buffer, at + _ACK_TAG_AT)
                if frame_end != FRAME_END:
                    break
                at += _ACK_FRAME_SIZE
                if in_transaction or multiple & 1:
                    channel.settle(tag, multiple=bool(multiple & 1))
                else:
                    settle_one(tag)
            deliveries.resume_settled()
        except AmqpError as refusal:
            self._refuse(channel, refusal, _ACK_INDEX)
        return at

    def _receive_repeats(self, repeat: Repeat, buffer: bytes, at: int, end: int) -> int:
        """Take publishes that differ from the last one in nothing but the body, as long as there are any."""
        prefix, content_at, size = repeat.prefix, repeat.content_at, repeat.size
        channel, publish, header, number = repeat.channel, repeat.publish, repeat.header, repeat.channel.number
        count = 0
        try:
            queues = channel.route_repeats(publish, header)
            if queues is None:
                return at
            while buffer.startswith(prefix, at):
                stop = at + size
                if stop > end or buffer[stop - 1] != FRAME_END:
                    break
                message = FramedMessage(publish, header, buffer[at + content_at : stop], number)
                at = stop
                count += 1
                for queue in queues:
                    queue.enqueue_lasting(message)
        except AmqpError:
            # No longer allowed: the slow path tells why.
            return at
        if count:
            self._published = publish
            channel.count_publishes(count)
        return at

    def _receive_method(self, channel: Channel, index: int, payload: bytes) -> Publish | None:
        """Act on a method on an open channel; return a publish, whose content is still to come."""
        if not is_complete(METHOD, payload):
            raise bad_frame(METHOD, payload, UNKNOWN_FRAME)
        if index == _CHANNEL_CLOSE:
            self._close_channel(channel)
            return None
        if index == _CHANNEL_OPEN:
            decode_method(payload)
            raise ChannelError("second 'channel.open' seen")
        method = decode_method(payload)
        if index == _PUBLISH:
            self._note_publish()
            return self._remember(payload, basic.publish(channel, method))
        handler = HANDLERS.get(index)
        if handler is None:
            raise CommandInvalid("unimplemented method")
        handler(channel, method)
        return None

    def _remember(self, payload: bytes, publish: Publish) -> Publish:
        if len(payload) <= MEMO_KEY_MAX_BYTES:
            if len(self._publish_memo) >= PUBLISH_MEMO_MAX:
                self._publish_memo.clear()
            self._publish_memo[payload] = publish
        return publish

    def _receive_content(self, channel: Channel, frame_type: int, frame: bytes | memoryview) -> None:
        """Take a frame that is no method on an open channel."""
        self._published = channel.publishing
        index = _PUBLISH if channel.publishing is not None else 0
        try:
            if frame_type == BODY:
                channel.receive_body(len(frame) - ENVELOPE_SIZE, frame)
                return
            payload = bytes(frame[HEAD_SIZE:-1])
            if not is_complete(frame_type, payload):
                raise bad_frame(frame_type, payload, UNKNOWN_FRAME)
            if frame_type != HEADER:
                raise unexpected_frame(frame_type, payload)
            channel.receive_header(payload, bytes(frame))
        except AmqpError as refusal:
            self._refuse(channel, refusal, index)
