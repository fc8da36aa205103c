"""What somebody may have meant who named something that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_SHOWN_MAX: Final = 10


def near_matches(name: str, names: Iterable[str]) -> str:
    """Say which names are near, or else which there are: `; near: 'orders'`."""
    there = list(names)
    near = get_close_matches(name, there, n=3, cutoff=0.6) or [
        candidate for candidate in there if candidate.casefold() == name.casefold()
    ]
    if near:
        return f"; near: {', '.join(map(repr, near))}"
    if not there:
        return "; there is none"
    more = f" and {len(there) - _SHOWN_MAX} more" if len(there) > _SHOWN_MAX else ""
    return f"; there is: {', '.join(map(repr, sorted(there)[:_SHOWN_MAX]))}{more}"
