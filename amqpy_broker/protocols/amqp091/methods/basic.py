"""The class `basic`, but for publish and ack, which the connection takes on its fast path."""

from typing import Final

from pamqp import commands

from amqpy_broker.core.arguments import INTEGER_KINDS, Arguments
from amqpy_broker.core.direct_replies import REPLY_TO
from amqpy_broker.core.erlang_terms import Atom, format_p
from amqpy_broker.core.errors import NotAllowed, NotImplementedByBroker, PreconditionFailed
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.queues.browse import BROWSE, browses
from amqpy_broker.protocols.amqp091 import announcements
from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.codec import Method
from amqpy_broker.protocols.amqp091.content import FramedMessage
from amqpy_broker.protocols.amqp091.deliveries import Fate
from amqpy_broker.protocols.amqp091.direct_reply_to import ReplyConsumer
from amqpy_broker.protocols.amqp091.methods.fields import fields, name
from amqpy_broker.protocols.amqp091.publishes import Publish

# What only stream queues know.
_STREAM_ARGUMENTS: Final = ("x-stream-offset",)


def qos(channel: Channel, method: Method) -> None:
    """Set what later consumers may have unacknowledged, or with `global` what all together may.

    RabbitMQ reads `global` in its own way: https://www.rabbitmq.com/docs/consumer-prefetch.
    """
    asked = fields(method, commands.Basic.Qos)
    if asked.prefetch_size:
        raise NotImplementedByBroker(f"prefetch_size!=0 ({asked.prefetch_size})")
    deliveries = channel.deliveries
    # 4.3 takes one for the whole channel for one of each consumer.
    if asked.global_ and not channel.session.broker.profile.denies_global_prefetch:
        deliveries.global_prefetch_count = asked.prefetch_count
    else:
        deliveries.prefetch_count = asked.prefetch_count
    channel.reply(commands.Basic.QosOk)
    if deliveries.full:
        deliveries.pause_all_but(None)
    deliveries.resume_all()


def consume(channel: Channel, method: Method) -> None:
    """Add a consumer: first the answer, then what the queue has."""
    asked = fields(method, commands.Basic.Consume)
    deliveries = channel.deliveries
    queue_name = channel.queue_name(asked.queue)
    tag = asked.consumer_tag
    if tag in deliveries.consumers:
        raise NotAllowed(f"attempt to reuse consumer tag '{tag}'")
    channel.session.broker.limits.check_consumers(len(deliveries.consumers))
    if queue_name == REPLY_TO:
        _consume_replies(channel, asked)
        return
    channel.session.actor.check_queue("read", queue_name)
    queue = channel.vhost.find_queue(queue_name, channel.session.actor)
    queue.check_consume(global_prefetch=deliveries.global_prefetch_count > 0)
    _check_arguments(method.arguments, queue, channel.session.broker.profile)
    _check_browsing(method.arguments, queue, no_ack=bool(asked.no_ack))
    tag = tag or channel.session.broker.names.unique("amq.ctag-")
    consumer = deliveries.kind_of_consumer(
        deliveries, tag, queue, no_ack=asked.no_ack, exclusive=asked.exclusive, arguments=method.arguments
    )
    queue.add_consumer(consumer)
    deliveries.add_consumer(consumer)
    channel.session.watch(consumer)
    if not asked.nowait:
        channel.reply(commands.Basic.ConsumeOk, tag)
    if channel.session.broker.events.wanted:
        announcements.tell_consumer_created(channel.session.broker.events, channel, consumer)
    consumer.resume_if_waiting()


def _check_arguments(arguments: Arguments, queue: Queue, profile: Profile) -> None:
    priority = arguments.get("x-priority")
    if priority is not None and priority.kind not in INTEGER_KINDS:
        raise _invalid("x-priority", queue, format_p(f"expected integer, got {priority.kind}"))
    failover = arguments.get("x-cancel-on-ha-failover")
    if failover is not None and profile.knows_mirrored_queues and failover.kind != "bool":
        raise _invalid("x-cancel-on-ha-failover", queue, format_p((Atom("unacceptable_type"), Atom(failover.kind))))
    for argument in _STREAM_ARGUMENTS:
        if argument in arguments:
            raise PreconditionFailed(f"invalid arg '{argument}' for {queue} of queue type rabbit_{queue.type}_queue")


def _check_browsing(arguments: Arguments, queue: Queue, *, no_ack: bool) -> None:
    asked = arguments.get(BROWSE)
    if asked is not None and asked.kind != "bool":
        raise _invalid(BROWSE, queue, format_p((Atom("unacceptable_type"), Atom(asked.kind))))
    if browses(arguments) and not no_ack:
        raise _invalid(BROWSE, queue, "a consumer that browses has nothing to acknowledge: no_ack is needed")


def _invalid(name: str, queue: Queue, reason: str) -> PreconditionFailed:
    return PreconditionFailed(f"invalid arg '{name}' for {queue}: {reason}")


