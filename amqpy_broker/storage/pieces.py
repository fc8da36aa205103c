"""How a batch's messages are written: in pieces of about 128 KiB, each a row that can be read and verified alone.

    head   what is where: version, checksums, and runs: messages that follow each other in a queue and in the piece
    body   sizes, expiries, and the messages, each once, however many queues hold it

Rule 1: a piece refers to nothing outside it, so that whatever happens to another one costs nothing here.
Rule 2: every octet is under a checksum, and so is the row's id: a row in another's place is no row.
Rule 3: numbers are little-endian, on every machine.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Final, NamedTuple
from zlib import crc32

from amqpy_broker.core.journal import Batch
from amqpy_broker.core.message import Message
from amqpy_broker.storage.errors import Damaged

PIECE_VERSION: Final = 1
# Small enough that reading one message is cheap, large enough that a commit of a thousand is one row.
PIECE_BYTES: Final = 128 * 1024
# A row's id is its batch's number and its own in the batch. Pieces with the highest bit set hold spilled messages; with
# the next one set its own number is its berth.
_PIECE_BITS: Final = 20
_SPILLED_BIT: Final = 1 << 19
_RECENT_BIT: Final = 1 << 18
PIECES_MAX: Final = 1 << 18
BATCH_MAX: Final = 1 << 43

# version, flags, reserved, head's crc, body's crc, messages, runs, expiries, body's length
_HEAD: Final = struct.Struct("<BBHIIIIIQ")
# queue, first place, first message, count
_RUN: Final = struct.Struct("<qqII")
# slot, milliseconds since 1970
_EXPIRY: Final = struct.Struct("<Iq")
_ID: Final = struct.Struct("<q")
_CRC_AT: Final = 4
_AFTER_CRC: Final = 8

# Appends the octets of a message to a list, in parts, and returns their number: see `MessageFormat.dump`.
Dump = Callable[[Message, list[bytes]], int]

_body_size = attrgetter("body_size")


class Run(NamedTuple):
    """Messages that follow each other in a queue, and in the piece."""

    queue: int
    place: int
    message: int
    length: int


class Head(NamedTuple):
    """What a piece holds, without its messages. A slot is a message in a queue: they are counted from run to run."""

    id: int
    message_count: int
    runs: tuple[Run, ...]
    expiry_count: int
    body_length: int
    body_crc: int

    @property
    def slot_count(self) -> int:
        """How many messages all queues hold here."""
        return sum(run.length for run in self.runs)


class Body(NamedTuple):
    """A verified body."""

    sizes: tuple[int, ...]
    # Octets of the messages' bodies, without their envelopes.
    body_sizes: tuple[int, ...]
    # By slot.
    expiries: dict[int, int]
    # Where each message begins in `octets`, and where the last one ends.
    octets: bytes
    messages_at: int

    def bounds(self) -> list[int]:
        """Say where each message begins, and the last one ends."""
        return list(accumulate(self.sizes, initial=self.messages_at))


class Row(NamedTuple):
    """A piece as it is written."""

    head: Head
    body: bytes

    @property
    def head_octets(self) -> bytes:
        """The head, written anew each time: its checksum is over the id, which may still change."""
        return _write_head(self.head)

    @property
    def size(self) -> int:
        """Octets of it all."""
        return _HEAD.size + len(self.head.runs) * _RUN.size + len(self.body)

    def moved(self, to: int) -> Row:
        """Give a piece another id."""
        return Row(self.head._replace(id=to), self.body)


def piece_id(batch: int, index: int, *, spilled: bool = False) -> int:
    """Name a row."""
    if not 0 < batch < BATCH_MAX or index >= PIECES_MAX:
        raise OverflowError(f"batch {batch} with {index} pieces is more than this format can count")
    return batch << _PIECE_BITS | (_SPILLED_BIT if spilled else 0) | index


def recent_id(batch: int, berth: int) -> int:
    """Name a piece that has a berth; it is the only one of its batch that lasts."""
    return piece_id(batch, berth) | _RECENT_BIT


def batch_of(row: int) -> int:
    """Say which batch a row belongs to."""
    return row >> _PIECE_BITS


def is_first(row: int) -> bool:
    """Whether a row is the first of its batch, and lasts, and has no berth."""
    return not row & (1 << _PIECE_BITS) - 1


def is_spilled(row: int) -> bool:
    """Whether a row holds messages that need not outlive the broker."""
    return bool(row & _SPILLED_BIT)


def is_recent(row: int) -> bool:
    """Whether a piece has a berth."""
    return bool(row & _RECENT_BIT)


def berth_of(row: int) -> int:
    """Say which berth a piece has that has one."""
    return row & _RECENT_BIT - 1


def table_of(row: int) -> str:
    """Name the table that a row is in."""
    if is_spilled(row):
        return "spilled"
    return "recent" if is_recent(row) else "pieces"


def rows_of(batch: int) -> tuple[int, int]:
    """Give the lowest and the highest id that rows of a batch may have."""
    return batch << _PIECE_BITS, (batch + 1 << _PIECE_BITS) - 1


# --- writing ------------------------------------------------------------------------------------------------------


def encode(batch: Batch, dump: Dump, *, piece_bytes: int = PIECE_BYTES) -> Iterator[Row]:
    """Write a batch's messages, lasting ones first, then spilled ones."""
    for parts, spilled in ((batch.parts, False), (batch.spilled, True)):
        messages, runs = _gather(parts)
        if messages:
            yield from _cut(batch, messages, runs, dump, piece_bytes, spilled)


