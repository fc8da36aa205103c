"""Who acts, and what they may do: users' permissions, asked before anything happens."""

from typing import Final, Literal

from amqpy_broker.core.errors import AccessRefused
from amqpy_broker.core.names import exchange_text, queue_text
from amqpy_broker.core.users import Permissions, User

Operation = Literal["configure", "write", "read"]
# The default exchange is asked for by this name.
_DEFAULT_EXCHANGE_RESOURCE: Final = "amq.default"


class Actor:
    """A user in a vhost, over one connection."""

    __slots__ = ("_permissions", "owner", "user", "vhost")

    def __init__(self, user: User, vhost: str, owner: object) -> None:
        self.user = user
        self.vhost = vhost
        # What exclusive queues are locked to: the connection.
        self.owner = owner
        self._permissions: Permissions = user.permissions[vhost]

    def check_queue(self, operation: Operation, name: str) -> None:
        """Raise AccessRefused unless the user's permission covers the queue."""
        if not self._permissions.allow(operation, name):
            raise self._refused(operation, queue_text(name, self.vhost))

    def check_exchange(self, operation: Operation, name: str) -> None:
        """Raise AccessRefused unless the user's permission covers the exchange."""
        if not self._permissions.allow(operation, name or _DEFAULT_EXCHANGE_RESOURCE):
            raise self._refused(operation, exchange_text(name, self.vhost))

    def check_any(self, resource: str, name: str) -> None:
        """Raise AccessRefused unless any of the user's permissions covers the name."""
        if not any(self._permissions.allow(operation, name) for operation in ("configure", "write", "read")):
            raise self._refused("configure", resource)

    def _refused(self, operation: Operation, resource: str) -> AccessRefused:
        return AccessRefused(f"{operation} access to {resource} refused for user '{self.user.name}'")
