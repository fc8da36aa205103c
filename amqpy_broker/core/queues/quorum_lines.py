"""The lines of a quorum queue, paged.

Rule 1: what came back leaves before a line, in an order of its own, and stays in memory: consumers have held it. Since
        4.0, that is; before, it goes to the end of the line.
Rule 2: after a restart a page may lie around messages that came back. Then it is mixed: what is not its own is passed
        over when it is read, and is not settled with it.
Rule 3: what was recovered is looked through only where the journal tells of marks.
"""

from collections.abc import Callable

from amqpy_broker.core.journal import Page, Stored
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import QueuedMessage
from amqpy_broker.core.queues.paged import Draft, PagedReady


class MixedPage(Page):
    """A page that lies around messages that are not its own."""

    __slots__ = ()


class ReturnsFirstLine(PagedReady):
    """What is ready at a level of a queue, and was never handed out."""

    __slots__ = ()

    def look_through(self, page: Page, seen: Callable[[Message], object]) -> tuple[Page | None, list[Stored]]:
        """Read a page that was recovered; return what is left for this line, and what is not its own.

        Everything is shown to `seen` once.
        """
        own_count = own_bytes = 0
        others = []
        for piece in self._window.pieces(page):
            for stored in self._journal.read(piece):
                seen(stored.message)
                if _is_own(stored):
                    own_count += 1
                    own_bytes += stored.message.body_size
                else:
                    others.append(stored)
        if not own_count:
            return None, others
        if others:
            page = MixedPage(page.batch, page.queue, page.first, page.last, own_count, own_bytes, page.special)
        return page, others

    def _stored(self, page: Page) -> list[Stored]:
        stored = super()._stored(page)
        return [one for one in stored if _is_own(one)] if isinstance(page, MixedPage) else stored

    def _kind_of(self, draft: Draft) -> type[Page]:
        # Places in between are taken by what came back, or were settled.
        return MixedPage if draft.count <= draft.last - draft.first else Page

    def _forget_page(self, page: Page) -> None:
        if not isinstance(page, MixedPage):
            super()._forget_page(page)
            return
        for piece in self._window.pieces(page):
            for stored in self._stored(piece):
                self._journal.settle(page.batch, page.queue, stored.place)


class ReturnsLastLine(PagedReady):
    """What came back goes to the end, in a place of its own there: quorum queues of 3.x."""

    __slots__ = ()

    def put_back(self, queued: QueuedMessage) -> None:
        """Add a message at the end."""
        self.append(queued)


def _is_own(stored: Stored) -> bool:
    """Say whether a message waits in its line: what has no mark was not looked at, whatever it is."""
    return stored.mark is None or not stored.mark.returned_at
