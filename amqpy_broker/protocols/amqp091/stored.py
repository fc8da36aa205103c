"""Messages as octets that outlive the broker: the address, then the content's frames as they came.

flags:1 exchange:shortstr routing-key:shortstr 0xCE [count:16 routing-key:shortstr ...] frames

flags: 1 is a dead letter, 2 has more routing keys (from the headers CC and BCC). The octet 0xCE is the end of the frame
that the address comes from: both are written as they are in memory.
"""

from struct import Struct, error
from typing import Final, NamedTuple

from amqpy_broker.core.limits import HEADER_MEMO_MAX, MEMO_KEY_MAX_BYTES, PUBLISH_MEMO_MAX
from amqpy_broker.core.message import Message
from amqpy_broker.protocols.amqp091.codec import short_string
from amqpy_broker.protocols.amqp091.content import ContentHeader, DeadMessage, FramedMessage, MalformedContent
from amqpy_broker.protocols.amqp091.frames import (
    ENVELOPE_SIZE,
    FRAME_END,
    FRAME_HEAD,
    HEAD_SIZE,
    HEADER,
    HEADER_PAYLOAD_MIN,
)
from amqpy_broker.protocols.amqp091.publishes import Publish

_DIED: Final = 1
_COPIES: Final = 2
_KNOWN_FLAGS: Final = _DIED | _COPIES
_FLAGS: Final = tuple(bytes((flags,)) for flags in range(_KNOWN_FLAGS + 1))
_COUNT: Final = Struct(">H")
_CUT_SHORT: Final = "a stored message is cut short"


class _Last(NamedTuple):
    """The message that was read last, as the pattern of the next one: all but the body may be the same."""

    # What stands before the body's frame, and how long the whole is.
    prefix: bytes
    size: int
    frames_at: int
    message: FramedMessage


class StoredMessages:
    """Writes messages, and reads them again. It remembers what repeats: addresses and content headers."""

    def __init__(self) -> None:
        self._last: _Last | None = None
        self._publishes: dict[bytes, Publish] = {}
        self._headers: dict[bytes, ContentHeader] = {}

    def dump(self, message: Message, octets: list[bytes]) -> int:
        """Append a message with its address, in parts: nobody copies its frames. Return how many octets they are."""
        assert isinstance(message, FramedMessage)
        publish, frames = message.publish, message.frames
        address = publish.address
        if publish.copies:
            copies = _COUNT.pack(len(publish.copies)) + b"".join(map(short_string, publish.copies))
            octets += (_FLAGS[_COPIES | message.died], address, copies, frames)
            return 1 + len(address) + len(copies) + len(frames)
        octets += (_FLAGS[message.died], address, frames)
        return 1 + len(address) + len(frames)

    def load(self, octets: bytes) -> Message:
        """Read a message again.

        Raises:
            ValueError: it is none.
        """
        try:
            return self._load(octets)
        except (IndexError, error):
            raise ValueError(_CUT_SHORT) from None

    def _load(self, octets: bytes) -> Message:
        last = self._last
        if last is None or len(octets) != last.size or not octets.startswith(last.prefix) or octets[-1] != FRAME_END:
            return self._load_new(octets)
        alike = last.message
        return type(alike)(alike.publish, alike.header, octets[last.frames_at :], alike.channel)

    def _load_new(self, octets: bytes) -> Message:
        flags = octets[0]
        if flags & ~_KNOWN_FLAGS:
            raise ValueError(f"a stored message has unknown flags: {flags}")
        frames_at = self._end_of_address(octets, has_copies=bool(flags & _COPIES))
        frames = octets[frames_at:]
        kind, channel, header_size = FRAME_HEAD.unpack_from(frames)
        if kind != HEADER or header_size < HEADER_PAYLOAD_MIN:
            raise ValueError("a stored message does not begin with its content header")
        header = self._header(frames[HEAD_SIZE : HEAD_SIZE + header_size])
        if len(frames) < header_size + ENVELOPE_SIZE + header.body_size or frames[-1] != FRAME_END:
            raise ValueError(_CUT_SHORT)
        shape = DeadMessage if flags & _DIED else FramedMessage
        publish = self._publish(octets[1:frames_at], has_copies=bool(flags & _COPIES))
        message = shape(publish, header, frames, channel)
        body_at = frames_at + header_size + ENVELOPE_SIZE
        self._last = _Last(octets[:body_at], len(octets), frames_at, message)
        return message

    def _end_of_address(self, octets: bytes, *, has_copies: bool) -> int:
        at = 2 + octets[1]
        at += 1 + octets[at]
        if octets[at] != FRAME_END:
            raise ValueError("a stored message has no address")
        at += 1
        if has_copies:
            (count,) = _COUNT.unpack_from(octets, at)
            at += _COUNT.size
            for _ in range(count):
                at += 1 + octets[at]
        return at

    def _publish(self, address: bytes, *, has_copies: bool) -> Publish:
        found = self._publishes.get(address)
        if found is None:
            found = _read_publish(address, has_copies=has_copies)
            if len(self._publishes) >= PUBLISH_MEMO_MAX:
                self._publishes.clear()
            self._publishes[address] = found
        return found

    def _header(self, payload: bytes) -> ContentHeader:
        found = self._headers.get(payload)
        if found is None:
            try:
                found = ContentHeader(payload)
            except MalformedContent as malformed:
                raise ValueError(f"a stored message is damaged: {malformed}") from None
            if found.repeats and len(payload) <= MEMO_KEY_MAX_BYTES:
                if len(self._headers) >= HEADER_MEMO_MAX:
                    self._headers.clear()
                self._headers[payload] = found
        return found


def _read_publish(address: bytes, *, has_copies: bool) -> Publish:
    exchange, at = _read_text(address, 0)
    routing_key, at = _read_text(address, at)
    copies = []
    if has_copies:
        # Past the octet that ends the address, and the count.
        at += 1 + _COUNT.size
        while at < len(address):
            copy, at = _read_text(address, at)
            copies.append(copy)
    return Publish(exchange, routing_key, mandatory=False, immediate=False, copies=tuple(copies))


def _read_text(octets: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + octets[at]
    return octets[at + 1 : end].decode("utf-8", "surrogateescape"), end
