"""A client's connection in the test kit: the broker's own, behind a link that can be watched and disturbed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from anyio.abc import ByteStream

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.errors import AmqpError
from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.connection import Connection, State
from amqpy_broker.protocols.amqp091.output import Output
from amqpy_broker.server.sockets import reset_on_close
from amqpy_broker.testing.link.link import Direction, Ending, Link
from amqpy_broker.testing.link.listening import Listener
from amqpy_broker.testing.running.settling import Settling


class LinkedConnection(Connection):
    """A connection whose every step is counted, and whose bytes pass through a `Link` both ways."""

    def __init__(
        self,
        broker: BrokerCore,
        output: Output,
        stream: ByteStream,
        settling: Settling,
        listeners: Sequence[Listener] = (),
        *,
        name: str,
        peer_is_local: bool,
        sooner: Callable[[], None],
    ) -> None:
        super().__init__(broker, output, name=name, peer_is_local=peer_is_local)
        self._stream = stream
        self._settling = settling
        self._sooner = sooner
        # Whether frames are being passed on just now: what comes up meanwhile waits for the end of that.
        self._busy = False
        # Whether the client is not to be taken for alive when time is turned.
        self.is_silent = False
        # Told of a channel whose unacknowledged messages are about to return to their queues.
        self.on_return: Callable[[Channel], None] | None = None
        # Told when this client publishes during an alarm, and so is held back.
        self.on_blocked: Callable[[], None] | None = None
        self.link = Link(broker.clock, name=name, wake=self._link_woke)
        self._ears = [listener.connected(self.link) for listener in listeners]
        settling.step()

    @property
    def closed(self) -> bool:
        """Whether the socket is to be closed, once everything is sent."""
        return self.link.ending is not None or super().closed

    def receive(self, data: bytes) -> None:
        """Take in what the peer sent."""
        self._busy = True
        for ear in self._ears:
            ear.heard(Direction.TO_SERVER, data)
        self.link.client_sent(data)
        self._pass_on()
        self._settling.step()

    def data_to_send(self) -> bytes:
        """Hand out what there is to send."""
        self._busy = True
        self.link.server_sent(super().data_to_send())
        octets = self.link.take(Direction.TO_CLIENT)
        for ear in self._ears:
            ear.heard(Direction.TO_CLIENT, octets)
        self._pass_on()
        self._settling.step()
        return octets

    @property
    def next_deadline_s(self) -> float:
        """When `handle_deadline` wants to be called."""
        return min(super().next_deadline_s, self.link.next_deadline_s)

    def handle_deadline(self) -> None:
        """Do what is due."""
        self.link.handle_deadline()
        super().handle_deadline()
        self._settling.tell()

    def note_alive(self) -> None:
        """Take the peer to be there now, unless a fault has silenced it."""
        if not self.is_silent:
            super().note_alive()

    def lost(self) -> None:
        """Learn that the socket is gone."""
        super().lost()
        for ear in self._ears:
            ear.ended()
        self._settling.step()

    # --- for faults -------------------------------------------------------------------------------------------------

    @property
    def open_channels(self) -> Mapping[int, Channel]:
        """The channels that are open."""
        return self._channels

    def pass_on(self) -> None:
        """Hand the broker what has passed the link so far, in the middle of what comes."""
        busy = self._busy
        self._pass_on()
        self._busy = busy

    def fail(self, refusal: AmqpError, index: int) -> None:
        """Close the connection as after a mistake in the method `index`; nothing happens if it is not open."""
        if self.state is State.RUNNING:
            self._fail(refusal, index)
            self._sooner()

    def fail_channel(self, number: int, refusal: AmqpError, index: int) -> None:
        """Close a channel in the same way; nothing happens if it is not open."""
        channel = self._channels.get(number)
        if channel is not None and self.state is State.RUNNING:
            self._refuse(channel, refusal, index)

    def shut_down(self) -> None:
        """Close the connection because the broker stops. Who hears nothing is not waited for."""
        if self.is_silent:
            self._end()
        else:
            super().shut_down()

    def _note_publish(self) -> None:
        super()._note_publish()
        if self._broker.alarms.raised and self.on_blocked is not None:
            self.on_blocked()

    def _drop_channel(self, channel: Channel) -> None:
        if self.on_return is not None:
            self.on_return(channel)
        super()._drop_channel(channel)

    def _release(self) -> None:
        if self.on_return is not None:
            for channel in self._channels.values():
                self.on_return(channel)
        super()._release()

    # --- the link ---------------------------------------------------------------------------------------------------

    def _link_woke(self, direction: Direction) -> None:
        """Learn that there is something to pass on, or that the link has ended."""
        if self.link.ending is Ending.RESET:
            reset_on_close(self._stream)
        if direction is Direction.TO_CLIENT or self.link.ending is not None:
            # An empty piece wakes the writer, who takes what the link has.
            self.output.write(b"")
        if direction is Direction.TO_SERVER and not self._busy:
            self._pass_on()

    def _pass_on(self) -> None:
        """Hand the broker what has passed the link."""
        while octets := self.link.take(Direction.TO_SERVER):
            self._busy = True
            super().receive(octets)
        self._busy = False
        if self.link.next_deadline_s < super().next_deadline_s:
            self._sooner()
