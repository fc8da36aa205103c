"""Acting straight from the test: declare, bind, publish, take and purge without a client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from amqpy_broker.core.access import Actor
from amqpy_broker.core.direct_replies import REPLY_PREFIX
from amqpy_broker.core.errors import AmqpError
from amqpy_broker.core.firehose import Source
from amqpy_broker.core.names import DEFAULT_EXCHANGE
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.users import Permissions, User
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.protocols.amqp091.admission import admit
from amqpy_broker.protocols.amqp091.content import FramedMessage
from amqpy_broker.testing.arranging.composing import compose, typed
from amqpy_broker.testing.errors import Misuse, NoMessage, Unroutable
from amqpy_broker.testing.history.records import THE_TEST
from amqpy_broker.testing.in_broker import in_broker
from amqpy_broker.testing.in_vhost import InVhost
from amqpy_broker.testing.looking.explanation import explain
from amqpy_broker.testing.looking.messages import Message

T = TypeVar("T")

_SOURCE = Source(THE_TEST, 0, "")


class Arrangement(InVhost):
    """What a test does to the broker itself."""

    # --- topology ---------------------------------------------------------------------------------------------------

    @in_broker
    def declare_queue(
        self,
        name: str = "",
        *,
        durable: bool = True,
        auto_delete: bool = False,
        arguments: Mapping[str, object] | None = None,
        vhost: str | None = None,
    ) -> str:
        """Declare a queue, and return its name, which the broker makes up for an empty one.

        Raises:
            Misuse: the broker refuses; the text is RabbitMQ's.
        """
        there, table = self._find_vhost(vhost), typed(arguments)
        queue = self._do(
            lambda: there.declare_queue(
                _actor(there), name, durable=durable, exclusive=False, auto_delete=auto_delete, arguments=table
            )
        )
        return queue.name

    @in_broker
    def declare_exchange(
        self,
        name: str,
        exchange_type: str = "direct",
        *,
        durable: bool = True,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Mapping[str, object] | None = None,
        vhost: str | None = None,
    ) -> str:
        """Declare an exchange, and return its name.

        Raises:
            Misuse: the broker refuses; the text is RabbitMQ's.
        """
        there, table = self._find_vhost(vhost), typed(arguments)
        self._do(
            lambda: there.declare_exchange(
                _actor(there),
                name,
                exchange_type,
                durable=durable,
                auto_delete=auto_delete,
                internal=internal,
                arguments=table,
            )
        )
        return name

    @in_broker
    def bind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        arguments: Mapping[str, object] | None = None,
        *,
        vhost: str | None = None,
    ) -> None:
        """Bind a queue to an exchange.

        Raises:
            NoSuchThing: the queue or the exchange is not there.
            Misuse: the broker refuses; the text is RabbitMQ's.
        """
        there, table = self._find_vhost(vhost), typed(arguments)
        self._find_queue(queue, vhost)
        self._find_exchange(exchange, vhost)
        self._do(lambda: there.bind_queue(_actor(there), queue, exchange, routing_key, table))

    @in_broker
    def bind_exchange(
        self,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Mapping[str, object] | None = None,
        *,
        vhost: str | None = None,
    ) -> None:
        """Bind an exchange to another, from which it gets messages.

        Raises:
            NoSuchThing: one of them is not there.
            Misuse: the broker refuses; the text is RabbitMQ's.
        """
        there, table = self._find_vhost(vhost), typed(arguments)
        for name in (destination, source):
            self._find_exchange(name, vhost)
        self._do(lambda: there.bind_exchange(_actor(there), destination, source, routing_key, table))

    @in_broker
    def purge(self, queue: str, *, vhost: str | None = None) -> int:
        """Drop the messages that are ready in a queue, and say how many there were.

        Raises:
            NoSuchThing: there is no such queue.
        """
        return self._find_queue(queue, vhost).purge()

    # --- messages ---------------------------------------------------------------------------------------------------

    @in_broker
    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: object = b"",
        *,
        headers: Mapping[str, object] | None = None,
        properties: Mapping[str, object] | None = None,
        mandatory: bool = False,
        vhost: str | None = None,
    ) -> tuple[str, ...]:
        """Publish a message, as a client would, and return the names of the queues that it was routed to.

        Args:
            exchange: where to; `""` is the default exchange.
            routing_key: with which routing key.
            body: octets as they are, text as UTF-8, anything else as JSON.
            headers: the header table.
            properties: the other properties by name, as in `Properties`.
            mandatory: fail if it reaches no queue.
            vhost: where.

        Raises:
            NoSuchThing: there is no such exchange.
            Unroutable: it is mandatory, and reaches no queue; the text explains why.
            Misuse: there can be no such message, or the broker refuses it.
        """
        __tracebackhide__ = True
        there = self._find_vhost(vhost)
        self._find_exchange(exchange, vhost)
        message = compose(exchange, routing_key, body, headers, properties or {}, mandatory=mandatory)
        queues = self._do(lambda: self._publish(there, message, mandatory=mandatory))
        if mandatory and not queues:
            keys = (message.routing_key, *message.copies)
            raise Unroutable(str(explain(there, there.exchanges[exchange], keys, message.headers)))
        return tuple(queue.name for queue in queues)

    @in_broker
    def take(self, queue: str, *, vhost: str | None = None) -> Message:
        """Take the first message that is ready out of a queue: it is delivered to the test, and acknowledged.

        Raises:
            NoMessage: there is none; the text says what the queue has.
            NoSuchThing: there is no such queue.
        """
        __tracebackhide__ = True
        message = self._take(queue, vhost)
        if message is None:
            there = self._find_queue(queue, vhost)
            raise NoMessage(
                f"queue {queue!r} has no message to take: {there.ready_count} ready, {there.unacked_count} unacked,"
                f" {there.consumer_count} consumers"
            )
        return message

    @in_broker
    def take_all(self, queue: str, *, vhost: str | None = None) -> list[Message]:
        """Take all messages that are ready out of a queue, the first one first; perhaps there are none.

        Raises:
            NoSuchThing: there is no such queue.
        """
        taken = []
        for _ in range(self._find_queue(queue, vhost).ready_count):
            message = self._take(queue, vhost)
            if message is not None:
                taken.append(message)
        return taken

    # --- steps ------------------------------------------------------------------------------------------------------

    def _publish(self, vhost: VirtualHost, message: FramedMessage, *, mandatory: bool) -> tuple[Queue, ...]:
        core = self.inside().core
        user = (message.header.user_id or b"").decode("utf-8", "replace")
        exchange = vhost.exchange_for_publish(_actor(vhost), message.exchange)
        message = admit(message, core.profile, user, None)
        queues = vhost.route_message(exchange, message)
        if vhost.witness is not None:
            vhost.witness.published(message, queues, _SOURCE, mandatory=mandatory)
        if vhost.firehose is not None:
            vhost.firehose.published(message, [queue.name for queue in queues], _SOURCE)
        if message.exchange == DEFAULT_EXCHANGE and message.routing_key.startswith(REPLY_PREFIX):
            core.replies.deliver((message.routing_key,), message)
        for queue in queues:
            queue.enqueue(message)
        return queues

    def _take(self, name: str, vhost: str | None) -> Message | None:
        queue, there = self._find_queue(name, vhost), self._find_vhost(vhost)
        queued = queue.get()
        if queued is None:
            return None
        message, redelivered = queued.message, queued.redelivered
        if there.witness is not None:
            there.witness.delivered(message, queue, _SOURCE, redelivered=redelivered, queued=queued, consumer=None)
        queue.settle(queued)
        return Message(message, redelivered=redelivered)

    def _do(self, action: Callable[[], T]) -> T:
        """Act, and tell what the broker refuses."""
        __tracebackhide__ = True
        try:
            return action()
        except AmqpError as refusal:
            raise Misuse(f"{refusal.code} {refusal.reply_text}") from None


def _actor(vhost: VirtualHost) -> Actor:
    """Return somebody who may do everything there."""
    return Actor(User(THE_TEST, permissions={vhost.name: Permissions()}), vhost.name, None)
