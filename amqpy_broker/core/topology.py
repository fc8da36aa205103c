"""The topology of a vhost: its exchanges, queues and bindings, created and dropped without asking who may.

Rule 1: every change is written down, if anything outlives the broker, and told, if anybody listens.
Rule 2: every change makes whoever remembers a route look again.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace

from amqpy_broker.core.arguments import NO_ARGUMENTS, Arguments
from amqpy_broker.core.bindings import Bindings
from amqpy_broker.core.documents import Documents
from amqpy_broker.core.events import INTERNAL, Events
from amqpy_broker.core.exchanges.base import ALTERNATE_EXCHANGE, Exchange, ExchangeProperties
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.exchanges.direct import DefaultExchange
from amqpy_broker.core.exchanges.types import EXCHANGE_TYPES, PREDECLARED
from amqpy_broker.core.names import DEFAULT_EXCHANGE, NameSource, queue_text
from amqpy_broker.core.policies import Policies, Policy
from amqpy_broker.core.policy_events import tell_policy_cleared, tell_policy_set
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.arguments import stored_arguments
from amqpy_broker.core.queues.base import Consumer, Queue
from amqpy_broker.core.queues.journaled import Journaled
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.queues.settings import queue_type_of, read_settings
from amqpy_broker.core.queues.types import JOURNALED, queue_class
from amqpy_broker.core.queues.window import Window
from amqpy_broker.core.timers import Timers
from amqpy_broker.core.topology_events import (
    tell_exchange_created,
    tell_exchange_deleted,
    tell_queue_created,
    tell_queue_deleted,
)
from amqpy_broker.core.traffic import Traffic

# Its lines stand among those of the vhost.
logger = logging.getLogger("amqpy_broker.core.vhost")


class Topology(Traffic):
    """What there is in a vhost."""

    def __init__(
        self,
        name: str,
        profile: Profile,
        names: NameSource,
        timers: Timers,
        events: Events,
        documents: Documents,
        window: Window,
    ) -> None:
        super().__init__(name, profile, timers)
        self.events = events
        # What outlives the broker, if anything does.
        self.documents = documents
        self.journal = documents.journal
        self.window = window
        self.random = names.new_random()
        self.policies = Policies(profile, self)
        # Deleted queues of which messages are still unacknowledged.
        self._orphaned: list[Queue] = []
        self._queues: dict[str, Queue] = {}
        # Exclusive queues by the connection that holds them.
        self._exclusive: dict[object, dict[Queue, None]] = {}
        self._exchanges[DEFAULT_EXCHANGE] = DefaultExchange(name, profile, self, self._queues)
        self.bindings = Bindings(name, self._exchanges, events, documents, self.drop_exchange)
        for exchange_name, exchange_type, internal in PREDECLARED:
            self.predeclare(exchange_name, exchange_type, internal=internal)

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

    # --- exchanges --------------------------------------------------------------------------------------------------

    def predeclare(self, name: str, exchange_type: str, *, internal: bool) -> None:
        """Create an exchange that nobody declares."""
        self.create_exchange(name, exchange_type, durable=True, internal=internal)

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
        self._govern_exchange(exchange)
        self.documents.exchange_created(exchange)
        self.generation += 1
        if self.events.wanted:
            tell_exchange_created(self.events, exchange, by)
        return exchange

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

    # --- queues -----------------------------------------------------------------------------------------------------

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
        self._govern_queue(queue)
        self.documents.queue_created(queue)
        if owner is not None:
            self._exclusive.setdefault(owner, {})[queue] = None
        self.generation += 1
        if self.events.wanted:
            tell_queue_created(self.events, queue, by)
        return queue

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

    def queue_expired(self, queue: Queue) -> None:
        """Delete a queue that was unused for too long."""
        logger.info("%s deleted: nobody used it for %s ms", queue, queue.settings.expires_ms)
        self.drop_queue(queue)

    def new_journal_id(self) -> int:
        """Name something in the journal."""
        return self.documents.next_number()

    # --- bindings ---------------------------------------------------------------------------------------------------

    def create_binding(self, binding: Binding, *, by: str = INTERNAL) -> None:
        """Add a binding that is not there, without asking who may, and without what it brings."""
        self.bindings.add(binding, by)
        self.generation += 1

    def drop_binding(self, binding: Binding, by: str = INTERNAL) -> None:
        """Remove a binding that is there."""
        self.bindings.remove(binding, by)
        self.generation += 1

    # --- policies ---------------------------------------------------------------------------------------------------

    def policy_set(self, policy: Policy, by: str, *, operators: bool) -> None:
        """Follow a policy that is new, or another one than it was."""
        self.documents.policy_set(self.name, policy, operators=operators)
        changed = self._govern()
        if self.events.wanted:
            tell_policy_set(self.events, self.name, policy, changed, by, operators=operators)

    def policy_cleared(self, policy: Policy, by: str, *, operators: bool) -> None:
        """Follow a policy no longer."""
        self.documents.policy_cleared(self.name, policy.name, operators=operators)
        changed = self._govern()
        if self.events.wanted:
            tell_policy_cleared(self.events, self.name, policy, changed, by, operators=operators)

    def _govern(self) -> list[Queue]:
        """Find anew what counts for everything; return the queues for which something else does."""
        for exchange in self._exchanges.values():
            self._govern_exchange(exchange)
        changed = [queue for queue in tuple(self._queues.values()) if self._govern_queue(queue)]
        self.generation += 1
        return changed

    def _govern_exchange(self, exchange: Exchange) -> None:
        governing = self.policies.of_exchange(exchange.name)
        if governing != exchange.governing:
            exchange.govern(governing)

    def _govern_queue(self, queue: Queue) -> bool:
        governing = self.policies.of_queue(queue.name, queue.type)
        if governing == queue.governing:
            return False
        queue.govern(governing, self.profile)
        return True

    # --- the end ----------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Write down what durable queues know before the broker stops."""
        for queue in self._queues.values():
            if isinstance(queue, Journaled):
                delivered_place = queue.rest()
                if delivered_place:
                    self.documents.queue_created(queue, delivered_place)

    def drop(self) -> None:
        """End as a vhost that is deleted: drop everything."""
        for policy in tuple(self.policies.users):
            self.policies.clear(policy.name)
        for policy in tuple(self.policies.operators):
            self.policies.clear_operator(policy.name)
        for queue in tuple(self._queues.values()):
            self.drop_queue(queue)
        for exchange in tuple(self._exchanges.values()):
            # An auto-delete exchange may have gone with another.
            if exchange.name in self._exchanges:
                self.drop_exchange(exchange, INTERNAL)
