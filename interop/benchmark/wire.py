"""The few AMQP 0-9-1 frames that a load needs, encoded with struct alone.

It shares no code with the broker that it measures, and never encodes anything while the clock runs.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
FRAME_END: Final = b"\xce"
FRAME_OVERHEAD: Final = 8

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8

# class and method ids
CONNECTION_START, CONNECTION_START_OK = (10, 10), (10, 11)
CONNECTION_TUNE, CONNECTION_TUNE_OK = (10, 30), (10, 31)
CONNECTION_OPEN, CONNECTION_OPEN_OK = (10, 40), (10, 41)
CONNECTION_CLOSE, CONNECTION_CLOSE_OK = (10, 50), (10, 51)
CHANNEL_OPEN, CHANNEL_OPEN_OK, CHANNEL_CLOSE = (20, 10), (20, 11), (20, 40)
EXCHANGE_DECLARE, EXCHANGE_DECLARE_OK = (40, 10), (40, 11)
EXCHANGE_DELETE, EXCHANGE_DELETE_OK = (40, 20), (40, 21)
QUEUE_DECLARE, QUEUE_DECLARE_OK = (50, 10), (50, 11)
QUEUE_BIND, QUEUE_BIND_OK = (50, 20), (50, 21)
QUEUE_DELETE, QUEUE_DELETE_OK = (50, 40), (50, 41)
BASIC_QOS, BASIC_QOS_OK = (60, 10), (60, 11)
BASIC_CONSUME, BASIC_CONSUME_OK = (60, 20), (60, 21)
BASIC_PUBLISH, BASIC_DELIVER, BASIC_ACK = (60, 40), (60, 60), (60, 80)
CONFIRM_SELECT, CONFIRM_SELECT_OK = (85, 10), (85, 11)

ACK_SIZE: Final = FRAME_OVERHEAD + 13

_HEAD = struct.Struct(">BHI")


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return _HEAD.pack(kind, channel, len(payload)) + payload + FRAME_END


def method(channel: int, ids: tuple[int, int], *arguments: bytes) -> bytes:
    return frame(METHOD, channel, struct.pack(">HH", *ids) + b"".join(arguments))


def short(value: int) -> bytes:
    return struct.pack(">H", value)


def long(value: int) -> bytes:
    return struct.pack(">I", value)


def short_string(value: str) -> bytes:
    encoded = value.encode()
    return bytes((len(encoded),)) + encoded


def long_string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def table(values: Mapping[str, str | int | bool]) -> bytes:
    """Encode a field table of strings, 64-bit integers and booleans."""
    fields = b"".join(short_string(name) + _field(value) for name, value in values.items())
    return long_string(fields)


def _field(value: str | int | bool) -> bytes:
    match value:
        case bool():
            return b"t" + bytes((value,))
        case int():
            return b"l" + struct.pack(">q", value)
        case str():
            return b"S" + long_string(value.encode())


def declare_queue(channel: int, queue: str, *, durable: bool = False, passive: bool = False) -> bytes:
    bits = bytes((passive | durable << 1,))
    return method(channel, QUEUE_DECLARE, short(0), short_string(queue), bits, table({}))


def bind_queue(channel: int, queue: str, exchange: str, key: str) -> bytes:
    names = short_string(queue) + short_string(exchange) + short_string(key)
    return method(channel, QUEUE_BIND, short(0), names, b"\x00", table({}))


def delete_queue(channel: int, queue: str) -> bytes:
    return method(channel, QUEUE_DELETE, short(0), short_string(queue), b"\x00")


def declare_exchange(channel: int, exchange: str, kind: str) -> bytes:
    names = short_string(exchange) + short_string(kind)
    return method(channel, EXCHANGE_DECLARE, short(0), names, b"\x00", table({}))


def delete_exchange(channel: int, exchange: str) -> bytes:
    return method(channel, EXCHANGE_DELETE, short(0), short_string(exchange), b"\x00")


def consume(channel: int, queue: str, *, no_ack: bool) -> bytes:
    names = short_string(queue) + short_string("load")
    return method(channel, BASIC_CONSUME, short(0), names, bytes((no_ack << 1,)), table({}))


def qos(channel: int, prefetch_count: int) -> bytes:
    return method(channel, BASIC_QOS, long(0), short(prefetch_count), b"\x00")


def publish(channel: int, exchange: str, routing_key: str, properties: bytes, body: bytes, frame_max: int) -> bytes:
    """Encode a whole message; `properties` is the flags and values of the content header."""
    names = short(0) + short_string(exchange) + short_string(routing_key) + b"\x00"
    head = struct.pack(">HHQ", 60, 0, len(body)) + properties
    step = frame_max - FRAME_OVERHEAD
    bodies = [frame(BODY, channel, body[start : start + step]) for start in range(0, len(body), step)]
    return method(channel, BASIC_PUBLISH, names) + frame(HEADER, channel, head) + b"".join(bodies)


def ack(channel: int, delivery_tag: int) -> bytes:
    return method(channel, BASIC_ACK, struct.pack(">QB", delivery_tag, 0))


def ack_up_to(channel: int, delivery_tag: int) -> bytes:
    return method(channel, BASIC_ACK, struct.pack(">QB", delivery_tag, 1))


class AckBlocks:
    """Acknowledgements of consecutive delivery tags, cut from one block made beforehand.

    The block holds 65,536 frames; only the upper bytes of the tags are rewritten when it has been used up.
    """

    def __init__(self, channel: int) -> None:
        self._block = bytearray(b"".join(ack(channel, tag) for tag in range(1 << 16)))
        self._upper = 0

    def take(self, first_tag: int, last_tag: int) -> bytes:
        """Return the frames for tags `first_tag` to `last_tag`, both included."""
        pieces = []
        while first_tag <= last_tag:
            upper, lower = divmod(first_tag, 1 << 16)
            stop = min(last_tag - first_tag + lower + 1, 1 << 16)
            self._turn_to(upper)
            pieces.append(bytes(self._block[lower * ACK_SIZE : stop * ACK_SIZE]))
            first_tag += stop - lower
        return b"".join(pieces)

    def _turn_to(self, upper: int) -> None:
        if upper == self._upper:
            return
        for position, value in enumerate(upper.to_bytes(6), start=FRAME_OVERHEAD - 1 + 4):
            self._block[position::ACK_SIZE] = bytes((value,)) * (1 << 16)
        self._upper = upper
