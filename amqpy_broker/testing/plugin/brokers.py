"""The brokers that tests share: one for each choice of options, started when a test first needs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from amqpy_broker.testing.plugin.options import REPORT, Options
from amqpy_broker.testing.thread import BrokerThread


class Brokers:
    """Shared brokers. Each has a thread, so that tests of any kind can use it."""

    def __init__(self) -> None:
        self._brokers: dict[Options, BrokerThread] = {}

    def broker(self, options: Options) -> BrokerThread:
        """Find the broker for these options, or start it.

        Raises:
            ValueError: there is no such profile.
        """
        needs = options.needs
        if needs not in self._brokers:
            self._brokers[needs] = started(**as_arguments(needs))
        return self._brokers[needs]

    def __iter__(self) -> Iterator[BrokerThread]:
        return iter(tuple(self._brokers.values()))

    def __contains__(self, broker: object) -> bool:
        """Say whether this is one of them."""
        return any(broker is one for one in self)

    def stop(self) -> None:
        """Stop all of them."""
        for broker in self:
            broker.stop()


def as_arguments(options: Options) -> dict[str, Any]:
    """Return options as `Broker` takes them."""
    arguments: dict[str, Any] = {"virtual_time": options.virtual_time, "strict": options.strict}
    if options.strict == REPORT:
        arguments["strict"] = "warn"
    if options.profile is not None:
        arguments["profile"] = options.profile
    return arguments


def started(**options: Any) -> BrokerThread:  # noqa: ANN401 - Broker's own, which checks them
    """Start a broker in a thread."""
    broker = BrokerThread(**options)
    broker.start()
    return broker
