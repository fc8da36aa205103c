"""One connection: bytes in, bytes out, deadlines. It never raises, whatever a peer sends.

`receive` acts on frames; `data_to_send` hands out what there is to say; `next_deadline_s` and
`handle_deadline` are for the clock. Every mistake of the peer ends in the right close frame or a closed socket.

What it is built on stands in `frame_loop.py`, the frames of open channels, and in `channel_table.py`, the channels
themselves. Here is its life: the handshake, heartbeats, alarms, and the end.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import Final

from pamqp import commands

from amqpy_broker.core.access import Actor
from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.errors import (
    AmqpError,
    ChannelError,
    ConnectionForced,
    InternalError,
    LoginRefused,
)
from amqpy_broker.core.limits import (
    CLOSING_TIMEOUT_S,
    HANDSHAKE_TIMEOUT_S,
    LINGER_TIMEOUT_S,
    SILENT_CLOSE_DELAY_S,
)
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.protocols.amqp091 import announcements
from amqpy_broker.protocols.amqp091.channel import Session
from amqpy_broker.protocols.amqp091.channel_table import ChannelTable
from amqpy_broker.protocols.amqp091.codec import Undecodable, decode_method, method_frame, method_index
from amqpy_broker.protocols.amqp091.frames import (
    ENVELOPE_SIZE,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    UNKNOWN_FRAME,
    LostSync,
    bad_frame,
    is_complete,
    unexpected_frame,
)
from amqpy_broker.protocols.amqp091.handshake import Handshake, Negotiated, SilentClose, Step
from amqpy_broker.protocols.amqp091.heartbeats import Heartbeats
from amqpy_broker.protocols.amqp091.output import Output
from amqpy_broker.protocols.amqp091.replies import connection_close

logger = logging.getLogger(__name__)

_HEADER_SIZE: Final = 8
_NEVER: Final = float("inf")
_SAID_IN_THE_DARK: Final = (ConnectionForced, LoginRefused)


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


class Connection(ChannelTable):
    """The protocol of one connection.

    `wake` is called whenever there is something to send where there was nothing. `name` is for the log.
    """

    def __init__(
        self, broker: BrokerCore, output: Output, *, name: str = "connection", peer_is_local: bool = True
    ) -> None:
        super().__init__(broker, output, name)
        self._clock = broker.clock
        self._handshake = Handshake(broker, output, peer_is_local=peer_is_local)
        self._handshake.on_login = self._logged_in
        self._mechanism = ""
        self.state = State.HEADER
        self._heartbeats = Heartbeats(0, 0.0)
        self._close_at_s = self._clock.monotonic_s() + HANDSHAKE_TIMEOUT_S
        self._blocked = False
        # Whether the peer has published, since the last alarm was raised.
        self._has_published = False

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
        return self._has_published and self.state is State.RUNNING

    @property
    def published_to(self) -> Queue | None:
        """The first queue of the last publish in the last read; None if it published nothing, or to no queue.

        It is a sample, for who counts reads: looking at every message would cost more than it tells.
        """
        return None if self._published is None else self._published.target

    @property
    def held_bytes(self) -> int:
        """Octets of frames and of contents that wait for their rest."""
        session = self._session
        return self._input.held_size + (0 if session is None else session.unfinished_bytes)

    def receive(self, data: bytes) -> None:
        """Take in what the peer sent. Never raises."""
        self._published = None
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
            self._has_published = False
            # What is remembered of publishes goes past the place where the next one is noticed.
            self._publish_memo.clear()
            self._repeat = self._last_publish = None
        elif self._blocked:
            self._blocked = False
            if self.state is State.RUNNING:
                self.output.write(method_frame(0, commands.Connection.Unblocked))

    def _note_publish(self) -> None:
        """Tell a client that publishes that it is held back, once an alarm, if it understands that."""
        self._has_published = True
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

    def _receive_elsewhere(self, frame_type: int, number: int, payload: bytes) -> None:
        """Take a frame on channel 0, or on a channel that is not open."""
        if (frame_type == HEARTBEAT and number == 0 and not payload) or self.state is State.CLOSED:
            return
        if self.state in (State.CLOSING, State.LINGERING):
            self._receive_while_closing(frame_type, number, payload)
        elif number in self._closing_channels:
            self._receive_on_closing_channel(frame_type, number, payload)
        elif not is_complete(frame_type, payload):
            raise bad_frame(frame_type, payload, UNKNOWN_FRAME)
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
        self._release_channels()
        for consumer in session.vhost.drop_exclusive_queues(self):
            consumer.cancelled()
        self._tell_closed()
