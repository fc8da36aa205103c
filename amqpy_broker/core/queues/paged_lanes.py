"""Paging where messages leave by groups: lanes in memory, and behind them a line of what nobody has looked at yet.

    leaves <- lanes (looked at, sorted) | line: head window | pages, in the journal only | tail <- comes

Rule 1: places ascend from the lanes to the line. A new message goes to the end of the line, whoever it is for: so a
        queue that nobody consumes from pages as any other. What came back goes to its lane.
Rule 2: who finds nothing in the lanes looks ahead: messages go from the line to lanes until there is one for whoever
        asks. Whose a message is can be said only now: who owns its group changes while it waits.
Rule 3: lanes hold so much and no more of what was looked at, for it stays in memory. Then whoever finds nothing waits
        until something leaves the lanes, as with Amazon's SQS, which looks at the first 120,000 messages
        (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/fifo-queue-message-groups.html).
Rule 4: whoever takes something out of the lanes has everybody asked again. Consumers that are handed something are
        (`GroupedQueue._dispatch` ends when nobody finds anything); for what dies there is `has_room_again`.
Rule 5: what expires is the first of a lane, or of the line.
"""

from collections.abc import Iterator
from typing import Final

from amqpy_broker.core.journal import Page
from amqpy_broker.core.queues.base import Consumer, QueuedMessage
from amqpy_broker.core.queues.lanes import GroupedMessage, GroupedReady
from amqpy_broker.core.queues.paged import PagedReady
from amqpy_broker.core.queues.ready import size_of

_NEVER: Final = float("inf")


class PagedLanes(GroupedReady):
    """Lanes with a line behind them."""

    __slots__ = ("_ahead_bytes", "_gave_up", "_held_bytes", "_held_count", "_line")

    def __init__(self, line: PagedReady, lanes: GroupedReady, ahead_bytes: int) -> None:
        """Take over lanes, and put an empty line behind them.

        Args:
            line: it may page.
            lanes: what has no line yet; nobody may use it any more.
            ahead_bytes: how much memory the lanes may hold before nobody looks further ahead.
        """
        super().__init__()
        self._line = line
        self._ahead_bytes = ahead_bytes
        # What is in lanes.
        self._held_count = self._held_bytes = 0
        # Whether somebody found nothing in the lanes when these were full.
        self._gave_up = False
        self._take_over(lanes)

    # --- in ---------------------------------------------------------------------------------------------------------

    def append(self, queued: QueuedMessage) -> None:
        """Add a message that was never handed out."""
        self._line.append(queued)

    def put_back(self, queued: QueuedMessage) -> None:
        """Return a message to its place."""
        # What is in front of it was looked at before it was handed out; but not if all of it is put here anew.
        while (first_place := self._line.first_fresh_place) is not None and first_place < queued.position:
            if (older := self._line.pop()) is not None:
                self._hold(older)
        self._hold(queued)

    def _hold(self, queued: QueuedMessage) -> None:
        super().append(queued)
        self._held_count += 1
        self._held_bytes += size_of(queued)

    def _take_over(self, lanes: GroupedReady) -> None:
        """Put in line all that is behind the last message that came back, as if nobody had looked at it."""
        messages = list(lanes.drain())
        end = max((index for index, queued in enumerate(messages, 1) if queued.redelivered), default=0)
        for queued in messages[:end]:
            self._hold(queued)
        for queued in messages[end:]:
            self._line.append(queued)

    # --- out --------------------------------------------------------------------------------------------------------

    def pop_for(self, consumer: Consumer | None) -> GroupedMessage | None:
        """Take the first message that a consumer may have, or whoever asks without being one."""
        queued = super().pop_for(consumer)
        if queued is None:
            return self._look_ahead(consumer)
        self._held_count -= 1
        self._held_bytes -= size_of(queued)
        return queued

    def _look_ahead(self, consumer: Consumer | None) -> GroupedMessage | None:
        """Sort what is in line until there is something for a consumer, whose lanes are empty."""
        line = self._line
        while self._held_bytes < self._ahead_bytes:
            queued = line.pop()
            if queued is None:
                return None
            assert isinstance(queued, GroupedMessage)
            group = queued.group
            if group is None or (group.owner is None and not group.unacked_count):
                return queued
            if consumer is not None and group.owner is consumer:
                return queued
            self._hold(queued)
        self._gave_up = self._gave_up or bool(line)
        return None

    @property
    def has_room_again(self) -> bool:
        """Whether somebody looked ahead in vain, and may look further now; said once."""
        if not self._gave_up or self._held_bytes >= self._ahead_bytes:
            return False
        self._gave_up = False
        return True

    def pop(self) -> QueuedMessage | None:
        """Take the oldest message, whoever it is for."""
        return self._left(super().pop()) or self._line.pop()

    def pop_expired(self, now_s: float) -> QueuedMessage | None:
        """Take a message that has expired and is the first of its lane, or of the line."""
        return self._left(super().pop_expired(now_s)) or self._line.pop_expired(now_s)

    def drain(self) -> Iterator[QueuedMessage]:
        """Take everything; what is on disk only is not seen again."""
        self._held_count = self._held_bytes = 0
        self._gave_up = False
        yield from super().drain()
        yield from self._line.drain()

    def _left(self, queued: QueuedMessage | None) -> QueuedMessage | None:
        """Count a message no longer that left its lane."""
        if queued is not None:
            self._held_count -= 1
            self._held_bytes -= size_of(queued)
        return queued

    # --- what is ready ----------------------------------------------------------------------------------------------

    @property
    def next_expiry_s(self) -> float:
        """When the first of the first messages expires."""
        return min(super().next_expiry_s, self._line.next_expiry_s)

    def after(self, last: QueuedMessage | None) -> Iterator[QueuedMessage]:
        """Show what is younger than a message."""
        yield from super().after(last)
        yield from self._line.after(last)

    @property
    def body_bytes(self) -> int:
        """Octets of all bodies; what is on disk stays there."""
        return sum(queued.message.body_size for queued in self.looked_at) + self._line.body_bytes

    def __len__(self) -> int:
        return self._held_count + len(self._line)

    # --- paging -----------------------------------------------------------------------------------------------------

    def take_pages(self, pages: list[Page]) -> None:
        """Begin with what was recovered."""
        self._line.take_pages(pages)

    def page_out(self, keep_bytes: int, *, spill: bool, wanted_bytes: float = _NEVER) -> int:
        """Let go of what is behind the head window, which begins with the lanes; see `PagedReady`."""
        keep_bytes = max(0, keep_bytes - self._held_bytes)
        return self._line.page_out(keep_bytes, spill=spill, wanted_bytes=wanted_bytes)

    @property
    def leaving_bytes(self) -> int:
        """Memory that becomes free with the next sync."""
        return self._line.leaving_bytes
