"""Why a message goes where it goes: every binding on its way, whether it matches, and if not, why.

Nothing is published, kept, or left to chance: exchanges that choose by chance are shown with all they may choose.
Whether a binding matches is not decided here but by an exchange of its type that has no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amqpy_broker.core.arguments import NO_ARGUMENTS, Argument, Arguments
from amqpy_broker.core.exchanges.base import Exchange, ExchangeProperties, Matched
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.exchanges.consistent_hash import HASH_HEADER, HASH_PROPERTY, ConsistentHashExchange
from amqpy_broker.core.exchanges.delayed_message import (
    DELAY,
    DELAY_MAX_MS,
    DELAYED_TYPE,
    DelayedMessageExchange,
    delay_of,
)
from amqpy_broker.core.exchanges.direct import DefaultExchange
from amqpy_broker.core.exchanges.fanout import FanoutExchange
from amqpy_broker.core.exchanges.headers import MATCH_ARGUMENT, HeadersExchange
from amqpy_broker.core.exchanges.modulus_hash import ModulusHashExchange
from amqpy_broker.core.exchanges.random import RandomExchange
from amqpy_broker.core.exchanges.topic import TopicExchange
from amqpy_broker.core.exchanges.types import EXCHANGE_TYPES
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.testing.looking.messages import python_values
from amqpy_broker.testing.looking.mismatches import direct_mismatch, headers_reason, topic_mismatch
from amqpy_broker.testing.looking.near import near_matches


@dataclass(frozen=True, slots=True)
class BindingVerdict:
    """A binding, and whether a message goes along it. `why` says why, or why not."""

    key: str
    arguments: Mapping[str, object]
    destination: str
    # "queue" or "exchange".
    destination_kind: str
    matches: bool
    why: str

    def __str__(self) -> str:
        mark = "+" if self.matches else "-"
        arguments = f" {dict(self.arguments)!r}" if self.arguments else ""
        kind = "" if self.destination_kind == "queue" else f"{self.destination_kind} "
        return f"{mark} {self.key!r}{arguments} -> {kind}{self.destination}: {self.why}"


@dataclass(frozen=True, slots=True)
class ExchangeVerdict:
    """An exchange that a message comes to, and what becomes of it there."""

    name: str
    type: str
    # How it comes here: "published", "bound to NAME" or "alternate exchange of NAME".
    how: str
    bindings: tuple[BindingVerdict, ...]
    # What else there is to say.
    notes: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.type} exchange {self.name or '(default)'!r}" + (f", {self.how}" if self.how else "")
        return "\n".join((f"{head}:", *(f"  {note}" for note in self.notes), *(f"  {line}" for line in self.bindings)))


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a message goes, and why."""

    routing_key: str
    headers: Mapping[str, object]
    # In the order in which the message comes to them.
    exchanges: tuple[ExchangeVerdict, ...]
    # The queues that it reaches; with an exchange that chooses by chance, those that it may reach.
    queues: tuple[str, ...]
    by_chance: bool = False
    # It waits in an exchange first: what is told here holds for when it is due, if nothing changes.
    is_delayed: bool = False
    # No client may publish to an internal exchange.
    refused: bool = False

    @property
    def outcome(self) -> str:
        """What becomes of the message."""
        if self.refused:
            return "refused: the exchange is internal, the channel is closed with 403 ACCESS_REFUSED"
        if not self.queues:
            dropped = "dropped without a word"
            end = dropped if self.is_delayed else f"returned if it is mandatory, else {dropped}"
            reached = f"reaches no queue: {end}"
        elif self.by_chance:
            reached = f"goes, by chance, to some of {', '.join(self.queues)}"
        else:
            reached = f"goes to {', '.join(self.queues)}"
        return f"waits first; then it {reached}" if self.is_delayed else reached

    def __str__(self) -> str:
        headers = f" with headers {dict(self.headers)!r}" if self.headers else ""
        return "\n".join((f"routing key {self.routing_key!r}{headers}: {self.outcome}", *map(str, self.exchanges)))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of each exchange."""

    keys: Sequence[str]
    headers: Arguments


def explain(vhost: VirtualHost, exchange: Exchange, keys: Sequence[str], headers: Arguments) -> Explanation:
    """Explain where a message goes.

    Args:
        vhost: where.
        exchange: what it is published to.
        keys: its routing key, then those of its headers CC and BCC.
        headers: its headers.
    """
    asked = _Asked(keys, headers)
    visited: dict[str, ExchangeVerdict] = {}
    queues: dict[str, None] = {}
    to_visit = [(exchange, "")]
    while to_visit:
        current, how = to_visit.pop(0)
        if current.name in visited:
            continue
        verdict, destinations = _judge(vhost, current, asked, how)
        visited[current.name] = verdict
        for destination in destinations:
            if isinstance(destination, Queue):
                queues[destination.name] = None
            elif isinstance(destination, Exchange):
                bound = any(binding.destination is destination for binding in current.bindings)
                to_visit.append((destination, f"{'bound to' if bound else 'alternate exchange of'} {current.name!r}"))
    on_the_way = [vhost.exchanges[name] for name in visited]
    return Explanation(
        keys[0],
        python_values(headers),
        tuple(visited.values()),
        tuple(queues),
        by_chance=any(_chooses(current) and len(list(current.bindings)) > 1 for current in on_the_way),
        is_delayed=any(_delay(current, headers) for current in on_the_way),
        refused=exchange.internal,
    )


def _judge(vhost: VirtualHost, exchange: Exchange, asked: _Asked, how: str) -> tuple[ExchangeVerdict, list[object]]:
    """Say what becomes of a message in one exchange, and where it goes on."""
    if isinstance(exchange, DefaultExchange):
        return _judge_default(vhost, exchange, asked, how)
    judged = [(binding, *_verdict(vhost, exchange, binding, asked)) for binding in exchange.bindings]
    verdicts = tuple(
        BindingVerdict(
            binding.key,
            python_values(binding.arguments),
            binding.destination.name,
            binding.destination.kind,
            matches,
            why,
        )
        for binding, matches, why in judged
    )
    matched: list[object] = [binding.destination for binding, matches, _ in judged if matches]
    notes = _notes(exchange, asked)
    if not verdicts:
        notes.append("nothing is bound to it")
    if not matched and exchange.alternate:
        alternate = vhost.exchanges.get(exchange.alternate)
        if alternate is None:
            notes.append(f"its alternate exchange {exchange.alternate!r} does not exist")
        else:
            notes.append(f"no binding matches: on to its alternate exchange {exchange.alternate!r}")
            matched.append(alternate)
    return ExchangeVerdict(exchange.name, exchange.type, how, verdicts, tuple(notes)), matched


def _judge_default(
    vhost: VirtualHost, exchange: Exchange, asked: _Asked, how: str
) -> tuple[ExchangeVerdict, list[object]]:
    notes, matched = [], list[object]()
    for key in asked.keys:
        queue = vhost.queues.get(key)
        if queue is not None:
            matched.append(queue)
            notes.append(f"queue {key!r} has the name that the routing key says")
        else:
            notes.append(f"no queue is named {key!r}{near_matches(key, vhost.queues)}")
    return ExchangeVerdict(exchange.name, exchange.type, how, (), tuple(notes)), matched


def _notes(exchange: Exchange, asked: _Asked) -> list[str]:
    notes = []
    if exchange.internal:
        notes.append("it is internal: clients cannot publish to it")
    if delay_ms := _delay(exchange, asked.headers):
        notes.append(f"it waits here for {delay_ms} ms, as its header {DELAY!r} says")
    if _chooses(exchange):
        notes.append("it chooses one of its bindings by chance")
    return notes


def _delay(exchange: Exchange, headers: Arguments) -> int:
    delay_ms = delay_of(headers) if isinstance(exchange, DelayedMessageExchange) else None
    return delay_ms if delay_ms is not None and 0 < delay_ms <= DELAY_MAX_MS else 0


def _kind_of(exchange: Exchange) -> type[Exchange]:
    """Return the type that decides: that of a delayed message exchange is another one's."""
    if not isinstance(exchange, DelayedMessageExchange):
        return type(exchange)
    inner = exchange.arguments[DELAYED_TYPE].value
    return EXCHANGE_TYPES[inner.decode() if isinstance(inner, bytes) else str(inner)]