def _consume_replies(channel: Channel, asked: commands.Basic.Consume) -> None:
    """Take replies to this channel's requests (https://www.rabbitmq.com/docs/direct-reply-to)."""
    if not asked.no_ack:
        raise PreconditionFailed("reply consumer cannot acknowledge")
    if channel.reply_consumer is not None:
        raise PreconditionFailed("reply consumer already set")
    tag = asked.consumer_tag or channel.session.broker.names.unique("amq.ctag-")
    channel.reply_consumer = ReplyConsumer(channel.session.broker.replies, channel.deliveries, tag)
    if not asked.nowait:
        channel.reply(commands.Basic.ConsumeOk, tag)


def cancel(channel: Channel, method: Method) -> None:
    """Remove a consumer; a tag that nobody has is fine, as in RabbitMQ."""
    asked = fields(method, commands.Basic.Cancel)
    tag = asked.consumer_tag or ""
    consumer = None
    if channel.reply_consumer is not None and channel.reply_consumer.tag == tag:
        # It goes first: a consumer of a queue may have the same tag.
        channel.remove_reply_consumer()
    else:
        consumer = channel.deliveries.remove_consumer(tag)
    if not asked.nowait:
        channel.reply(commands.Basic.CancelOk, tag)
    if consumer is not None:
        if channel.session.broker.events.wanted:
            announcements.tell_consumer_deleted(channel.session.broker.events, channel, consumer)
        channel.vhost.consumer_gone(consumer.queue)


def get(channel: Channel, method: Method) -> None:
    """Hand out one message, if there is one."""
    asked = fields(method, commands.Basic.Get)
    queue_name = channel.queue_name(asked.queue)
    channel.session.actor.check_queue("read", queue_name)
    queue = channel.vhost.find_queue(queue_name, channel.session.actor)
    queue.check_get()
    queued = queue.get()
    if queued is None:
        channel.reply(commands.Basic.GetEmpty, "")
        return
    tag = channel.deliveries.hand_out(None if asked.no_ack else queued)
    message, redelivered = queued.message, queued.redelivered
    if asked.no_ack:
        queue.settle(queued)
    assert isinstance(message, FramedMessage)
    if channel.deliveries.tap is not None:
        kept = None if asked.no_ack else queued
        channel.deliveries.tap(message, queue, redelivered=redelivered, queued=kept, consumer=None)
    channel.reply(commands.Basic.GetOk, tag, redelivered, message.exchange, message.routing_key, queue.ready_count)
    channel.session.output.write(message.frames_for(channel.number, channel.session.payload_max))


def publish(channel: Channel, method: Method) -> Publish:
    """Read a publish; its content comes in the frames that follow."""
    asked = fields(method, commands.Basic.Publish)
    return Publish(name(asked.exchange), asked.routing_key, mandatory=asked.mandatory, immediate=asked.immediate)


def ack(channel: Channel, method: Method) -> None:
    """Settle one delivery, or all up to one."""
    asked = fields(method, commands.Basic.Ack)
    channel.settle(asked.delivery_tag or 0, multiple=asked.multiple)


def nack(channel: Channel, method: Method) -> None:
    """Return or drop one delivery, or all up to one (https://www.rabbitmq.com/docs/nack)."""
    asked = fields(method, commands.Basic.Nack)
    # Who gives back has not failed, says RabbitMQ from 4.3 on; who rejects has.
    fate = Fate.RELEASE if asked.requeue else Fate.DISCARD
    channel.settle(asked.delivery_tag or 0, multiple=asked.multiple, fate=fate)


def reject(channel: Channel, method: Method) -> None:
    """Return or drop one delivery."""
    asked = fields(method, commands.Basic.Reject)
    fate = Fate.REQUEUE if asked.requeue else Fate.DISCARD
    channel.settle(asked.delivery_tag or 0, multiple=False, fate=fate)


def recover(channel: Channel, method: Method) -> None:
    """Return everything unacknowledged to its queues: first the answer, then what comes again."""
    _check_requeue(fields(method, commands.Basic.Recover).requeue)
    channel.reply(commands.Basic.RecoverOk)
    channel.deliveries.requeue_all()


def recover_async(channel: Channel, method: Method) -> None:
    """Do the same without an answer."""
    _check_requeue(fields(method, commands.Basic.RecoverAsync).requeue)
    channel.deliveries.requeue_all()


def _check_requeue(requeue: bool) -> None:
    if not requeue:
        raise NotImplementedByBroker("requeue=false")


HANDLERS: Final = {
    commands.Basic.Qos.index: qos,
    commands.Basic.Consume.index: consume,
    commands.Basic.Cancel.index: cancel,
    commands.Basic.Get.index: get,
    commands.Basic.Ack.index: ack,
    commands.Basic.Nack.index: nack,
    commands.Basic.Reject.index: reject,
    commands.Basic.Recover.index: recover,
    commands.Basic.RecoverAsync.index: recover_async,
}
