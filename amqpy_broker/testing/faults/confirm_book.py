"""The numbers of publishes on one channel in confirm mode, where some never reach the broker, or are never confirmed.

The client counts what it sent, the broker what came. The broker's confirms are rewritten in the client's numbers.

Rule 1: as long as nothing was refused, lost or held back, numbers are the same, and confirms pass as they are.
Rule 2: `multiple` never covers a publish of which the client must not hear, or not yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

# The broker's number of a publish of which it says nothing (more).
_NO_NUMBER: Final = 0


class Confirm(NamedTuple):
    """A basic.ack or basic.nack to the client."""

    number: int
    multiple: bool


class ConfirmBook:
    """The publishes of one channel. Numbers are the client's, tags the broker's."""

    def __init__(self, published: int = 0, confirmed: int = 0) -> None:
        self._published = published
        self._passed_on = published
        # Of which the client was told nothing yet, and the broker's tags for them.
        self._untold: dict[int, int] = {number: number for number in range(confirmed + 1, published + 1)}
        self._withheld_count = 0
        # For how many seconds confirms are to be held back when they come; infinity is for ever.
        self.held_back_s: dict[int, float] = {}

    @property
    def is_plain(self) -> bool:
        """Whether the client's numbers are the broker's, and nothing is or will be withheld."""
        return self._published == self._passed_on and not self._withheld_count and not self.held_back_s

    def count_publish(self) -> int:
        """Give the next publish its number."""
        self._published += 1
        return self._published

    def pass_on(self, number: int) -> None:
        """Learn that a publish goes on to the broker."""
        self._passed_on += 1
        self._untold[number] = self._passed_on

    def keep_from_broker(self, number: int, *, refused: bool) -> None:
        """Learn that a publish never gets to the broker. Of a refused one the client was told."""
        self.held_back_s.pop(number, None)
        if not refused:
            self._untold[number] = _NO_NUMBER

    def confirmed(self, tag: int, *, multiple: bool) -> Sequence[int]:
        """Turn a confirm of the broker into numbers; those that are known."""
        return [
            number
            for number, theirs in self._untold.items()
            if theirs != _NO_NUMBER and (theirs == tag or (multiple and theirs < tag))
        ]

    def withhold(self, number: int) -> None:
        """Do not tell of a publish, though it is confirmed; only `tell` may do it later."""
        self._untold[number] = _NO_NUMBER
        self._withheld_count += 1

    def tell(self, numbers: Iterable[int]) -> Sequence[Confirm]:
        """Write confirms for numbers: one for as many as possible, one each for the others."""
        telling = [number for number in numbers if number in self._untold]
        in_order = list(self._untold)[: len(telling)]
        together = next((at for at, number in enumerate(telling) if number != in_order[at]), len(telling))
        for number in telling:
            if self._untold.pop(number) == _NO_NUMBER:
                self._withheld_count -= 1
        at_once = [Confirm(telling[together - 1], together > 1)] if together else []
        return [*at_once, *(Confirm(number, False) for number in telling[together:])]
