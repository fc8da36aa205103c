"""Messages that can be lost between the publisher and a queue."""

from __future__ import annotations

from typing import ClassVar, Final

from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.testing.conversation.events import Said
from amqpy_broker.testing.strict.rules.base import Rule
from amqpy_broker.testing.strict.talk import Talk, is_persistent

# Exchanges that tell whoever listens: that nobody does is as it may be, unless the message should survive.
_MAY_HAVE_NO_LISTENER: Final = frozenset(("fanout", "topic"))
# Exchanges that keep messages for a while; they are routed later.
_KEEPS: Final = frozenset(("x-delayed-message",))
# Replies go to queues that the broker has named.
_OWN_NAMES: Final = "amq."


class UnroutableDropped(Rule):
    """A message that no queue got, and the publisher does not know."""

    name: ClassVar[str] = "unroutable-dropped"
    fix: ClassVar[str] = (
        "declare and bind the queue before publishing; publish with mandatory=True and handle what is returned;"
        " or give the exchange an alternate exchange"
    )

    def published(self, talk: Talk, channel: int, message: Message, queues: tuple[Queue, ...], mandatory: bool) -> None:
        """Look for messages that went nowhere."""
        if queues or mandatory:
            return
        vhost = self.surroundings.find_vhost(talk)
        exchange = vhost.exchanges.get(message.exchange) if vhost is not None else None
        if exchange is None or exchange.type in _KEEPS or _may_be_unheard(exchange.type, message):
            return
        name = f"exchange '{message.exchange}'" if message.exchange else "the default exchange"
        self.report(
            talk, channel, f"a message to {name} with routing key '{message.routing_key}' reached no queue and is lost"
        )


def _may_be_unheard(exchange_type: str, message: Message) -> bool:
    """Whether a message tells whoever listens, or answers somebody who may have gone."""
    if message.persistent:
        return False
    if message.exchange:
        return exchange_type in _MAY_HAVE_NO_LISTENER
    return message.correlation_id is not None or message.routing_key.startswith(_OWN_NAMES)


class PersistentWithoutConfirms(Rule):
    """A persistent message that nobody confirms."""

    name: ClassVar[str] = "publish-without-confirms"
    fix: ClassVar[str] = (
        "switch publisher confirms on (pika: channel.confirm_delivery(); aio-pika does by default;"
        ' Celery: broker_transport_options={"confirm_publish": True}), or send the message as transient'
    )

    def client_said(self, talk: Talk, said: Said) -> None:
        """Look at publishes."""
        if said.name != "basic.publish" or not is_persistent(said.content):
            return
        channel = talk.channel(said.channel)
        if not channel.confirms and not channel.in_transactions:
            self.report(
                talk,
                said.channel,
                "persistent messages are published, but the publisher does not learn whether they arrived",
            )
