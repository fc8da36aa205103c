"""A link: one client's connection to a broker, seen as two streams of frames, with filters in between. Pure.

Whoever owns the sockets hands in what each side sent (`client_sent`, `server_sent`), sends on what comes out (`take`),
and calls `handle_deadline` when `next_deadline_s` has come. `wake` tells that there is something to take that was not
there before, or that the link has ended.

A `LinkFilter` gets each complete frame and says what becomes of it:

- `PASS`: it goes on, to the next filter or to the other side.
- `DROP`: it vanishes; a method that carries a message takes the message's frames with it.
- a list of frames: they go on in its place. An empty one drops this frame alone.
- a `Hold`: it waits, for a time or until it is released, and what comes after it waits behind it.

Rule 1: without filters bytes pass as they came; nothing is held back or looked at but the sizes of frames.
Rule 2: filters see whole frames only. One that is added in the middle of a frame begins with the next one.
Rule 3: nothing that either side sends makes a link raise. What cannot be a frame is shown to filters as `UNREADABLE`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple, Protocol, TypeAlias

from amqpy_broker.core.clock import Clock
from amqpy_broker.testing.conversation.frames import Direction, FrameKind, WireFrame
from amqpy_broker.testing.conversation.splitter import Follower, Splitter

__all__ = ["DROP", "PASS", "Direction", "Ending", "FrameKind", "Hold", "Link", "LinkFilter", "Order", "WireFrame"]

_NEVER: Final = float("inf")
# Above this whoever owns the sockets should read no more: what is held and what is not taken count.
HIGH_WATERMARK_BYTES: Final = 16 * 1024 * 1024


class Action(Enum):
    """What becomes of a frame."""

    PASS = "pass"
    DROP = "drop"


PASS: Final = Action.PASS
DROP: Final = Action.DROP


class Order(Enum):
    """What waits behind a frame that is held."""

    # All that goes the same way.
    DIRECTION = "direction"
    # What goes the same way on the same channel; other channels overtake it.
    CHANNEL = "channel"


class Ending(Enum):
    """How a link ended."""

    # The sockets are closed when everything that went through is sent.
    CLOSED = "closed"
    # The sockets are reset at once.
    RESET = "reset"


class Hold:
    """Keeps frames back until a time of the link's clock, or until `release`. One may hold many, on many links."""

    def __init__(self, *, until_s: float = _NEVER, order: Order = Order.DIRECTION) -> None:
        self.until_s = until_s
        self.order = order
        self.released = False
        self._lanes: dict[_Lane, None] = {}

    def release(self) -> None:
        """Let the frames go, in their order, and hold no more."""
        self.released = True
        lanes, self._lanes = self._lanes, {}
        for lane in lanes:
            lane.flush()

    def holds(self, now_s: float) -> bool:
        """Whether frames must wait still."""
        return not self.released and now_s < self.until_s

    def keep(self, lane: _Lane) -> None:
        """Learn who has frames that wait."""
        self._lanes[lane] = None


Verdict: TypeAlias = "Action | Hold | Sequence[WireFrame]"


class LinkFilter(Protocol):
    """Decides about frames."""

    def filter(self, link: Link, frame: WireFrame) -> Verdict:
        """Say what becomes of a frame. It may talk to either side itself by way of the link, and end it."""
        ...