def _chooses(exchange: Exchange) -> bool:
    return issubclass(_kind_of(exchange), RandomExchange)


def _verdict(vhost: VirtualHost, exchange: Exchange, binding: Binding, asked: _Asked) -> tuple[bool, str]:
    """Say whether a message goes along a binding, and why."""
    kind = _kind_of(exchange)
    if issubclass(kind, RandomExchange):
        return True, "it may be chosen"
    if issubclass(kind, FanoutExchange):
        return True, "it takes everything"
    if issubclass(kind, (ConsistentHashExchange, ModulusHashExchange)):
        return _verdict_by_hash(exchange, binding, asked)
    if issubclass(kind, HeadersExchange):
        return _verdict_by_headers(vhost, exchange, binding, asked.headers)
    alone = _alone(vhost, exchange, binding)
    for key in asked.keys:
        if _leads_on(alone, key, NO_ARGUMENTS):
            return True, "it matches" if key == asked.keys[0] else f"it matches {key!r}, from the headers CC or BCC"
    mismatch = topic_mismatch if issubclass(kind, TopicExchange) else direct_mismatch
    return False, "; ".join(mismatch(binding.key, key) for key in asked.keys)


def _verdict_by_hash(exchange: Exchange, binding: Binding, asked: _Asked) -> tuple[bool, str]:
    matched: Matched = {}
    hashed = "the routing key"
    if HASH_HEADER in exchange.arguments:
        hashed = f"the header {exchange.arguments[HASH_HEADER].value!r}"
        exchange.route(asked.keys[0], asked.headers, matched)
    elif HASH_PROPERTY in exchange.arguments:
        hashed = f"the property {exchange.arguments[HASH_PROPERTY].value!r}, here taken to be missing,"
        exchange.route(asked.keys[0], asked.headers, matched)
    else:
        exchange.route_keys(asked.keys, matched)
    chosen = ", ".join(repr(destination.name) for destination in matched)
    return binding.destination in matched, f"the hash of {hashed} leads to {chosen}"


def _verdict_by_headers(
    vhost: VirtualHost, exchange: Exchange, binding: Binding, headers: Arguments
) -> tuple[bool, str]:
    def fits(name: str, wanted: Argument) -> bool:
        only = {MATCH_ARGUMENT: Argument("longstr", "all-with-x"), name: wanted}
        condition = Binding(binding.source, binding.destination, binding.key, only)
        return _leads_on(_alone(vhost, exchange, condition), "", headers)

    matches = _leads_on(_alone(vhost, exchange, binding), "", headers)
    return matches, headers_reason(binding.arguments, headers, fits, matches=matches)


def _alone(vhost: VirtualHost, exchange: Exchange, binding: Binding) -> Exchange:
    """Make an exchange of the type that decides, which has this binding only."""
    name, arguments = exchange.name, exchange.arguments
    alone = _kind_of(exchange)(ExchangeProperties(name, vhost.name, exchange.profile, vhost, arguments=arguments))
    alone.add_binding(binding)
    return alone


def _leads_on(exchange: Exchange, key: str, headers: Arguments) -> bool:
    matched: Matched = {}
    exchange.route(key, headers, matched)
    return bool(matched)
