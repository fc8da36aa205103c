"""The disk alarm: publishers wait while the disk that the journal is on has less room than the limit.

The disk is looked at the sooner the less room there is, so that the fastest writer cannot fill it in between. See
https://www.rabbitmq.com/docs/disk-alarms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from amqpy_broker.core.alarms import Alarms, Resource
from amqpy_broker.core.limits import (
    DISK_CHECK_INTERVAL_MAX_S,
    DISK_CHECK_INTERVAL_MIN_S,
    DISK_FILL_RATE_BYTES_S,
    DISK_FREE_LIMIT_BYTES,
    DISK_RELEASE_SHARE,
)

_CAUSE: Final = "free space"


class Disk:
    """Raises and ends the alarm. `free_bytes` tells how much room there is; OSError, that it cannot be told."""

    def __init__(
        self, alarms: Alarms, free_bytes: Callable[[], int], free_limit_bytes: int = DISK_FREE_LIMIT_BYTES
    ) -> None:
        self._alarms = alarms
        self._read_free_bytes = free_bytes
        self.free_limit_bytes = free_limit_bytes
        self.alarm = False
        # What there was when it was looked at last; None if that could not be told.
        self.free_bytes: int | None = None

    def measure(self) -> float:
        """Look how much room there is, and raise or end the alarm; return after how many seconds to look again."""
        try:
            free_bytes = self.free_bytes = self._read_free_bytes()
        except OSError:
            # As RabbitMQ: who does not know raises no alarm, and ends none.
            self.free_bytes = None
            return DISK_CHECK_INTERVAL_MAX_S
        self.alarm = free_bytes < self.free_limit_bytes * (DISK_RELEASE_SHARE if self.alarm else 1)
        self._alarms.set(Resource.DISK, _CAUSE, raised=self.alarm)
        return self._interval_s(free_bytes)

    def _interval_s(self, free_bytes: int) -> float:
        # Twice as often as the disk could be filled.
        until_full_s = abs(free_bytes - self.free_limit_bytes) / DISK_FILL_RATE_BYTES_S / 2
        return min(max(until_full_s, DISK_CHECK_INTERVAL_MIN_S), DISK_CHECK_INTERVAL_MAX_S)
