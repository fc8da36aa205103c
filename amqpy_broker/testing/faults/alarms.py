"""Alarms: the broker says that it is low on memory or disk, and publishers wait."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import ClassVar, Final

from amqpy_broker.core.alarms import Resource
from amqpy_broker.testing.faults.ends import End, Surroundings
from amqpy_broker.testing.faults.fault import Fault

_NUMBERS: Final = count(1)


class _Alarm(Fault):
    """An alarm is raised. It has happened when a client publishes during it."""

    needs_broker = True
    resource: ClassVar[Resource]

    def __init__(self, around: Surroundings) -> None:
        super().__init__()
        self._around = around
        # Several may be raised at a time, and end in any order.
        self._cause = f"fault {next(_NUMBERS)}"

    def act_now(self, ends: Sequence[End]) -> None:
        """Raise the alarm."""
        for end in ends:
            self.connected(end)
        self._around.set_alarm(self.resource, self._cause, raised=True)

    def connected(self, end: End) -> None:
        """Ask to be told when a client is held back."""
        if end.broker is not None:
            end.broker.watch_blocked(self._blocked)

    def ended(self) -> None:
        """End the alarm."""
        self._around.set_alarm(self.resource, self._cause, raised=False)

    def _blocked(self, name: str) -> None:
        if not self.is_over:
            self.note_fired(f"{name} is held back")


class MemoryAlarm(_Alarm):
    """The broker is low on memory."""

    name: ClassVar[str] = "memory_alarm"
    resource: ClassVar[Resource] = Resource.MEMORY


class DiskAlarm(_Alarm):
    """The broker is low on disk."""

    name: ClassVar[str] = "disk_alarm"
    resource: ClassVar[Resource] = Resource.DISK