def _gather(parts: dict[int, dict[int, Message]]) -> tuple[list[Message], list[Run]]:
    """List each message once, and who holds it where."""
    messages: list[Message] = []
    runs: list[Run] = []
    alone = len(parts) == 1
    known: dict[int, int] = {}
    for queue, part in parts.items():
        if not part:
            continue
        begin = len(messages)
        if alone:
            messages.extend(part.values())
            indexes: Sequence[int] = range(begin, len(messages))
        else:
            indexes = _index(part.values(), messages, known)
        runs.extend(_runs(queue, list(part), indexes))
    return messages, runs


def _index(part: Iterable[Message], messages: list[Message], known: dict[int, int]) -> list[int]:
    indexes = []
    for message in part:
        index = known.setdefault(id(message), len(messages))
        if index == len(messages):
            messages.append(message)
        indexes.append(index)
    return indexes


def _runs(queue: int, places: list[int], indexes: Sequence[int]) -> Iterator[Run]:
    count = len(places)
    place, index = places[0], indexes[0]
    # Places ascend.
    if places[-1] - place == count - 1 and (isinstance(indexes, range) or indexes == list(range(index, index + count))):
        yield Run(queue, place, index, count)
        return
    begin = 0
    for at in range(1, count + 1):
        if at == count or places[at] != places[at - 1] + 1 or indexes[at] != indexes[at - 1] + 1:
            yield Run(queue, places[begin], indexes[begin], at - begin)
            begin = at


class _Draft(NamedTuple):
    """Messages that will be a piece: the number of the first, the size of each, and their octets, not joined yet."""

    begin: int
    sizes: list[int]
    octets: list[bytes]


def _cut(
    batch: Batch, messages: list[Message], runs: list[Run], dump: Dump, piece_bytes: int, spilled: bool
) -> Iterator[Row]:
    """Write piece after piece, so that a huge batch is not in memory twice."""
    drafts = list(_fill(messages, dump, piece_bytes))
    body_sizes = list(map(_body_size, messages))
    for number, (draft, here) in enumerate(zip(drafts, _divide(runs, [draft.begin for draft in drafts]), strict=True)):
        yield write_row(
            piece_id(batch.number, number, spilled=spilled),
            here,
            draft.sizes,
            body_sizes[draft.begin : draft.begin + len(draft.sizes)],
            draft.octets,
            _expiries(here, batch.expiries) if batch.expiries else {},
        )


def _fill(messages: list[Message], dump: Dump, piece_bytes: int) -> Iterator[_Draft]:
    """Dump messages until a piece is full."""
    begin = filled = 0
    sizes: list[int] = []
    octets: list[bytes] = []
    for number, message in enumerate(messages):
        before = len(octets)
        size = dump(message, octets)
        filled += size
        if filled > piece_bytes and sizes:
            too_much = octets[before:]
            del octets[before:]
            yield _Draft(begin, sizes, octets)
            begin, filled, sizes, octets = number, size, [], too_much
        sizes.append(size)
    yield _Draft(begin, sizes, octets)


