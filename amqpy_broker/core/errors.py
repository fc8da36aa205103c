"""What a client can do wrong: a reply code, a scope and RabbitMQ's words.

Raised where the mistake is known, turned into a close frame in one place (`protocols.amqp091.replies`).
Our own mistakes are never an `AmqpError`.
"""

from enum import Enum
from typing import ClassVar


class Scope(Enum):
    """What a mistake costs the client."""

    CHANNEL = "channel"
    CONNECTION = "connection"


class AmqpError(Exception):
    """A client's mistake. `text` follows the code's name in the reply text: `NOT_FOUND - no queue 'q' in vhost '/'`."""

    code: ClassVar[int]
    name: ClassVar[str]
    scope: Scope
    # Whether the close frame names the method that failed.
    blames_method: ClassVar[bool] = True

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    @property
    def reply_text(self) -> str:
        """The reply text as clients see it, before it is cut to the 255 octets of a short string."""
        return f"{self.name} - {self.text}" if self.text else self.name


class ChannelException(AmqpError):
    """Closes the channel; the connection goes on."""

    scope = Scope.CHANNEL


class ConnectionException(AmqpError):
    """Closes the connection."""

    scope = Scope.CONNECTION


class AccessRefused(ChannelException):
    """403: the user may not do this, or nobody may."""

    code, name = 403, "ACCESS_REFUSED"


class NotFound(ChannelException):
    """404: no such exchange, queue or binding."""

    code, name = 404, "NOT_FOUND"


class ResourceLocked(ChannelException):
    """405: another connection holds it exclusively."""

    code, name = 405, "RESOURCE_LOCKED"


class PreconditionFailed(ChannelException):
    """406: not what it is, or not now."""

    code, name = 406, "PRECONDITION_FAILED"


class ConnectionForced(ConnectionException):
    """320: an operator, or a shutdown, closes the connection."""

    code, name = 320, "CONNECTION_FORCED"


class FrameError(ConnectionException):
    """501: the bytes are not a frame."""

    code, name = 501, "FRAME_ERROR"
    blames_method = False


class CannotDecode(FrameError):
    """501: the octets are not the method that they say they are."""

    blames_method = True


class SyntaxFault(ConnectionException):
    """502: a field holds an illegal value."""

    code, name = 502, "SYNTAX_ERROR"


class CommandInvalid(ConnectionException):
    """503: a method that may not be sent, or not here."""

    code, name = 503, "COMMAND_INVALID"


class ChannelError(ConnectionException):
    """504: a channel that is not open, or is open already."""

    code, name = 504, "CHANNEL_ERROR"


class UnexpectedFrame(ConnectionException):
    """505: a frame that cannot follow the one before."""

    code, name = 505, "UNEXPECTED_FRAME"


class NotAllowed(ConnectionException):
    """530: forbidden by a limit or a rule, with any manners."""

    code, name = 530, "NOT_ALLOWED"


class NotImplementedByBroker(ConnectionException):
    """540: RabbitMQ does not do this either."""

    code, name = 540, "NOT_IMPLEMENTED"


class InternalError(ConnectionException):
    """541: RabbitMQ's answer where it crashes, ours where we do."""

    code, name = 541, "INTERNAL_ERROR"
    blames_method = False


class InternalRefusal(InternalError):
    """541: what RabbitMQ refuses with this code, and a reason."""

    blames_method = True


class LoginRefused(ConnectionException):
    """403 for the whole connection: the only one of its kind, sent to clients that announced they understand it."""

    code, name = 403, "ACCESS_REFUSED"
    blames_method = False
