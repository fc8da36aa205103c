"""Contents: the header and body frames of a message, kept as they came.

Content is never encoded again. Frames go out as one slice of what came in; only when the channel number differs, or
the receiver's frames are smaller, are the envelopes rewritten. Properties pass through byte for byte.
"""

from __future__ import annotations

from struct import Struct, error
from typing import Final

from amqpy_broker.core.arguments import NO_ARGUMENTS, Argument, Arguments
from amqpy_broker.core.direct_replies import REPLY_TO
from amqpy_broker.core.expiration import parse_expiration
from amqpy_broker.core.message import Message
from amqpy_broker.protocols.amqp091.codec import short_string
from amqpy_broker.protocols.amqp091.frames import (
    BODY,
    END_OCTET,
    ENVELOPE_SIZE,
    FRAME_HEAD,
    HEAD_SIZE,
    HEADER,
    pack_frame,
)
from amqpy_broker.protocols.amqp091.publishes import Publish
from amqpy_broker.protocols.amqp091.tables import MalformedTable, read_table, without_field, write_table

# class, weight, body size, property flags [AMQP 0-9-1 4.2.6.1]
_CONTENT_HEADER: Final = Struct(">HHQH")
_LENGTH: Final = Struct(">I")
_CHANNEL: Final = Struct(">H")

# Properties in the order of their flags, from the highest bit; how long each is on the wire.
_SHORTSTR, _TABLE, _OCTET, _TIMESTAMP = range(4)
_PROPERTIES: Final = (
    ("content_type", _SHORTSTR),
    ("content_encoding", _SHORTSTR),
    ("headers", _TABLE),
    ("delivery_mode", _OCTET),
    ("priority", _OCTET),
    ("correlation_id", _SHORTSTR),
    ("reply_to", _SHORTSTR),
    ("expiration", _SHORTSTR),
    ("message_id", _SHORTSTR),
    ("timestamp", _TIMESTAMP),
    ("type", _SHORTSTR),
    ("user_id", _SHORTSTR),
    ("app_id", _SHORTSTR),
    ("cluster_id", _SHORTSTR),
)
_FLAG: Final = {name: 0x8000 >> at for at, (name, _) in enumerate(_PROPERTIES)}
# Flag words that follow the first are for properties that nobody has defined.
_MORE_FLAGS: Final = 1
# Properties whose values rarely repeat: headers with one of these are scanned, not remembered.
_UNIQUE: Final = _FLAG["correlation_id"] | _FLAG["message_id"] | _FLAG["timestamp"]
_DELIVERY_MODE_AT: Final = 3
_HEADERS_AT: Final = 2
PERSISTENT: Final = 2


class MalformedContent(ValueError):
    """The payload of a header frame is not a content header."""


