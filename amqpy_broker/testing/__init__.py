"""The test kit: a broker inside the test, a clock to turn, faults on demand, and a report of the client's mistakes."""

from amqpy_broker.testing.broker import Broker
from amqpy_broker.testing.errors import Misuse, NotSettled
from amqpy_broker.testing.thread import BrokerThread

__all__ = ["Broker", "BrokerThread", "Misuse", "NotSettled"]
