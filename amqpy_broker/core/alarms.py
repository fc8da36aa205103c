"""Alarms: while one is raised, publishers wait (https://www.rabbitmq.com/docs/alarms).

Rule 1: a resource is short as long as there is a cause: messages above the watermark, a full disk, a test that says so.
Rule 2: publishers wait as long as any resource is short. They are told of the first, and when the last has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class Resource(Enum):
    """What may be short, in RabbitMQ's words, and in its order."""

    DISK = "disk"
    MEMORY = "memory"


class Alarms:
    """Remembers what is short, and tells when publishers have to wait and when they may go on."""

    def __init__(self) -> None:
        # Whether publishers wait.
        self.raised = False
        # Told with the new state whenever that changes.
        self.on_change: Callable[[bool], None] = _nobody
        self._causes: dict[Resource, set[str]] = {resource: set() for resource in Resource}

    @property
    def resources(self) -> tuple[Resource, ...]:
        """What is short now."""
        return tuple(resource for resource, causes in self._causes.items() if causes)

    @property
    def reason(self) -> str:
        """Say why publishers wait, as `connection.blocked` says it."""
        return "low on " + " & ".join(resource.value for resource in self.resources)

    def set(self, resource: Resource, cause: str, *, raised: bool) -> None:
        """Learn that there is this cause for an alarm, or no longer. Saying so twice is fine."""
        if raised:
            self._causes[resource].add(cause)
        else:
            self._causes[resource].discard(cause)
        raised_now = any(self._causes.values())
        if raised_now is not self.raised:
            self.raised = raised_now
            self.on_change(raised_now)


def _nobody(raised: bool) -> None:
    """Nobody wants to know."""
