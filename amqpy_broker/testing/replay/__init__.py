"""Recordings played again: the clients' side (`replay`), or the broker's (`RecordedBroker`)."""

from amqpy_broker.testing.replay.client import Difference, Report, replay
from amqpy_broker.testing.replay.server import Mismatch, RecordedBroker

__all__ = ["Difference", "Mismatch", "RecordedBroker", "Report", "replay"]
