"""A virtual host: its exchanges, queues and bindings, and what clients may do with them.

Every method that a client can cause takes the `Actor` who does it, checks permission first, then existence, then the
rest, in RabbitMQ's order: the first refusal is the one that the client sees.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from amqpy_broker.core.access import Actor
from amqpy_broker.core.arguments import NO_ARGUMENTS, Arguments
from amqpy_broker.core.bindings import Bindings
from amqpy_broker.core.burials import Burials, DeadMessage
from amqpy_broker.core.direct_replies import REPLY_TO
from amqpy_broker.core.documents import Documents
from amqpy_broker.core.equivalence import ALTERNATE_EXCHANGE, check_same_exchange, check_same_queue
from amqpy_broker.core.errors import AccessRefused, InternalError, NotFound, PreconditionFailed, ResourceLocked
from amqpy_broker.core.events import INTERNAL, Events
from amqpy_broker.core.exchanges.base import Exchange, ExchangeProperties
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.exchanges.direct import DefaultExchange
from amqpy_broker.core.exchanges.router import Routed, route, route_message
from amqpy_broker.core.exchanges.types import EXCHANGE_TYPES, PREDECLARED, find_exchange_type
from amqpy_broker.core.firehose import TRACE_EXCHANGE, Firehose, Traced
from amqpy_broker.core.message import Message, MessageMaker
from amqpy_broker.core.names import (
    DEFAULT_EXCHANGE,
    RESERVED_PREFIX,
    NameSource,
    exchange_text,
    queue_text,
    refuse_reserved,
)
from amqpy_broker.core.outbox import Outbox
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.arguments import check_dead_letter_exchange, stored_arguments
from amqpy_broker.core.queues.base import Consumer, Queue, Reason
from amqpy_broker.core.queues.journaled import JOURNALED, Journaled
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.settings import queue_type_of, read_settings
from amqpy_broker.core.queues.types import NEEDS_A_NAME, queue_class
from amqpy_broker.core.queues.window import Window
from amqpy_broker.core.quotas import VhostLimits
from amqpy_broker.core.timers import Timers
from amqpy_broker.core.topology_events import (
    tell_exchange_created,
    tell_exchange_deleted,
    tell_queue_created,
    tell_queue_deleted,
)
from amqpy_broker.core.witness import Witness

logger = logging.getLogger(__name__)


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


class VirtualHost:
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
        self.name = name
        self.profile = profile
        self.timers = timers
        self.events = events or Events()
        # What outlives the broker, if anything does.
        self.documents = documents or Documents()
        self.journal = self.documents.journal
        self.window = window or Window()
        self._names = names
        # Deleted queues of which messages are still unacknowledged.
        self._orphaned: list[Queue] = []
        self._burials = Burials(timers, self._publish_dead_letter)
        # Copies of everything, while it is switched on; and the channels that are to be told when it is.
        self.firehose: Firehose | None = None
        self.channels: dict[Traced, None] = {}
        # Who watches what happens to messages.
        self.witness: Witness | None = None
        # Grows with every change that may send a message elsewhere: whoever remembers a route compares it.
        self.generation = 0
        self._queues: dict[str, Queue] = {}
        # Exclusive queues by the connection that holds them.
        self._exclusive: dict[object, dict[Queue, None]] = {}
        self.random = names.new_random()
        # How much of it there may be, and who is connected.
        self.limits = limits or VhostLimits()
        self.connections_count = 0
        self._exchanges: dict[str, Exchange] = {DEFAULT_EXCHANGE: DefaultExchange(name, profile, self, self._queues)}
        self.bindings = Bindings(name, self._exchanges, self.events, self.documents, self.drop_exchange)
        for exchange_name, exchange_type, internal in PREDECLARED:
            self.predeclare(exchange_name, exchange_type, internal=internal)

    def predeclare(self, name: str, exchange_type: str, *, internal: bool) -> None:
        """Create an exchange that nobody declares."""
        self.create_exchange(name, exchange_type, durable=True, internal=internal)

    @property
    def queues(self) -> Mapping[str, Queue]:
        """All queues by name."""
        return self._queues

    @property
    def exchanges(self) -> Mapping[str, Exchange]:
        """All exchanges by name."""
        return self._exchanges

    @property
    def memory_bytes(self) -> int:
        """Memory held by messages, in queues and exchanges, and in deleted queues as long as consumers have them."""
        self._orphaned = [queue for queue in self._orphaned if queue.memory_bytes]
        holders = (self._queues.values(), self._orphaned, self._exchanges.values())
        return sum(holder.memory_bytes for several in holders for holder in several)

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

    def create_exchange(
        self,
        name: str,
        exchange_type: str,
        *,
        durable: bool,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Arguments = NO_ARGUMENTS,
        by: str = INTERNAL,
        journal_id: int | None = None,
    ) -> Exchange:
        """Create an exchange that is not there, without asking who may. `journal_id`: its name in the journal.

        Raises:
            PreconditionFailed: there cannot be such an exchange.
        """
        kind = EXCHANGE_TYPES[exchange_type]
        if self.journal is not None and durable and kind.keeps_messages and journal_id is None:
            journal_id = self.new_journal_id()
        alternate = arguments.get(ALTERNATE_EXCHANGE)
        properties = ExchangeProperties(
            name,
            self.name,
            self.profile,
            self,
            durable,
            auto_delete,
            internal,
            arguments,
            None if alternate is None else str(alternate.value),
            journal_id,
        )
        kind.check_properties(properties)
        exchange = self._exchanges[name] = kind(properties)
        self.documents.exchange_created(exchange)
        self.generation += 1
        if self.events.wanted:
            tell_exchange_created(self.events, exchange, by)
        return exchange

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

    def create_queue(
        self,
        name: str,
        *,
        durable: bool,
        auto_delete: bool = False,
        owner: object | None = None,
        arguments: Arguments = NO_ARGUMENTS,
        by: str = INTERNAL,
        journal_id: int | None = None,
    ) -> Queue:
        """Create a queue that is not there, without asking who may: for declarations, and for what was there before.

        `journal_id`: its name in the journal, if it has one already.

        Raises:
            PreconditionFailed: there cannot be such a queue.
        """
        resource = queue_text(name, self.name)
        queue_type = queue_type_of(arguments, resource)
        properties = QueueProperties(
            name,
            self.name,
            durable,
            auto_delete,
            owner,
            stored_arguments(arguments, self.profile),
            read_settings(arguments, queue_type, resource, versions=self.profile.queue_versions),
        )
        kind = queue_class(queue_type, properties.settings)
        kind.check(properties, resource)
        if self.journal is not None and durable and owner is None:
            kind = JOURNALED[kind]
            journal_id = self.new_journal_id() if journal_id is None else journal_id
            properties = replace(properties, journal_id=journal_id)
        if self.witness is not None:
            kind = self.witness.queue_class(kind)
        queue = kind(properties, self)
        self._queues[name] = queue
        self.documents.queue_created(queue)
        if owner is not None:
            self._exclusive.setdefault(owner, {})[queue] = None
        self.generation += 1
        if self.events.wanted:
            tell_queue_created(self.events, queue, by)
        return queue

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

    def drop_queue(self, queue: Queue, by: str = INTERNAL) -> list[Consumer]:
        """Delete a queue whatever state it is in, and return the consumers that it had."""
        if queue.deleted:
            return []
        consumers = queue.close()
        del self._queues[queue.name]
        self.documents.queue_deleted(queue)
        if queue.unacked_count:
            self._orphaned.append(queue)
        if queue.owner is not None:
            self._exclusive[queue.owner].pop(queue)
        self.generation += 1
        if self.events.wanted:
            tell_queue_deleted(self.events, queue, consumers, by)
        self.bindings.drop_to(queue, by)
        return consumers

    def drop_exclusive_queues(self, owner: object) -> list[Consumer]:
        """Delete what a connection held for itself, and return the consumers that were left."""
        queues = tuple(self._exclusive.get(owner, ()))
        consumers = [consumer for queue in queues for consumer in self.drop_queue(queue)]
        self._exclusive.pop(owner, None)
        return consumers

    def consumer_gone(self, queue: Queue) -> None:
        """Delete an auto-delete queue that has lost its last consumer [queue.declare.auto-delete]."""
        if queue.auto_delete and queue.had_consumers and not queue.consumer_count:
            self.drop_queue(queue)

    def purge_queue(self, actor: Actor, name: str) -> int:
        """Drop the messages that are ready."""
        actor.check_queue("read", name)
        return self.find_queue(name, actor).purge()

    # --- tracing ----------------------------------------------------------------------------------------------------

    def trace_on(self, make_message: MessageMaker) -> None:
        """Switch the firehose on (https://www.rabbitmq.com/docs/firehose)."""
        self.trace_off()
        self._trace(Firehose(self.name, self.outbox(TRACE_EXCHANGE), make_message))

    def trace_off(self) -> None:
        """Switch it off; doing so twice is fine."""
        if self.firehose is not None:
            self.firehose.close()
            self._trace(None)

    def _trace(self, firehose: Firehose | None) -> None:
        self.firehose = firehose
        for channel in self.channels:
            channel.trace(firehose)
        self.generation += 1

    def watch(self, witness: Witness) -> None:
        """Let somebody watch from now on, and the queues that are created from now on."""
        self.witness = witness
        for channel in self.channels:
            channel.trace(self.firehose)
        self.generation += 1

    def outbox(self, exchange_name: str) -> Outbox:
        """Return where messages of the broker's own go on their way to an exchange."""

        def send(message: Message) -> None:
            exchange = self._exchanges.get(exchange_name)
            if exchange is not None:
                self.send(exchange, message)

        return Outbox(self.timers, send)

    # --- what queues need of their vhost ----------------------------------------------------------------------------

    def dead_letter(
        self, queue: Queue, message: Message, reason: Reason, buried: Callable[[], None] | None = None
    ) -> None:
        """Publish a message that died to its queue's dead-letter exchange."""
        self._burials.add(DeadMessage(queue, message, reason, buried))

    def forget_deaths(self) -> None:
        """Forget the dead messages that are still to be published."""
        self._burials.forget()

    def drop(self) -> None:
        """End as a vhost that is deleted: drop everything."""
        for queue in tuple(self._queues.values()):
            self.drop_queue(queue)
        for exchange in tuple(self._exchanges.values()):
            # An auto-delete exchange may have gone with another.
            if exchange.name in self._exchanges:
                self.drop_exchange(exchange, INTERNAL)

    def rest(self) -> None:
        """Write down what durable queues know before the broker stops."""
        for queue in self._queues.values():
            if isinstance(queue, Journaled):
                delivered_place = queue.rest()
                if delivered_place:
                    self.documents.queue_created(queue, delivered_place)

    def new_journal_id(self) -> int:
        """Name something in the journal."""
        return self.documents.next_number()

    def _publish_dead_letter(self, death: DeadMessage) -> None:
        letter = death.letter(int(self.timers.clock.unix_s()), self.profile)
        exchange = self._exchanges.get(letter.exchange)
        # [https://www.rabbitmq.com/docs/dlx#routing]: without the exchange the message is gone.
        targets = () if exchange is None else self.route_message(exchange, letter)
        reached = tuple(target for target in targets if not death.would_cycle(letter, target))
        if self.witness is not None:
            self.witness.dead_lettered(death.queue, letter, death.reason, reached)
        for target in reached:
            target.enqueue(letter)

    def queue_expired(self, queue: Queue) -> None:
        """Delete a queue that was unused for too long."""
        logger.info("%s deleted: nobody used it for %s ms", queue, queue.settings.expires_ms)
        self.drop_queue(queue)

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

    def exchange_type(self, name: str) -> type[Exchange]:
        """Find an exchange type, or refuse as this version does."""
        return find_exchange_type(name, self.profile)

    def route(self, exchange: Exchange, routing_key: str, headers: Arguments = NO_ARGUMENTS) -> Routed:
        """Find the queues that a message goes to."""
        return route(exchange, routing_key, headers, self._exchanges)

    def route_message(self, exchange: Exchange, message: Message) -> tuple[Queue, ...]:
        """Find the queues that this message goes to; on its way exchanges may keep it, or a copy."""
        return route_message(exchange, message, self._exchanges)

    def send(self, exchange: Exchange, message: Message) -> bool:
        """Hand a message to the queues that an exchange sends it to; False if there are none."""
        queues = self.route_message(exchange, message)
        if self.witness is not None:
            self.witness.sent_on(message, queues)
        for queue in queues:
            queue.enqueue(message)
        return bool(queues)

    # --- steps ------------------------------------------------------------------------------------------------------

    def drop_exchange(self, exchange: Exchange, by: str = INTERNAL) -> None:
        """Delete an exchange whatever state it is in."""
        del self._exchanges[exchange.name]
        exchange.close()
        if self.events.wanted:
            tell_exchange_deleted(self.events, exchange, by)
        self.documents.exchange_deleted(exchange)
        self.bindings.drop_from(exchange, by)
        self.bindings.drop_to(exchange, by)
        self.generation += 1

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

    def create_binding(self, binding: Binding, *, by: str = INTERNAL) -> None:
        """Add a binding that is not there, without asking who may, and without what it brings."""
        self.bindings.add(binding, by)
        self.generation += 1

    def drop_binding(self, binding: Binding, by: str = INTERNAL) -> None:
        """Remove a binding that is there."""
        self.bindings.remove(binding, by)
        self.generation += 1


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
