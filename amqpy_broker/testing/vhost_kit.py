"""The kit at home in one vhost: what is asked without saying where is asked there, and the history is that vhost's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from amqpy_broker.testing.arranging.arrangement import Arrangement
from amqpy_broker.testing.arranging.policies import Policies
from amqpy_broker.testing.asserting.waits import BlockingWaits, Waits
from amqpy_broker.testing.faults.faulty import Faulty
from amqpy_broker.testing.in_broker import InBroker
from amqpy_broker.testing.inside import Inside

T = TypeVar("T")


class VhostKit(Arrangement, Faulty, Policies, Waits):
    """One vhost of a broker in this event loop."""

    def __init__(self, owner: InBroker, name: str) -> None:
        self._owner = owner
        self.home_vhost = self.history_vhost = self.name = name

    def inside(self) -> Inside:
        """Return what is inside the broker."""
        return self._owner.inside()

    def run_in_broker(self, action: Callable[[], T]) -> T:
        """Do something in the broker's thread."""
        __tracebackhide__ = True
        return self._owner.run_in_broker(action)


class BlockingVhostKit(Arrangement, BlockingWaits, Faulty, Policies):
    """One vhost of a broker in another thread."""

    def __init__(self, owner: BlockingWaits, name: str) -> None:
        self._owner = owner
        self.home_vhost = self.history_vhost = self.name = name

    def inside(self) -> Inside:
        """Return what is inside the broker."""
        return self._owner.inside()

    def run_in_broker(self, action: Callable[[], T]) -> T:
        """Do something in the broker's thread."""
        __tracebackhide__ = True
        return self._owner.run_in_broker(action)

    def block_on(self, action: Callable[[], Awaitable[T]]) -> T:
        """Await something in the broker's event loop."""
        return self._owner.block_on(action)
