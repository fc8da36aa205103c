"""Browsing consumers: see what is ready without taking it.

Rule 1: a browser sees what is ready when it comes, in the order it would leave; not what comes later. Then it ends, and
        is told so by basic.cancel.
Rule 2: it takes nothing and counts for nothing: messages do not become redelivered, nor does it keep a queue alive.
Rule 3: if it is slow, messages that leave meanwhile are not there for it.
"""

from collections.abc import Callable
from typing import Final

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.queues.base import Consumer, QueuedMessage
from amqpy_broker.core.queues.ready import Ready

BROWSE: Final = "x-queue-browse"


def browses(arguments: Arguments) -> bool:
    """Say whether a consumer with these arguments wants only to look."""
    asked = arguments.get(BROWSE)
    return asked is not None and asked.value is True


class Browser:
    """How far a browsing consumer has come."""

    __slots__ = ("_is_seen", "_last")

    def __init__(self, is_seen: Callable[[QueuedMessage], bool]) -> None:
        """Show only what `is_seen` tells to have been there when it came."""
        self._is_seen = is_seen
        self._last: QueuedMessage | None = None

    def show(self, ready: Ready, consumer: Consumer) -> bool:
        """Show messages while the consumer can take them; say whether it has seen all."""
        for queued in ready.after(self._last):
            if not self._is_seen(queued):
                continue
            self._last = queued
            if not consumer.deliver(queued.message, queued.redelivered, None):
                return False
        return True
