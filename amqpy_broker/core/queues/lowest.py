"""The lowest level of a quorum queue, paged: what has a priority, or came back, leaves before it and stays in memory.

Rule 1: a page may lie around messages that are not its own: urgent ones, and those that came back. Then it is mixed:
        what is not its own is passed over when it is read, and is not settled with it.
Rule 2: what was recovered is looked through only where the journal tells of marks: whatever has a priority has one.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from amqpy_broker.core.journal import JournalWriter, Page, Stored
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.queues.paged import Draft, Home, PagedReady
from amqpy_broker.core.queues.window import Window


class MixedPage(Page):
    """A page that lies around messages that are not its own."""

    __slots__ = ()


class LowestLevel(PagedReady):
    """What is ready in a queue, was never handed out, and is not urgent."""

    __slots__ = ("_urgent_from",)

    def __init__(self, journal: JournalWriter, name: int, home: Home, window: Window, *, urgent_from: int) -> None:
        """Page out to a journal; messages with a priority of `urgent_from` or more are elsewhere."""
        super().__init__(journal, name, home, window, mixed=False)
        self._urgent_from: Final = urgent_from

    def look_through(self, page: Page, seen: Callable[[Message], object]) -> tuple[Page | None, list[Stored]]:
        """Read a page that was recovered; return what is left for this level, and what is not its own.

        Everything is shown to `seen` once.
        """
        own_count = own_bytes = 0
        others = []
        for piece in self._pieces(page):
            for stored in self._journal.read(piece):
                seen(stored.message)
                if self._is_own(stored):
                    own_count += 1
                    own_bytes += stored.message.body_size
                else:
                    others.append(stored)
        if not own_count:
            return None, others
        if others:
            page = MixedPage(page.batch, page.queue, page.first, page.last, own_count, own_bytes, page.special)
        return page, others

    def _is_own(self, stored: Stored) -> bool:
        mark = stored.mark
        # What has no mark was not looked at, whatever it is: nobody else has it.
        return mark is None or not (mark.returned_at or stored.message.priority >= self._urgent_from)

    def _pieces(self, page: Page) -> Iterator[Page]:
        """Cut a page, so that not all of it is in memory at once."""
        first = page.first
        while first <= page.last:
            piece = replace(page, first=first)
            last = self._end_of_piece(piece)
            yield replace(piece, last=last)
            first = last + 1

    def _stored(self, page: Page) -> list[Stored]:
        stored = super()._stored(page)
        return [one for one in stored if self._is_own(one)] if isinstance(page, MixedPage) else stored

    def _kind_of(self, draft: Draft) -> type[Page]:
        # Places in between are taken by what is not ours, or were settled.
        return MixedPage if draft.count <= draft.last - draft.first else Page

    def _forget_page(self, page: Page) -> None:
        if not isinstance(page, MixedPage):
            super()._forget_page(page)
            return
        for piece in self._pieces(page):
            for stored in self._stored(piece):
                self._journal.settle(page.batch, self._name, stored.place)


class ReturnsLastPaged(PagedReady):
    """What came back goes to the end, in a place of its own there: quorum queues of 3.x."""

    __slots__ = ()

    def put_back(self, queued: QueuedMessage) -> None:
        """Add a message at the end."""
        self.append(queued)
