"""Direct reply-to: who waits for replies, by the name that stands in the requests' `reply-to`.

Replies go straight to a channel, past all queues. A name is good for whoever knows it, in every vhost, as long as its
consumer is there; a reply to a name that nobody has any more is dropped. See https://www.rabbitmq.com/docs/direct-reply-to.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from amqpy_broker.core.message import Message
from amqpy_broker.core.names import NameSource

# What requesters consume from, and name in their requests.
REPLY_TO: Final = "amq.rabbitmq.reply-to"
# How the names begin that stand there instead when a request arrives.
REPLY_PREFIX: Final = REPLY_TO + "."


class ReplyReceiver(ABC):
    """Where replies go. The protocol's subclass turns them into bytes; it must never raise."""

    __slots__ = ()

    @property
    @abstractmethod
    def memory_bytes(self) -> int:
        """Memory that replies hold which could not be sent yet."""

    @abstractmethod
    def receive(self, message: Message) -> None:
        """Take a reply."""


class DirectReplies:
    """Everybody who waits for replies."""

    def __init__(self, names: NameSource, *, use_tags: bool = False) -> None:
        self._names = names
        # Whether replies are numbered among the deliveries of their channel, as from 4.2 on.
        self.use_tags = use_tags
        self._receivers: dict[str, ReplyReceiver] = {}

    def open(self, receiver: ReplyReceiver) -> str:
        """Give a receiver a name that nobody can guess."""
        # RabbitMQ's begin with this letter, too: in them it begins an Erlang term.
        name = self._names.unique(REPLY_PREFIX + "g")
        self._receivers[name] = receiver
        return name

    def close(self, name: str) -> None:
        """Forget a receiver."""
        del self._receivers[name]

    def exists(self, name: str) -> bool:
        """Whether a declaration of this name finds something: the general name always, others as long as they last."""
        return name == REPLY_TO or name in self._receivers

    def deliver(self, names: Iterable[str], message: Message) -> None:
        """Hand a message to those of these names that are there, to each once."""
        for name in dict.fromkeys(names):
            receiver = self._receivers.get(name)
            if receiver is not None:
                receiver.receive(message)

    @property
    def memory_bytes(self) -> int:
        """Memory that replies hold which could not be sent yet."""
        return sum(receiver.memory_bytes for receiver in self._receivers.values())
