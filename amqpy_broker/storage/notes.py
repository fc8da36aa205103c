"""What happened to the messages of a piece since it was written: which are settled, and which came back how often.

One row beside the piece's own, of the same id; it is gone with the piece. In memory a slot is settled by one octet:
`flags[slot]` is `SETTLED` or `LIVE`, the digits of a binary number, so that the interpreter packs them.
"""

from __future__ import annotations

import struct
from typing import Final
from zlib import crc32

from amqpy_broker.core.journal import Mark
from amqpy_broker.storage.errors import Damaged

NOTES_VERSION: Final = 1
LIVE: Final = ord("0")
SETTLED: Final = ord("1")

# version, flags, reserved, crc, slots, marks
_NOTES: Final = struct.Struct("<BBHIII")
# slot, delivery count, acquired count, number of the last return
_MARK: Final = struct.Struct("<Iqqq")
_ID: Final = struct.Struct("<q")
_CRC_AT: Final = 4
_AFTER_CRC: Final = 8


def live_flags(count: int) -> bytearray:
    """Begin with nothing settled."""
    return bytearray(b"0") * count


def write_notes(row: int, flags: bytearray, marks: dict[int, Mark]) -> bytes:
    """Write a row of notes."""
    count = len(flags)
    octets = bytearray(_NOTES.pack(NOTES_VERSION, 0, 0, 0, count, len(marks)))
    octets += (int(flags, 2) if count else 0).to_bytes(_bitmap_size(count), "little")
    for slot, mark in sorted(marks.items()):
        octets += _MARK.pack(slot, *mark)
    octets[_CRC_AT:_AFTER_CRC] = _crc(row, octets).to_bytes(4, "little")
    return bytes(octets)


def read_notes(row: int, slot_count: int, octets: object) -> tuple[bytearray, dict[int, Mark]]:
    """Read a row of notes: a flag a slot, and marks by slot. None is a piece to which nothing happened.

    Raises:
        Damaged: this is not what was written.
    """
    if octets is None:
        return live_flags(slot_count), {}
    if not isinstance(octets, bytes) or len(octets) < _NOTES.size:
        raise Damaged("its notes are too short")
    version, _flags, _reserved, crc, count, mark_count = _NOTES.unpack_from(octets)
    if crc != _crc(row, octets):
        raise Damaged("its notes' checksum is wrong")
    if version != NOTES_VERSION:
        raise Damaged(f"its notes have version {version}, and this broker knows version {NOTES_VERSION}")
    marks_at = _NOTES.size + _bitmap_size(count)
    if count != slot_count or len(octets) != marks_at + mark_count * _MARK.size:
        raise Damaged("its notes are another piece's")
    flags = bytearray(format(int.from_bytes(octets[_NOTES.size : marks_at], "little"), f"0{count}b").encode())
    marks = {slot: Mark(*mark) for slot, *mark in _MARK.iter_unpack(octets[marks_at:])}
    return flags, marks


def _bitmap_size(count: int) -> int:
    return (count + 7) // 8


def _crc(row: int, octets: bytes | bytearray) -> int:
    return crc32(octets[_AFTER_CRC:], crc32(octets[:_CRC_AT], crc32(_ID.pack(row))))
