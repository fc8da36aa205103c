"""What a message is to the core: an address, a size and a few properties. Its octets are its protocol's affair."""

from abc import ABC, abstractmethod

from amqpy_broker.core.arguments import Arguments


class Message(ABC):
    """An immutable content with the address it was published to. Queues share one object, however many hold it."""

    __slots__ = ()

    # Octets it holds in memory, without the objects around them. A plain attribute: queues count with every message.
    memory_size: int

    @property
    @abstractmethod
    def exchange(self) -> str:
        """The exchange it was published to; `""` is the default exchange."""

    @property
    @abstractmethod
    def routing_key(self) -> str:
        """The routing key it was published with."""

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
    @abstractmethod
    def body(self) -> bytes:
        """The body, put together on demand."""
