"""What a message is to the core: an address, a size and a few properties. Its octets are its protocol's affair."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from amqpy_broker.core.arguments import NO_ARGUMENTS, Arguments


class Message(ABC):
    """An immutable content with the address it was published to. Queues share one object, however many hold it."""

    __slots__ = ()

    # Octets it holds in memory, without the objects around them. A plain attribute: queues count with every message.
    memory_size: int
    # Whether it is a dead letter: what its headers tell of deaths was written by the broker.
    died: bool = False

    @property
    @abstractmethod
    def exchange(self) -> str:
        """The exchange it was published to; `""` is the default exchange."""

    @property
    @abstractmethod
    def routing_key(self) -> str:
        """The routing key it was published with."""

    @property
    def copies(self) -> tuple[str, ...]:
        """The routing keys that its headers CC and BCC named when it was published."""
        return ()

    @property
    @abstractmethod
    def body_size(self) -> int:
        """Octets of the body."""

    @property
    @abstractmethod
    def persistent(self) -> bool:
        """Whether delivery-mode is 2."""

    @property
    @abstractmethod
    def headers(self) -> Arguments:
        """The header table, decoded on demand; empty when there is none."""

    @property
    def properties_table(self) -> Arguments:
        """All its properties by their names, as the firehose tells them."""
        return NO_ARGUMENTS

    @property
    @abstractmethod
    def expiration_ms(self) -> int | None:
        """Its own time to live, from the property `expiration`, which was checked when it was published."""

    @property
    @abstractmethod
    def priority(self) -> int:
        """The property `priority`; 0 if there is none."""

    @property
    @abstractmethod
    def correlation_id(self) -> bytes | None:
        """The property `correlation-id`."""

    @property
    @abstractmethod
    def message_id(self) -> bytes | None:
        """The property `message-id`."""

    @property
    @abstractmethod
    def timestamp_s(self) -> int | None:
        """The property `timestamp`, in seconds since 1970."""

    @property
    @abstractmethod
    def body(self) -> bytes:
        """The body, put together on demand."""

    @abstractmethod
    def edited(
        self,
        *,
        exchange: str | None = None,
        routing_key: str | None = None,
        headers: Arguments | None = None,
        drop_expiration: bool = False,
        reply_to: str | None = None,
        died: bool = False,
    ) -> Message:
        """Make a message with the same body that differs in what is given; all other properties stay byte for byte.

        An empty header table takes the property away. With another routing key it has no copies any more.
        """


class MessageMaker(Protocol):
    """Writes a message of the broker's own. The protocol knows how."""

    def __call__(
        self,
        exchange: str,
        routing_key: str,
        headers: Arguments,
        *,
        body: bytes = b"",
        persistent: bool = False,
        timestamp_s: int | None = None,
    ) -> Message:
        """Write a message as if it had been published."""
        ...
