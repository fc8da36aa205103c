"""The root of everything: vhosts, users, the profile and the clock. No I/O: a server carries bytes to and from it."""

from collections.abc import Callable

from amqpy_broker.core.alarms import Alarms
from amqpy_broker.core.clock import Clock, SystemClock
from amqpy_broker.core.direct_replies import DirectReplies
from amqpy_broker.core.documents import Documents
from amqpy_broker.core.events import EVENT_EXCHANGE, INTERNAL, EventExchange, Events
from amqpy_broker.core.journal import Journal, JournalWriter
from amqpy_broker.core.limits import CONSUMER_TIMEOUT_MS, PAGE_OUT_MAX_BYTES, PAGING_SHARE
from amqpy_broker.core.memory import Memory
from amqpy_broker.core.message import MessageMaker
from amqpy_broker.core.names import NameSource
from amqpy_broker.core.profile import DEFAULT_PROFILE, Profile, profile_named
from amqpy_broker.core.queues.window import Window
from amqpy_broker.core.quotas import Limits
from amqpy_broker.core.recovery import Found, Recovery
from amqpy_broker.core.timers import Timers
from amqpy_broker.core.users import Permissions, User, Users, hash_password
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.core.witness import Witness

DEFAULT_VHOST = "/"
DEFAULT_USER = "guest"


class BrokerCore:
    """A broker, as far as it can be told without I/O.

    `memory_watermark_bytes`: when messages hold more, publishers are not read from until consumers have caught up.
    `seed` makes the names that the broker gives out repeat. With a `journal` the broker is what it was when the journal
    was written last, and what is durable outlives it.

    Raises:
        JournalFailed: what is in the journal cannot be made again.
    """

    def __init__(
        self,
        profile: Profile | None = None,
        *,
        clock: Clock | None = None,
        memory_watermark_bytes: int | None = None,
        consumer_timeout_ms: int = CONSUMER_TIMEOUT_MS,
        seed: int | None = None,
        journal: Journal | None = None,
        window: Window | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.profile = profile or profile_named(DEFAULT_PROFILE)
        self.limits = limits or Limits()
        self.clock: Clock = clock or SystemClock()
        self.timers = Timers(self.clock)
        # How long a consumer may keep a message without acknowledging it; 0 is for ever.
        self.consumer_timeout_ms = consumer_timeout_ms
        self.names = NameSource(seed)
        self.users = Users()
        self.events = Events()
        self.vhosts: dict[str, VirtualHost] = {}
        # Makes who watches a vhost.
        self._make_witness: Callable[[VirtualHost], Witness] | None = None
        self.replies = DirectReplies(self.names, use_tags=self.profile.reply_to_is_a_queue)
        self.alarms = Alarms()
        self.memory = Memory(self.vhosts, self.alarms, memory_watermark_bytes, self.replies)
        self._publishes_events = False
        # How much of a queue is in memory, if the rest may be on disk.
        self._window = window or Window()
        self.journal: JournalWriter | None = None
        self._documents = Documents()
        # What was there when the broker began.
        self.found = Found(is_new=True, closed_cleanly=True)
        if journal is not None:
            self._recover(journal)
        if self.found.is_new:
            self._add_defaults()

    def _recover(self, journal: Journal) -> None:
        recovered = journal.recover()
        self.journal = JournalWriter(journal, recovered.next_batch)
        self.memory.page_out = self.page_out
        self._documents = Documents(self.journal)
        self.found = Recovery(recovered, self._documents, self.users, self.add_vhost).run()
        self.users.on_change = self._documents.user_changed
        self.users.on_remove = self._documents.user_removed
        if self.found.is_new:
            self._documents.begin()

    def _add_defaults(self) -> None:
        self.add_vhost(DEFAULT_VHOST)
        self.users.add(
            User(DEFAULT_USER, hash_password(DEFAULT_USER), ("administrator",), {DEFAULT_VHOST: Permissions()})
        )

    def close(self) -> None:
        """Write what a broker knows that stops on purpose, and close the journal. Connections are closed before."""
        if self.journal is None:
            return
        for vhost in self.vhosts.values():
            vhost.rest()
        self.journal.close()

    def page_out(self) -> None:
        """Make room in memory, if there is a journal, when messages hold more than their share of the watermark."""
        if self.journal is None:
            return
        wanted_bytes = int(self.memory.used_bytes - self.memory.watermark_bytes * PAGING_SHARE)
        # It is asked for again soon: all at once would hold up everybody.
        wanted_bytes = min(wanted_bytes, PAGE_OUT_MAX_BYTES)
        queues = (queue for vhost in self.vhosts.values() for queue in vhost.queues.values())
        for queue in sorted(queues, key=lambda queue: queue.memory_bytes, reverse=True):
            if wanted_bytes <= 0:
                return
            wanted_bytes -= queue.page_out(wanted_bytes)

    def add_vhost(self, name: str) -> VirtualHost:
        """Create a vhost, or find the one of that name."""
        if name not in self.vhosts:
            self.vhosts[name] = VirtualHost(
                name,
                self.profile,
                self.names,
                self.timers,
                self.events,
                self._documents,
                self._window,
                self.limits.vhost,
            )
            self._documents.vhost_created(name)
            if self._make_witness is not None:
                self.vhosts[name].watch(self._make_witness(self.vhosts[name]))
            if self.events.wanted:
                self.events.tell("vhost.created", name=name, tracing=False, user_who_performed_action=INTERNAL)
        return self.vhosts[name]

    def remove_vhost(self, name: str) -> None:
        """Delete a vhost with everything in it, and all permissions there. Its connections are closed before.

        Raises:
            KeyError: there is none of that name.
        """
        self.vhosts.pop(name).drop()
        self._documents.vhost_removed(name)
        for user in self.users:
            if user.permissions.pop(name, None) is not None:
                self.users.add(user)

    @property
    def connections_count(self) -> int:
        """Clients that have opened a vhost."""
        return sum(vhost.connections_count for vhost in self.vhosts.values())

    @property
    def channels_count(self) -> int:
        """Channels of all connections."""
        return sum(len(vhost.channels) for vhost in self.vhosts.values())

    def watch(self, make_witness: Callable[[VirtualHost], Witness]) -> None:
        """Let somebody watch each vhost, those that are there and those to come."""
        self._make_witness = make_witness
        for vhost in self.vhosts.values():
            vhost.watch(make_witness(vhost))

    def publish_events(self, make_message: MessageMaker) -> None:
        """Publish events to the exchange `amq.rabbitmq.event` of the vhost `/` (https://www.rabbitmq.com/docs/event-exchange)."""
        vhost = self.vhosts[DEFAULT_VHOST]
        if EVENT_EXCHANGE not in vhost.exchanges:
            vhost.predeclare(EVENT_EXCHANGE, "topic", internal=True)
        if not self._publishes_events:
            self._publishes_events = True
            self.events.listen(EventExchange(self.clock, vhost.outbox(EVENT_EXCHANGE), make_message).hear)
