"""Ports for listeners that go away and come back, while their clients knock all the time."""

import random
import socket
from typing import Final

# Below what any system hands out by itself. A port of that range could be taken in the meantime by somebody's
# outgoing connection, and even by the knocking client's own: TCP lets a socket connect to itself.
_PORTS: Final = range(15_000, 30_000)


def reserve_port() -> int:
    """Return a port of loopback that nobody listens on, nor will by chance."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")
