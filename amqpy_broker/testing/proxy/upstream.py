"""Where a broker is, and how to get there."""

from __future__ import annotations

import ssl
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

import anyio
from anyio.abc import ByteStream

_PORTS: Final = {"amqp": 5672, "amqps": 5671}


class Upstream(NamedTuple):
    """Where the broker is."""

    host: str
    port: int
    is_tls: bool
    login: str
    rest: str

    @property
    def address(self) -> str:
        """Host and port, for people."""
        return f"{self.host}:{self.port}"

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password; guest, if the URL has none."""
        if not self.login:
            return "guest", "guest"
        user, _, password = self.login.removesuffix("@").partition(":")
        return unquote(user), unquote(password)

    async def connect(self, ssl_context: ssl.SSLContext | None = None) -> ByteStream:
        """Connect.

        Raises:
            OSError: nobody is there, or his certificate is not good.
        """
        if not self.is_tls:
            return await anyio.connect_tcp(self.host, self.port)
        return await anyio.connect_tcp(
            self.host, self.port, tls=True, ssl_context=ssl_context, tls_standard_compatible=False
        )


def parse_url(url: str) -> Upstream:
    """Take the URL of a broker apart.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.netloc:
        raise ValueError(f"'{url}' is no URL of a broker; one begins with amqp:// or amqps://")
    login, at, _ = parts.netloc.rpartition("@")
    rest = parts.path + (f"?{parts.query}" if parts.query else "")
    port = parts.port if parts.port is not None else _PORTS[parts.scheme]
    return Upstream(parts.hostname or "localhost", port, parts.scheme == "amqps", login + at, rest or "/")
