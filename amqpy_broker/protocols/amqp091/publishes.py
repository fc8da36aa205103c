"""basic.publish, remembered: its payload is the key, what it means and where it leads is the value.

The memo makes the fast path: one look-up replaces decoding, permission, existence and routing. It is the memo of the
slow path, not a second one: a miss decodes and resolves with the very code that a hit remembers the result of.
"""

from amqpy_broker.core.access import Actor
from amqpy_broker.core.errors import NotImplementedByBroker
from amqpy_broker.core.exchanges.base import Exchange
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
        "exchange",
        "exchange_name",
        "generation",
        "immediate",
        "mandatory",
        "may_fail",
        "queues",
        "routing_key",
    )

    def __init__(self, exchange_name: str, routing_key: str, *, mandatory: bool, immediate: bool) -> None:
        self.exchange_name = exchange_name
        self.routing_key = routing_key
        self.mandatory = mandatory
        self.immediate = immediate
        # How basic.deliver ends: exchange, routing key, end of frame.
        self.address = short_string(exchange_name) + short_string(routing_key) + END_OCTET
        self.exchange: Exchange | None = None
        # None: more than the routing key decides, so each message is routed by itself.
        self.queues: tuple[Queue, ...] | None = None
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
        self.queues = routed.queues if routed.for_any_message else None
        self.may_fail = (self.mandatory and not routed.queues) or any(
            queue.settings.may_reject for queue in routed.queues
        )
        self.generation = vhost.generation
        return exchange
