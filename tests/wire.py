"""A client without a socket: it talks to a `Connection` directly, in frames, and turns the clock by hand.

client = Client().open()
client.call(Queue.Declare, queue="q")
client.publish("", "q", b"hello")
assert client.call(Basic.Get, queue="q").body == b"hello"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from struct import pack, unpack_from
from typing import Any

from pamqp import base, commands, header
from pamqp.commands import Basic, Channel, Connection

from amqpy_broker.core.arguments import arguments, plain
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.profile import profile_named
from amqpy_broker.protocols.amqp091 import connection as protocol
from amqpy_broker.protocols.amqp091.codec import ACCESS_REQUEST_OK, decode_method, encode_method, method_index
from amqpy_broker.protocols.amqp091.output import Output

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
CAPABILITIES = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "publisher_confirms": True,
}
PLAIN_RESPONSE = "\x00guest\x00guest"
_NOTHING = {"bit": False, "shortstr": "", "longstr": "", "table": {}}


class ManualClock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def unix_s(self) -> float:
        return 1_700_000_000.0 + self.now_s

    def delay_until_s(self, at_s: float) -> float:
        return at_s - self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass(frozen=True)
class Said:
    """Something that the broker said: a method, with its content if it has one, or a heartbeat."""

    channel: int
    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    properties: bytes = b""
    body: bytes = b""
    body_frame_sizes: tuple[int, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    @property
    def property_values(self) -> dict[str, Any]:
        """The properties, as pamqp reads them."""
        read = header.ContentHeader()
        read.unmarshal(pack(">HHQ", 60, 0, len(self.body)) + self.properties)
        return {name: value for name, value in read.properties if value is not None}


def frame(frame_type: int, channel: int, payload: bytes = b"") -> bytes:
    """Write a frame."""
    return pack(">BHI", frame_type, channel, len(payload)) + payload + b"\xce"


def method(channel: int, shape: type[base.Frame], **fields: Any) -> bytes:
    """Write a method; fields that are not given are empty, 0 or false."""
    values = []
    for name in shape.attributes():
        value = fields.pop(name, _NOTHING.get(shape.amqp_type(name), 0))
        values.append(arguments(value) if isinstance(value, dict) else value)
    assert not fields, f"{shape.name} has no {fields}"
    return frame(METHOD, channel, encode_method(shape, *values))


def content(
    channel: int, body: bytes, *, body_frame_size: int = 131_064, raw_properties: bytes | None = None, **properties: Any
) -> bytes:
    """Write the header and the body frames of a content. Properties are pamqp's, or raw flags and values."""
    if raw_properties is None:
        written = header.ContentHeader(0, len(body), Basic.Properties(**properties)).marshal()
    else:
        written = pack(">HHQ", 60, 0, len(body)) + raw_properties
    starts = range(0, len(body), body_frame_size)
    bodies = b"".join(frame(BODY, channel, body[start : start + body_frame_size]) for start in starts)
    return frame(HEADER, channel, written) + bodies


def publish(channel: int, exchange: str, routing_key: str, body: bytes = b"", **options: Any) -> bytes:
    """Write a basic.publish with its content."""
    flags = {name: options.pop(name) for name in ("mandatory", "immediate") if name in options}
    written = method(channel, Basic.Publish, exchange=exchange, routing_key=routing_key, **flags)
    return written + content(channel, body, **options)


def handshake(
    *,
    mechanism: str = "PLAIN",
    response: str = PLAIN_RESPONSE,
    capabilities: Mapping[str, bool] = CAPABILITIES,
    channel_max: int = 2047,
    frame_max: int = 131_072,
    heartbeat: int = 0,
    vhost: str = "/",
) -> list[bytes]:
    """Write what a client says until its connection is open: header, start-ok, tune-ok, open."""
    properties = {"product": "tests", "capabilities": dict(capabilities)}
    return [
        PROTOCOL_HEADER,
        method(
            0,
            Connection.StartOk,
            client_properties=properties,
            mechanism=mechanism,
            response=response,
            locale="en_US",
        ),
        method(0, Connection.TuneOk, channel_max=channel_max, frame_max=frame_max, heartbeat=heartbeat),
        method(0, Connection.Open, virtual_host=vhost),
    ]


