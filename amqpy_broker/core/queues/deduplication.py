"""Message deduplication, as LavinMQ has it (https://lavinmq.com/documentation/message-deduplication).

Rule 1: a message whose key was seen before is dropped, and confirmed: it has arrived once.
Rule 2: as many keys are remembered as the cache has places; the oldest makes room. A time to live forgets them earlier.
Rule 3: what a queue refuses was not seen: whoever sends it again is no duplicate.
Rule 4: a dead letter that returns to a queue it died in is no duplicate either: it comes from the broker.
"""

from collections.abc import Mapping
from typing import Final

from amqpy_broker.core.arguments import INTEGER_KINDS
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.dead_letter import died_in
from amqpy_broker.core.queues.keys import header_key
from amqpy_broker.core.queues.settings import CACHE_TTL, DeduplicationSettings
from amqpy_broker.core.timers import Timers

_NEVER: Final = float("inf")


class Deduplication:
    """The keys of the last messages of one queue."""

    __slots__ = ("_expiries_s", "_queue", "_settings", "_timers")

    def __init__(self, settings: DeduplicationSettings, queue: str, timers: Timers) -> None:
        self._settings = settings
        self._queue = queue
        self._timers = timers
        # When each key is forgotten, the oldest key first.
        self._expiries_s: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._expiries_s)

    def seen(self, message: Message) -> bool:
        """Say whether a message is a duplicate; from now on it was seen."""
        key = header_key(message, self._settings.header)
        if key is None or died_in(message, self._queue):
            return False
        now_s = self._timers.now_s
        expiry_s = self._expiries_s.get(key)
        if expiry_s is not None:
            if expiry_s > now_s:
                return True
            # What is remembered anew is the youngest.
            del self._expiries_s[key]
        self._remember(key, self._expiry_s(message, now_s))
        return False

    def forget(self, message: Message) -> None:
        """Learn that a message was refused."""
        key = header_key(message, self._settings.header)
        if key is not None:
            self._expiries_s.pop(key, None)

    @property
    def keys(self) -> Mapping[bytes, float]:
        """What is remembered, the oldest first, and when each is forgotten."""
        return dict(self._expiries_s)

    def put_back(self, keys: Mapping[bytes, float], shift_s: float) -> None:
        """Remember what was remembered once, and nothing else; times move by so much."""
        self._expiries_s = {key: expiry_s + shift_s for key, expiry_s in keys.items()}

    def _remember(self, key: bytes, expiry_s: float) -> None:
        expiries_s = self._expiries_s
        expiries_s[key] = expiry_s
        if len(expiries_s) > self._settings.cache_size:
            del expiries_s[next(iter(expiries_s))]

    def _expiry_s(self, message: Message, now_s: float) -> float:
        ttl_ms = self._settings.cache_ttl_ms
        # A message may bring its own.
        own = message.headers.get(CACHE_TTL)
        if own is not None and own.kind in INTEGER_KINDS and isinstance(own.value, int):
            ttl_ms = max(own.value, 0)
        return _NEVER if ttl_ms is None else now_s + ttl_ms / 1000
