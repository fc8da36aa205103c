"""basic.publish, remembered: its payload is the key, what it means and where it leads is the value.

The memo makes the fast path: one look-up replaces decoding, permission, existence and routing. It is the memo of the
slow path, not a second one: a miss decodes and resolves with the very code that a hit remembers the result of.
"""

from __future__ import annotations

from amqpy_broker.core.access import Actor
from amqpy_broker.core.direct_replies import REPLY_PREFIX
from amqpy_broker.core.errors import NotImplementedByBroker
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.names import DEFAULT_EXCHANGE
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.protocols.amqp091.codec import short_string
from amqpy_broker.protocols.amqp091.frames import END_OCTET

# No vhost has this generation.
_NEVER = -1


class Publish:
    """A decoded basic.publish with its route, which is good as long as the vhost's generation stays."""

    __slots__ = (
        "address",
        "aside",
        "copies",
        "exchange",
        "exchange_name",
        "generation",
        "immediate",
        "mandatory",
        "may_fail",
        "queues",
        "replies",
        "routing_key",
        "target",
    )

    def __init__(
        self,
        exchange_name: str,
        routing_key: str,
        *,
        mandatory: bool,
        immediate: bool,
        copies: tuple[str, ...] = (),
    ) -> None:
        self.exchange_name = exchange_name
        self.routing_key = routing_key
        self.mandatory = mandatory
        self.immediate = immediate
        # How basic.deliver ends: exchange, routing key, end of frame.
        self.address = short_string(exchange_name) + short_string(routing_key) + END_OCTET
        self.exchange: Exchange | None = None
        # More routing keys, from the headers CC and BCC.
        self.copies = copies
        # The names of requesters among the routing keys: what is published to the default exchange reaches them too.
        self.replies: tuple[str, ...] = ()
        if exchange_name == DEFAULT_EXCHANGE:
            self.replies = tuple(key for key in (routing_key, *copies) if key.startswith(REPLY_PREFIX))
        # Whether it concerns others than queues, too: requesters, the firehose, a witness.
        self.aside = bool(self.replies)
        # None: more than the routing key decides, so each message is routed by itself.
        self.queues: tuple[Queue, ...] | None = None
        # The first queue that the last message went to, for who counts what is published where.
        self.target: Queue | None = None
        # Whether a message with this publish may be returned, or refused by a queue.
        self.may_fail = True
        # The vhost's generation that the route is good for.
        self.generation = _NEVER

    def resolve(self, vhost: VirtualHost, actor: Actor) -> Exchange:
        """Find the exchange, check permission, and remember the route if it is the same for every message.

        Raises:
            AmqpError: the exchange is missing, internal, or not for this user; or `immediate` is asked for.
        """
        if self.immediate:
            raise NotImplementedByBroker("immediate=true")
        exchange = self.exchange = vhost.exchange_for_publish(actor, self.exchange_name)
        routed = vhost.route(exchange, self.routing_key)
        self.aside = bool(self.replies) or vhost.firehose is not None or vhost.witness is not None
        self.queues = routed.queues if routed.for_any_message and not self.copies and not self.aside else None
        self.target = routed.queues[0] if routed.queues else None
        self.may_fail = (self.mandatory and not routed.queues) or any(
            queue.settings.may_reject for queue in routed.queues
        )
        self.generation = vhost.generation
        return exchange

    def copied_to(self, copies: tuple[str, ...]) -> Publish:
        """Return what is left to do for a message that goes to more routing keys: finding its queues."""
        copied = Publish(
            self.exchange_name, self.routing_key, mandatory=self.mandatory, immediate=self.immediate, copies=copies
        )
        copied.exchange, copied.generation = self.exchange, self.generation
        copied.aside |= self.aside
        return copied
