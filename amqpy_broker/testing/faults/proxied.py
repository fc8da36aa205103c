"""The connections that pass through a proxy, for faults: frames, and nothing behind them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import NoReturn

from amqpy_broker.core.alarms import Resource
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.faults.ends import BrokersEnd, End
from amqpy_broker.testing.faults.knowledge import Knowledge
from amqpy_broker.testing.link.link import PASS, Direction, FrameKind, Link, Verdict, WireFrame


class ProxiedEnd:
    """One connection. It listens from the beginning: faults that come in the middle want to know what was before."""

    # The broker is somewhere else.
    broker: BrokersEnd | None = None

    def __init__(self, link: Link) -> None:
        self.link = link
        self.peer = link.name
        self._known = Knowledge()
        link.add(self)

    def learned(self) -> Knowledge:
        """Return what was heard up to now."""
        return deepcopy(self._known)

    def filter(self, link: Link, frame: WireFrame) -> Verdict:
        """Listen to a frame, and let it pass."""
        if frame.kind is FrameKind.METHOD:
            self._count(frame)
            self._known.learn(frame)
        return PASS

    def _count(self, frame: WireFrame) -> None:
        """Keep the book of a channel that confirms."""
        channel = self._known.channels.get(frame.channel)
        book = channel.confirms if channel is not None else None
        if book is None:
            return
        if frame.name == "basic.publish" and frame.direction is Direction.TO_SERVER:
            book.pass_on(book.count_publish())
        elif frame.name in ("basic.ack", "basic.nack") and frame.direction is Direction.TO_CLIENT:
            tag = frame.arguments.get("delivery_tag")
            if isinstance(tag, int):
                book.tell(book.confirmed(tag, multiple=bool(frame.arguments.get("multiple"))))


class ProxiedConnections:
    """All connections of a proxy."""

    has_broker = False

    def __init__(self) -> None:
        self._ends: dict[Link, ProxiedEnd] = {}

    def connected(self, link: Link) -> ProxiedEnd:
        """Learn of a connection."""
        end = self._ends[link] = ProxiedEnd(link)
        return end

    def ended(self, link: Link) -> None:
        """Learn that a connection is over."""
        self._ends.pop(link, None)

    def ends(self) -> Sequence[End]:
        """The connections that are there."""
        return tuple(self._ends.values())

    def set_alarm(self, resource: Resource, cause: str, *, raised: bool) -> NoReturn:
        """Refuse: the broker is somewhere else."""
        raise Misuse("a proxy cannot raise an alarm in the broker behind it")
