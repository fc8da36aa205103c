"""Pools of encoded messages of one size, to publish in blocks."""

from __future__ import annotations

import struct
from typing import Final

from interop.benchmark import wire
from interop.benchmark.cases import Load

TOPIC_KEYS_COUNT: Final = 300
_POOL_BYTES: Final = 256 * 1024
_RICH_COUNT: Final = 10_000
_CYCLE_MARK: Final = b"cycle000"
_DELIVERY_MODE, _TIMESTAMP, _MESSAGE_ID, _HEADERS, _CONTENT_TYPE = 0x1000, 0x0040, 0x0080, 0x2000, 0x8000


class Pool:
    """Messages one after the other, taken in turn.

    If they carry the cycle mark, its digits change each time the pool has been used up, so that no message repeats
    and no broker can profit from having seen it before.
    """

    def __init__(self, messages: list[bytes]) -> None:
        self.message_size = len(messages[0])
        assert all(len(message) == self.message_size for message in messages)
        self._count = len(messages)
        self._block = memoryview(b"".join(messages))
        self._next = 0
        self._cycle = 0
        marks = range(len(messages[0]) - len(_CYCLE_MARK))
        self._digits = [at + 5 for at in marks if messages[0].startswith(_CYCLE_MARK, at)]

    def cut(self, count_max: int) -> tuple[memoryview, int]:
        """Return a block of up to `count_max` messages, and their number."""
        if self._next == self._count:
            self._next = 0
            if self._digits:
                self._mark_cycle()
        first = self._next
        self._next = min(first + count_max, self._count)
        return self._block[first * self.message_size : self._next * self.message_size], self._next - first

    def _mark_cycle(self) -> None:
        self._cycle += 1
        # A copy: the block before may still be on its way to the socket.
        block = bytearray(self._block)
        for start in self._digits:
            for at, digit in enumerate(f"{self._cycle % 4096:03x}".encode(), start=start):
                block[at :: self.message_size] = bytes((digit,)) * self._count
        self._block = memoryview(bytes(block))


def make_pool(load: Load, exchange: str, routing_key: str, frame_max: int) -> Pool:
    """Encode the messages of a load; a rich one chooses its own routing keys."""
    body = bytes(load.body_size)
    channel = load.publisher_channel
    if load.rich:
        return Pool(
            [
                wire.publish(channel, exchange, topic_key(number), _rich_properties(number), body, frame_max)
                for number in range(_RICH_COUNT)
            ]
        )
    properties = wire.short(_DELIVERY_MODE) + bytes((2 if load.persistent else 1,))
    message = wire.publish(channel, exchange, routing_key, properties, body, frame_max)
    return Pool([message] * (1 if load.producers > 1 else max(1, _POOL_BYTES // len(message))))


def topic_key(number: int) -> str:
    """Return one of the few hundred routing keys that rich messages use."""
    return f"order.{number % TOPIC_KEYS_COUNT:03}.created"


def topic_patterns() -> list[str]:
    """Return the binding keys of the rich case: a third exact, a third each with * and #; each key matches one."""
    forms = ("order.{:03}.created", "*.{:03}.created", "order.{:03}.#")
    return [forms[number % 3].format(number) for number in range(TOPIC_KEYS_COUNT)]


def _rich_properties(number: int) -> bytes:
    headers: dict[str, str | int | bool] = {
        "tenant": "acme",
        "attempt": 1,
        "urgent": False,
        "trace": f"{number:08x}-{_CYCLE_MARK.decode()}",
    }
    flags = _CONTENT_TYPE | _HEADERS | _DELIVERY_MODE | _MESSAGE_ID | _TIMESTAMP
    message_id = wire.short_string(f"{number:08x}-{_CYCLE_MARK.decode()}-5b1f")
    stamp = struct.pack(">Q", 1_700_000_000 + number)
    content_type = wire.short_string("application/json")
    return wire.short(flags) + content_type + wire.table(headers) + b"\x01" + message_id + stamp
