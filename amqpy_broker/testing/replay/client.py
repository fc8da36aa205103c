"""Say again what clients said in a recording, and compare what the broker answers with what was answered then.

    report = await replay(load_recording("talk.jsonl").events, "amqp://localhost/")
    assert not report.differences, report

Rule 1: everything happens in the recorded order. What a client said comes after the broker has said what it had said
        before. On each channel, answers keep their order, and what comes by itself (deliveries, returns) keeps its own.
Rule 2: names and tags that the broker makes up are learned, and said in place of the recorded ones.
Rule 3: confirms are compared by what they confirm; brokers put several into one as they like.

Not compared: connection.start, connection.tune, connection.blocked, heartbeats, timestamps in headers. Not said again:
passwords, which are not recorded (the URL's are used), and heartbeats.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import anyio
from anyio.abc import ByteStream, TaskGroup

from amqpy_broker.core.clock import SystemClock
from amqpy_broker.server.session import READ_SIZE_BYTES
from amqpy_broker.testing.conversation.decoder import Conversation
from amqpy_broker.testing.conversation.events import Ended, Event, Heartbeat, Opened, ProtocolHeader, Said, Unreadable
from amqpy_broker.testing.conversation.frames import Direction
from amqpy_broker.testing.conversation.show import what_is_said
from amqpy_broker.testing.conversation.writing import FRAME_MAX_DEFAULT, check_can_be_said, write_said
from amqpy_broker.testing.proxy.upstream import Upstream, parse_url
from amqpy_broker.testing.replay.names import Names, same

_LOST: Final = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
_NOT_COMPARED: Final = frozenset(
    ("connection.start", "connection.tune", "connection.blocked", "connection.unblocked", "connection.secure")
)
_CONFIRMS: Final = frozenset(("basic.ack", "basic.nack"))
_BY_ITSELF: Final = frozenset(("basic.deliver", "basic.return", "basic.cancel"))
_BRINGS: Final = frozenset(("basic.deliver", "basic.get-ok"))


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the broker says otherwise than recorded: `number` counts the events of the recording, from 1."""

    number: int
    connection: int
    channel: int
    recorded: str
    actual: str

    def __str__(self) -> str:
        return (
            f"event {self.number}, connection {self.connection}, channel {self.channel}:\n"
            f"  recorded: {self.recorded}\n"
            f"  now:      {self.actual}"
        )


@dataclass(slots=True)
class Report:
    """What came of a replay."""

    differences: list[Difference] = field(default_factory=list)
    compared_count: int = 0

    def __str__(self) -> str:
        if not self.differences:
            return f"all {self.compared_count} answers are as recorded"
        head = f"{len(self.differences)} differences in {self.compared_count} answers"
        return "\n".join((head, *map(str, self.differences)))


async def replay(events: Iterable[Event], url: str, *, vhost: str | None = None, timeout_s: float = 5.0) -> Report:
    """Say again what clients said, and compare the answers.

    Args:
        events: a recording; of a client's messages nothing may have been cut.
        url: the broker, with user and password.
        vhost: the vhost to open; by default the recorded one.
        timeout_s: how long to wait for each answer, in real seconds.

    Raises:
        ValueError: the URL is none, or something in the recording cannot be said again.
        OSError: the broker cannot be reached.
    """
    script = list(events)
    check_can_be_said(script, Direction.TO_SERVER)
    upstream, report = parse_url(url), Report()
    players: dict[int, _Player] = {}
    failure: OSError | None = None
    async with anyio.create_task_group() as tasks:
        try:
            for number, event in enumerate(script, 1):
                player = players.get(event.connection)
                if player is None:
                    player = players[event.connection] = _Player(upstream, vhost, timeout_s, report)
                    await player.connect(tasks)
                await player.play(number, event)
        except OSError as refused:
            failure = refused
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                for player in players.values():
                    await player.close()
    if failure is not None:
        raise failure
    return report


def _place(said: Said) -> tuple[int, bool]:
    return said.channel, said.name in _BY_ITSELF


class _Confirmed:
    """What has become of the publishes of one channel."""

    def __init__(self) -> None:
        self._next = 1
        self.fates: dict[int, str] = {}

    def add(self, said: Said) -> list[int]:
        """Learn of a confirm; return the tags that it confirms."""
        tag = said.arguments["delivery_tag"]
        assert isinstance(tag, int)
        if said.arguments["multiple"]:
            tags = [one for one in range(self._next, tag + 1) if one not in self.fates]
            self._next = max(self._next, tag + 1)
        else:
            tags = [tag]
        self.fates.update(dict.fromkeys(tags, said.name))
        return tags


