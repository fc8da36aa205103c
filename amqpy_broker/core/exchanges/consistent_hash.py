"""The consistent hash exchange.

See https://github.com/rabbitmq/rabbitmq-server/tree/main/deps/rabbitmq_consistent_hash_exchange.

Rule 1: a binding key is a weight: so many buckets lead to the destination. A destination counts once: the first of its
        bindings has the say, and whichever of them goes takes the buckets with it.
Rule 2: a message goes where its routing key, header or property points: the same value to the same destination.
Rule 3: a new destination takes messages from the others, but moves none between them. One that goes leaves its messages
        to the others; those bound after it move up.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar, Final

from amqpy_broker.core.arguments import Argument, Arguments, octets_of, term
from amqpy_broker.core.erlang_hash import jump_hash, phash2
from amqpy_broker.core.erlang_terms import Atom, Term, format_p
from amqpy_broker.core.errors import InternalError, PreconditionFailed
from amqpy_broker.core.exchanges.base import Exchange, ExchangeProperties, Matched
from amqpy_broker.core.exchanges.bindings import Binding, Destination
from amqpy_broker.core.message import Message

HASH_HEADER: Final = "hash-header"
HASH_PROPERTY: Final = "hash-property"
_PROPERTIES: Final = frozenset(("correlation_id", "message_id", "timestamp"))
# What Erlang's list_to_integer/1 takes.
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_UNDEFINED: Final = Atom("undefined")


class ConsistentHashExchange(Exchange):
    """Send each message to one destination, and all that have the same key to the same one."""

    __slots__ = ("_destinations", "_ends", "_header", "_property", "_weights")

    type: ClassVar[str] = "x-consistent-hash"

    def __init__(self, properties: ExchangeProperties) -> None:
        super().__init__(properties)
        self._header = _text_argument(properties.arguments, HASH_HEADER)
        self._property = _text_argument(properties.arguments, HASH_PROPERTY)
        self._weights: dict[Destination, int] = {}
        # The destinations in the order of their buckets, and the number of the bucket after the last one of each.
        self._destinations: list[Destination] = []
        self._ends: list[int] = []

    @classmethod
    def check_properties(cls, properties: ExchangeProperties) -> None:
        """Refuse to hash two things, or a property that is not one of three."""
        header = _text_argument(properties.arguments, HASH_HEADER)
        hashed = _text_argument(properties.arguments, HASH_PROPERTY)
        if header is not None and hashed is not None:
            raise PreconditionFailed(f"{HASH_HEADER} and {HASH_PROPERTY} are mutually exclusive")
        if hashed is not None and hashed not in _PROPERTIES:
            raise PreconditionFailed(f"Unsupported property: {hashed}")

    @property
    def decides_for_each_message(self) -> bool:
        """Whether something else than the routing key is hashed."""
        return self._header is not None or self._property is not None

    def check_binding(self, binding: Binding) -> None:
        """Refuse binding keys that are no weight."""
        if not _INTEGER.fullmatch(binding.key):
            shown = format_p(octets_of(binding.key), unicode=self.profile.prints_unicode)
            raise PreconditionFailed(f"The binding key must be an integer: {shown}")
        weight_max = self.profile.hash_weight_max
        if int(binding.key) < 1:
            raise PreconditionFailed("The binding key must be greater than 0")
        if weight_max is not None and int(binding.key) > weight_max:
            raise PreconditionFailed(f"The binding key must not exceed {weight_max}")

    def route(self, routing_key: str, headers: Arguments, matched: Matched) -> None:
        """Add the destination of this key or, with these headers, of the header."""
        key: Term = octets_of(routing_key)
        if self._header is not None:
            key = self._header_term(headers.get(self._header))
        elif self._property is not None:
            key = _UNDEFINED
        self._match(key, matched)

    def route_keys(self, keys: Sequence[str], matched: Matched) -> None:
        """Add the destination of the first key."""
        self._match(octets_of(keys[0]), matched)

    def route_message(self, message: Message, keys: Sequence[str], matched: Matched) -> bool:
        """Add the destination of the message's header or property."""
        if self._property is None:
            return super().route_message(message, keys, matched)
        self._match(_property_term(message, self._property), matched)
        return False

    def _match(self, key: Term, matched: Matched) -> None:
        if not self._ends:
            return
        bucket = jump_hash(_number(key), self._ends[-1])
        matched[self._destinations[bisect_right(self._ends, bucket)]] = None

    def _header_term(self, header: Argument | None) -> Term:
        """Return the term that RabbitMQ hashes: 3.x the type with the value, 4.x the value."""
        if header is None:
            return _UNDEFINED
        value = term(header.value)
        if self.profile.hashes_header_types:
            return Atom(header.kind), value
        return value * 1000 if header.kind == "timestamp" and isinstance(value, int) else value

    def _index(self, binding: Binding) -> None:
        if binding.destination not in self._weights:
            self._weights[binding.destination] = int(binding.key)
            self._rebuild()

    def _unindex(self, binding: Binding) -> None:
        if self._weights.pop(binding.destination, None) is not None:
            self._rebuild()

    def _rebuild(self) -> None:
        self._destinations = list(self._weights)
        self._ends = list(accumulate(self._weights.values()))


def _text_argument(arguments: Arguments, name: str) -> str | None:
    argument = arguments.get(name)
    if argument is None:
        return None
    if argument.kind != "longstr":
        # RabbitMQ's process dies of it.
        raise InternalError("")
    return str(argument.value)


def _property_term(message: Message, name: str) -> Term:
    if name == "timestamp":
        seconds = message.timestamp_s
        return _UNDEFINED if seconds is None else b"%d" % seconds
    octets = message.correlation_id if name == "correlation_id" else message.message_id
    return _UNDEFINED if octets is None else octets


def _number(key: Term) -> int:
    """Return what the generator is seeded with: an integer itself, of a list its first item, the hash of the rest."""
    while isinstance(key, list) and key:
        key = key[0]
    return key if isinstance(key, int) and not isinstance(key, bool) else phash2(key)
