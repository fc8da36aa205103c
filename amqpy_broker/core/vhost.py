"""A virtual host: its exchanges, queues and bindings, and what clients may do with them.

Every method that a client can cause takes the `Actor` who does it, checks permission first, then existence, then the
rest, in RabbitMQ's order: the first refusal is the one that the client sees.

What it is built on stands in `topology.py`, what there is, and in `traffic.py`, the messages on their way.
"""

from collections.abc import Callable, Sequence
from typing import Final

from amqpy_broker.core.access import Actor
from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.direct_replies import REPLY_TO
from amqpy_broker.core.documents import Documents
from amqpy_broker.core.equivalence import check_same_exchange, check_same_queue
from amqpy_broker.core.errors import AccessRefused, InternalError, NotFound, PreconditionFailed, ResourceLocked
from amqpy_broker.core.events import Events
from amqpy_broker.core.exchanges.base import ALTERNATE_EXCHANGE, Exchange
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.message import Message
from amqpy_broker.core.names import (
    DEFAULT_EXCHANGE,
    RESERVED_PREFIX,
    NameSource,
    exchange_text,
    queue_text,
    refuse_reserved,
)
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.arguments import check_dead_letter_exchange, stored_arguments
from amqpy_broker.core.queues.base import Consumer, Queue
from amqpy_broker.core.queues.types import NEEDS_A_NAME
from amqpy_broker.core.queues.window import Window
from amqpy_broker.core.quotas import VhostLimits
from amqpy_broker.core.timers import Timers
from amqpy_broker.core.topology import Topology


def _say_nothing() -> None:
    """Nobody waits for an answer."""


# What 4.3 says of it, cut at 255 octets as RabbitMQ cuts it.
TRANSIENT_QUEUES_DENIED: Final = (
    "Feature `transient_nonexcl_queues` is deprecated.\n"
    "By default, this feature is not permitted anymore.\n"
    "The feature will be removed from a future major RabbitMQ version, regardless of the configuration; actual version"
    " to be determined.\n"
    "To continue using this feature when it is not permitted by default, set the following parameter in your"
    " configuration:\n"
    "    `deprecated_features.permit.transient_nonexcl_queues = true`"
)


