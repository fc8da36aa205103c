"""What every rule is: a name, a reason, a remedy, and an eye on what is said."""

from __future__ import annotations

from typing import ClassVar, Protocol

from amqpy_broker.core.message import Message
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.testing.conversation.events import Said
from amqpy_broker.testing.strict.talk import Talk


class Surroundings(Protocol):
    """What rules may know besides the conversation, and whom they tell."""

    @property
    def profile(self) -> Profile:
        """The version that the broker stands in for."""
        ...

    @property
    def now_s(self) -> float:
        """The broker's time, in seconds since some time."""
        ...

    def find_vhost(self, talk: Talk) -> VirtualHost | None:
        """Find the vhost of a connection."""
        ...

    def find_queue(self, talk: Talk, name: str) -> Queue | None:
        """Find a queue of a connection's vhost."""
        ...

    def report(self, rule: Rule, talk: Talk, channel: int, what: str) -> None:
        """Tell of something; what is the same is told once, with a count."""
        ...


class Rule:
    """Something that clients should not do. Every method hears before the `Talk` has learned of what is said."""

    name: ClassVar[str]
    fix: ClassVar[str]

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings

    def client_said(self, talk: Talk, said: Said) -> None:
        """Hear a client."""

    def server_said(self, talk: Talk, said: Said) -> None:
        """Hear the broker."""

    def published(self, talk: Talk, channel: int, message: Message, queues: tuple[Queue, ...], mandatory: bool) -> None:
        """Learn of a message, and of the queues that it was routed to."""

    def ended(self, talk: Talk) -> None:
        """Learn that a connection is over."""

    def forget(self) -> None:
        """Forget what was counted across connections: another test begins."""

    def report(self, talk: Talk, channel: int, what: str) -> None:
        """Tell of something."""
        self.surroundings.report(self, talk, channel, what)


def is_private(queue: Queue) -> bool:
    """Whether a queue is some client's own, for replies or for what happens just now: what it loses, nobody misses."""
    return queue.owner is not None or queue.auto_delete or queue.name.startswith("amq.rabbitmq.reply-to")
