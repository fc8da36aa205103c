"""From an exchange to queues: exchange-to-exchange bindings and alternate exchanges.

Rule 1: a message reaches each queue once, however many ways lead there.
Rule 2: cycles are fine: each exchange is visited once.
Rule 3: an exchange that finds no destination hands the message to its alternate exchange
        (https://www.rabbitmq.com/docs/ae).
"""

from collections.abc import Mapping
from typing import NamedTuple

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.exchanges.base import Exchange, Matched
from amqpy_broker.core.queues.base import Queue


class Routed(NamedTuple):
    """Where a message goes, and whether the same holds for any message with the same routing key."""

    queues: tuple[Queue, ...]
    whatever_headers: bool


def route(exchange: Exchange, routing_key: str, headers: Arguments, exchanges: Mapping[str, Exchange]) -> Routed:
    """Follow the bindings from `exchange` to queues."""
    queues: dict[Queue, None] = {}
    visited = {exchange}
    to_visit = [exchange]
    whatever_headers = True
    while to_visit:
        current = to_visit.pop()
        if current.looks_at_headers:
            whatever_headers = False
        for destination in _step(current, routing_key, headers, exchanges):
            if isinstance(destination, Queue):
                queues[destination] = None
            elif isinstance(destination, Exchange) and destination not in visited:
                visited.add(destination)
                to_visit.append(destination)
    return Routed(tuple(queues), whatever_headers)


def _step(exchange: Exchange, routing_key: str, headers: Arguments, exchanges: Mapping[str, Exchange]) -> Matched:
    matched: Matched = {}
    exchange.route(routing_key, headers, matched)
    # An empty name is not the default exchange here: RabbitMQ finds nothing under it.
    if not matched and exchange.alternate:
        alternate = exchanges.get(exchange.alternate)
        if alternate is not None:
            matched[alternate] = None
    return matched
