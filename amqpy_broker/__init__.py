"""amqpy-broker: an AMQP 0-9-1 broker in pure Python that RabbitMQ clients cannot tell from RabbitMQ."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amqpy_broker.server.broker import Broker

__all__ = ["Broker"]


def __getattr__(name: str) -> object:
    # Loaded when it is asked for: pytest loads the plugin in this package everywhere, and most tests need no broker.
    if name != "Broker":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from amqpy_broker.server.broker import Broker  # noqa: PLC0415

    return Broker
