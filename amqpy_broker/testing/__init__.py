"""The test kit: a broker inside the test, a clock to turn, faults on demand, and a report of the client's mistakes."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amqpy_broker.core.definitions import DefinitionsError
    from amqpy_broker.core.snapshot import Snapshot
    from amqpy_broker.testing.broker import Broker
    from amqpy_broker.testing.definitions import DefinitionsWarning
    from amqpy_broker.testing.errors import Misuse, NotSettled
    from amqpy_broker.testing.thread import BrokerThread

# Loaded when they are asked for: pytest loads the plugin in this package everywhere, and most tests need no broker.
_MODULES = {
    "Broker": "testing.broker",
    "BrokerThread": "testing.thread",
    "DefinitionsError": "core.definitions",
    "DefinitionsWarning": "testing.definitions",
    "Misuse": "testing.errors",
    "NotSettled": "testing.errors",
    "Snapshot": "core.snapshot",
}

__all__ = ["Broker", "BrokerThread", "DefinitionsError", "DefinitionsWarning", "Misuse", "NotSettled", "Snapshot"]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"amqpy_broker.{_MODULES[name]}"), name)
