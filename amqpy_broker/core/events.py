"""What happens to a broker's parts, told to whoever listens: `queue.created`, `connection.closed`...

The event exchange is such a listener: it turns events into messages, as RabbitMQ's plugin does
(https://www.rabbitmq.com/docs/event-exchange). An event is not made while nobody listens.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from amqpy_broker.core.arguments import Argument, Arguments, octets_of, term
from amqpy_broker.core.clock import Clock
from amqpy_broker.core.erlang_terms import Atom, format_p
from amqpy_broker.core.message import MessageMaker
from amqpy_broker.core.outbox import Outbox

EVENT_EXCHANGE: Final = "amq.rabbitmq.event"
# Who acts where no user does.
INTERNAL: Final = "rmq-internal"

# An argument is told as it is, a table of them as a list of texts.
Detail: TypeAlias = "str | int | bool | Argument | Arguments"
Listener: TypeAlias = Callable[[str, dict[str, Detail]], None]


class Events:
    """Where events are told."""

    __slots__ = ("_listeners", "wanted")

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        # Whether anybody listens: whoever tells of an event asks first.
        self.wanted = False

    def listen(self, listener: Listener) -> None:
        """Tell somebody of every event from now on."""
        self._listeners.append(listener)
        self.wanted = True

    def tell(self, event: str, /, **details: Detail) -> None:
        """Tell of an event."""
        for listener in self._listeners:
            listener(event, details)


class EventExchange:
    """Turns events into messages to `amq.rabbitmq.event`; the event's name is the routing key."""

    def __init__(self, clock: Clock, outbox: Outbox, make_message: MessageMaker) -> None:
        self._clock = clock
        self._outbox = outbox
        self._make_message = make_message

    def hear(self, name: str, details: dict[str, Detail]) -> None:
        """Write the message of an event."""
        unix_s = self._clock.unix_s()
        headers = {key: _header(detail) for key, detail in details.items()}
        headers["timestamp_in_ms"] = Argument("long", int(unix_s * 1000))
        message = self._make_message(EVENT_EXCHANGE, name, headers, persistent=True, timestamp_s=int(unix_s))
        self._outbox.add(message)


def _header(detail: Detail) -> Argument:
    match detail:
        case Argument():
            return detail
        case bool():
            return Argument("bool", detail)
        case int():
            return Argument("long", detail)
        case str():
            return Argument("longstr", detail)
        case _:
            # Tables are told as RabbitMQ's Erlang prints them.
            fields = ((octets_of(name), Atom(value.kind), term(value.value)) for name, value in detail.items())
            return Argument("array", [Argument("longstr", format_p(field)) for field in fields])