class Link:
    """One client's connection, both ways. `name` is for people."""

    def __init__(self, clock: Clock, *, name: str = "", wake: Callable[[Direction], None] | None = None) -> None:
        self.clock = clock
        self.name = name
        self.wake = wake
        self.ending: Ending | None = None
        self._filters: tuple[_FilterPlace, ...] = ()
        self._to_server = _Lane(self, Direction.TO_SERVER)
        self._to_client = _Lane(self, Direction.TO_CLIENT)
        # What is to be done later: when, in which order, what.
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    # --- for whoever owns the sockets -------------------------------------------------------------------------------

    def client_sent(self, octets: bytes) -> None:
        """Take in what the client sent. Never raises, unless a filter does."""
        self._to_server.push(octets)

    def server_sent(self, octets: bytes) -> None:
        """Take in what the server sent. Never raises, unless a filter does."""
        self._to_client.push(octets)

    def take(self, direction: Direction) -> bytes:
        """Take what goes this way now; the caller sends it."""
        return self._lane(direction).take()

    def ready_size(self, direction: Direction) -> int:
        """Return how many octets can be taken."""
        return self._lane(direction).ready_size

    def is_empty(self, direction: Direction) -> bool:
        """Whether nothing can be taken, and no frame is held that could be later."""
        lane = self._lane(direction)
        return not lane.ready_size and not lane.waiting

    def is_full(self, direction: Direction) -> bool:
        """Whether nothing more should be read that goes this way, until something was taken or let go."""
        return self._lane(direction).size > HIGH_WATERMARK_BYTES

    @property
    def next_deadline_s(self) -> float:
        """When `handle_deadline` is due, in the clock's seconds; infinity for never."""
        later_s = self._later[0][0] if self._later else _NEVER
        return min(self._to_server.release_at_s, self._to_client.release_at_s, later_s)

    def handle_deadline(self) -> None:
        """Let frames go whose time has come, and do what is due."""
        while self._later and self._later[0][0] <= self.clock.monotonic_s():
            heappop(self._later)[2]()
        for lane in (self._to_server, self._to_client):
            if lane.release_at_s <= self.clock.monotonic_s():
                lane.flush()

    # --- for filters, and whoever adds them -------------------------------------------------------------------------

    def add(self, link_filter: LinkFilter) -> None:
        """Ask a filter about every frame that begins from now on, after those that are there."""
        self._filters = (*self._filters, _FilterPlace(link_filter))

    def remove(self, link_filter: LinkFilter) -> None:
        """Ask a filter no more; what it holds stays held. Removing one that is not there is fine."""
        self._filters = tuple(place for place in self._filters if place.filter is not link_filter)

    def to_server(self, octets: bytes) -> None:
        """Say something to the server in the client's place, as soon as no frame is in the middle of its way.

        Filters are not asked, and what is held is overtaken.
        """
        self._to_server.put_in(octets)

    def to_client(self, octets: bytes) -> None:
        """Say something to the client in the server's place, in the same way."""
        self._to_client.put_in(octets)

    def call_at(self, at_s: float, action: Callable[[], None]) -> None:
        """Do something at a time of the link's clock. Call it while a frame is filtered."""
        heappush(self._later, (at_s, next(self._order), action))

    def stop(self, direction: Direction) -> None:
        """Swallow everything that goes this way, for ever, and leave the sockets open.

        Stopped both ways, a link is as dead as behind a firewall that forgot it.
        """
        self._lane(direction).stop()

    def drop(self, *, reset: bool = False) -> None:
        """End the link: nothing more goes either way.

        Args:
            reset: end it with a reset, and lose what was not sent yet.
        """
        if self.ending is not None:
            return
        self.ending = Ending.RESET if reset else Ending.CLOSED
        for lane in (self._to_server, self._to_client):
            lane.stop()
            if reset:
                lane.take()
            if self.wake is not None:
                self.wake(lane.direction)

    @property
    def filters(self) -> Sequence[LinkFilter]:
        """The filters, in the order in which they are asked."""
        return [place.filter for place in self._filters]

    @property
    def places(self) -> tuple[_FilterPlace, ...]:
        """The filters, with what each of them has in mind."""
        return self._filters

    def _lane(self, direction: Direction) -> _Lane:
        return self._to_server if direction is Direction.TO_SERVER else self._to_client


class _FilterPlace:
    """A filter on one link, and the messages that it drops there."""

    def __init__(self, link_filter: LinkFilter) -> None:
        self.filter = link_filter
        # By direction and channel: the method whose content is dropped with it.
        self._dropped: dict[tuple[Direction, int], WireFrame] = {}

    def verdict(self, link: Link, frame: WireFrame) -> Verdict:
        """Ask the filter, unless this belongs to what it has dropped."""
        where = frame.direction, frame.channel
        if frame.content_of is not None and self._dropped.get(where) is frame.content_of.origin:
            return DROP
        verdict = self.filter.filter(link, frame)
        if verdict is DROP and frame.begins_content:
            self._dropped[where] = frame.origin
        return verdict


class _Waiting(NamedTuple):
    """A frame that is held, or waits behind one."""

    frame: WireFrame
    holds: tuple[Hold, ...]


