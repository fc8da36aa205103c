"""Frames that are damaged on the way."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from amqpy_broker.protocols.amqp091.frames import HEAD_SIZE
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.faults.fault import Fault
from amqpy_broker.testing.faults.line import Line
from amqpy_broker.testing.faults.seen import Seen
from amqpy_broker.testing.faults.selection import Selection
from amqpy_broker.testing.link.link import Verdict

Damage: TypeAlias = Literal["frame-end", "bits"]


class CorruptFrames(Fault):
    """Frames end with another octet than they must, or have bits flipped."""

    name: ClassVar[str] = "corrupt_frames"
    takes_content: ClassVar[bool] = True

    def __init__(self, selection: Selection, damage: Damage, bits: int) -> None:
        details = f"damage={damage!r}" + (f", bits={bits}" if damage == "bits" else "")
        super().__init__(selection, details=details, is_random=damage == "bits")
        if damage not in ("frame-end", "bits"):
            raise Misuse(f"frames are damaged at the 'frame-end' or in 'bits', not in '{damage}'")
        if bits < 1:
            raise Misuse("at least one bit must be flipped")
        self._damage = damage
        self._bits = bits

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Damage a frame."""
        octets = bytearray(seen.frame.octets)
        if self._damage == "frame-end":
            octets[-1] = 0
        else:
            self._flip(octets)
        return [seen.frame.replaced_by(bytes(octets))]

    def _flip(self, octets: bytearray) -> None:
        """Flip bits of the payload; of a frame without one, any bits."""
        first = HEAD_SIZE if len(octets) > HEAD_SIZE + 1 else 0
        places = range(first * 8, (len(octets) - 1) * 8)
        for place in self.random.sample(places, min(self._bits, len(places))):
            octets[place // 8] ^= 1 << place % 8
