"""The broker's own end of connections, for faults of the kit's broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pamqp import commands

from amqpy_broker.core.alarms import Resource
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.errors import AmqpError
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.codec import method_frame
from amqpy_broker.protocols.amqp091.connection import State
from amqpy_broker.protocols.amqp091.deliveries import ChannelConsumer
from amqpy_broker.server.server import Server
from amqpy_broker.testing.faults.confirm_book import ConfirmBook
from amqpy_broker.testing.faults.ends import End, Returns
from amqpy_broker.testing.faults.knowledge import Knowledge, KnownChannel, KnownConsumer, connection_name
from amqpy_broker.testing.link.connection import LinkedConnection
from amqpy_broker.testing.link.link import Link


class EmbeddedEnd:
    """One connection of the kit's broker, both what clients see of it and what is behind."""

    def __init__(self, connection: LinkedConnection) -> None:
        self._connection = connection
        self._returns: list[Returns] = []
        self._blocked: list[Callable[[str], None]] = []
        connection.on_return = self._about_to_return
        connection.on_blocked = self._is_blocked

    @property
    def link(self) -> Link:
        """What passes between client and broker."""
        return self._connection.link

    @property
    def peer(self) -> str:
        """Both ends of its socket."""
        return self._connection.name

    @property
    def broker(self) -> EmbeddedEnd:
        """The broker's end: this is it."""
        return self

    def learned(self) -> Knowledge:
        """Ask the connection what has been up to now."""
        knowledge = Knowledge()
        knowledge.connection_name = connection_name(self._connection.negotiated.client_properties)
        for number, channel in self._connection.open_channels.items():
            knowledge.channels[number] = _known(channel)
        return knowledge

    # --- closing ----------------------------------------------------------------------------------------------------

    def close(self, refusal: AmqpError, index: int) -> bool:
        """Close the connection on account of a method; False if it is not open."""
        is_open = self._connection.state is State.RUNNING
        self._connection.fail(refusal, index)
        return is_open

    def close_channel(self, number: int, refusal: AmqpError, index: int) -> bool:
        """Close a channel on account of a method; False if it is not open."""
        is_open = number in self._connection.open_channels
        self._connection.fail_channel(number, refusal, index)
        return is_open

    def channels(self) -> Sequence[int]:
        """The numbers of the channels that are open."""
        return tuple(self._connection.open_channels)

    def catch_up(self) -> None:
        """Let the broker act on all that came before the frame that passes now."""
        self._connection.pass_on()

    def silence(self) -> None:
        """Take the client for dead when time is turned, and do not wait for it in the end."""
        self._connection.is_silent = True

    # --- consumers --------------------------------------------------------------------------------------------------

    def cancel_consumers(self, wanted: Callable[[int, str, str], bool]) -> int:
        """Cancel consumers; return how many."""
        count = 0
        for channel in self._connection.open_channels.values():
            for consumer in tuple(channel.deliveries.consumers.values()):
                if wanted(channel.number, consumer.tag, consumer.queue.name):
                    self._cancel(channel, consumer)
                    count += 1
        return count

    def _cancel(self, channel: Channel, consumer: ChannelConsumer) -> None:
        channel.deliveries.remove_consumer(consumer.tag)
        # https://www.rabbitmq.com/docs/consumer-cancel
        if self._connection.negotiated.can("consumer_cancel_notify"):
            self._connection.output.write(method_frame(channel.number, commands.Basic.Cancel, consumer.tag, True))

    # --- returns ----------------------------------------------------------------------------------------------------

    def watch_returns(self, returns: Returns) -> None:
        """Ask somebody in which order messages return, from now on."""
        self._returns.append(returns)

    def unwatch_returns(self, returns: Returns) -> None:
        """Ask no longer."""
        if returns in self._returns:
            self._returns.remove(returns)

    def _about_to_return(self, channel: Channel) -> None:
        """Let what a channel holds change places, queue by queue."""
        for returns in tuple(self._returns):
            for queue, held in _by_queue(channel).items():
                names = self.learned().names(self.peer)
                order = returns.order(names, channel.number, queue, len(held))
                if order is not None:
                    _change_places(channel, held, order)

    # --- alarms -----------------------------------------------------------------------------------------------------

    def watch_blocked(self, blocked: Callable[[str], None]) -> None:
        """Tell somebody when an alarm holds this client back."""
        self._blocked.append(blocked)

    def _is_blocked(self) -> None:
        for blocked in tuple(self._blocked):
            blocked(self.peer)


class EmbeddedBroker:
    """The kit's broker, around all of its connections."""

    has_broker = True

    def __init__(self, core: BrokerCore, server: Callable[[], Server]) -> None:
        self._core = core
        self._server = server
        self._ends: dict[LinkedConnection, EmbeddedEnd] = {}

    def ends(self) -> Sequence[End]:
        """The connections that are there."""
        for connection in self._server().connections:
            if isinstance(connection, LinkedConnection):
                self.end(connection)
        for connection in tuple(self._ends):
            if connection.state is State.CLOSED:
                del self._ends[connection]
        return tuple(self._ends.values())

    def end(self, connection: LinkedConnection) -> EmbeddedEnd:
        """Return what faults see of a connection; it may be one that is just being made."""
        if connection not in self._ends:
            self._ends[connection] = EmbeddedEnd(connection)
        return self._ends[connection]

    def set_alarm(self, resource: Resource, cause: str, *, raised: bool) -> None:
        """Raise an alarm, or end it."""
        self._core.alarms.set(resource, cause, raised=raised)


def _known(channel: Channel) -> KnownChannel:
    known = KnownChannel()
    known.last_queue = channel.last_queue
    for tag, consumer in channel.deliveries.consumers.items():
        known.consumers[tag] = KnownConsumer(consumer.queue.name, consumer.no_ack)
    for delivery_tag, queued in channel.deliveries.unacked.items():
        known.unacked[delivery_tag] = queued.queue.name
    if channel.confirms is not None:
        # The one whose message is under way counts as well.
        under_way = 1 if channel.publishing is not None else 0
        known.confirms = ConfirmBook(channel.confirms.published + under_way, channel.confirms.confirmed)
    return known


def _by_queue(channel: Channel) -> dict[str, dict[int, QueuedMessage]]:
    """Group what a channel holds by queue, in the order in which it was handed out."""
    by_queue: dict[str, dict[int, QueuedMessage]] = {}
    for tag, queued in channel.deliveries.unacked.items():
        by_queue.setdefault(queued.queue.name, {})[tag] = queued
    return by_queue


def _change_places(channel: Channel, held: dict[int, QueuedMessage], order: Sequence[int]) -> None:
    """Give messages each other's places: those in the queue, and for queues that have none, those in line."""
    positions = [queued.position for queued in held.values()]
    in_line = list(held.items())
    for place, position in zip(order, positions, strict=True):
        in_line[place][1].position = position
    others = {tag: queued for tag, queued in channel.deliveries.unacked.items() if tag not in held}
    channel.deliveries.unacked = {**others, **dict(in_line[place] for place in order)}
