"""From an exchange to queues: exchange-to-exchange bindings and alternate exchanges.

Rule 1: a message reaches each queue once, however many ways lead there.
Rule 2: cycles are fine: each exchange is visited once.
Rule 3: an exchange that finds no destination hands the message to its alternate exchange
        (https://www.rabbitmq.com/docs/ae).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.exchanges.base import Exchange, Matched
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Queue


class Routed(NamedTuple):
    """Where a message goes, and whether the same holds for any message with the same routing key."""

    queues: tuple[Queue, ...]
    for_any_message: bool


# Asks one exchange where to go on; True when it keeps the message.
_Step: TypeAlias = Callable[[Exchange, Matched], bool]


def route(exchange: Exchange, routing_key: str, headers: Arguments, exchanges: Mapping[str, Exchange]) -> Routed:
    """Follow the bindings from `exchange` to queues, without a message: nothing is kept, and nothing remembered."""

    def step(current: Exchange, matched: Matched) -> bool:
        current.route(routing_key, headers, matched)
        return False

    return _follow(exchange, step, exchanges)


def route_message(exchange: Exchange, message: Message, exchanges: Mapping[str, Exchange]) -> tuple[Queue, ...]:
    """Follow the bindings from `exchange` to the queues of this message, by all of its routing keys."""
    keys = (message.routing_key, *message.copies)

    def step(current: Exchange, matched: Matched) -> bool:
        if current.decides_for_each_message:
            return current.route_message(message, keys, matched)
        current.route_keys(keys, matched)
        return False

    return _follow(exchange, step, exchanges).queues


def _follow(exchange: Exchange, step: _Step, exchanges: Mapping[str, Exchange]) -> Routed:
    queues: dict[Queue, None] = {}
    visited = {exchange}
    to_visit = [exchange]
    for_any_message = True
    while to_visit:
        current = to_visit.pop()
        if current.decides_for_each_message:
            for_any_message = False
        for destination in _next(current, step, exchanges):
            if isinstance(destination, Queue):
                queues[destination] = None
            elif isinstance(destination, Exchange) and destination not in visited:
                visited.add(destination)
                to_visit.append(destination)
    return Routed(tuple(queues), for_any_message)


def _next(exchange: Exchange, step: _Step, exchanges: Mapping[str, Exchange]) -> Matched:
    matched: Matched = {}
    kept = step(exchange, matched)
    # An empty name is not the default exchange here: RabbitMQ finds nothing under it.
    if not matched and not kept and exchange.alternate:
        alternate = exchanges.get(exchange.alternate)
        if alternate is not None:
            matched[alternate] = None
    return matched
