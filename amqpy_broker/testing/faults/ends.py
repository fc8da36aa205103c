"""A client's connection as faults need it: the link, and, if the broker is ours, what is behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from amqpy_broker.core.alarms import Resource
from amqpy_broker.core.errors import AmqpError
from amqpy_broker.testing.faults.knowledge import Knowledge
from amqpy_broker.testing.link.link import Link


class Returns(Protocol):
    """Who wants a say in the order in which messages return to a queue."""

    def order(self, names: Sequence[str], channel: int, queue: str, count: int) -> Sequence[int] | None:
        """Say which of so many messages comes first, second, …; None: as they are.

        `names` are those of the connection that held them.
        """
        ...


class BrokersEnd(Protocol):
    """The broker's own end of a connection."""

    def close(self, refusal: AmqpError, index: int) -> bool:
        """Close the connection on account of the method `index`; False if it is not open."""
        ...

    def close_channel(self, number: int, refusal: AmqpError, index: int) -> bool:
        """Close a channel on account of the method `index`; False if it is not open."""
        ...

    def channels(self) -> Sequence[int]:
        """The numbers of the channels that are open."""
        ...

    def catch_up(self) -> None:
        """Let the broker act on all that came before the frame that passes now."""
        ...

    def silence(self) -> None:
        """Take the client for dead when time is turned, and do not wait for it in the end."""
        ...

    def cancel_consumers(self, wanted: Callable[[int, str, str], bool]) -> int:
        """Cancel the consumers of which `wanted` says so by channel, tag and queue; return how many."""
        ...

    def watch_returns(self, returns: Returns) -> None:
        """Ask somebody in which order messages return, from now on."""
        ...

    def unwatch_returns(self, returns: Returns) -> None:
        """Ask no longer."""
        ...

    def watch_blocked(self, blocked: Callable[[str], None]) -> None:
        """Tell somebody when an alarm holds this client back: its name."""
        ...


class End(Protocol):
    """A client's connection."""

    @property
    def link(self) -> Link:
        """What passes between client and broker."""
        ...

    @property
    def peer(self) -> str:
        """Both ends of its socket."""
        ...

    @property
    def broker(self) -> BrokersEnd | None:
        """The broker's end, if it is within reach."""
        ...

    def learned(self) -> Knowledge:
        """Return what is known of the conversation up to now."""
        ...


class Surroundings(Protocol):
    """What is around all connections."""

    def ends(self) -> Sequence[End]:
        """The connections that are there."""
        ...

    @property
    def has_broker(self) -> bool:
        """Whether the broker is within reach."""
        ...

    def set_alarm(self, resource: Resource, cause: str, *, raised: bool) -> None:
        """Raise an alarm, or end it."""
        ...