def split(octets: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Read frames: type, channel, payload. They must be complete."""
    at = 0
    while at < len(octets):
        frame_type, channel, size = unpack_from(">BHI", octets, at)
        assert octets[at + 7 + size] == 0xCE
        yield frame_type, channel, octets[at + 7 : at + 7 + size]
        at += size + 8


def read(octets: bytes) -> list[Said]:
    """Read what the broker said."""
    said: list[Said] = []
    frames = split(octets)
    for frame_type, channel, payload in frames:
        if frame_type == HEARTBEAT:
            said.append(Said(channel, "Heartbeat"))
            continue
        assert frame_type == METHOD, "content without a method"
        read_method = _read_method(channel, payload)
        if read_method.name in ("Basic.Deliver", "Basic.GetOk", "Basic.Return"):
            read_method = _read_content(read_method, frames)
        said.append(read_method)
    return said


def _read_method(channel: int, payload: bytes) -> Said:
    if method_index(payload) == ACCESS_REQUEST_OK:
        return Said(channel, "Access.RequestOk", {"ticket": int.from_bytes(payload[4:], "big")})
    decoded = decode_method(payload)
    fields = {name: getattr(decoded.frame, name, None) for name in decoded.frame.attributes()}
    for name in fields:
        if decoded.frame.amqp_type(name) == "table":
            fields[name] = plain(decoded.arguments)
    return Said(channel, decoded.frame.name, fields)


def _read_content(said: Said, frames: Iterator[tuple[int, int, bytes]]) -> Said:
    frame_type, channel, payload = next(frames)
    assert (frame_type, channel) == (HEADER, said.channel)
    class_id, _, size = unpack_from(">HHQ", payload)
    assert class_id == 60
    bodies: list[bytes] = []
    while sum(map(len, bodies)) < size:
        frame_type, channel, body = next(frames)
        assert (frame_type, channel) == (BODY, said.channel)
        bodies.append(body)
    return Said(said.channel, said.name, said.fields, payload[12:], b"".join(bodies), tuple(map(len, bodies)))


def new_broker(profile: str = "4.0", **options: Any) -> BrokerCore:
    """Make a broker whose clock stands still, and whose names repeat."""
    return BrokerCore(profile_named(profile), clock=ManualClock(), seed=1, **options)


class Client:
    """One connection to a broker, its own or one that is shared."""

    def __init__(self, broker: BrokerCore | None = None, *, profile: str = "4.0", peer_is_local: bool = True) -> None:
        self.broker = broker or new_broker(profile)
        self.wake_count = 0
        self.output = Output(self._woken)
        self.connection = protocol.Connection(self.broker, self.output, peer_is_local=peer_is_local)
        self._heard: list[Said] = []

    def _woken(self) -> None:
        self.wake_count += 1

    # --- opening ----------------------------------------------------------------------------------------------------

    def open(self, *, channels: int = 1, **options: Any) -> Client:
        """Open the connection, and channels 1 and on."""
        for octets in handshake(**options):
            self.feed(octets)
        names = [said.name for said in self.heard()]
        assert names == ["Connection.Start", "Connection.Tune", "Connection.OpenOk"], names
        for number in range(1, channels + 1):
            assert self.call(Channel.Open, channel=number).name == "Channel.OpenOk"
        return self

    # --- speaking ---------------------------------------------------------------------------------------------------

    def feed(self, octets: bytes) -> None:
        """Say octets."""
        self.connection.receive(octets)

    def send(self, shape: type[base.Frame], *, channel: int = 1, **fields: Any) -> None:
        """Say a method."""
        self.feed(method(channel, shape, **fields))

    def publish(
        self, exchange: str = "", routing_key: str = "", body: bytes = b"", *, channel: int = 1, **options: Any
    ) -> None:
        """Publish a message."""
        self.feed(publish(channel, exchange, routing_key, body, **options))

    def call(self, shape: type[base.Frame], *, channel: int = 1, **fields: Any) -> Said:
        """Say a method, and return the answer: the one thing that the broker says then."""
        assert (before := self.heard()) == [], before
        self.send(shape, channel=channel, **fields)
        answers = self.heard()
        assert len(answers) == 1, answers
        return answers[0]

    # --- hearing ----------------------------------------------------------------------------------------------------

    def heard(self) -> list[Said]:
        """Take everything that the broker has said since the last time."""
        octets = b""
        while self.output.pieces or self.connection.paused:
            if self.connection.paused and not self.output.congested:
                self.connection.resume()
            octets += self.connection.data_to_send()
        return read(octets)

    def heard_one(self) -> Said:
        """Take the one thing that the broker has said."""
        heard = self.heard()
        assert len(heard) == 1, heard
        return heard[0]

    def names(self) -> list[str]:
        """Take what the broker said, by name."""
        return [said.name for said in self.heard()]

    # --- state ------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> protocol.State:
        return self.connection.state

    @property
    def clock(self) -> ManualClock:
        clock = self.broker.clock
        assert isinstance(clock, ManualClock)
        return clock

    def pass_time(self, seconds: float) -> None:
        """Let time pass as the server would: every deadline is handled when it comes."""
        end_s = self.clock.now_s + seconds
        timed = (self.connection, self.broker.timers)
        while (next_one := min(timed, key=lambda item: item.next_deadline_s)).next_deadline_s <= end_s:
            self.clock.now_s = max(self.clock.now_s, next_one.next_deadline_s)
            next_one.handle_deadline()
        self.clock.now_s = end_s

    def is_usable(self) -> bool:
        """Say whether the connection does what it should: open a channel, keep a message and give it back."""
        self.heard()
        number = 1999
        self.send(Channel.Open, channel=number)
        self.send(commands.Queue.Declare, channel=number, exclusive=True)
        name = self.heard()[-1].fields.get("queue")
        self.publish("", name or "", b"usable", channel=number)
        self.send(Basic.Get, channel=number, queue=name or "", no_ack=True)
        self.send(Channel.Close, channel=number)
        heard = [said for said in self.heard() if said.channel == number]
        return [said.name for said in heard] == ["Basic.GetOk", "Channel.CloseOk"] and heard[0].body == b"usable"


def refusal(said: Said) -> tuple[str, int, str, int, int]:
    """Sum up a close: what it closes, why, and what caused it."""
    assert said.name in ("Channel.Close", "Connection.Close"), said
    return (
        said.name.partition(".")[0].lower(),
        said["reply_code"],
        said["reply_text"],
        said["class_id"],
        said["method_id"],
    )
