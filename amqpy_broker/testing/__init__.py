"""The test kit: a broker inside the test, a clock to turn, faults on demand, and a report of the client's mistakes."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amqpy_broker.core.definitions import DefinitionsError
    from amqpy_broker.core.snapshot import Snapshot
    from amqpy_broker.testing.arranging.definitions import DefinitionsWarning
    from amqpy_broker.testing.broker import Broker
    from amqpy_broker.testing.conversation.recording import Recorder, load_recording
    from amqpy_broker.testing.errors import Misuse, NoMessage, NoSuchThing, NotSeen, NotSettled, Unroutable
    from amqpy_broker.testing.faults.errors import FaultNeverFired, UnusedFaultWarning
    from amqpy_broker.testing.history.records import THE_TEST, Loss
    from amqpy_broker.testing.looking.explanation import Explanation
    from amqpy_broker.testing.looking.messages import Message, Properties
    from amqpy_broker.testing.plugin.vhost import Vhost
    from amqpy_broker.testing.proxy.proxy import Proxy
    from amqpy_broker.testing.replay import RecordedBroker
    from amqpy_broker.testing.running.register import LeakedBroker
    from amqpy_broker.testing.strict.finding import Finding, FindingsError, StrictWarning
    from amqpy_broker.testing.thread import BrokerThread

# Loaded when they are asked for: pytest loads the plugin in this package everywhere, and most tests need no broker.
_MODULES = {
    "Broker": "testing.broker",
    "BrokerThread": "testing.thread",
    "DefinitionsError": "core.definitions",
    "DefinitionsWarning": "testing.arranging.definitions",
    "Explanation": "testing.looking.explanation",
    "FaultNeverFired": "testing.faults.errors",
    "Finding": "testing.strict.finding",
    "FindingsError": "testing.strict.finding",
    "LeakedBroker": "testing.running.register",
    "Loss": "testing.history.records",
    "Message": "testing.looking.messages",
    "Misuse": "testing.errors",
    "NoMessage": "testing.errors",
    "NoSuchThing": "testing.errors",
    "NotSeen": "testing.errors",
    "NotSettled": "testing.errors",
    "Properties": "testing.looking.messages",
    "Proxy": "testing.proxy.proxy",
    "RecordedBroker": "testing.replay",
    "Recorder": "testing.conversation.recording",
    "Snapshot": "core.snapshot",
    "StrictWarning": "testing.strict.finding",
    "THE_TEST": "testing.history.records",
    "Unroutable": "testing.errors",
    "UnusedFaultWarning": "testing.faults.errors",
    "Vhost": "testing.plugin.vhost",
    "load_recording": "testing.conversation.recording",
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
    "Proxy",
    "RecordedBroker",
    "Recorder",
    "Snapshot",
    "StrictWarning",
    "Unroutable",
    "UnusedFaultWarning",
    "Vhost",
    "load_recording",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"amqpy_broker.{_MODULES[name]}"), name)
