"""One connection: bytes in, bytes out, deadlines. It never raises, whatever a peer sends.

`receive` splits frames and acts on them; `data_to_send` hands out what there is to say; `next_deadline_s` and
`handle_deadline` are for the clock. Every mistake of the peer ends in the right close frame or a closed socket.

Publishes that repeat, and acknowledgements, take a short way through `_receive_frames`; everything else is decoded and
goes to `methods`. docs/internals/performance.md tells what each step costs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from enum import Enum
from struct import Struct
from typing import Final

from pamqp import commands

from amqpy_broker.core.access import Actor
from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.erlang_terms import Atom
from amqpy_broker.core.errors import (
    AmqpError,
    ChannelError,
    CommandInvalid,
    ConnectionForced,
    InternalError,
    LoginRefused,
    NotAllowed,
    PreconditionFailed,
    Scope,
    UnexpectedFrame,
)
from amqpy_broker.core.limits import (
    CLOSING_TIMEOUT_S,
    HANDSHAKE_TIMEOUT_S,
    LINGER_TIMEOUT_S,
    MEMO_KEY_MAX_BYTES,
    PUBLISH_MEMO_MAX,
    SILENT_CLOSE_DELAY_S,
)
from amqpy_broker.core.queues.base import Consumer
from amqpy_broker.protocols.amqp091 import announcements
from amqpy_broker.protocols.amqp091.channel import Channel, Session
from amqpy_broker.protocols.amqp091.closing import ClosingChannel
from amqpy_broker.protocols.amqp091.codec import Undecodable, decode_method, method_frame, method_index
from amqpy_broker.protocols.amqp091.content import ContentHeader, FramedMessage
from amqpy_broker.protocols.amqp091.deliveries import Deliveries
from amqpy_broker.protocols.amqp091.frames import (
    BODY,
    ENVELOPE_SIZE,
    FRAME_END,
    FRAME_HEAD,
    HEAD_SIZE,
    HEADER,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    LostSync,
    bad_frame,
    is_complete,
    lost_sync,
    unexpected_frame,
)
from amqpy_broker.protocols.amqp091.handshake import Handshake, Negotiated, SilentClose, Step
from amqpy_broker.protocols.amqp091.heartbeats import Heartbeats
from amqpy_broker.protocols.amqp091.input import Input
from amqpy_broker.protocols.amqp091.methods import HANDLERS, basic
from amqpy_broker.protocols.amqp091.output import Output
from amqpy_broker.protocols.amqp091.promises import Promises
from amqpy_broker.protocols.amqp091.publishes import Publish
from amqpy_broker.protocols.amqp091.repeats import Repeat
from amqpy_broker.protocols.amqp091.replies import channel_close, connection_close
from amqpy_broker.protocols.amqp091.timeouts import ConsumerTimeouts, Marks

logger = logging.getLogger(__name__)

_HEADER_SIZE: Final = 8
_PUBLISH: Final = commands.Basic.Publish.index
_ACK_INDEX: Final = commands.Basic.Ack.index
_ACK_START: Final = _ACK_INDEX.to_bytes(4, "big")
# basic.ack, after its class and method: delivery tag, multiple; and the end of its frame.
_ACK: Final = Struct(">QBB")
_ACK_SIZE: Final = 13
_ACK_FRAME_SIZE: Final = _ACK_SIZE + ENVELOPE_SIZE
_ACK_TAG_AT: Final = HEAD_SIZE + len(_ACK_START)
_LARGE_FRAME_BYTES: Final = 8192
_UNKNOWN_FRAME: Final = Atom("unknown_frame")
_NEVER: Final = float("inf")
_CHANNEL_OPEN: Final = commands.Channel.Open.index
_CHANNEL_CLOSE: Final = commands.Channel.Close.index
_SAID_IN_THE_DARK: Final = (ConnectionForced, LoginRefused)
_unpack_head: Final = FRAME_HEAD.unpack_from
_unpack_ack: Final = _ACK.unpack_from


class State(Enum):
    """How far a connection is."""

    HEADER = "waits for the protocol header"
    HANDSHAKE = "is in the handshake"
    RUNNING = "is open"
    # We sent connection.close, and ignore everything but close and close-ok.
    CLOSING = "waits for close-ok"
    # Everything is said; the peer should close the socket now.
    LINGERING = "waits for the peer to close the socket"
    # Nothing more will be said or listened to; the socket closes a little later.
    SILENT = "closes without a word"
    CLOSED = "is closed"


class Connection:
    """The protocol of one connection.

    `wake` is called whenever there is something to send where there was nothing. `name` is for the log.
    """

    def __init__(
        self, broker: BrokerCore, output: Output, *, name: str = "connection", peer_is_local: bool = True
    ) -> None:
        self._broker = broker
        self._clock = broker.clock
        self.name = name
        self.output = output
        self._handshake = Handshake(broker, output, peer_is_local=peer_is_local)
        self._handshake.on_login = self._logged_in
        self._mechanism = ""
        self.state = State.HEADER
        self._session: Session | None = None
        self._channels: dict[int, Channel] = {}
        # Channels that we closed, and whose close-ok is still to come.
        self._closing_channels: dict[int, ClosingChannel] = {}
        self._publish_memo: dict[bytes, Publish] = {}
        # The last publish and header that were looked up, and what they became when they came twice.
        self._last_publish: Publish | None = None
        self._last_header: ContentHeader | None = None
        self._repeat: Repeat | None = None
        self._input = Input()
        self._promises = None if broker.journal is None else Promises(broker.journal)
        self._timeouts = ConsumerTimeouts(self, broker.timers, broker.consumer_timeout_ms)
        # Frames of the handshake are small; it ends with what was negotiated.
        # RabbitMQ lets a payload be as large as a frame may be, and so takes frames that are 8 octets too large.
        self._frame_size_max = broker.profile.frame_size_min
        self._heartbeats = Heartbeats(0, 0.0)
        self._close_at_s = self._clock.monotonic_s() + HANDSHAKE_TIMEOUT_S
        self._blocked = False
        # Whether the peer has published, since the last alarm was raised.
        self._published = False
        # Whether there is more to act on, by `resume`, once what there is to say has been sent.
        self.paused = False

    # --- the contract with the server -------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the socket is to be closed, once everything is sent."""
        return self.state is State.CLOSED

    @property
    def negotiated(self) -> Negotiated:
        """What the handshake has settled so far."""
        return self._handshake.negotiated

    @property
    def publishes(self) -> bool:
        """Whether an alarm holds the peer back: it has published during it, and does not say goodbye."""
        return self._published and self.state is State.RUNNING

    def receive(self, data: bytes) -> None:
        """Take in what the peer sent. Never raises."""
        if self.state in (State.CLOSED, State.SILENT):
            return
        self._heartbeats.received(self._clock.monotonic_s())
        self._input.push(data)
        self._go_on()
        self._broker.memory.note_read(len(data))

    def resume(self) -> None:
        """Act on what was left because there was too much to say. Never raises."""
        if self.state not in (State.CLOSED, State.SILENT):
            self._go_on()

    def _go_on(self) -> None:
        self.paused = False
        if self._promises is not None:
            self._promises.begin_read()
        while not self.paused and (buffer := self._input.next()) is not None:
            self._act_on(*buffer)
        self._send_confirms()

    def _act_on(self, octets: bytes, at: int) -> None:
        """Act on what is complete, and keep the rest."""
        try:
            self._input.keep(octets, self._receive(octets, at))
        except LostSync as refusal:
            self._fail_quietly(refusal)
            self._stop_listening()
        except AmqpError as refusal:
            self._fail_quietly(refusal)
        except Undecodable as refusal:
            self._close_silently(SilentClose(str(refusal), at_once=True))
        except SilentClose as refusal:
            self._close_silently(refusal)
        except Exception:
            logger.exception("%s: internal error, connection closed", self.name)
            self._fail_quietly(InternalError(""))
        if self.state in (State.SILENT, State.CLOSED):
            self._input.clear()

    def data_to_send(self) -> bytes:
        """Hand out everything there is to send; the caller sends it now."""
        self._heartbeats.sent(self._clock.monotonic_s())
        return self.output.take()

    @property
    def next_deadline_s(self) -> float:
        """When `handle_deadline` wants to be called, in the clock's seconds; it may move later in the meantime."""
        return min(self._close_at_s, self._heartbeats.send_at_s, self._heartbeats.give_up_at_s)

    def handle_deadline(self) -> None:
        """Do what is due: send a heartbeat, or give up on the peer."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._close_at_s:
            self._give_up(f"timed out: it {self.state.value}")
        elif now_s >= self._heartbeats.give_up_at_s:
            self._give_up("missed heartbeats from client")
        elif now_s >= self._heartbeats.send_at_s:
            # What is about to be sent will do.
            if not self.output.pieces:
                self.output.write(HEARTBEAT_FRAME)
            self._heartbeats.sent(now_s)

    def close(self, refusal: AmqpError) -> None:
        """Close the connection from our side, whatever it is doing."""
        if self.state in (State.RUNNING, State.HANDSHAKE):
            self._fail_quietly(refusal)
        elif self.state is not State.CLOSING:
            self._end()

    def shut_down(self) -> None:
        """Close the connection because the broker stops."""
        self.close(ConnectionForced("broker forced connection closure with reason 'shutdown'"))

    def hold_back(self, held_back: bool) -> None:
        """Learn that the peer is not read from, or is again: in between, its heartbeats cannot be missed."""
        self._heartbeats.listening = not held_back
        self._heartbeats.received(self._clock.monotonic_s())

    def note_alive(self) -> None:
        """Take the peer to be there now, though it has not said so."""
        self._heartbeats.received(self._clock.monotonic_s())

    def lost(self) -> None:
        """Learn that the socket is gone: everything unacknowledged returns to its queues."""
        self._end()

    def alarm_changed(self, *, raised: bool) -> None:
        """Learn that publishers are held back, or no longer.

        As RabbitMQ, let the peer go on until it publishes: it may be just what takes messages off the broker.
        """
        if raised:
            self._published = False
            # What is remembered of publishes goes past the place where the next one is noticed.
            self._publish_memo.clear()
            self._repeat = self._last_publish = None
        elif self._blocked:
            self._blocked = False
            if self.state is State.RUNNING:
                self.output.write(method_frame(0, commands.Connection.Unblocked))

    def _note_publish(self) -> None:
        """Tell a client that publishes that it is held back, once an alarm, if it understands that."""
        self._published = True
        if self._broker.alarms.raised and not self._blocked and self._handshake.negotiated.can("connection.blocked"):
            self._blocked = True
            self.output.write(method_frame(0, commands.Connection.Blocked, self._broker.alarms.reason))

    # --- frames -----------------------------------------------------------------------------------------------------

    def _receive(self, buffer: bytes, at: int) -> int:
        """Act on what is complete in the buffer; return how far that was."""
        if self.state is State.HEADER:
            if len(buffer) - at < _HEADER_SIZE:
                self._input.needed_size = _HEADER_SIZE
                return at
            start, at = at, at + _HEADER_SIZE
            self.state = State.HANDSHAKE
            self._handshake.receive_header(buffer[start:at])
        if self._repeat is not None:
            at = self._receive_repeats(self._repeat, buffer, at, len(buffer))
        return self._receive_frames(buffer, at)

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
        settle_one = channel.deliveries.settle_one
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
        channel.count_publishes(count)
        return at

    def _receive_method(self, channel: Channel, index: int, payload: bytes) -> Publish | None:
        """Act on a method on an open channel; return a publish, whose content is still to come."""
        if not is_complete(METHOD, payload):
            raise bad_frame(METHOD, payload, _UNKNOWN_FRAME)
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
        index = _PUBLISH if channel.publishing is not None else 0
        try:
            if frame_type == BODY:
                channel.receive_body(len(frame) - ENVELOPE_SIZE, frame)
                return
            payload = bytes(frame[HEAD_SIZE:-1])
            if not is_complete(frame_type, payload):
                raise bad_frame(frame_type, payload, _UNKNOWN_FRAME)
            if frame_type != HEADER:
                raise unexpected_frame(frame_type, payload)
            channel.receive_header(payload, bytes(frame))
        except AmqpError as refusal:
            self._refuse(channel, refusal, index)

    def _receive_elsewhere(self, frame_type: int, number: int, payload: bytes) -> None:
        """Take a frame on channel 0, or on a channel that is not open."""
        if (frame_type == HEARTBEAT and number == 0 and not payload) or self.state is State.CLOSED:
            return
        if self.state in (State.CLOSING, State.LINGERING):
            self._receive_while_closing(frame_type, number, payload)
        elif number in self._closing_channels:
            self._receive_on_closing_channel(frame_type, number, payload)
        elif not is_complete(frame_type, payload):
            raise bad_frame(frame_type, payload, _UNKNOWN_FRAME)
        elif frame_type == HEARTBEAT:
            raise unexpected_frame(frame_type, payload)
        elif number == 0:
            if frame_type != METHOD:
                raise unexpected_frame(frame_type, payload)
            self._receive_for_connection(payload)
        elif self.state is not State.RUNNING:
            if self._handshake.step is Step.OPEN:
                raise unexpected_frame(frame_type, payload)
            raise SilentClose(f"frame on channel {number} in the handshake")
        else:
            self._open_channel(frame_type, number, payload)

    # --- the connection's own methods -------------------------------------------------------------------------------

    def _receive_for_connection(self, payload: bytes) -> None:
        index = method_index(payload)
        method = decode_method(payload)
        try:
            if self.state is State.HANDSHAKE:
                self._handshake.receive(method)
                self._after_handshake_step()
            elif index == commands.Connection.Close.index:
                self._close_by_peer()
            elif index == commands.Connection.UpdateSecret.index:
                # https://www.rabbitmq.com/docs/oauth2#token-expiration: with passwords there is nothing to renew.
                self.output.write(method_frame(0, commands.Connection.UpdateSecretOk))
            else:
                raise ChannelError("unexpected method in connection state running")
        except AmqpError as refusal:
            self._fail(refusal, index)

    def _after_handshake_step(self) -> None:
        negotiated = self._handshake.negotiated
        if self._handshake.step is Step.OPEN:
            self._frame_size_max = negotiated.frame_size_max
            self._heartbeats = Heartbeats(negotiated.heartbeat_s, self._clock.monotonic_s())
        if self._handshake.step is not Step.DONE:
            return
        vhost, user = negotiated.vhost, negotiated.user
        assert vhost is not None
        assert user is not None
        actor = Actor(user, vhost.name, self)
        self._session = Session(self._broker, vhost, actor, self.output, self._frame_size_max - ENVELOPE_SIZE)
        self._tell_created(user.name, vhost.name)
        self._session.watch = self._timeouts.watch
        self._session.connection_name = self.name
        self._session.notifies_cancel = negotiated.can("consumer_cancel_notify")
        vhost.connections_count += 1
        self._close_at_s = _NEVER
        self.state = State.RUNNING
        logger.info("%s: user '%s' opened vhost '%s'", self.name, user.name, vhost.name)

    def _remove_consumers(self, channel: Channel) -> None:
        if self._broker.events.wanted:
            for consumer in channel.deliveries.consumers.values():
                announcements.tell_consumer_deleted(self._broker.events, channel, consumer)
        channel.remove_consumers()

    # --- events -----------------------------------------------------------------------------------------------------

    def _logged_in(self, mechanism: str, user: str, error: str) -> None:
        self._mechanism = mechanism
        if self._broker.events.wanted:
            announcements.tell_login(self._broker.events, self.name, mechanism, user, error)

    def _tell_created(self, user: str, vhost: str) -> None:
        if not self._broker.events.wanted:
            return
        negotiated = self._handshake.negotiated
        announcements.tell_connection_created(
            self._broker.events,
            self.name,
            user=user,
            vhost=vhost,
            mechanism=self._mechanism,
            channel_max=negotiated.channel_max,
            frame_max=negotiated.frame_size_max,
            heartbeat_s=negotiated.heartbeat_s,
            client_properties=arguments(negotiated.client_properties),
            connected_at_ms=int(self._clock.unix_s() * 1000),
        )

    def _tell_closed(self) -> None:
        if self._broker.events.wanted:
            client_properties = arguments(self._handshake.negotiated.client_properties)
            announcements.tell_connection_closed(self._broker.events, self.name, client_properties)

    # --- closing ----------------------------------------------------------------------------------------------------

    def _close_by_peer(self) -> None:
        """Answer connection.close, and let the peer close the socket."""
        self._release()
        self.output.write(method_frame(0, commands.Connection.CloseOk))
        self._linger()

    def _receive_while_closing(self, frame_type: int, number: int, payload: bytes) -> None:
        """Ignore everything but close and close-ok [connection.close-ok]."""
        if number or frame_type != METHOD or self.state is State.LINGERING:
            return
        index = method_index(payload)
        if index == commands.Connection.CloseOk.index:
            self._end()
        elif index == commands.Connection.Close.index:
            self.output.write(method_frame(0, commands.Connection.CloseOk))

    # --- channels ---------------------------------------------------------------------------------------------------

    def _open_channel(self, frame_type: int, number: int, payload: bytes) -> None:
        session = self._session
        assert session is not None
        channel_max = self._handshake.negotiated.channel_max
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

    def _receive_on_closing_channel(self, frame_type: int, number: int, payload: bytes) -> None:
        if not is_complete(frame_type, payload):
            raise bad_frame(frame_type, payload, _UNKNOWN_FRAME)
        channel = self._closing_channels[number]
        try:
            if channel.receive(frame_type, payload):
                self.output.write(method_frame(number, commands.Channel.CloseOk))
        except ChannelError as refusal:
            self._fail(refusal, _CHANNEL_OPEN)
        if channel.closed:
            self._closing_channels.pop(number, None)

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

    # --- the end ----------------------------------------------------------------------------------------------------

    def _fail(self, refusal: AmqpError, index: int) -> None:
        """Close the connection because of a mistake, or because we want to."""
        if self.state in (State.CLOSING, State.LINGERING, State.SILENT, State.CLOSED):
            return
        # Before it knows the user RabbitMQ explains nothing.
        in_the_dark = self.state is State.HANDSHAKE and self._handshake.step is not Step.OPEN
        if in_the_dark and not isinstance(refusal, _SAID_IN_THE_DARK):
            raise SilentClose(refusal.reply_text)
        logger.warning("%s: connection closed: %s", self.name, refusal.reply_text)
        self._release()
        self.output.write(connection_close(refusal, index if refusal.blames_method else 0))
        self.state = State.CLOSING
        self._close_at_s = self._clock.monotonic_s() + CLOSING_TIMEOUT_S

    def _close_silently(self, refusal: SilentClose) -> None:
        logger.warning("%s: socket closed: %s", self.name, refusal)
        self._release()
        if refusal.at_once:
            self._end()
        else:
            self._stop_listening()

    def _stop_listening(self) -> None:
        """Read nothing more, and close the socket a little later: what there is to say may still be sent."""
        if self.state is State.CLOSED:
            return
        self.state = State.SILENT
        self._close_at_s = self._clock.monotonic_s() + SILENT_CLOSE_DELAY_S

    def _fail_quietly(self, refusal: AmqpError) -> None:
        """Fail outside of a method; in the handshake without a word."""
        try:
            self._fail(refusal, 0)
        except SilentClose as silent:
            self._close_silently(silent)

    def _give_up(self, reason: str) -> None:
        if self.state in (State.HEADER, State.HANDSHAKE, State.RUNNING):
            logger.warning("%s: socket closed: %s", self.name, reason)
        self._end()

    def _linger(self) -> None:
        self.state = State.LINGERING
        self._close_at_s = self._clock.monotonic_s() + LINGER_TIMEOUT_S

    def _end(self) -> None:
        self._release()
        self.state = State.CLOSED
        self._close_at_s = _NEVER
        self._heartbeats = Heartbeats(0, 0.0)
        self._input.clear()

    def _release(self) -> None:
        """Return everything that is unacknowledged, and delete what was exclusive to this connection."""
        session, self._session = self._session, None
        if session is None:
            return
        session.vhost.connections_count -= 1
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
        for consumer in session.vhost.drop_exclusive_queues(self):
            consumer.cancelled()
        self._tell_closed()