class ContentHeader:
    """What the broker reads of a content header. Many messages may share one."""

    __slots__ = (
        "_expiration_ms",
        "body_size",
        "class_id",
        "delivery_mode",
        "expiration",
        "headers_at",
        "payload_size",
        "priority",
        "repeats",
        "suspect",
        "user_id",
    )

    def __init__(self, payload: bytes) -> None:
        """Scan the payload of a header frame.

        Raises:
            MalformedContent: it is not a content header.
        """
        self.payload_size = len(payload)
        # Without the property a message is transient, as with 1.
        self.delivery_mode = 1
        self.priority = 0
        # Where the header table begins in the payload; 0 if there is none.
        self.headers_at = 0
        self.user_id: bytes | None = None
        self.expiration: bytes | None = None
        self._expiration_ms: int | None = None
        # A message with this header may have to be refused, changed or copied, or expires by itself: what is found here
        # tells, or whoever knows the limits.
        self.suspect = False
        try:
            self.class_id: int
            self.body_size: int
            self.class_id, _, self.body_size, flags = _CONTENT_HEADER.unpack_from(payload)
            self.repeats = not flags & _UNIQUE
            at = self._scan(payload, flags)
        except (error, IndexError):
            raise MalformedContent("the content header ends within a property") from None
        if at != len(payload) or flags & _MORE_FLAGS:
            raise MalformedContent("the content header ends within a property")

    def _scan(self, payload: bytes, flags: int) -> int:
        at: int = _CONTENT_HEADER.size
        for index, kind in _plan(flags):
            if kind == _SHORTSTR:
                start, at = at + 1, at + 1 + payload[at]
                if index == _USER_ID_AT:
                    self.user_id = payload[start:at]
                    self.suspect = True
                elif index == _EXPIRATION_AT:
                    self.expiration = payload[start:at]
                    self.suspect = True
                elif index == _REPLY_TO_AT and payload[start:at] == _REPLY_TO:
                    self.suspect = True
            elif kind == _OCTET:
                if index == _DELIVERY_MODE_AT:
                    self.delivery_mode = payload[at]
                else:
                    self.priority = payload[at]
                at += 1
            elif kind == _TABLE:
                self.headers_at = at
                # One octet is found ten times as fast as two.
                if _C in payload and payload.find(_COPIES) >= 0:
                    self.suspect = True
                at += 4 + _LENGTH.unpack_from(payload, at)[0]
            else:
                at += 8
        return at

    @property
    def expiration_ms(self) -> int | None:
        """The expiration in milliseconds, if there is one.

        Raises:
            PreconditionFailed: it is none.
        """
        if self._expiration_ms is None and self.expiration is not None:
            self._expiration_ms = parse_expiration(self.expiration.decode("utf-8", "surrogateescape"))
        return self._expiration_ms


_REPLY_TO: Final = REPLY_TO.encode()
# What the names of the headers CC and BCC have in common.
_COPIES: Final = b"CC"
_C: Final = _COPIES[0]
_CORRELATION_ID_AT: Final = 5
_REPLY_TO_AT: Final = 6
_EXPIRATION_AT: Final = 7
_MESSAGE_ID_AT: Final = 8
_TIMESTAMP_AT: Final = 9
_USER_ID_AT: Final = 11
_PLANS: dict[int, tuple[tuple[int, int], ...]] = {}


def _plan(flags: int) -> tuple[tuple[int, int], ...]:
    """List which properties follow, and their types. There are at most 2**14 combinations; few are ever seen."""
    plan = _PLANS.get(flags)
    if plan is None:
        plan = tuple((at, kind) for at, (name, kind) in enumerate(_PROPERTIES) if flags & _FLAG[name])
        _PLANS[flags] = plan
    return plan


def _property_values(properties: bytes) -> dict[int, bytes]:
    """Take a list of properties, flags first, apart: each as it is on the wire, by its place among the flags."""
    values: dict[int, bytes] = {}
    flags, at = int.from_bytes(properties[:2], "big"), 2
    for index, kind in _plan(flags):
        start = at
        if kind == _SHORTSTR:
            at += 1 + properties[at]
        elif kind == _TABLE:
            at += 4 + _LENGTH.unpack_from(properties, at)[0]
        else:
            at += 1 if kind == _OCTET else 8
        values[index] = properties[start:at]
    return values


def _as_argument(kind: int, octets: bytes) -> Argument:
    """Give the value of a property the type that RabbitMQ's firehose gives it."""
    if kind == _TABLE:
        return Argument("table", read_table(octets)[0])
    if kind == _SHORTSTR:
        return Argument("longstr", octets[1:].decode("utf-8", "surrogateescape"))
    number = int.from_bytes(octets, "big")
    return Argument("signedint" if number < 2**31 else "long", number)


def _join_properties(values: dict[int, bytes]) -> bytes:
    """Undo `_property_values`."""
    flags = sum(0x8000 >> index for index in values)
    return flags.to_bytes(2, "big") + b"".join([values[index] for index in sorted(values)])


