"""The test kit: a broker inside the test, a clock to turn, faults on demand, and a report of the client's mistakes."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amqpy_broker.core.definitions import DefinitionsError
    from amqpy_broker.core.snapshot import Snapshot
    from amqpy_broker.testing.broker import Broker
    from amqpy_broker.testing.definitions import DefinitionsWarning
    from amqpy_broker.testing.errors import Misuse, NoMessage, NoSuchThing, NotSeen, NotSettled, Unroutable
    from amqpy_broker.testing.explanation import Explanation
    from amqpy_broker.testing.faults.errors import FaultNeverFired, UnusedFaultWarning
    from amqpy_broker.testing.messages import Message, Properties
    from amqpy_broker.testing.records import THE_TEST, Loss
    from amqpy_broker.testing.running import LeakedBroker
    from amqpy_broker.testing.strict.finding import Finding, FindingsError, StrictWarning
    from amqpy_broker.testing.thread import BrokerThread

# Loaded when they are asked for: pytest loads the plugin in this package everywhere, and most tests need no broker.
_MODULES = {
    "Broker": "testing.broker",
    "BrokerThread": "testing.thread",
    "DefinitionsError": "core.definitions",
    "DefinitionsWarning": "testing.definitions",
    "Explanation": "testing.explanation",
    "FaultNeverFired": "testing.faults.errors",
    "Finding": "testing.strict.finding",
    "FindingsError": "testing.strict.finding",
    "LeakedBroker": "testing.running",
    "Loss": "testing.records",
    "Message": "testing.messages",
    "Misuse": "testing.errors",
    "NoMessage": "testing.errors",
    "NoSuchThing": "testing.errors",
    "NotSeen": "testing.errors",
    "NotSettled": "testing.errors",
    "Properties": "testing.messages",
    "Snapshot": "core.snapshot",
    "StrictWarning": "testing.strict.finding",
    "THE_TEST": "testing.records",
    "Unroutable": "testing.errors",
    "UnusedFaultWarning": "testing.faults.errors",
}

__all__ = [
    "THE_TEST",
    "Broker",
    "BrokerThread",
    "DefinitionsError",
    "DefinitionsWarning",
    "Explanation",
    "FaultNeverFired",
    "Finding",
    "FindingsError",
    "LeakedBroker",
    "Loss",
    "Message",
    "Misuse",
    "NoMessage",
    "NoSuchThing",
    "NotSeen",
    "NotSettled",
    "Properties",
    "Snapshot",
    "StrictWarning",
    "Unroutable",
    "UnusedFaultWarning",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"amqpy_broker.{_MODULES[name]}"), name)
