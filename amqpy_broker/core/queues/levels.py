"""Paging where messages leave by priority: each level is a line of its own, and all of them share one head window.

Rule 1: the journal knows each level by a name of its own (`core.journal.level_name`), so that a level is read back
        without the others.
Rule 2: the highest level that has messages may keep half of the window, the next one half of what is left, and so on.
        However many levels there are, they hold no more together; and each that is soon to leave has something to begin
        with.
Rule 3: a level is a plain line until it lets go of something: most queues with priorities are short.
"""

from collections.abc import Callable
from typing import Final

from amqpy_broker.core.journal import Page, level_of
from amqpy_broker.core.queues.paged import PagedReady
from amqpy_broker.core.queues.ready import LeveledReady

_NEVER: Final = float("inf")


class LevelPager:
    """Lets messages of a queue with priorities leave memory."""

    __slots__ = ("_first_name", "_make_level", "_ready")

    def __init__(self, ready: LeveledReady, make_level: Callable[[int], PagedReady], *, first_name: int = 0) -> None:
        """Page the levels of `ready`.

        Args:
            ready: what has them.
            make_level: makes a level that can page, by its number.
            first_name: what the journal knows the lowest level by, see `core.journal.level_of`.
        """
        self._ready = ready
        self._make_level = make_level
        self._first_name = first_name

    def take_pages(self, pages: list[Page]) -> None:
        """Begin with what was recovered."""
        by_level: dict[int, list[Page]] = {}
        for page in pages:
            by_level.setdefault(level_of(page.queue) - self._first_name, []).append(page)
        for number, several in by_level.items():
            self.paged_level(number).take_pages(several)
        self._ready.count_anew()

    def page_out(self, keep_bytes: int, *, spill: bool, wanted_bytes: float = _NEVER) -> int:
        """Let go of what is behind the head window, the lowest level first; see `PagedReady`."""
        freed_bytes = 0
        for number, share_bytes, held_bytes in reversed(self._shares(keep_bytes)):
            level = self._ready.levels[number]
            if freed_bytes >= wanted_bytes:
                break
            if held_bytes > share_bytes:
                level = self.paged_level(number)
                freed_bytes += level.page_back(share_bytes, spill=spill, wanted_bytes=wanted_bytes - freed_bytes)
            if isinstance(level, PagedReady):
                freed_bytes += level.page_out(share_bytes, spill=spill, wanted_bytes=wanted_bytes - freed_bytes)
        return freed_bytes

    @property
    def leaving_bytes(self) -> int:
        """Memory that becomes free with the next sync."""
        return sum(level.leaving_bytes for level in self._ready.levels if isinstance(level, PagedReady))

    def paged_level(self, number: int) -> PagedReady:
        """Find a level that can page, or make it one."""
        level = self._ready.levels[number]
        if isinstance(level, PagedReady):
            return level
        paged = self._make_level(number)
        paged.take_over(level)
        self._ready.put_level(number, paged)
        return paged

    def _shares(self, keep_bytes: int) -> list[tuple[int, int, int]]:
        """Say of each level that has messages, the highest first, what it may keep, and what is at its head.

        What is more than a share is not counted to its end.
        """
        shares = []
        for number in range(len(self._ready.levels) - 1, -1, -1):
            level = self._ready.levels[number]
            if level:
                share_bytes = keep_bytes // 2
                held_bytes = level.head_bytes(share_bytes)
                shares.append((number, share_bytes, held_bytes))
                keep_bytes -= min(share_bytes, held_bytes)
        return shares