class FramedMessage(Message):
    """A message as AMQP 0-9-1 brought it: what was published where, and its content frames on some channel."""

    __slots__ = ("channel", "frames", "header", "memory_size", "publish")

    def __init__(self, publish: Publish, header: ContentHeader, frames: bytes, channel: int) -> None:
        self.publish = publish
        self.header = header
        # The header frame and all body frames, envelopes included.
        self.frames = frames
        # The channel number in those envelopes.
        self.channel = channel
        self.memory_size = len(frames)

    @property
    def exchange(self) -> str:
        """The exchange it was published to."""
        return self.publish.exchange_name

    @property
    def routing_key(self) -> str:
        """The routing key it was published with."""
        return self.publish.routing_key

    @property
    def copies(self) -> tuple[str, ...]:
        """The routing keys that its headers CC and BCC named when it was published."""
        return self.publish.copies

    @property
    def body_size(self) -> int:
        """Octets of the body."""
        return self.header.body_size

    @property
    def persistent(self) -> bool:
        """Whether delivery-mode is 2."""
        return self.header.delivery_mode == PERSISTENT

    @property
    def headers(self) -> Arguments:
        """The header table; empty if there is none.

        Raises:
            MalformedTable: it is not a table.
        """
        if not self.header.headers_at:
            return NO_ARGUMENTS
        stop = HEAD_SIZE + self.header.payload_size
        table, at = read_table(self.frames, HEAD_SIZE + self.header.headers_at)
        if at > stop:
            raise MalformedTable("the header table is longer than the content header")
        return table

    @property
    def properties_table(self) -> Arguments:
        """All its properties by their names, the last one first, as RabbitMQ's firehose tells them."""
        table = {_PROPERTIES[at][0]: _as_argument(_PROPERTIES[at][1], octets)
                 for at, octets in _property_values(self.properties).items()}  # fmt: skip
        return dict(reversed(table.items()))

    @property
    def expiration_ms(self) -> int | None:
        """Its own time to live."""
        return self.header.expiration_ms

    @property
    def priority(self) -> int:
        """The property `priority`; 0 if there is none."""
        return self.header.priority

    @property
    def correlation_id(self) -> bytes | None:
        """The property `correlation-id`."""
        return self._text_property(_CORRELATION_ID_AT)

    @property
    def message_id(self) -> bytes | None:
        """The property `message-id`."""
        return self._text_property(_MESSAGE_ID_AT)

    @property
    def timestamp_s(self) -> int | None:
        """The property `timestamp`, in seconds since 1970."""
        octets = _property_values(self.properties).get(_TIMESTAMP_AT)
        return None if octets is None else int.from_bytes(octets, "big")

    def _text_property(self, index: int) -> bytes | None:
        octets = _property_values(self.properties).get(index)
        return None if octets is None else octets[1:]

    @property
    def body(self) -> bytes:
        """The body, put together from its frames."""
        return b"".join(payload for payload in self._body_payloads())

    @property
    def properties(self) -> bytes:
        """The property flags and the property list, as they came."""
        return self.frames[HEAD_SIZE + 12 : HEAD_SIZE + self.header.payload_size]

    def edited(
        self,
        *,
        exchange: str | None = None,
        routing_key: str | None = None,
        headers: Arguments | None = None,
        drop_expiration: bool = False,
        reply_to: str | None = None,
        died: bool = False,
    ) -> FramedMessage:
        """Make a message with the same body that differs in what is given."""
        publish = self.publish
        if exchange is not None or routing_key is not None:
            publish = Publish(
                self.exchange if exchange is None else exchange,
                self.routing_key if routing_key is None else routing_key,
                mandatory=publish.mandatory,
                immediate=publish.immediate,
                copies=publish.copies if routing_key is None else (),
            )
        shape = DeadMessage if died or self.died else FramedMessage
        if headers is None and reply_to is None and not drop_expiration:
            return shape(publish, self.header, self.frames, self.channel)
        values = _property_values(self.properties)
        if headers:
            values[_HEADERS_AT] = write_table(headers)
        elif headers is not None:
            values.pop(_HEADERS_AT, None)
        if reply_to is not None:
            values[_REPLY_TO_AT] = short_string(reply_to)
        if drop_expiration:
            values.pop(_EXPIRATION_AT, None)
        return shape(publish, *self._rewritten(values), self.channel)

    @property
    def may_have_copies(self) -> bool:
        """Whether it is worth looking for CC and BCC in its header table."""
        return bool(self.header.headers_at) and _COPIES in self.properties

    @property
    def wants_direct_reply(self) -> bool:
        """Whether its reply-to stands for a name that replies find."""
        return self._text_property(_REPLY_TO_AT) == _REPLY_TO

    def copied_to(self, copies: tuple[str, ...]) -> FramedMessage:
        """Make a message that goes to more routing keys."""
        return FramedMessage(self.publish.copied_to(copies), self.header, self.frames, self.channel)

    def without_header(self, name: str) -> FramedMessage:
        """Make a message without a field of the header table; a table that is empty then stays, as in RabbitMQ."""
        values = _property_values(self.properties)
        values[_HEADERS_AT] = without_field(values[_HEADERS_AT], name)
        return FramedMessage(self.publish, *self._rewritten(values), self.channel)

    def _rewritten(self, properties: dict[int, bytes]) -> tuple[ContentHeader, bytes]:
        """Write the frames with other properties."""
        payload = self.frames[HEAD_SIZE : HEAD_SIZE + _CONTENT_HEADER.size - 2] + _join_properties(properties)
        body_at = self.header.payload_size + ENVELOPE_SIZE
        frames = pack_frame(HEADER, self.channel, payload) + self.frames[body_at:]
        return ContentHeader(payload), frames

    def frames_for(self, channel: int, payload_max: int) -> bytes:
        """Return the frames with the receiver's channel number, and no larger than it takes them."""
        if channel == self.channel and len(self.frames) <= payload_max:
            return self.frames
        header_size = self.header.payload_size + ENVELOPE_SIZE
        if self.header.body_size + header_size + ENVELOPE_SIZE == len(self.frames) <= payload_max:
            return self._with_channel(channel, header_size)
        if channel == self.channel and max(map(len, self._body_payloads()), default=0) <= payload_max:
            return self.frames
        return self._fragmented(channel, payload_max)

    def _with_channel(self, channel: int, header_size: int) -> bytes:
        """Rewrite the channel numbers of one header and one body frame."""
        frames, number = self.frames, _CHANNEL.pack(channel)
        return b"".join((frames[:1], number, frames[3 : header_size + 1], number, frames[header_size + 3 :]))

    def _fragmented(self, channel: int, payload_max: int) -> bytes:
        """Write the frames anew, each as large as it may be, as RabbitMQ does."""
        header_size = self.header.payload_size
        pieces = [
            FRAME_HEAD.pack(HEADER, channel, header_size),
            self.frames[HEAD_SIZE : HEAD_SIZE + header_size],
            END_OCTET,
        ]
        body = self.body
        for start in range(0, len(body), payload_max):
            payload = body[start : start + payload_max]
            pieces += (FRAME_HEAD.pack(BODY, channel, len(payload)), payload, END_OCTET)
        return b"".join(pieces)

    def _body_payloads(self) -> list[bytes]:
        frames, payloads = self.frames, []
        at = self.header.payload_size + ENVELOPE_SIZE
        while at < len(frames):
            _, _, size = FRAME_HEAD.unpack_from(frames, at)
            payloads.append(frames[at + HEAD_SIZE : at + HEAD_SIZE + size])
            at += size + ENVELOPE_SIZE
        return payloads


class DeadMessage(FramedMessage):
    """A dead letter."""

    __slots__ = ()

    died = True
