"""The test kit: a broker inside the test, a clock to turn, faults on demand, and a report of the client's mistakes."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amqpy_broker.testing.broker import Broker
    from amqpy_broker.testing.errors import Misuse, NotSettled
    from amqpy_broker.testing.thread import BrokerThread

# Loaded when they are asked for: pytest loads the plugin in this package everywhere, and most tests need no broker.
_MODULES = {
    "Broker": "broker",
    "BrokerThread": "thread",
    "Misuse": "errors",
    "NotSettled": "errors",
}

__all__ = ["Broker", "BrokerThread", "Misuse", "NotSettled"]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
