"""Which brokers of the test kit run in this process: so that failures can show them, and leaks can be told.

This imports nothing: it is looked at in every run of pytest, whether there are brokers or not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

# What stands between a test and `start`.
_BETWEEN: Final = ("amqpy_broker", "contextlib", "anyio", "asyncio", "trio")


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A broker, and where it was started."""

    broker: object
    place: str


class LeakedBroker(UserWarning):
    """A test has started a broker and not stopped it. No ResourceWarning: those are not shown by default."""


class Watcher(Protocol):
    """Wants to know of brokers."""

    def starting(self, running: RunningBroker) -> None:
        """Learn of a broker that is about to listen. Called in the broker's thread."""
        ...

    def stopping(self, running: RunningBroker) -> None:
        """Learn of a broker that is about to end; what is in it is still there. Called in the broker's thread."""
        ...


class Running:
    """The brokers of this process."""

    def __init__(self) -> None:
        self._brokers: dict[object, RunningBroker] = {}
        self._watchers: list[Watcher] = []

    def __iter__(self) -> Iterator[RunningBroker]:
        return iter(tuple(self._brokers.values()))

    def watch(self, watcher: Watcher) -> None:
        """Tell somebody of brokers from now on."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """Tell somebody no more."""
        self._watchers.remove(watcher)

    def add(self, broker: object, place: str) -> None:
        """Learn of a broker that is about to listen."""
        running = self._brokers[broker] = RunningBroker(broker, place)
        for watcher in tuple(self._watchers):
            watcher.starting(running)

    def remove(self, broker: object) -> None:
        """Learn of a broker that is about to end; twice is fine."""
        running = self._brokers.pop(broker, None)
        for watcher in tuple(self._watchers) if running is not None else ():
            assert running is not None
            watcher.stopping(running)


RUNNING: Final = Running()


def place_of_caller() -> str:
    """Say where in the user's code we are, as `path/to/file.py:12`."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
