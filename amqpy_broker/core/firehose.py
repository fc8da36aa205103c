"""The firehose: copies of all that is published to a vhost and delivered from it (https://www.rabbitmq.com/docs/firehose).

Rule 1: copies go to the topic exchange `amq.rabbitmq.trace`, as `publish.EXCHANGE` and `deliver.QUEUE`.
Rule 2: what the copies are of stands in their headers; the body is the same.
Rule 3: copies are not copied.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol

from amqpy_broker.core.arguments import Argument, Arguments
from amqpy_broker.core.message import Message, MessageMaker
from amqpy_broker.core.names import NODE_NAME
from amqpy_broker.core.outbox import Outbox
from amqpy_broker.core.queues.base import QueuedMessage

TRACE_EXCHANGE: Final = "amq.rabbitmq.trace"


class Source(NamedTuple):
    """Over which channel a message came, or goes."""

    connection: str
    channel: int
    user: str


class Firehose:
    """The copies of one vhost's messages."""

    def __init__(self, vhost: str, outbox: Outbox, make_message: MessageMaker) -> None:
        self._vhost = vhost
        self._outbox = outbox
        self._make_message = make_message

    def published(self, message: Message, routed: Iterable[str], source: Source) -> None:
        """Copy a message that was published, and routed to these queues."""
        self._copy(
            message,
            f"publish.{message.exchange}",
            {**self._of(source), "routed_queues": _texts(routed)},
        )

    def delivered(self, message: Message, queue: str, source: Source, *, redelivered: bool) -> None:
        """Copy a message that is delivered from a queue."""
        self._copy(
            message,
            f"deliver.{queue}",
            {"redelivered": Argument("signedint", int(redelivered)), **self._of(source)},
        )

    def close(self) -> None:
        """Copy nothing any more."""
        self._outbox.close()

    def _copy(self, message: Message, routing_key: str, more: Arguments) -> None:
        if message.exchange == TRACE_EXCHANGE:
            return
        headers = {
            "exchange_name": _text(message.exchange),
            "routing_keys": _texts((message.routing_key, *message.copies)),
            "properties": Argument("table", dict(message.properties_table)),
            "node": _text(NODE_NAME),
            **more,
        }
        self._outbox.add(self._make_message(TRACE_EXCHANGE, routing_key, headers, body=message.body))

    def _of(self, source: Source) -> dict[str, Argument]:
        return {
            "vhost": _text(self._vhost),
            "connection": _text(source.connection),
            "channel": Argument("signedint", source.channel),
            "user": _text(source.user),
        }


class Traced(Protocol):
    """Who tells the firehose of deliveries: a channel."""

    def trace(self, firehose: Firehose | None) -> None:
        """Begin, or with None stop, to tell."""

    def unacked(self) -> Iterator[QueuedMessage]:
        """Show what is handed out over it and not settled."""
        ...


def _text(value: str) -> Argument:
    return Argument("longstr", value)


def _texts(values: Iterable[str]) -> Argument:
    return Argument("array", [_text(value) for value in values])
