"""The part of the kit that makes vhosts, and takes them away with everything in them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from amqpy_broker.core.broker import DEFAULT_USER
from amqpy_broker.core.errors import ConnectionForced
from amqpy_broker.core.users import Permissions
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.in_broker import InBroker, in_broker
from amqpy_broker.testing.inside import Inside

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
        if name not in inside.core.vhosts:
            raise Misuse(f"there is no vhost '{name}': there are {', '.join(map(repr, inside.core.vhosts))}")
        close_connections_to([name], inside)
        inside.core.remove_vhost(name)
        inside.history.clear(name)


def close_connections_to(vhosts: Collection[str], inside: Inside) -> None:
    """Close the connections to vhosts that go, or are gone; their clients are told in RabbitMQ's words."""
    for connection in tuple(inside.connections):
        vhost = connection.negotiated.vhost
        if vhost is not None and vhost.name in vhosts:
            connection.close(ConnectionForced(f"vhost '{vhost.name}' is deleted"))
