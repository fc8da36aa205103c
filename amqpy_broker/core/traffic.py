"""The messages of a vhost on their way: from exchanges to queues, from dead to dead-letter exchange; and who watches.

Which exchanges and queues there are is in `topology.py`, what clients may do with them in `vhost.py`.
"""

from collections.abc import Callable

from amqpy_broker.core.arguments import NO_ARGUMENTS, Arguments
from amqpy_broker.core.burials import Burials, DeadMessage
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.router import Routed, route, route_message
from amqpy_broker.core.exchanges.types import find_exchange_type
from amqpy_broker.core.firehose import TRACE_EXCHANGE, Firehose, Traced
from amqpy_broker.core.message import Message, MessageMaker
from amqpy_broker.core.outbox import Outbox
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.base import Queue, Reason
from amqpy_broker.core.timers import Timers
from amqpy_broker.core.witness import Witness


class Traffic:
    """Sends messages on.

    It is what a vhost is built on, not a part of it: on the hot path there is no object in between.
    """

    def __init__(self, name: str, profile: Profile, timers: Timers) -> None:
        self.name = name
        self.profile = profile
        self.timers = timers
        self._exchanges: dict[str, Exchange] = {}
        self._burials = Burials(timers, self._publish_dead_letter)
        # Copies of everything, while it is switched on; and the channels that are to be told when it is.
        self.firehose: Firehose | None = None
        self.channels: dict[Traced, None] = {}
        # Who watches what happens to messages.
        self.witness: Witness | None = None
        # Grows with every change that may send a message elsewhere: whoever remembers a route compares it.
        self.generation = 0

    # --- routing ----------------------------------------------------------------------------------------------------

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

    def outbox(self, exchange_name: str) -> Outbox:
        """Return where messages of the broker's own go on their way to an exchange."""

        def send(message: Message) -> None:
            exchange = self._exchanges.get(exchange_name)
            if exchange is not None:
                self.send(exchange, message)

        return Outbox(self.timers, send)

    # --- dead letters -----------------------------------------------------------------------------------------------

    def dead_letter(
        self, queue: Queue, message: Message, reason: Reason, buried: Callable[[], None] | None = None
    ) -> None:
        """Publish a message that died to its queue's dead-letter exchange."""
        self._burials.add(DeadMessage(queue, queue.settings, message, reason, buried))

    def forget_deaths(self) -> None:
        """Forget the dead messages that are still to be published."""
        self._burials.forget()

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
