"""The root of everything: vhosts, users, the profile and the clock. No I/O: a server carries bytes to and from it."""

from amqpy_broker.core.clock import Clock, SystemClock
from amqpy_broker.core.direct_replies import DirectReplies
from amqpy_broker.core.events import EVENT_EXCHANGE, INTERNAL, EventExchange, Events
from amqpy_broker.core.limits import CONSUMER_TIMEOUT_MS
from amqpy_broker.core.memory import Memory
from amqpy_broker.core.message import MessageMaker
from amqpy_broker.core.names import NameSource
from amqpy_broker.core.profile import DEFAULT_PROFILE, Profile, profile_named
from amqpy_broker.core.timers import Timers
from amqpy_broker.core.users import Permissions, User, Users, hash_password
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.core.witness import Witness

DEFAULT_VHOST = "/"
DEFAULT_USER = "guest"


class BrokerCore:
    """A broker, as far as it can be told without I/O.

    `memory_watermark_bytes`: when messages hold more, publishers are not read from until consumers have caught up.
    `seed` makes the names that the broker gives out repeat.
    """

    def __init__(
        self,
        profile: Profile | None = None,
        *,
        clock: Clock | None = None,
        memory_watermark_bytes: int | None = None,
        consumer_timeout_ms: int = CONSUMER_TIMEOUT_MS,
        seed: int | None = None,
    ) -> None:
        self.profile = profile or profile_named(DEFAULT_PROFILE)
        self.clock: Clock = clock or SystemClock()
        self.timers = Timers(self.clock)
        # How long a consumer may keep a message without acknowledging it; 0 is for ever.
        self.consumer_timeout_ms = consumer_timeout_ms
        self.names = NameSource(seed)
        self.users = Users()
        self.events = Events()
        self.vhosts: dict[str, VirtualHost] = {}
        # Who watches every vhost.
        self.witness: Witness | None = None
        self.replies = DirectReplies(self.names, use_tags=self.profile.reply_to_is_a_queue)
        self.memory = Memory(self.vhosts, memory_watermark_bytes, self.replies)
        self.add_vhost(DEFAULT_VHOST)
        self.users.add(
            User(DEFAULT_USER, hash_password(DEFAULT_USER), ("administrator",), {DEFAULT_VHOST: Permissions()})
        )

    def add_vhost(self, name: str) -> VirtualHost:
        """Create a vhost, or find the one of that name."""
        if name not in self.vhosts:
            self.vhosts[name] = VirtualHost(name, self.profile, self.names, self.timers, self.events)
            if self.witness is not None:
                self.vhosts[name].watch(self.witness)
            if self.events.wanted:
                self.events.tell("vhost.created", name=name, tracing=False, user_who_performed_action=INTERNAL)
        return self.vhosts[name]

    def watch(self, witness: Witness) -> None:
        """Let somebody watch all vhosts, those that are there and those to come."""
        self.witness = witness
        for vhost in self.vhosts.values():
            vhost.watch(witness)

    def publish_events(self, make_message: MessageMaker) -> None:
        """Publish events to the exchange `amq.rabbitmq.event` of the vhost `/` (https://www.rabbitmq.com/docs/event-exchange)."""
        vhost = self.vhosts[DEFAULT_VHOST]
        if EVENT_EXCHANGE not in vhost.exchanges:
            vhost.predeclare(EVENT_EXCHANGE, "topic", internal=True)
            self.events.listen(EventExchange(self.clock, vhost.outbox(EVENT_EXCHANGE), make_message).hear)