class _Player:
    """One connection, played again."""

    def __init__(self, upstream: Upstream, vhost: str | None, timeout_s: float, report: Report) -> None:
        self._upstream = upstream
        self._vhost = vhost
        self._timeout_s = timeout_s
        self._report = report
        self._names = Names()
        self._conversation = Conversation(SystemClock())
        # Answers and what comes by itself, each in its order.
        self._inbox: dict[tuple[int, bool], deque[Said]] = defaultdict(deque)
        self._recorded_confirms: dict[int, _Confirmed] = defaultdict(_Confirmed)
        self._confirms: dict[int, _Confirmed] = defaultdict(_Confirmed)
        # What the client asked for last on each channel: answers are named after it.
        self._asked: dict[int, Said] = {}
        # Channels that said nothing when they should have: they are not waited for again.
        self._silent: set[int] = set()
        self._frame_max = FRAME_MAX_DEFAULT
        self._tune: Said | None = None
        self._stream: ByteStream | None = None
        self._is_over = False
        self._changed = anyio.Event()

    async def connect(self, tasks: TaskGroup) -> None:
        """Connect, and begin to listen."""
        self._stream = await self._upstream.connect()
        tasks.start_soon(self._listen, self._stream)

    async def close(self) -> None:
        """Close the socket."""
        self._is_over = True
        if self._stream is not None:
            await self._stream.aclose()

    async def play(self, number: int, event: Event) -> None:
        """Do what the client did, or wait for what the broker said."""
        match event:
            case Opened() | Heartbeat():
                return
            case Ended():
                self._tell_what_is_left(number, event)
                await self.close()
            case Said(direction=Direction.TO_CLIENT):
                await self._expect(number, event)
            case Said():
                await self._say(event)
            case ProtocolHeader(direction=Direction.TO_SERVER) | Unreadable(direction=Direction.TO_SERVER):
                await self._send(event.octets)

    # --- speaking ---------------------------------------------------------------------------------------------------

    async def _say(self, recorded: Said) -> None:
        said = self._names.translated(recorded)
        match said.name:
            case "connection.start-ok":
                user, password = self._upstream.credentials
                response = f"\0{user}\0{password}".encode()
                said = replace(said, arguments={**said.arguments, "mechanism": "PLAIN", "response": response})
            case "connection.tune-ok":
                said = self._tuned(said)
            case "connection.open" if self._vhost is not None:
                said = replace(said, arguments={**said.arguments, "virtual_host": self._vhost})
        self._asked[said.channel] = recorded
        await self._send(write_said(said, frame_max=self._frame_max))

    def _tuned(self, said: Said) -> Said:
        """Agree to no more than the broker offers now, and to no heartbeats."""
        offered = self._tune.arguments if self._tune is not None else {}
        limits: dict[str, int] = {}
        for name in ("channel_max", "frame_max"):
            values = [
                value for value in (said.arguments.get(name), offered.get(name)) if isinstance(value, int) and value
            ]
            limits[name] = min(values, default=0)
        self._frame_max = limits["frame_max"] or FRAME_MAX_DEFAULT
        return replace(said, arguments={**said.arguments, **limits, "heartbeat": 0})

    async def _send(self, octets: bytes) -> None:
        if self._stream is None or self._is_over:
            return
        try:
            await self._stream.send(octets)
        except _LOST:
            self._end()

    # --- listening --------------------------------------------------------------------------------------------------

    async def _listen(self, stream: ByteStream) -> None:
        while True:
            try:
                octets = await stream.receive(READ_SIZE_BYTES)
            except _LOST:
                self._end()
                return
            for event in self._conversation.server_sent(octets):
                if isinstance(event, Said):
                    self._hear(event)
            self._change()

    def _hear(self, said: Said) -> None:
        if said.name == "connection.tune":
            self._tune = said
        if said.name in _CONFIRMS:
            self._confirms[said.channel].add(said)
        elif said.name not in ("connection.blocked", "connection.unblocked"):
            self._inbox[_place(said)].append(said)

    def _end(self) -> None:
        self._is_over = True
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # --- comparing --------------------------------------------------------------------------------------------------

    async def _expect(self, number: int, recorded: Said) -> None:
        """Wait until the broker says what it should, and compare."""
        if recorded.name in ("connection.blocked", "connection.unblocked"):
            return
        self._report.compared_count += 1
        if recorded.name in _CONFIRMS:
            await self._expect_confirms(number, recorded)
            return
        inbox = self._inbox[_place(recorded)]
        await self._wait(recorded.channel, lambda: bool(inbox))
        if not inbox:
            self._differ(number, recorded, "nothing: the connection is closed" if self._is_over else "nothing")
            return
        actual = inbox.popleft()
        self._learn(recorded, actual)
        wanted = self._names.translated(recorded)
        if actual.name != recorded.name or (recorded.name not in _NOT_COMPARED and not same(wanted, actual)):
            self._differ(number, wanted, what_is_said(actual))

    async def _expect_confirms(self, number: int, recorded: Said) -> None:
        tags = self._recorded_confirms[recorded.channel].add(recorded)
        fates = self._confirms[recorded.channel].fates
        await self._wait(recorded.channel, lambda: all(tag in fates for tag in tags))
        others = [f"{fates.get(tag, 'nothing')} for {tag}" for tag in tags if fates.get(tag) != recorded.name]
        if others:
            self._differ(number, recorded, ", ".join(others))

    async def _wait(self, channel: int, condition: Callable[[], bool]) -> None:
        with anyio.move_on_after(0 if channel in self._silent else self._timeout_s):
            while not condition() and not self._is_over:
                await self._changed.wait()
        if not condition():
            self._silent.add(channel)

    def _learn(self, recorded: Said, actual: Said) -> None:
        """Learn names and tags that the broker has made up."""
        asked = self._asked.get(recorded.channel)
        if recorded.name in _BRINGS:
            old, new = recorded.arguments["delivery_tag"], actual.arguments.get("delivery_tag")
            self._names.learn_tag(recorded.channel, old, new)
        elif recorded.name == actual.name and asked is not None:
            for name, answer in (("queue", "queue.declare-ok"), ("consumer_tag", "basic.consume-ok")):
                if recorded.name == answer and asked.arguments.get(name) == "":
                    self._names.learn(recorded.arguments[name], actual.arguments[name])

    def _tell_what_is_left(self, number: int, ended: Ended) -> None:
        for (channel, _), inbox in self._inbox.items():
            for said in inbox:
                self._report.differences.append(
                    Difference(number, ended.connection, channel, "nothing more", what_is_said(said))
                )
            inbox.clear()

    def _differ(self, number: int, recorded: Said, actual: str) -> None:
        self._report.differences.append(
            Difference(number, recorded.connection, recorded.channel, what_is_said(recorded), actual)
        )
