"""amqpy-broker: an AMQP 0-9-1 broker in pure Python that RabbitMQ clients cannot tell from RabbitMQ."""

from amqpy_broker.server.broker import Broker

__all__ = ["Broker"]
