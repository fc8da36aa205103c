"""The class `queue`."""

from typing import Final

from pamqp import commands

from amqpy_broker.core.direct_replies import REPLY_TO
from amqpy_broker.core.errors import NotFound
from amqpy_broker.core.names import queue_text
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.codec import Method
from amqpy_broker.protocols.amqp091.methods.fields import fields, name


def declare(channel: Channel, method: Method) -> None:
    """Create a queue, or check that it is there."""
    asked = fields(method, commands.Queue.Declare)
    queue_name = name(asked.queue)
    if asked.queue.startswith(REPLY_TO):
        _declare_replies(channel, queue_name, asked)
        return
    queue = _find(channel, queue_name) if asked.passive else _create(channel, queue_name, asked, method)
    channel.last_queue = queue.name
    if not asked.nowait:
        channel.reply(commands.Queue.DeclareOk, queue.name, queue.ready_count, queue.consumer_count)


def _declare_replies(channel: Channel, queue_name: str, asked: commands.Queue.Declare) -> None:
    """Say whether somebody waits for replies under this name; nothing is created, whatever is asked for."""
    if not channel.session.broker.replies.exists(queue_name):
        raise NotFound(f"no {queue_text(queue_name, channel.vhost.name)}")
    channel.last_queue = queue_name
    if not asked.nowait:
        channel.reply(commands.Queue.DeclareOk, queue_name, 0, 1)


def _find(channel: Channel, queue_name: str) -> Queue:
    return channel.vhost.check_queue(channel.session.actor, queue_name)


def _create(channel: Channel, queue_name: str, asked: commands.Queue.Declare, method: Method) -> Queue:
    return channel.vhost.declare_queue(
        channel.session.actor,
        queue_name,
        durable=asked.durable,
        exclusive=asked.exclusive,
        auto_delete=asked.auto_delete,
        arguments=method.arguments,
    )


def bind(channel: Channel, method: Method) -> None:
    """Bind a queue to an exchange."""
    asked = fields(method, commands.Queue.Bind)
    queue_name, key = _queue_and_key(channel, name(asked.queue), asked.routing_key)

    def answer() -> None:
        if not asked.nowait:
            channel.reply(commands.Queue.BindOk)

    actor = channel.session.actor
    channel.vhost.bind_queue(actor, queue_name, name(asked.exchange), key, method.arguments, answer)


def unbind(channel: Channel, method: Method) -> None:
    """Remove a binding."""
    asked = fields(method, commands.Queue.Unbind)
    queue_name, key = _queue_and_key(channel, name(asked.queue), asked.routing_key)
    channel.vhost.unbind_queue(channel.session.actor, queue_name, name(asked.exchange), key, method.arguments)
    channel.reply(commands.Queue.UnbindOk)


def _queue_and_key(channel: Channel, queue_name: str, key: str) -> tuple[str, str]:
    """Fill in the last declared queue: where both are empty it is the key too [queue.bind.routing-key]."""
    if queue_name:
        return queue_name, key
    if not channel.last_queue:
        raise NotFound("no previously declared queue")
    return channel.last_queue, key or channel.last_queue


def purge(channel: Channel, method: Method) -> None:
    """Drop the messages that are ready."""
    asked = fields(method, commands.Queue.Purge)
    count = channel.vhost.purge_queue(channel.session.actor, channel.queue_name(asked.queue))
    if not asked.nowait:
        channel.reply(commands.Queue.PurgeOk, count)


def delete(channel: Channel, method: Method) -> None:
    """Delete a queue, and tell its consumers; the one who asked hears the answer first."""
    asked = fields(method, commands.Queue.Delete)
    count, consumers = channel.vhost.delete_queue(
        channel.session.actor,
        channel.queue_name(name(asked.queue)),
        if_unused=asked.if_unused,
        if_empty=asked.if_empty,
    )
    if not asked.nowait:
        channel.reply(commands.Queue.DeleteOk, count)
    for consumer in consumers:
        consumer.cancelled()


HANDLERS: Final = {
    commands.Queue.Declare.index: declare,
    commands.Queue.Bind.index: bind,
    commands.Queue.Unbind.index: unbind,
    commands.Queue.Purge.index: purge,
    commands.Queue.Delete.index: delete,
}