def _divide(runs: list[Run], begins: list[int]) -> list[list[Run]]:
    """Cut runs to the messages of each piece, given the number of the first message of each."""
    if len(begins) == 1:
        return [runs]
    pieces: list[list[Run]] = [[] for _ in begins]
    for queue, place, first, count in runs:
        index, end = first, first + count
        at = bisect_right(begins, index) - 1
        while index < end:
            stop = end if at + 1 == len(begins) else min(end, begins[at + 1])
            pieces[at].append(Run(queue, place + index - first, index - begins[at], stop - index))
            index = stop
            at += 1
    return pieces


def _expiries(runs: list[Run], expiries: dict[tuple[int, int], int]) -> dict[int, int]:
    """Translate a batch's expiries to slots of a piece. The runs must be in the order they are written in."""
    found = {}
    slot = 0
    for queue, place, _index, count in sorted(runs):
        for offset in range(count):
            at = expiries.get((queue, place + offset))
            if at is not None:
                found[slot + offset] = at
        slot += count
    return found


def write_row(
    row: int,
    runs: Iterable[Run],
    sizes: Sequence[int],
    body_sizes: Sequence[int],
    octets: Iterable[bytes],
    expiries: dict[int, int],
) -> Row:
    """Write a piece of messages with these sizes, whose octets may come in any number of parts.

    Runs are put in order: by queue, then by place; that is the order of slots.
    """
    ordered = tuple(sorted(runs))
    count = len(sizes)
    body = b"".join(
        (
            struct.pack(f"<{count}I", *sizes),
            struct.pack(f"<{count}I", *body_sizes),
            *(_EXPIRY.pack(slot, at) for slot, at in sorted(expiries.items())),
            *octets,
        )
    )
    head = Head(row, count, ordered, len(expiries), len(body), crc32(body))
    return Row(head, body)


def _write_head(head: Head) -> bytes:
    octets = bytearray(
        _HEAD.pack(
            PIECE_VERSION,
            0,
            0,
            0,
            head.body_crc,
            head.message_count,
            len(head.runs),
            head.expiry_count,
            head.body_length,
        )
    )
    for run in head.runs:
        octets += _RUN.pack(*run)
    octets[_CRC_AT:_AFTER_CRC] = _head_crc(head.id, octets).to_bytes(4, "little")
    return bytes(octets)


def _head_crc(row: int, octets: bytes | bytearray) -> int:
    return crc32(octets[_AFTER_CRC:], crc32(octets[:_CRC_AT], crc32(_ID.pack(row))))


# --- reading ------------------------------------------------------------------------------------------------------


def read_head(row: int, octets: object) -> Head:
    """Read what a piece holds.

    Raises:
        Damaged: this is not what was written, or written by a later version.
    """
    if not isinstance(octets, bytes) or len(octets) < _HEAD.size:
        raise Damaged("its head is too short")
    version, _flags, _reserved, crc, body_crc, messages, runs, expiries, length = _HEAD.unpack_from(octets)
    if crc != _head_crc(row, octets):
        raise Damaged("its head's checksum is wrong")
    if version != PIECE_VERSION:
        raise Damaged(f"it has version {version}, and this broker knows version {PIECE_VERSION}")
    if len(octets) != _HEAD.size + runs * _RUN.size:
        raise Damaged("its head has another length than it says")
    found = tuple(map(Run._make, _RUN.iter_unpack(octets[_HEAD.size :])))
    return Head(row, messages, found, expiries, length, body_crc)


def read_body(head: Head, octets: object) -> Body:
    """Verify a body, and read all but its messages. In a berth there may be something behind it.

    Raises:
        Damaged: this is not what was written.
    """
    if isinstance(octets, bytes) and is_recent(head.id):
        octets = octets[: head.body_length]
    if not isinstance(octets, bytes) or len(octets) != head.body_length:
        raise Damaged("its body has another length than its head says")
    if crc32(octets) != head.body_crc:
        raise Damaged("its body's checksum is wrong")
    count = head.message_count
    sizes = struct.unpack_from(f"<{count}I", octets)
    body_sizes = struct.unpack_from(f"<{count}I", octets, 4 * count)
    expiries_at = 8 * count
    messages_at = expiries_at + head.expiry_count * _EXPIRY.size
    expiries = dict(_EXPIRY.iter_unpack(octets[expiries_at:messages_at])) if head.expiry_count else {}
    return Body(sizes, body_sizes, expiries, octets, messages_at)
