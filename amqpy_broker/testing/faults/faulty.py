"""`broker.faults`, for the broker in an event loop and for the one in a thread."""

from __future__ import annotations

from amqpy_broker.testing.faults.faults import Faults
from amqpy_broker.testing.in_broker import InBroker


class Faulty(InBroker):
    """What can go wrong in a broker, when a test wants it to."""

    @property
    def faults(self) -> Faults:
        """Makes faults: see docs/testing/faults.md."""
        return Faults(self.inside().faults, self)
