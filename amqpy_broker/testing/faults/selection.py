"""What a fault is about: connections, channels, queues, methods; by name, by pattern, by predicate, by chance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias, TypedDict

from amqpy_broker.testing.conversation.methods import METHOD_NAMES
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.faults.seen import Seen

Predicate: TypeAlias = Callable[[Seen], bool]
Sender: TypeAlias = Literal["client", "broker"]
_OTHER_FRAMES: Final = ("protocol-header", "heartbeat", "header", "body")


class About(TypedDict, total=False):
    """What a fault is about, and how long it lasts. Names may be patterns, as in `worker-*`.

    connection: the name that the client gave it, or the ends of its socket.
    channel: its number.
    queue, exchange, routing_key: what the method is about.
    predicate: says of each frame that passed the rest whether it is one; it runs in the broker's thread.
    probability: how likely each of those is, more than 0 and at most 1.
    times: how often it happens; without, as long as it is in force.
    seed: makes what is random repeat.
    may_not_fire: it is no mistake if it never happens.
    """

    connection: str
    channel: int
    queue: str
    exchange: str
    routing_key: str
    predicate: Predicate
    probability: float
    times: int
    seed: int
    may_not_fire: bool


class AboutMethods(About, total=False):
    """The same, by sender.

    sent_by: `client` or `broker`.
    """

    sent_by: Sender


class AboutFrames(AboutMethods, total=False):
    """The same, by method.

    method: as in `basic.publish`.
    """

    method: str


@dataclass(frozen=True)
class Selection:
    """What a fault is about. What is not given is not asked for."""

    connection: str | None = None
    channel: int | None = None
    queue: str | None = None
    exchange: str | None = None
    routing_key: str | None = None
    method: str | None = None
    sent_by: Sender | None = None
    predicate: Predicate | None = None
    probability: float = 1.0

    @classmethod
    def of(cls, about: AboutFrames) -> Selection:
        """Read what a fault is about.

        Raises:
            TypeError: faults know nothing of that kind.
            Misuse: that can never be.
        """
        if unknown := about.keys() - AboutFrames.__optional_keys__:
            known = ", ".join(sorted(AboutFrames.__optional_keys__))
            raise TypeError(f"faults take no {', '.join(sorted(unknown))}; they take {known}")
        return cls(
            connection=about.get("connection"),
            channel=about.get("channel"),
            queue=about.get("queue"),
            exchange=about.get("exchange"),
            routing_key=about.get("routing_key"),
            method=about.get("method"),
            sent_by=about.get("sent_by"),
            predicate=about.get("predicate"),
            probability=about.get("probability", 1.0),
        )

    def __post_init__(self) -> None:
        known = (*METHOD_NAMES.values(), *_OTHER_FRAMES)
        if self.method is not None and not any(fnmatchcase(name, self.method) for name in known):
            raise Misuse(
                f"there is no method '{self.method}'; one is called as in 'basic.publish' or 'queue.declare-ok'"
            )
        if not 0 < self.probability <= 1:
            raise Misuse(f"a probability is more than 0 and at most 1, not {self.probability}")
        if self.sent_by not in (None, "client", "broker"):
            raise Misuse(f"frames are sent by 'client' or 'broker', not by '{self.sent_by}'")

    @property
    def is_about_frames(self) -> bool:
        """Whether it picks out frames, and not just connections and channels."""
        chosen = (self.queue, self.exchange, self.routing_key, self.method, self.sent_by, self.predicate)
        return any(value is not None for value in chosen) or self.probability < 1

    def wants_connection(self, names: Iterable[str]) -> bool:
        """Say whether a connection is one of those, by any of its names."""
        return self.connection is None or any(fnmatchcase(name, self.connection) for name in names)

    def wants(self, seen: Seen) -> bool:
        """Say whether a frame is one of those, chance aside."""
        return (
            self.wants_connection(seen.connection_names)
            and (self.channel is None or self.channel == seen.channel)
            and (self.sent_by is None or self.sent_by == seen.sent_by)
            and _fits(self.method, seen.method)
            and (self.exchange is None or ("exchange" in seen.arguments and _fits(self.exchange, seen.exchange)))
            and _fits(self.routing_key, seen.routing_key)
            and (self.queue is None or (seen.queue != "" and _fits(self.queue, seen.queue)))
            and (self.predicate is None or self.predicate(seen))
        )

    def told(self) -> Iterator[str]:
        """Say what is asked for, as it was written."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value != field.default:
                yield f"{field.name}={getattr(value, '__name__', repr(value))}"


def _fits(pattern: str | None, value: str) -> bool:
    return pattern is None or fnmatchcase(value, pattern)
