"""What the topology tells the event exchange: exchanges, queues and bindings come and go."""

from collections.abc import Iterable

from amqpy_broker.core.events import Events
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.queues.base import Consumer, Queue


def tell_exchange_created(events: Events, exchange: Exchange, by: str) -> None:
    """Tell that there is a new exchange."""
    policy = exchange.governing.policy
    events.tell(
        "exchange.created",
        name=exchange.name,
        vhost=exchange.vhost,
        type=exchange.type,
        durable=exchange.durable,
        auto_delete=exchange.auto_delete,
        internal=exchange.internal,
        arguments=exchange.arguments,
        policy="" if policy is None else policy.name,
        user_who_performed_action=by,
    )


def tell_exchange_deleted(events: Events, exchange: Exchange, by: str) -> None:
    """Tell that an exchange is gone."""
    events.tell("exchange.deleted", name=exchange.name, vhost=exchange.vhost, user_who_performed_action=by)


def tell_queue_created(events: Events, queue: Queue, by: str) -> None:
    """Tell that there is a new queue."""
    events.tell(
        "queue.created",
        name=queue.name,
        vhost=queue.vhost,
        type=_type(queue),
        durable=queue.durable,
        auto_delete=queue.auto_delete,
        exclusive=queue.exclusive,
        arguments=queue.arguments,
        user_who_performed_action=by,
    )


def tell_queue_deleted(events: Events, queue: Queue, consumers: Iterable[Consumer], by: str) -> None:
    """Tell that a queue is gone, and the consumers that it had with it."""
    for consumer in consumers:
        events.tell(
            "consumer.deleted",
            consumer_tag=consumer.tag,
            queue=queue.name,
            vhost=queue.vhost,
            user_who_performed_action=by,
        )
    events.tell("queue.deleted", name=queue.name, vhost=queue.vhost, type=_type(queue), user_who_performed_action=by)


def tell_binding(events: Events, event: str, binding: Binding, vhost: str, by: str) -> None:
    """Tell that there is a new binding, or that one is gone."""
    events.tell(
        event,
        source_name=binding.source,
        source_kind="exchange",
        destination_name=binding.destination.name,
        destination_kind=binding.destination.kind,
        routing_key=binding.key,
        arguments=binding.arguments,
        vhost=vhost,
        user_who_performed_action=by,
    )


def _type(queue: Queue) -> str:
    return f"rabbit_{queue.type}_queue"
