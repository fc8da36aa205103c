"""The class `exchange`."""

from typing import Final

from pamqp import commands

from amqpy_broker.protocols.amqp091.channel import Channel
from amqpy_broker.protocols.amqp091.codec import Method
from amqpy_broker.protocols.amqp091.methods.fields import fields, name


def declare(channel: Channel, method: Method) -> None:
    """Create an exchange, or check that it is there."""
    asked = fields(method, commands.Exchange.Declare)
    actor = channel.session.actor
    if asked.passive:
        channel.vhost.check_exchange(actor, name(asked.exchange))
    else:
        channel.vhost.declare_exchange(
            actor,
            name(asked.exchange),
            asked.exchange_type,
            durable=asked.durable,
            auto_delete=asked.auto_delete,
            internal=asked.internal,
            arguments=method.arguments,
        )
    if not asked.nowait:
        channel.reply(commands.Exchange.DeclareOk)


def delete(channel: Channel, method: Method) -> None:
    """Delete an exchange."""
    asked = fields(method, commands.Exchange.Delete)
    channel.vhost.delete_exchange(channel.session.actor, name(asked.exchange), if_unused=asked.if_unused)
    if not asked.nowait:
        channel.reply(commands.Exchange.DeleteOk)


def bind(channel: Channel, method: Method) -> None:
    """Bind an exchange to another."""
    asked = fields(method, commands.Exchange.Bind)

    def answer() -> None:
        if not asked.nowait:
            channel.reply(commands.Exchange.BindOk)

    to, source = name(asked.destination), name(asked.source)
    channel.vhost.bind_exchange(channel.session.actor, to, source, asked.routing_key, method.arguments, answer)


def unbind(channel: Channel, method: Method) -> None:
    """Remove a binding between exchanges."""
    asked = fields(method, commands.Exchange.Unbind)
    channel.vhost.unbind_exchange(
        channel.session.actor, name(asked.destination), name(asked.source), asked.routing_key, method.arguments
    )
    if not asked.nowait:
        channel.reply(commands.Exchange.UnbindOk)


HANDLERS: Final = {
    commands.Exchange.Declare.index: declare,
    commands.Exchange.Delete.index: delete,
    commands.Exchange.Bind.index: bind,
    commands.Exchange.Unbind.index: unbind,
}
