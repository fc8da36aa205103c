"""What happens in a conversation: each event is a thing that one side said, or that befell the connection."""

from dataclasses import dataclass, field
from typing import TypeAlias

from amqpy_broker.testing.conversation.frames import Direction
from amqpy_broker.testing.conversation.methods import MethodArguments
from amqpy_broker.testing.conversation.properties import Properties


@dataclass(frozen=True, slots=True)
class Content:
    """A message. `body` may be only its beginning: `body_size` is how large it was."""

    properties: Properties
    body: bytes
    body_size: int

    @property
    def is_cut(self) -> bool:
        """Whether some of the body was not kept."""
        return len(self.body) < self.body_size


@dataclass(frozen=True, slots=True)
class Opened:
    """A client has connected. `name` tells both ends."""

    time_s: float
    connection: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class ProtocolHeader:
    """The eight octets that a conversation begins with; a server says them to refuse."""

    time_s: float
    connection: int
    direction: Direction
    octets: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """A method, with the message that it carries if it carries one."""

    time_s: float
    connection: int
    direction: Direction
    channel: int
    name: str
    arguments: MethodArguments = field(default_factory=dict)
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life."""

    time_s: float
    connection: int
    direction: Direction


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Octets that cannot be read where they are. `octets` may be only their beginning."""

    time_s: float
    connection: int
    direction: Direction
    channel: int
    octets: bytes
    size: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection is over; `how` tells what happened to the sockets."""

    time_s: float
    connection: int
    how: str = ""


Event: TypeAlias = "Opened | ProtocolHeader | Said | Heartbeat | Unreadable | Ended"
