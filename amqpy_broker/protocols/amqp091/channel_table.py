"""The channels of a connection: opened, closed, and closed on the peer's mistakes; and the confirms that they owe.

Rule 1: a mistake on a channel closes that channel alone, unless its error says otherwise [AMQP 0-9-1 4.10].
Rule 2: a channel that we closed is there until its close-ok; what comes in between is ignored
        [channel.close:stability].
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable
from typing import Final

from pamqp import commands

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.errors import (
    AmqpError,
    ChannelError,
    NotAllowed,
    PreconditionFailed,
    Scope,
    UnexpectedFrame,
)
from amqpy_broker.core.queues.base import Consumer
from amqpy_broker.protocols.amqp091 import announcements
from amqpy_broker.protocols.amqp091.channel import Channel, Session
from amqpy_broker.protocols.amqp091.closing import ClosingChannel
from amqpy_broker.protocols.amqp091.codec import decode_method, method_frame, method_index
from amqpy_broker.protocols.amqp091.deliveries import Deliveries
from amqpy_broker.protocols.amqp091.frame_loop import FrameLoop
from amqpy_broker.protocols.amqp091.frames import METHOD, UNKNOWN_FRAME, bad_frame, is_complete
from amqpy_broker.protocols.amqp091.handshake import Negotiated
from amqpy_broker.protocols.amqp091.output import Output
from amqpy_broker.protocols.amqp091.promises import Promises
from amqpy_broker.protocols.amqp091.replies import channel_close
from amqpy_broker.protocols.amqp091.timeouts import ConsumerTimeouts, Marks

# Its lines stand among those of the connection.
logger = logging.getLogger("amqpy_broker.protocols.amqp091.connection")

_CHANNEL_OPEN: Final = commands.Channel.Open.index


class ChannelTable(FrameLoop):
    """What a connection does with its channels as a whole."""

    def __init__(self, broker: BrokerCore, output: Output, name: str) -> None:
        # Frames of the handshake are small; it ends with what was negotiated.
        # RabbitMQ lets a payload be as large as a frame may be, and so takes frames that are 8 octets too large.
        super().__init__(output, broker.profile.frame_size_min)
        self._broker = broker
        self.name = name
        self._session: Session | None = None
        # Channels that we closed, and whose close-ok is still to come.
        self._closing_channels: dict[int, ClosingChannel] = {}
        self._promises = None if broker.journal is None else Promises(broker.journal)
        self._timeouts = ConsumerTimeouts(self, broker.timers, broker.consumer_timeout_ms)

    @property
    @abstractmethod
    def negotiated(self) -> Negotiated:
        """What the handshake has settled so far."""

    # --- opening and closing ----------------------------------------------------------------------------------------

    def _open_channel(self, frame_type: int, number: int, payload: bytes) -> None:
        session = self._session
        assert session is not None
        channel_max = self.negotiated.channel_max
        if len(self._channels) + len(self._closing_channels) >= channel_max:
            count = len(self._channels) + len(self._closing_channels)
            raise NotAllowed(
                f"number of channels opened ({count}) has reached the negotiated channel_max ({channel_max})"
            )
        if frame_type != METHOD:
            raise UnexpectedFrame("expected method frame, got non method frame instead")
        session.broker.limits.check_channels(session.broker.channels_count)
        index = method_index(payload)
        decode_method(payload)
        if index != _CHANNEL_OPEN:
            self._fail(ChannelError("expected 'channel.open'"), index)
            return
        channel = self._channels[number] = Channel(number, session)
        channel.reply(commands.Channel.OpenOk, "")
        if self._broker.events.wanted:
            announcements.tell_channel_created(self._broker.events, channel)

    def _close_channel(self, channel: Channel) -> None:
        """Close a channel because its client asks for it."""
        self._drop_channel(channel)
        channel.reply(commands.Channel.CloseOk)

    def _refuse(self, channel: Channel, refusal: AmqpError, index: int) -> None:
        """Close a channel, or the connection, because of a mistake."""
        if refusal.scope is Scope.CONNECTION:
            self._fail(refusal, index)
            return
        logger.warning("%s: channel %d closed: %s", self.name, channel.number, refusal.reply_text)
        self._closing_channels[channel.number] = channel.closing()
        self._drop_channel(channel)
        self.output.write(channel_close(channel.number, refusal, index))

    def _drop_channel(self, channel: Channel) -> None:
        del self._channels[channel.number]
        self._repeat = self._last_publish = None
        self._send_last_confirms(channel)
        self._remove_consumers(channel)
        channel.release()
        if self._broker.events.wanted:
            announcements.tell_channel_closed(self._broker.events, channel)

    def _remove_consumers(self, channel: Channel) -> None:
        if self._broker.events.wanted:
            for consumer in channel.deliveries.consumers.values():
                announcements.tell_consumer_deleted(self._broker.events, channel, consumer)
        channel.remove_consumers()

    def _receive_on_closing_channel(self, frame_type: int, number: int, payload: bytes) -> None:
        if not is_complete(frame_type, payload):
            raise bad_frame(frame_type, payload, UNKNOWN_FRAME)
        channel = self._closing_channels[number]
        try:
            if channel.receive(frame_type, payload):
                self.output.write(method_frame(number, commands.Channel.CloseOk))
        except ChannelError as refusal:
            self._fail(refusal, _CHANNEL_OPEN)
        if channel.closed:
            self._closing_channels.pop(number, None)

    def _release_channels(self) -> None:
        """End all channels with their connection: everything that is unacknowledged returns."""
        self._timeouts.stop()
        channels = tuple(self._channels.values())
        self._channels.clear()
        self._repeat = None
        self._closing_channels.clear()
        for channel in channels:
            self._send_last_confirms(channel)
            self._remove_consumers(channel)
        for channel in channels:
            channel.release()
            if self._broker.events.wanted:
                announcements.tell_channel_closed(self._broker.events, channel)

    # --- consumers that are late ------------------------------------------------------------------------------------

    def deliveries_of_channels(self) -> Iterable[tuple[Deliveries, Marks]]:
        """List what the open channels have handed out."""
        return [(channel.deliveries, channel.marks) for channel in self._channels.values()]

    def delivery_timed_out(self, deliveries: Deliveries, consumer: Consumer, timeout_ms: int) -> None:
        """End a consumer that has not acknowledged in time, or its channel."""
        channel = self._channels.get(deliveries.channel)
        if channel is None:
            return
        if self._broker.profile.consumer_timeout_is_for_quorum_queues:
            if consumer.queue.type != "quorum":
                return
            if deliveries.notifies_cancel:
                logger.warning("%s: consumer '%s' cancelled: acknowledged too late", self.name, consumer.tag)
                deliveries.cancel(consumer)
                return
        self._refuse(
            channel,
            PreconditionFailed(
                f"delivery acknowledgement on channel {channel.number} timed out. Timeout value used: {timeout_ms} ms."
                " This timeout value can be configured, see consumers doc guide to learn more"
            ),
            0,
        )

    # --- confirms ---------------------------------------------------------------------------------------------------

    def _send_confirms(self) -> None:
        session = self._session
        if session is None or not session.confirming:
            return
        if self._promises is not None:
            self._promises.end_read(session.confirming)
        else:
            for channel in session.confirming:
                channel.send_confirms()
        session.confirming.clear()

    def _send_last_confirms(self, channel: Channel) -> None:
        if self._promises is None or self._promises.may_confirm(channel):
            channel.send_confirms()
