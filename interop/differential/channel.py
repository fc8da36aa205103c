"""One channel of a client: the verbs that scenarios are written in.

A step that waits writes down everything that arrives on its channel until what it waits for is there. Confirms are the
exception: a broker may acknowledge one by one or many at once, so they are gathered and written down by `confirms()`.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from interop.differential import wire
from interop.differential.pace import Pace
from interop.differential.tables import Value
from interop.differential.transcript import Transcript, show_body, show_raw, show_received, show_sent
from interop.differential.wire import FRAME_BODY, FRAME_HEADER, FRAME_METHOD, Method

# How long a step waits for what it expects.
PATIENCE_S = 5.0
# A channel beside those of the scenario, to ask about queues without being seen.
PROBE_CHANNEL = 2047
_REPLIES = {"basic.get": ("basic.get-ok", "basic.get-empty")}


class Link(Protocol):
    """The connection of a channel, as seen from the channel and through it."""

    label: str
    transcript: Transcript
    frame_max: int
    is_closed: bool
    is_ending: bool
    answers_close: bool
    shows_framing: bool

    @property
    def zero(self) -> Channel: ...

    def channel(self, number: int | None = None) -> Channel: ...

    def bare_channel(self, number: int | None = None) -> Channel: ...

    def probe_channel(self) -> Channel: ...

    def raw(self, data: bytes) -> None: ...

    def raw_seen(self, data: bytes, remark: str = "") -> None: ...

    def frame(self, kind: int, channel: int, payload: bytes) -> None: ...

    @property
    def pace(self) -> Pace: ...

    def read_one(self, deadline: float) -> bool: ...

    def await_close_method(self) -> None: ...

    def await_closed(self) -> None: ...

    def close(self) -> None: ...

    def drop(self) -> None: ...


class Channel:
    """A channel number of a connection, opened or not."""

    def __init__(self, connection: Link, number: int) -> None:
        self.connection = connection
        self.number = number
        self.inbox: deque[Method] = deque()
        self.is_open = True
        self.answers_close = True
        self.close_code: Value = None
        self.is_quiet = False
        # What was handed out on this channel, newest last, for scenarios that settle at random.
        self.handed_out: list[Method] = []
        self._is_confirming = False
        self._published: list[bytes] = []
        self._confirmed: dict[int, str] = {}
        self._confirms_shown: set[int] = set()

    # Sending

    def send(self, name: str, **fields: Value) -> None:
        """Send a method and go on."""
        if self.connection.is_closed:
            return
        self._write("> " + show_sent(name, fields))
        self.send_unseen(name, **fields)

    def send_unseen(self, name: str, **fields: Value) -> None:
        if name in ("connection.close", "connection.close-ok"):
            self.connection.is_ending = True
        if name == "confirm.select" and not self._is_confirming:
            self._is_confirming = True
            self._published.clear()
        self.connection.raw(wire.frame(FRAME_METHOD, self.number, wire.method_payload(name, **fields)))

    def call(self, name: str, **fields: Value) -> Method | None:
        """Send a method and wait for its reply, or for the end of channel or connection."""
        self.send(name, **fields)
        if fields.get("nowait"):
            return None
        return self._await(*_reply_names(name))

    def call_unseen(self, name: str, **fields: Value) -> Method | None:
        """Do the same without a word in the transcript, unless something else arrives."""
        self.send_unseen(name, **fields)
        return self.expect_unseen(*_reply_names(name))

    def publish(
        self,
        body: str | bytes = "",
        *,
        to: str = "",
        exchange: str = "",
        mandatory: bool = False,
        immediate: bool = False,
        properties: dict[str, Value] | bytes | None = None,
        frame_size: int | None = None,
    ) -> None:
        """Publish a message; `to` is the routing key, `properties` may be the raw bytes with their flags."""
        if self.connection.is_closed:
            return
        content = body.encode() if isinstance(body, str) else body
        fields: dict[str, Value] = {"exchange": exchange, "routing_key": to}
        fields |= {name: True for name, value in (("mandatory", mandatory), ("immediate", immediate)) if value}
        raw = properties if isinstance(properties, bytes) else wire.encode_properties(properties or {})
        shown = f" raw {show_raw(properties)}" if isinstance(properties, bytes) else show_sent("", properties or {})
        self._write(f"> {show_sent('basic.publish', fields)} | {show_body(content)}{shown}")
        self._published.append(content)
        frames = [
            wire.frame(FRAME_METHOD, self.number, wire.method_payload("basic.publish", **fields)),
            wire.frame(FRAME_HEADER, self.number, wire.header_payload(len(content), raw)),
        ]
        size = frame_size or (self.connection.frame_max or 131072) - 8
        for start in range(0, len(content), size):
            frames.append(wire.frame(FRAME_BODY, self.number, content[start : start + size]))
        self.connection.raw(b"".join(frames))

    # Waiting

    def expect(self, name: str, count: int = 1) -> list[Method]:
        """Wait for so many methods of this name and return them."""
        found: list[Method] = []
        while len(found) < count:
            method = self._await(name)
            if method is None or method.name != name:
                break
            found.append(method)
        return found

    def deliveries(self, count: int = 1) -> list[Method]:
        """Wait for so many deliveries."""
        return self.expect("basic.deliver", count)

    def unordered_deliveries(self, count: int) -> None:
        """Wait for deliveries that may come in any order, and write them down sorted and without their tags."""
        found: list[str] = []
        deadline = self._deadline()
        while len(found) < count:
            method = self._next(deadline)
            if method is None:
                self._write("! expected more deliveries")
                break
            if method.name != "basic.deliver":
                self._record(method)
                continue
            method.fields["delivery_tag"] = "any"
            found.append("< " + show_received(method))
        for line in sorted(found):
            self._write(line)

    def expect_unseen(self, *names: str) -> Method | None:
        """Wait for a method that is not worth a line; what else arrives before it stays in the inbox."""
        kept: list[Method] = []
        deadline = self._deadline()
        while (method := self._next(deadline)) is not None:
            if method.name in names:
                self.inbox.extendleft(reversed(kept))
                return method
            if method.name == "channel.close":
                self.inbox.extendleft(reversed(kept))
                self._record(method)
                return None
            kept.append(method)
        self.inbox.extendleft(reversed(kept))
        if not self.connection.is_closed:
            self._write(f"! no {' or '.join(names)}")
        return None

    def barrier(self) -> None:
        """Wait until the broker has handled everything sent on this channel, and write down what it said."""
        self.ping()
        self.record_inbox()

    def confirms(self) -> None:
        """Wait until every message published on this channel is confirmed, and write down how."""
        deadline = self._deadline()
        delivered: list[Method] = []
        while len(self._confirmed) < len(self._published):
            method = self._next(deadline)
            if method is None:
                self._write("! confirms are missing")
                break
            if method.name == "basic.deliver":
                # Where a delivery stands among the confirms is up to chance.
                delivered.append(method)
            else:
                self._record(method)
        self.inbox.extendleft(reversed(delivered))
        self.show_confirms()

    def show_confirms(self) -> None:
        """Write down the confirms that arrived since the last time."""
        fresh = sorted(self._confirmed.keys() - self._confirms_shown)
        self._confirms_shown.update(fresh)
        for verdict in ("ack", "nack"):
            tags = [str(tag) for tag in fresh if self._confirmed[tag] == verdict]
            if tags:
                self._write(f"< confirmed with basic.{verdict}: {' '.join(tags)}")

    def settle(self, queue: str, *, ready: int | None = None, consumers: int | None = None) -> None:
        """Wait until a queue has so many ready messages and consumers, unseen; say so if it never has."""
        deadline = self._deadline()
        while not self.connection.is_closed:
            probe = self.connection.probe_channel()
            reply = probe.call_unseen("queue.declare", queue=queue, passive=True)
            seen = None if reply is None else (reply["message_count"], reply["consumer_count"])
            if seen is None or _is_settled(seen, ready, consumers):
                return
            if self.connection.pace.now_s() > deadline:
                self._write(f"! {queue} has {seen[0]} ready messages and {seen[1]} consumers")
                return
            self.connection.pace.pass_s(0.002)

    def await_gone(self, queue: str) -> None:
        """Wait until a queue does not exist any more, unseen."""
        deadline = self._deadline()
        while self.connection.pace.now_s() < deadline and not self.connection.is_closed:
            probe = self.connection.probe_channel()
            probe.is_quiet = True
            if probe.call_unseen("queue.declare", queue=queue, passive=True) is None and probe.close_code == 404:
                return
            self.connection.pace.pass_s(0.01)
        self._write(f"! {queue} is still there")

    def ask(self, queue: str) -> None:
        """Make a round trip to a queue that may not exist, unseen."""
        probe = self.connection.probe_channel()
        probe.is_quiet = True
        probe.call_unseen("queue.declare", queue=queue, passive=True)
        probe.inbox.clear()

    def ping(self) -> None:
        """Make a round trip on this channel, unseen, and leave what arrives in the inbox."""
        if self.is_open and not self.connection.is_closed and not self.connection.is_ending:
            self.call_unseen("channel.flow", active=True)

    # Receiving

    def record_inbox(self) -> None:
        """Write down everything that has arrived."""
        while self.inbox:
            self._record(self.inbox.popleft())

    def _await(self, *names: str) -> Method | None:
        """Record until one of these methods arrives; None when channel or connection ended first, or nothing came."""
        deadline = self._deadline()
        while self.is_open and (method := self._next(deadline)) is not None:
            self._record(method)
            if method.name in names:
                return method
        if self.is_open and not self.connection.is_closed:
            self._write(f"! no {' or '.join(names)}")
        return None

    def _next(self, deadline: float) -> Method | None:
        while not self.inbox:
            if self.connection.is_closed or not self.connection.read_one(deadline):
                return None
        return self.inbox.popleft()

    def _record(self, method: Method) -> None:
        if self._is_confirming and method.name in ("basic.ack", "basic.nack"):
            self._take_confirm(method)
            return
        self._write("< " + show_received(method, framing=self.connection.shows_framing))
        if method.name in ("basic.deliver", "basic.get-ok"):
            self.handed_out.append(method)
        if method.name == "basic.return" and self._is_confirming:
            self._check_return(method)
        if method.name == "channel.close":
            self.is_open = False
            self.close_code = method["reply_code"]
            if self.answers_close:
                self.send_unseen("channel.close-ok")
        elif method.name == "channel.open-ok":
            self.is_open = True

    def _take_confirm(self, method: Method) -> None:
        tag = method["delivery_tag"]
        assert isinstance(tag, int)
        tags = range(1, tag + 1) if method["multiple"] else range(tag, tag + 1)
        for number in tags:
            if number not in self._confirmed:
                self._confirmed[number] = method.name.removeprefix("basic.")
            elif not method["multiple"]:
                self._write(f"! confirmed twice: {number}")
            if number > len(self._published):
                self._write(f"! confirmed before it was published: {number}")

    def _check_return(self, method: Method) -> None:
        """A returned message's confirm must not come before it."""
        assert method.content is not None
        number = self._published.index(method.content.body) + 1
        if number in self._confirmed:
            self._write(f"! {number} was confirmed before it was returned")

    def note(self, text: str) -> None:
        """Write down something that was sent in another way."""
        self._write("> " + text)

    def _write(self, text: str) -> None:
        if self.is_quiet:
            return
        who = f"{self.connection.label}.{self.number}"
        self.connection.transcript.add(who, text[0], text[2:])

    def _deadline(self) -> float:
        return self.connection.pace.now_s() + PATIENCE_S


def _reply_names(name: str) -> tuple[str, ...]:
    return _REPLIES.get(name, (name + "-ok",))


def _is_settled(seen: tuple[Value, Value], ready: int | None, consumers: int | None) -> bool:
    return (ready is None or seen[0] == ready) and (consumers is None or seen[1] == consumers)
