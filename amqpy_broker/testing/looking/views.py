"""What is inside a broker, as values of one moment: vhosts, exchanges, bindings, queues, connections, channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from amqpy_broker.testing.looking.messages import Message


@dataclass(frozen=True, slots=True)
class ConsumerView:
    """A consumer."""

    tag: str
    queue: str
    # The names of its connection and the number of its channel.
    connection: str
    channel: int
    no_ack: bool
    exclusive: bool
    # How many deliveries it may have unacknowledged; 0 is any number.
    prefetch_count: int
    priority: int
    unacked: int
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue."""

    name: str
    vhost: str
    # "classic" or "quorum".
    type: str
    durable: bool
    exclusive: bool
    auto_delete: bool
    arguments: Mapping[str, object]
    # Messages that wait for a consumer; those that are handed out and not settled; the most there ever were of these.
    ready: int
    unacked: int
    peak_unacked: int
    consumers: tuple[ConsumerView, ...]
    # Those that are ready, the next one first.
    messages: tuple[Message, ...] = field(repr=False)
    # The names of the policies that count for it.
    policy: str | None = None
    operator_policy: str | None = None

    def __str__(self) -> str:
        return (
            f"queue {self.name!r}: {self.ready} ready, {self.unacked} unacked,"
            f" {len(self.consumers)} consumer{'' if len(self.consumers) == 1 else 's'}"
        )


@dataclass(frozen=True, slots=True)
class BindingView:
    """A binding. Those of the default exchange are not listed: each queue is bound to it by its name."""

    vhost: str
    source: str
    destination: str
    # "queue" or "exchange".
    destination_kind: str
    key: str
    arguments: Mapping[str, object]

    def __str__(self) -> str:
        arguments = f" {dict(self.arguments)!r}" if self.arguments else ""
        return f"{self.source!r} --{self.key!r}{arguments}--> {self.destination_kind} {self.destination!r}"


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message that waits in a delayed message exchange."""

    message: Message
    due: datetime


@dataclass(frozen=True, slots=True)
class ExchangeView:
    """An exchange."""

    name: str
    vhost: str
    type: str
    durable: bool
    auto_delete: bool
    internal: bool
    # The exchange that takes what this one cannot route.
    alternate: str | None
    arguments: Mapping[str, object]
    # Those that begin here.
    bindings: tuple[BindingView, ...]
    # What a delayed message exchange keeps, the next one first.
    waiting: tuple[WaitingMessage, ...] = ()
    # The name of the policy that counts for it.
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class ChannelView:
    """A channel."""

    number: int
    connection: str
    vhost: str
    # What the next consumer may have unacknowledged, and what all of them together may; 0 is any number.
    prefetch_count: int
    global_prefetch_count: int
    unacked: int
    # Whether publishes are confirmed, and whether there is a transaction.
    confirms: bool
    transactional: bool
    consumers: tuple[ConsumerView, ...]


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """A client's connection."""

    # The broker's name for it, of both ends' addresses, and the one that the client gave, if it gave any.
    name: str
    client_name: str
    # Empty before the login, and before a vhost is open.
    user: str
    vhost: str
    client_properties: Mapping[str, object]
    # As negotiated; 0 is never.
    heartbeat_s: int
    is_open: bool
    channels: tuple[ChannelView, ...]

    def __str__(self) -> str:
        named = f" ({self.client_name})" if self.client_name else ""
        return f"connection {self.name}{named}: user {self.user!r}, {len(self.channels)} channels"


@dataclass(frozen=True, slots=True)
class VhostView:
    """A vhost."""

    name: str
    # Names; the exchanges without those that every vhost has.
    queues: tuple[str, ...]
    exchanges: tuple[str, ...]
    ready: int
    unacked: int
