"""The memory alarm: messages are counted against a watermark, and publishers wait while it is passed.

What is counted is what the broker can be made to hold, not what the process has mapped: the same load raises the alarm
at the same message everywhere, and the alarm ends as soon as messages are gone. A message in several queues counts in
each. What can wait on disk goes there first: the alarm is the last resort. See https://www.rabbitmq.com/docs/memory and
https://www.rabbitmq.com/docs/connection-blocked.
"""

import os
from collections.abc import Callable, Mapping
from typing import Final

from amqpy_broker.core.alarms import Alarms, Resource
from amqpy_broker.core.direct_replies import DirectReplies
from amqpy_broker.core.limits import (
    MEMORY_CHECK_INTERVAL_BYTES,
    MEMORY_RELEASE_SHARE,
    MEMORY_WATERMARK_SHARE,
    PAGING_SHARE,
)
from amqpy_broker.core.vhost import VirtualHost

_CAUSE: Final = "messages"
_FALLBACK_BYTES: Final = 1_073_741_824


class Memory:
    """Raises and ends the alarm. Whoever reads from publishers says how much; whoever waits asks to be told."""

    def __init__(
        self,
        vhosts: Mapping[str, VirtualHost],
        alarms: Alarms,
        watermark_bytes: int | None = None,
        replies: DirectReplies | None = None,
    ) -> None:
        self._vhosts = vhosts
        self._alarms = alarms
        self._replies = replies
        self.watermark_bytes = default_watermark_bytes() if watermark_bytes is None else watermark_bytes
        self.alarm = False
        # Asked for memory when messages hold too much; whoever can write some of them to disk sets it.
        self.page_out: Callable[[], object] | None = None
        # No measuring before this many more octets were read.
        self._unmeasured_bytes = 0
        self._interval_bytes = min(MEMORY_CHECK_INTERVAL_BYTES, max(1, self.watermark_bytes // 16))

    @property
    def used_bytes(self) -> int:
        """Memory held by messages, ready and unacknowledged."""
        queued = sum(vhost.memory_bytes for vhost in self._vhosts.values())
        return queued + (self._replies.memory_bytes if self._replies is not None else 0)

    def note_read(self, count: int) -> None:
        """Learn that so many octets came in, which may have become messages."""
        self._unmeasured_bytes += count
        if self._unmeasured_bytes >= self._interval_bytes:
            self.measure()

    def measure(self) -> None:
        """Compare what is used with the watermark, and raise or end the alarm."""
        self._unmeasured_bytes = 0
        used_bytes = self.used_bytes
        if self.page_out is not None and used_bytes > self.watermark_bytes * PAGING_SHARE:
            self.page_out()
            used_bytes = self.used_bytes
        self.alarm = used_bytes > self.watermark_bytes * (MEMORY_RELEASE_SHARE if self.alarm else 1)
        self._alarms.set(Resource.MEMORY, _CAUSE, raised=self.alarm)


def default_watermark_bytes() -> int:
    """RabbitMQ's share of the machine's memory, or of a guess where the machine does not tell."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        total = _FALLBACK_BYTES
    return int(total * MEMORY_WATERMARK_SHARE)