class VirtualHost(Topology):
    """A name space of exchanges and queues."""

    def __init__(
        self,
        name: str,
        profile: Profile,
        names: NameSource,
        timers: Timers,
        events: Events | None = None,
        documents: Documents | None = None,
        window: Window | None = None,
        limits: VhostLimits | None = None,
    ) -> None:
        super().__init__(name, profile, names, timers, events or Events(), documents or Documents(), window or Window())
        self._names = names
        # How much of it there may be, and who is connected.
        self.limits = limits or VhostLimits()
        self.connections_count = 0

    # --- look-ups ---------------------------------------------------------------------------------------------------

    def find_exchange(self, name: str) -> Exchange:
        """Find an exchange, or raise NotFound."""
        exchange = self._exchanges.get(name)
        if exchange is None:
            raise NotFound(f"no {exchange_text(name, self.name)}")
        return exchange

    def find_queue(self, name: str, actor: Actor) -> Queue:
        """Find a queue that is not locked by another connection.

        Raises:
            NotFound: there is none.
            ResourceLocked: it is exclusive to somebody else.
        """
        queue = self._queues.get(name)
        if queue is None:
            raise NotFound(f"no {queue_text(name, self.name)}")
        if queue.owner is not None and queue.owner is not actor.owner:
            raise locked(queue)
        return queue

    # --- exchanges --------------------------------------------------------------------------------------------------

    def declare_exchange(
        self,
        actor: Actor,
        name: str,
        exchange_type: str,
        *,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        arguments: Arguments,
    ) -> None:
        """Create an exchange, or find that it is there and the same [exchange.declare]."""
        self.exchange_type(exchange_type)
        refuse_default_exchange(name)
        actor.check_exchange("configure", name)
        existing = self._exchanges.get(name)
        if existing is None:
            refuse_reserved("exchange", name)
            self.limits.check_exchanges(len(self._exchanges), name, self.name)
            self._check_alternate(actor, name, arguments)
            self.create_exchange(
                name,
                exchange_type,
                durable=durable,
                auto_delete=auto_delete,
                internal=internal,
                arguments=arguments,
                by=actor.user.name,
            )
            return
        check_same_exchange(existing, exchange_type, durable, auto_delete, internal, arguments)

    def check_exchange(self, actor: Actor, name: str) -> None:
        """Find that an exchange is there [exchange.declare.passive]."""
        refuse_default_exchange(name)
        if self.profile.passive_declare_needs_any_permission:
            actor.check_any(exchange_text(name, self.name), name)
        self.find_exchange(name)

    def delete_exchange(self, actor: Actor, name: str, *, if_unused: bool) -> None:
        """Delete an exchange; one that is not there is fine, as in RabbitMQ."""
        refuse_default_exchange(name)
        if name.startswith(RESERVED_PREFIX):
            raise AccessRefused(f"deletion of system {exchange_text(name, self.name)} not allowed")
        actor.check_exchange("configure", name)
        exchange = self._exchanges.get(name)
        if exchange is None:
            return
        if if_unused and exchange.in_use:
            raise PreconditionFailed(f"{exchange} in use")
        self.drop_exchange(exchange, actor.user.name)

    # --- queues -----------------------------------------------------------------------------------------------------

    def declare_queue(
        self,
        actor: Actor,
        name: str,
        *,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        arguments: Arguments,
    ) -> Queue:
        """Create a queue, or find that it is there and the same; an empty name asks for a new one [queue.declare]."""
        if name:
            # Even if there is such a queue: nobody declares a server-named one again [queue.declare.queue:reserved].
            refuse_reserved("queue", name)
        else:
            name = self._names.unique("amq.gen-")
            wanted = arguments.get("x-queue-type")
            if wanted is not None and wanted.value in NEEDS_A_NAME:
                raise PreconditionFailed(f"Cannot declare a server-named queue for type rabbit_{wanted.value!s}_queue")
        # What ends with its connection does not outlive the broker, and RabbitMQ says so.
        durable = durable and not exclusive
        resource = queue_text(name, self.name)
        actor.check_queue("configure", name)
        existing = self._queues.get(name)
        owner = actor.owner if exclusive else None
        if existing is not None:
            if existing.owner is not owner:
                raise locked(existing)
            check_same_queue(existing, durable, auto_delete, stored_arguments(arguments, self.profile))
            existing.used()
            return existing
        self.limits.check_queues(len(self._queues), name, self.name)
        if self.profile.denies_transient_queues and not durable and owner is None:
            raise InternalError(TRANSIENT_QUEUES_DENIED)
        check_dead_letter_exchange(arguments, resource)
        return self.create_queue(
            name, durable=durable, auto_delete=auto_delete, owner=owner, arguments=arguments, by=actor.user.name
        )

    def check_queue(self, actor: Actor, name: str) -> Queue:
        """Find that a queue is there [queue.declare.passive]; that counts as use."""
        if self.profile.passive_declare_needs_any_permission:
            actor.check_any(queue_text(name, self.name), name)
        queue = self.find_queue(name, actor)
        queue.used()
        return queue

    def delete_queue(self, actor: Actor, name: str, *, if_unused: bool, if_empty: bool) -> tuple[int, list[Consumer]]:
        """Delete a queue: say how many messages were ready, and whom it cancelled. One that is not there is fine."""
        actor.check_queue("configure", name)
        if name not in self._queues:
            return 0, []
        queue = self.find_queue(name, actor)
        queue.check_delete(if_unused=if_unused, if_empty=if_empty)
        if if_empty and queue.ready_count:
            raise PreconditionFailed(f"{queue} not empty")
        if if_unused and queue.consumer_count:
            raise PreconditionFailed(f"{queue} in use")
        count = queue.ready_count
        return count, self.drop_queue(queue, actor.user.name)

    def purge_queue(self, actor: Actor, name: str) -> int:
        """Drop the messages that are ready."""
        actor.check_queue("read", name)
        return self.find_queue(name, actor).purge()

    # --- bindings ---------------------------------------------------------------------------------------------------

    def bind_queue(
        self,
        actor: Actor,
        queue_name: str,
        exchange_name: str,
        key: str,
        arguments: Arguments,
        answer: Callable[[], None] = _say_nothing,
    ) -> None:
        """Bind a queue; doing it twice is fine [queue.bind.queue:duplicates].

        `answer` is called when it is bound, before any messages that the binding brings.
        """
        self._check_queue_binding(actor, queue_name, exchange_name)
        source = self.find_exchange(exchange_name)
        # What is wrong with the arguments is said before anything about locks.
        if queue_name in self._queues:
            source.check_binding(Binding(exchange_name, self._queues[queue_name], key, arguments))
        self._bind(Binding(source.name, self.find_queue(queue_name, actor), key, arguments), actor, answer)

    def unbind_queue(self, actor: Actor, queue_name: str, exchange_name: str, key: str, arguments: Arguments) -> None:
        """Remove a binding; if it is not there, nor its queue, nor its exchange, that is fine, as in RabbitMQ."""
        self._check_queue_binding(actor, queue_name, exchange_name)
        binding = self.bindings.find(exchange_name, self._queues.get(queue_name), key, arguments)
        if binding is not None:
            self.find_queue(queue_name, actor)
            self.drop_binding(binding, actor.user.name)

    def bind_exchange(
        self,
        actor: Actor,
        to: str,
        source: str,
        key: str,
        arguments: Arguments,
        answer: Callable[[], None] = _say_nothing,
    ) -> None:
        """Bind an exchange to another (https://www.rabbitmq.com/docs/e2e); `answer` as for a queue."""
        self._check_exchange_binding(actor, to, source)
        self._bind(Binding(self.find_exchange(source).name, self.find_exchange(to), key, arguments), actor, answer)

    def unbind_exchange(self, actor: Actor, to: str, source: str, key: str, arguments: Arguments) -> None:
        """Remove a binding between exchanges; one that is not there is fine."""
        self._check_exchange_binding(actor, to, source)
        binding = self.bindings.find(source, self._exchanges.get(to), key, arguments)
        if binding is not None:
            self.drop_binding(binding, actor.user.name)

    # --- routing ----------------------------------------------------------------------------------------------------

    def exchange_for_publish(self, actor: Actor, name: str) -> Exchange:
        """Find the exchange that a publish names, if the actor may write to it.

        Raises:
            AccessRefused: no write permission, or an internal exchange.
            NotFound: there is none.
        """
        actor.check_exchange("write", name)
        exchange = self.find_exchange(name)
        if exchange.internal:
            raise AccessRefused(f"cannot publish to internal {exchange}")
        return exchange

    # --- steps ------------------------------------------------------------------------------------------------------

    def _check_alternate(self, actor: Actor, name: str, arguments: Arguments) -> None:
        argument = arguments.get(ALTERNATE_EXCHANGE)
        if argument is None:
            return
        if argument.kind != "longstr":
            raise PreconditionFailed(
                f"invalid type '{argument.kind}' for arg '{ALTERNATE_EXCHANGE}' in {exchange_text(name, self.name)}"
            )
        actor.check_exchange("read", name)
        actor.check_exchange("write", str(argument.value))

    def _check_queue_binding(self, actor: Actor, queue_name: str, exchange_name: str) -> None:
        actor.check_queue("write", queue_name)
        refuse_default_exchange(exchange_name)
        if self.profile.reply_to_is_a_queue and queue_name.startswith(REPLY_TO):
            raise AccessRefused("cannot bind or unbind to a volatile (direct reply-to) queue")
        actor.check_exchange("read", exchange_name)

    def _check_exchange_binding(self, actor: Actor, to: str, source: str) -> None:
        actor.check_exchange("write", to)
        refuse_default_exchange(to)
        refuse_default_exchange(source)
        actor.check_exchange("read", source)

    def _bind(self, binding: Binding, actor: Actor, answer: Callable[[], None]) -> None:
        source = self._exchanges[binding.source]
        source.check_binding(binding)
        brought: Sequence[tuple[Message, Sequence[Queue]]] = ()
        if source.find_binding(binding.destination, binding.key, binding.arguments) is None:
            self.limits.check_bindings(self.bindings.count, source.name, self.name)
            brought = source.brought_by(binding)
            self.create_binding(binding, by=actor.user.name)
        answer()
        for message, queues in brought:
            for queue in queues:
                queue.enqueue(message)


def locked(queue: Queue) -> ResourceLocked:
    """RabbitMQ's refusal of everything that touches somebody else's exclusive queue."""
    return ResourceLocked(
        f"cannot obtain exclusive access to locked {queue}. It could be originally declared on another connection or"
        " the exclusive property value does not match that of the original declaration."
    )


def refuse_default_exchange(name: str) -> None:
    """Refuse what nobody may do with the default exchange."""
    if name == DEFAULT_EXCHANGE:
        raise AccessRefused("operation not permitted on the default exchange")
