"""A vhost for one test, with everything of the kit at home in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final
from urllib.parse import quote

from amqpy_broker.testing.running.clock import Clock
from amqpy_broker.testing.strict.finding import Finding, assert_none
from amqpy_broker.testing.thread import BrokerThread
from amqpy_broker.testing.vhost_kit import BlockingVhostKit

# RabbitMQ allows 255 bytes; people read the beginning.
_NAME_MAX: Final = 80


class Vhost(BlockingVhostKit):
    """A vhost of a shared broker. What the kit can do to a broker, it does in this vhost."""

    def __init__(self, broker: BrokerThread, name: str) -> None:
        super().__init__(broker, name)
        self.broker = broker

    @property
    def findings(self) -> list[Finding]:
        """What strict mode has found in this vhost so far.

        Raises:
            Misuse: the broker was made without `strict`.
        """
        return [finding for finding in self.broker.findings if finding.vhost == self.name]

    def assert_no_findings(self) -> None:
        """Find that strict mode has found nothing in this vhost.

        Raises:
            AssertionError: it has; the text tells all of it.
            Misuse: the broker was made without `strict`.
        """
        assert_none(self.findings)

    @property
    def url(self) -> str:
        """What a client connects to."""
        return f"{self.broker.url}{quote(self.name, safe='')}"

    @property
    def port(self) -> int:
        """The port that the broker listens on."""
        return self.broker.port

    @property
    def clock(self) -> Clock:
        """The broker's clock."""
        return self.broker.clock

    def settled(self, *, timeout_s: float = 5.0, unacked_ok: bool = False) -> None:
        """Wait until nothing is left to do; see `Broker.settled`."""
        self.broker.settled(timeout_s=timeout_s, unacked_ok=unacked_ok)

    def advance(
        self,
        by: timedelta | None = None,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        milliseconds: float = 0,
        unacked_ok: bool = True,
    ) -> None:
        """Let time pass; see `Broker.advance`."""
        step = (by or timedelta()) + timedelta(
            days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
        )
        self.broker.advance(step, unacked_ok=unacked_ok)


@contextmanager
def vhost_of(broker: BrokerThread, test: str, number: int) -> Iterator[Vhost]:
    """Make a vhost for a test, and take it away with everything in it."""
    name = f"{re.sub(r'[^0-9A-Za-z_]+', '-', test).strip('-')[:_NAME_MAX]}-{number}"
    broker.add_vhost(name)
    try:
        yield Vhost(broker, name)
    finally:
        # The test may have reset the broker.
        if name in broker.run_in_broker(lambda: set(broker.core.vhosts)):
            broker.remove_vhost(name)