class _Lane:
    """One direction of a link."""

    def __init__(self, link: Link, direction: Direction) -> None:
        self.direction = direction
        self.release_at_s = _NEVER
        self._link = link
        self._stopped = False
        self._out: list[bytes] = []
        self.ready_size = 0
        # One of the two: bytes pass by, or are split for filters.
        self._follower = Follower()
        self._splitter: Splitter | None = None
        # What is to be put in between two frames.
        self._put_in: list[bytes] = []
        self.waiting: deque[_Waiting] = deque()
        self._waiting_size = 0
        self._all_wait = False
        self._waiting_channels: set[int] = set()

    @property
    def size(self) -> int:
        """Octets that are here."""
        return self.ready_size + self._waiting_size + (self._splitter.held_size if self._splitter else 0)

    def take(self) -> bytes:
        """Take what may go."""
        octets = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self.ready_size = 0
        return octets

    def push(self, octets: bytes) -> None:
        """Take in what was sent this way."""
        if self._stopped:
            return
        if self._link.places or self.waiting or self._put_in:
            octets = self._pass_to_the_next_frame(octets)
        else:
            self._stop_splitting()
        if self._splitter is None:
            self._follower.pass_by(octets)
            self._emit(octets)
            return
        for frame in self._splitter.push(octets):
            if self._stopped:
                return
            self._ask(frame, self._link.places, ())

    def put_in(self, octets: bytes) -> None:
        """Send octets now, or else as soon as the frame that passes is complete."""
        if self._stopped:
            return
        if self._splitter is not None or self._follower.between_frames or self._follower.lost:
            self._emit(octets)
        else:
            self._put_in.append(octets)

    def stop(self) -> None:
        """Swallow what is held and what comes."""
        self._stopped = True
        self.waiting.clear()
        self._put_in.clear()
        self._waiting_size = 0
        self.release_at_s = _NEVER

    def flush(self) -> None:
        """Let go what need not wait any more."""
        now_s = self._link.clock.monotonic_s()
        waiting, self.waiting = self.waiting, deque()
        self._waiting_size, self._all_wait, self.release_at_s = 0, False, _NEVER
        self._waiting_channels.clear()
        for frame, holds in waiting:
            self._put(frame, tuple(hold for hold in holds if hold.holds(now_s)))

    # --- bytes or frames --------------------------------------------------------------------------------------------

    def _pass_to_the_next_frame(self, octets: bytes) -> bytes:
        """Let the rest of a frame pass whose beginning has passed; split from there on. Return what is left."""
        if self._splitter is not None:
            return octets
        first = 0
        if not self._follower.between_frames and not self._follower.lost:
            first = self._follower.pass_by(octets)
            self._emit(octets[:first])
            if first == len(octets) and not self._follower.between_frames:
                return b""
        self._splitter = Splitter(self.direction, lost=self._follower.lost)
        for put_in in self._put_in:
            self._emit(put_in)
        self._put_in.clear()
        return octets[first:]

    def _stop_splitting(self) -> None:
        """Let bytes pass again, what is held of a frame first."""
        if self._splitter is None:
            return
        self._follower = Follower()
        self._follower.lost = self._splitter.lost
        held, self._splitter = self._splitter.take_held(), None
        self._follower.pass_by(held)
        self._emit(held)

    def _emit(self, octets: bytes) -> None:
        if not octets:
            return
        self._out.append(octets)
        self.ready_size += len(octets)
        if len(self._out) == 1 and self._link.wake is not None:
            self._link.wake(self.direction)

    # --- filters ----------------------------------------------------------------------------------------------------

    def _ask(self, frame: WireFrame, places: tuple[_FilterPlace, ...], holds: tuple[Hold, ...]) -> None:
        """Ask one filter after the other about a frame, and do what they say."""
        for at, place in enumerate(places):
            verdict = place.verdict(self._link, frame)
            if verdict is DROP:
                return
            if isinstance(verdict, Hold):
                holds = (*holds, verdict)
            elif not isinstance(verdict, Action):
                for replacement in verdict:
                    self._ask(replacement, places[at + 1 :], holds)
                return
        if not self._stopped:
            now_s = self._link.clock.monotonic_s()
            self._put(frame, tuple(hold for hold in holds if hold.holds(now_s)))

    def _put(self, frame: WireFrame, holds: tuple[Hold, ...]) -> None:
        """Send a frame, or let it wait, for its holds or behind others."""
        if not holds and not self._all_wait and frame.channel not in self._waiting_channels:
            self._emit(frame.octets)
            return
        self.waiting.append(_Waiting(frame, holds))
        self._waiting_size += len(frame.octets)
        for hold in holds:
            hold.keep(self)
            self.release_at_s = min(self.release_at_s, hold.until_s)
            if hold.order is Order.DIRECTION:
                self._all_wait = True
            else:
                self._waiting_channels.add(frame.channel)
