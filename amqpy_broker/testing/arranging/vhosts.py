"""The part of the kit that makes vhosts, and takes them away with everything in them."""

from __future__ import annotations

from typing import Final

from amqpy_broker.core.broker import DEFAULT_USER
from amqpy_broker.core.errors import ConnectionForced
from amqpy_broker.core.users import Permissions
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.in_broker import InBroker, in_broker

# RabbitMQ's.
_NAME_MAX_BYTES: Final = 255


class Vhosts(InBroker):
    """Vhosts, from the test."""

    @in_broker
    def add_vhost(self, name: str) -> None:
        """Create a vhost in which the user guest may do everything.

        Raises:
            Misuse: there is one of that name, or there cannot be.
        """
        core = self.inside().core
        if name in core.vhosts:
            raise Misuse(f"there is a vhost '{name}' already")
        if not name or len(name.encode()) > _NAME_MAX_BYTES:
            raise Misuse(f"a vhost's name has 1 to {_NAME_MAX_BYTES} bytes: '{name}'")
        core.add_vhost(name)
        guest = core.users.find(DEFAULT_USER)
        if guest is not None:
            guest.permissions[name] = Permissions()

    @in_broker
    def remove_vhost(self, name: str) -> None:
        """Delete a vhost with everything in it; clients that are connected to it are told, and lose their connection.

        Raises:
            Misuse: there is none of that name.
        """
        inside = self.inside()
        vhost = inside.core.vhosts.get(name)
        if vhost is None:
            raise Misuse(f"there is no vhost '{name}': there are {', '.join(map(repr, inside.core.vhosts))}")
        for connection in tuple(inside.connections):
            if connection.negotiated.vhost is vhost:
                connection.close(ConnectionForced(f"vhost '{name}' is deleted"))
        inside.core.remove_vhost(name)
        inside.history.clear(name)
