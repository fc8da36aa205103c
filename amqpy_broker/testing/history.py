"""The history of a broker's messages: records of each kind, the oldest first, as many as there is room for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, TypeVar

from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.testing.records import Delivered, Record

# Records of each kind. A test that needs more measures a load, and its history would take a gigabyte.
RECORDS_MAX: Final = 100_000
# Octets of the messages that are remembered as published, and as dead-lettered: large ones are forgotten sooner.
MESSAGES_MAX_BYTES: Final = 64 * 1024 * 1024

R = TypeVar("R", bound=Record)


class _Kept:
    """Records of one kind, and how many octets their messages have."""

    def __init__(self) -> None:
        self.records: deque[tuple[Record, int]] = deque()
        self.bytes = 0


class History:
    """What is remembered."""

    def __init__(self, *, records_max: int = RECORDS_MAX, messages_max_bytes: int = MESSAGES_MAX_BYTES) -> None:
        self._records_max = records_max
        self._messages_max_bytes = messages_max_bytes
        self._kept: dict[type[Record], _Kept] = {}
        self._last_number = 0
        # How many records of each kind were forgotten, because there was no room.
        self._forgotten: dict[type[Record], int] = {}
        # The most that was unacknowledged at a time, by vhost and queue.
        self._peaks: dict[tuple[str, str], int] = {}
        # Deliveries that are not settled. They are no past, and are not cleared.
        self._unsettled: dict[QueuedMessage, Delivered] = {}

    def next_number(self) -> int:
        """Return the number for a new record."""
        self._last_number += 1
        return self._last_number

    def add(self, record: Record, size_bytes: int = 0) -> None:
        """Remember something; `size_bytes` are those of the message, if only the record keeps it."""
        kept = self._kept.setdefault(type(record), _Kept())
        kept.records.append((record, size_bytes))
        kept.bytes += size_bytes
        while len(kept.records) > self._records_max or (
            kept.bytes > self._messages_max_bytes and len(kept.records) > 1
        ):
            _, size_bytes = kept.records.popleft()
            kept.bytes -= size_bytes
            self._forgotten[type(record)] = self._forgotten.get(type(record), 0) + 1

    def records(self, kind: type[R], *conditions: Callable[[R], bool]) -> list[R]:
        """List the records of a kind that meet all conditions."""
        return [record for record in self._all(kind) if all(condition(record) for condition in conditions)]

    def latest(self, count: int, condition: Callable[[Record], bool]) -> list[Record]:
        """List the last records of any kind that meet a condition."""
        tails: list[Record] = []
        for kept in self._kept.values():
            tails += islice((record for record, _ in reversed(kept.records) if condition(record)), count)
        return sorted(tails, key=lambda record: record.number)[-count:]

    def forgotten_count(self, kind: type[Record] | None = None) -> int:
        """Say how many records, of a kind or of all, were forgotten because there was no room."""
        return sum(self._forgotten.values()) if kind is None else self._forgotten.get(kind, 0)

    # --- deliveries that are not settled ----------------------------------------------------------------------------

    def handed_out(self, queued: QueuedMessage, record: Delivered) -> None:
        """Remember who has a message, until it is settled."""
        self._unsettled[queued] = record

    def settled(self, queued: QueuedMessage) -> Delivered | None:
        """Forget who had a message, and say who it was, if anybody."""
        return self._unsettled.pop(queued, None)

    def unsettled(self) -> list[Delivered]:
        """List the deliveries that are not settled, the oldest first."""
        return list(self._unsettled.values())

    def note_unacked(self, vhost: str, queue: str, count: int) -> None:
        """Remember how much of a queue was unacknowledged, if it is more than ever."""
        if count > self._peaks.get((vhost, queue), 0):
            self._peaks[vhost, queue] = count

    def peak_unacked(self, vhost: str, queue: str) -> int:
        """Say how much of a queue was unacknowledged at most."""
        return self._peaks.get((vhost, queue), 0)

    def clear(self) -> None:
        """Forget everything. Numbers go on."""
        self._kept.clear()
        self._forgotten.clear()
        self._peaks.clear()

    def _all(self, kind: type[R]) -> Iterator[R]:
        kept = self._kept.get(kind)
        for record, _ in kept.records if kept is not None else ():
            assert isinstance(record, kind)
            yield record
