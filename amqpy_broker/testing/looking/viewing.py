"""Views made of what is there: each function reads the broker in its own thread, between two of its steps."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from amqpy_broker.core.arguments import Argument
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.exchanges.delayed_message import DelayedMessageExchange
from amqpy_broker.core.exchanges.types import PREDECLARED
from amqpy_broker.core.message import Message as CoreMessage
from amqpy_broker.core.names import DEFAULT_EXCHANGE
from amqpy_broker.core.policies import Policy
from amqpy_broker.core.queues.base import Consumer, Queue, QueuedMessage
from amqpy_broker.core.queues.browse import BROWSE
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.connection import Connection, State
from amqpy_broker.testing.history.history import History
from amqpy_broker.testing.looking.messages import Message, python_values
from amqpy_broker.testing.looking.views import (
    BindingView,
    ChannelView,
    ConnectionView,
    ConsumerView,
    ExchangeView,
    QueueView,
    VhostView,
    WaitingMessage,
)

_EVERYWHERE = frozenset((DEFAULT_EXCHANGE, *(name for name, _, _ in PREDECLARED)))


class _Looker(Consumer):
    """A consumer that browses: it is shown what is ready, and takes nothing."""

    __slots__ = ("seen",)

    def __init__(self, queue: Queue) -> None:
        super().__init__(
            "", queue, no_ack=True, exclusive=False, prefetch_count=0, arguments={BROWSE: Argument("bool", True)}
        )
        self.seen: list[Message] = []

    def can_take(self) -> bool:
        """Always."""
        return True

    def deliver(self, message: CoreMessage, redelivered: bool, queued: QueuedMessage | None) -> bool:
        """See a message."""
        self.seen.append(Message(message, redelivered=redelivered))
        return True

    def cancelled(self) -> None:
        """Learn that this was all."""


def ready_messages(queue: Queue) -> tuple[Message, ...]:
    """List what is ready in a queue, the next one first."""
    looker = _Looker(queue)
    queue.add_consumer(looker)
    queue.resume(looker)
    return tuple(looker.seen)


def view_queue(vhost: VirtualHost, queue: Queue, history: History) -> QueueView:
    """View a queue."""
    consumers = (
        view_consumer(channel, consumer)
        for channel in channels_of(vhost)
        for consumer in channel.deliveries.consumers.values()
        if consumer.queue is queue
    )
    return QueueView(
        name=queue.name,
        vhost=vhost.name,
        type=queue.type,
        durable=queue.durable,
        exclusive=queue.exclusive,
        auto_delete=queue.auto_delete,
        arguments=python_values(queue.arguments),
        ready=queue.ready_count,
        unacked=queue.unacked_count,
        peak_unacked=history.peak_unacked(vhost.name, queue.name),
        consumers=tuple(consumers),
        messages=ready_messages(queue),
        policy=_name_of(queue.governing.policy),
        operator_policy=_name_of(queue.governing.operator_policy),
    )


def view_consumer(channel: Channel, consumer: Consumer) -> ConsumerView:
    """View a consumer."""
    return ConsumerView(
        tag=consumer.tag,
        queue=consumer.queue.name,
        connection=channel.session.connection_name,
        channel=channel.number,
        no_ack=consumer.no_ack,
        exclusive=consumer.exclusive,
        prefetch_count=consumer.prefetch_count,
        priority=consumer.priority,
        unacked=consumer.unacked_count,
        arguments=python_values(consumer.arguments),
    )


def channels_of(vhost: VirtualHost) -> Iterable[Channel]:
    """List the open channels in a vhost."""
    return (channel for channel in vhost.channels if isinstance(channel, Channel))


def view_channel(channel: Channel) -> ChannelView:
    """View a channel."""
    deliveries = channel.deliveries
    return ChannelView(
        number=channel.number,
        connection=channel.session.connection_name,
        vhost=channel.vhost.name,
        prefetch_count=deliveries.prefetch_count,
        global_prefetch_count=deliveries.global_prefetch_count,
        unacked=len(deliveries.unacked),
        confirms=channel.confirms is not None,
        transactional=channel.transaction is not None,
        consumers=tuple(view_consumer(channel, consumer) for consumer in deliveries.consumers.values()),
    )


def client_name(connection: Connection) -> str:
    """Return the name that a client gave its connection, if it gave one."""
    return str(connection.negotiated.client_properties.get("connection_name", ""))


def view_connection(connection: Connection) -> ConnectionView:
    """View a connection."""
    negotiated = connection.negotiated
    vhost = negotiated.vhost
    channels = () if vhost is None else channels_of(vhost)
    return ConnectionView(
        name=connection.name,
        client_name=client_name(connection),
        user="" if negotiated.user is None else negotiated.user.name,
        vhost="" if vhost is None else vhost.name,
        client_properties=dict(negotiated.client_properties),
        heartbeat_s=negotiated.heartbeat_s,
        is_open=connection.state is State.RUNNING,
        channels=tuple(view_channel(channel) for channel in channels if channel.session.actor.owner is connection),
    )


def view_exchange(vhost: VirtualHost, exchange: Exchange) -> ExchangeView:
    """View an exchange."""
    waiting = exchange.pending() if isinstance(exchange, DelayedMessageExchange) else ()
    return ExchangeView(
        name=exchange.name,
        vhost=vhost.name,
        type=exchange.type,
        durable=exchange.durable,
        auto_delete=exchange.auto_delete,
        internal=exchange.internal,
        alternate=exchange.alternate,
        arguments=python_values(exchange.arguments),
        bindings=tuple(view_binding(vhost, binding) for binding in exchange.bindings),
        waiting=tuple(
            WaitingMessage(Message(delayed.message), datetime.fromtimestamp(delayed.due_unix_s, UTC))
            for delayed in waiting
        ),
        policy=_name_of(exchange.governing.policy),
    )


def _name_of(policy: Policy | None) -> str | None:
    return None if policy is None else policy.name


def view_binding(vhost: VirtualHost, binding: Binding) -> BindingView:
    """View a binding."""
    return BindingView(
        vhost=vhost.name,
        source=binding.source,
        destination=binding.destination.name,
        destination_kind=binding.destination.kind,
        key=binding.key,
        arguments=python_values(binding.arguments),
    )


def view_vhost(vhost: VirtualHost) -> VhostView:
    """View a vhost."""
    queues = vhost.queues
    return VhostView(
        name=vhost.name,
        queues=tuple(queues),
        exchanges=tuple(name for name in vhost.exchanges if name not in _EVERYWHERE),
        ready=sum(queue.ready_count for queue in queues.values()),
        unacked=sum(queue.unacked_count for queue in queues.values()),
    )
