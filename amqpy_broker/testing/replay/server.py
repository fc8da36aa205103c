"""Say again what a broker said in a recording, to clients that do what was done then.

    async with RecordedBroker(load_recording("talk.jsonl").events) as broker:
        connection = await aio_pika.connect(broker.url)
        ...
    broker.check()

The first client gets the first recorded connection, the second one the second. A client must say on each channel what
was said there, in that order; what the broker had said comes when everything has been said that the recorded client had
said before. Who says anything else is told with connection.close, and `check` tells it once more.

Not compared: who logs in and what its client is, what was agreed on, timestamps in headers, and what clients make up:
message ids, correlation ids, consumer tags, names in `reply_to`, timestamps. They are learned, and said in place of the
recorded ones. Heartbeats are switched off.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import anyio
from anyio.abc import ByteStream

from amqpy_broker.core.clock import SystemClock
from amqpy_broker.server.listener import Listener
from amqpy_broker.server.session import READ_SIZE_BYTES
from amqpy_broker.testing.conversation.decoder import Conversation
from amqpy_broker.testing.conversation.events import Event, ProtocolHeader, Said, Unreadable
from amqpy_broker.testing.conversation.frames import Direction
from amqpy_broker.testing.conversation.methods import write_method
from amqpy_broker.testing.conversation.show import what_is_said
from amqpy_broker.testing.conversation.writing import FRAME_MAX_DEFAULT, check_can_be_said, write_said
from amqpy_broker.testing.replay.names import Names, same

logger = logging.getLogger(__name__)

_LOST: Final = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
# What clients say of themselves, and agree to.
_ANYTHING: Final = frozenset(("connection.start-ok", "connection.tune-ok", "connection.secure-ok"))
_MADE_UP: Final = ("message_id", "correlation_id", "reply_to")
_INTERNAL_ERROR: Final = 541


class Mismatch(AssertionError):
    """A client did not do what was recorded."""


class RecordedBroker(Listener):
    """Stands in for the broker of a recording.

    Args:
        events: the recording; of the broker's messages nothing may have been cut.
        host: address to listen on.
        port: port to listen on; 0 is any free one.

    Raises:
        ValueError: something in the recording cannot be said again.
    """

    def __init__(self, events: Iterable[Event], *, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(host, port)
        self.mismatches: list[str] = []
        script = list(events)
        check_can_be_said(script, Direction.TO_CLIENT)
        self._scripts = _scripts(script)
        self._unplayed = deque(self._scripts)
        self._sessions: list[_Session] = []

    @property
    def url(self) -> str:
        """What clients connect to; any user will do."""
        return f"amqp://guest:guest@{self.host}:{self.port}/"

    def check(self) -> None:
        """Check that everything was said that was recorded, and nothing else.

        Raises:
            Mismatch: something else was said, or not all.
        """
        missing = [session.what_is_missing() for session in self._sessions]
        missing += [f"connection {number} was never made" for number in self._unplayed]
        wrong = [*self.mismatches, *(one for one in missing if one and not self.mismatches)]
        if wrong:
            raise Mismatch("the clients did not do what was recorded:\n" + "\n".join(wrong))

    async def _serve_client(self, stream: ByteStream) -> None:
        async with stream:
            if not self._unplayed:
                self.mismatches.append(f"one connection more than the {len(self._scripts)} that were recorded")
                return
            number = self._unplayed.popleft()
            session = _Session(number, self._scripts[number], self.mismatches)
            self._sessions.append(session)
            try:
                await session.run(stream)
            except Exception:
                logger.exception("connection %d cannot be played again", number)


def _scripts(events: Iterable[Event]) -> dict[int, list[Event]]:
    """Sort what was said by connections."""
    scripts: dict[int, list[Event]] = {}
    for event in events:
        script = scripts.setdefault(event.connection, [])
        if isinstance(event, Said | ProtocolHeader | Unreadable):
            script.append(event)
    return scripts


class _Session:
    """One connection, played again."""

    def __init__(self, number: int, script: list[Event], mismatches: list[str]) -> None:
        self._number = number
        self._script = script
        self._mismatches = mismatches
        # Places in the script that clients have filled, and up to where all is done.
        self._done: set[int] = set()
        self._at = 0
        self._names = Names()
        self._frame_max = FRAME_MAX_DEFAULT
        self._is_over = False

    def what_is_missing(self) -> str:
        """Tell the first thing that the client should have said and has not; nothing if it has said all."""
        for at, event in enumerate(self._script[self._at :], self._at):
            if isinstance(event, Said) and event.direction is Direction.TO_SERVER and at not in self._done:
                return f"{self._where(event.channel)}: it never said {what_is_said(event)}"
        return ""

    async def run(self, stream: ByteStream) -> None:
        """Talk with a client until it closes, or has said something else."""
        conversation = Conversation(SystemClock(), self._number)
        while not self._is_over:
            try:
                octets = await stream.receive(READ_SIZE_BYTES)
                answers = b"".join(self._answer(event) for event in conversation.client_sent(octets))
                if answers:
                    await stream.send(answers)
            except _LOST:
                return

    def _answer(self, event: Event) -> bytes:
        """Take what the client says, and return what the broker has to say then."""
        if self._is_over:
            return b""
        match event:
            case Said(name="connection.close-ok") if self._mismatches:
                self._is_over = True
                return b""
            case Said():
                return self._take(event)
            case ProtocolHeader():
                return self._take_header()
            case Unreadable():
                return self._complain(0, f"what it says cannot be read: {event.reason}")
            case _:
                return b""

    def _take_header(self) -> bytes:
        for at, event in enumerate(self._script):
            if isinstance(event, ProtocolHeader) and event.direction is Direction.TO_SERVER:
                self._done.add(at)
                break
        return self._go_on()

    def _take(self, said: Said) -> bytes:
        at = self._next_on(said.channel)
        recorded = self._script[at] if at is not None else None
        if at is None or not isinstance(recorded, Said):
            if said.name == "connection.close":
                self._is_over = True
                return write_method(0, "connection.close-ok", {})
            return self._complain(said.channel, f"it says more than was recorded: {what_is_said(said)}")
        self._learn(recorded, said)
        wanted = self._names.translated(recorded)
        if recorded.name != said.name or (
            said.name not in _ANYTHING and not same(wanted, _without_times(said, wanted))
        ):
            return self._complain(said.channel, f"it says   {what_is_said(said)}\n  recorded: {what_is_said(wanted)}")
        if said.name == "connection.tune-ok":
            frame_max = said.arguments["frame_max"]
            self._frame_max = frame_max if isinstance(frame_max, int) and frame_max else FRAME_MAX_DEFAULT
        self._done.add(at)
        return self._go_on()

    def _next_on(self, channel: int) -> int | None:
        """Find what the client should say next on a channel."""
        for at, event in enumerate(self._script[self._at :], self._at):
            if (
                isinstance(event, Said)
                and event.direction is Direction.TO_SERVER
                and event.channel == channel
                and at not in self._done
            ):
                return at
        return None

    def _go_on(self) -> bytes:
        """Say what the broker said, up to what the client has not said yet."""
        octets: list[bytes] = []
        while self._at < len(self._script):
            event = self._script[self._at]
            if isinstance(event, Said | ProtocolHeader | Unreadable) and event.direction is Direction.TO_CLIENT:
                octets.append(self._say(event))
            elif self._at not in self._done:
                break
            self._done.discard(self._at)
            self._at += 1
        return b"".join(octets)

    def _say(self, event: Said | ProtocolHeader | Unreadable) -> bytes:
        if not isinstance(event, Said):
            return event.octets
        said = self._names.translated(event)
        if said.name == "connection.tune":
            said = replace(said, arguments={**said.arguments, "heartbeat": 0})
        return write_said(said, frame_max=self._frame_max)

    def _learn(self, recorded: Said, said: Said) -> None:
        """Learn what the client has made up."""
        self._names.learn(recorded.arguments.get("consumer_tag"), said.arguments.get("consumer_tag"))
        if recorded.content is not None and said.content is not None:
            for name in _MADE_UP:
                self._names.learn(recorded.content.properties.get(name), said.content.properties.get(name))

    def _complain(self, channel: int, what: str) -> bytes:
        self._mismatches.append(f"{self._where(channel)}: {what}")
        text = f"INTERNAL_ERROR - not as recorded: {what}".replace("\n", ";")
        return write_method(0, "connection.close", {"reply_code": _INTERNAL_ERROR, "reply_text": text})

    def _where(self, channel: int) -> str:
        return f"connection {self._number}, channel {channel}"


def _without_times(said: Said, wanted: Said) -> Said:
    """Give a message the recorded timestamp, if both have one."""
    if said.content is None or wanted.content is None:
        return said
    recorded = wanted.content.properties.get("timestamp")
    if recorded is None or "timestamp" not in said.content.properties:
        return said
    properties = {**said.content.properties, "timestamp": recorded}
    return replace(said, content=replace(said.content, properties=properties))
