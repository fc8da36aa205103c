"""The history of a broker's messages: records of each kind in each vhost, as many as there is room for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import merge
from itertools import takewhile
from typing import Final, TypeVar

from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.testing.history.records import Delivered, Record

# Records of each kind in each vhost. A test that needs more measures a load, and its history would take a gigabyte.
RECORDS_MAX: Final = 100_000
# Octets of the messages that are remembered as published, and as dead-lettered: large ones are forgotten sooner.
MESSAGES_MAX_BYTES: Final = 64 * 1024 * 1024

R = TypeVar("R", bound=Record)


class _Kept:
    """Records of one kind in one vhost, and how many octets their messages have."""

    def __init__(self) -> None:
        self.records: deque[tuple[Record, int]] = deque()
        self.bytes = 0
        self.forgotten_count = 0


class _VhostHistory:
    """What happened in one vhost."""

    def __init__(self) -> None:
        self.kept: dict[type[Record], _Kept] = {}
        # The most that was unacknowledged at a time, by queue.
        self.peaks: dict[str, int] = {}


class History:
    """What is remembered. Where a vhost may be given, None means all of them."""

    def __init__(self, *, records_max: int = RECORDS_MAX, messages_max_bytes: int = MESSAGES_MAX_BYTES) -> None:
        self._records_max = records_max
        self._messages_max_bytes = messages_max_bytes
        self._vhosts: dict[str, _VhostHistory] = {}
        self._last_number = 0
        # Deliveries that are not settled. They are no past, and are not cleared.
        self._unsettled: dict[QueuedMessage, Delivered] = {}

    @property
    def last_number(self) -> int:
        """The number of the last record, or 0."""
        return self._last_number

    def next_number(self) -> int:
        """Return the number for a new record."""
        self._last_number += 1
        return self._last_number

    def add(self, record: Record, size_bytes: int = 0) -> None:
        """Remember something; `size_bytes` are those of the message, if only the record keeps it."""
        kept = self._of(record.vhost).kept.setdefault(type(record), _Kept())
        kept.records.append((record, size_bytes))
        kept.bytes += size_bytes
        while len(kept.records) > self._records_max or (
            kept.bytes > self._messages_max_bytes and len(kept.records) > 1
        ):
            _, size_bytes = kept.records.popleft()
            kept.bytes -= size_bytes
            kept.forgotten_count += 1

    def records(self, kind: type[R], vhost: str | None, *conditions: Callable[[R], bool]) -> list[R]:
        """List the records of a kind that meet all conditions, the oldest first."""
        oldest_first = merge(*map(_oldest_first, self._kept(kind, vhost)), key=_number_of)
        return [
            record
            for record in oldest_first
            if isinstance(record, kind) and all(condition(record) for condition in conditions)
        ]

    def after(self, number: int, kind: type[R], vhost: str | None) -> list[R]:
        """List the records of a kind that are newer than a number, the oldest first."""
        newest_first = (
            takewhile(lambda record: record.number > number, _newest_first(kept)) for kept in self._kept(kind, vhost)
        )
        newer = [record for records in newest_first for record in records if isinstance(record, kind)]
        return sorted(newer, key=_number_of)

    def latest(self, count: int, vhost: str | None) -> list[Record]:
        """List the last records of any kind, the oldest first."""
        tails = (_newest_first(kept) for one in self._in(vhost) for kept in one.kept.values())
        newest_first = merge(*tails, key=_number_of, reverse=True)
        return [record for _, record in zip(range(count), newest_first, strict=False)][::-1]

    def forgotten_count(self, vhost: str | None, kind: type[Record] | None = None) -> int:
        """Say how many records, of a kind or of all, were forgotten because there was no room."""
        return sum(
            kept.forgotten_count
            for one in self._in(vhost)
            for its_kind, kept in one.kept.items()
            if kind in (None, its_kind)
        )

    def clear(self, vhost: str | None = None) -> None:
        """Forget everything. Numbers go on."""
        if vhost is None:
            self._vhosts.clear()
        else:
            self._vhosts.pop(vhost, None)

    # --- deliveries that are not settled ----------------------------------------------------------------------------

    def handed_out(self, queued: QueuedMessage, record: Delivered) -> None:
        """Remember who has a message, until it is settled."""
        self._unsettled[queued] = record
        count, peaks = queued.queue.unacked_count, self._of(record.vhost).peaks
        peaks[record.queue] = max(count, peaks.get(record.queue, 0))

    def settled(self, queued: QueuedMessage) -> Delivered | None:
        """Forget who had a message, and say who it was, if anybody."""
        return self._unsettled.pop(queued, None)

    def unsettled(self) -> list[Delivered]:
        """List the deliveries that are not settled, the oldest first."""
        return list(self._unsettled.values())

    def peak_unacked(self, vhost: str, queue: str) -> int:
        """Say how much of a queue was unacknowledged at most."""
        return self._of(vhost).peaks.get(queue, 0)

    # --- steps ------------------------------------------------------------------------------------------------------

    def _of(self, vhost: str) -> _VhostHistory:
        return self._vhosts.setdefault(vhost, _VhostHistory())

    def _in(self, vhost: str | None) -> list[_VhostHistory]:
        return list(self._vhosts.values()) if vhost is None else [self._of(vhost)]

    def _kept(self, kind: type[Record], vhost: str | None) -> list[_Kept]:
        return [one.kept[kind] for one in self._in(vhost) if kind in one.kept]


def _oldest_first(kept: _Kept) -> Iterator[Record]:
    return (record for record, _ in kept.records)


def _newest_first(kept: _Kept) -> Iterator[Record]:
    return (record for record, _ in reversed(kept.records))


def _number_of(record: Record) -> int:
    return record.number
