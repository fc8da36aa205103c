"""What faults complain of."""

from amqpy_broker.testing.errors import Misuse


class FaultNeverFired(Misuse):
    """A scope was left in which its fault never did anything; the text says what passed instead."""


class UnusedFaultWarning(UserWarning):
    """A broker stopped, and a fault without a scope never did anything."""
