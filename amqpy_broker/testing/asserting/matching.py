"""Messages as tests want them, and how those that there are differ.

What is wanted may be any object with `==`: `unittest.mock.ANY`, or a matcher of some library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.looking.messages import PROPERTY_NAMES, Message, shown_body, shown_value
from amqpy_broker.testing.looking.near import near_matches

# How much of each difference, and how many differences of a message, and how many messages are shown.
_VALUE_SHOWN_MAX: Final = 200
_DIFFERENCES_SHOWN_MAX: Final = 10
_MESSAGES_SHOWN_MAX: Final = 3
_NO_JSON: Final = "body is no JSON"
# How far away differences put a message that begin like this.
_WEIGHTS: Final = {"exchange is": 10, "routing_key is": 5, _NO_JSON: 10}


class Unset(Enum):
    """What stands for "it does not matter" where None is a value."""

    ANYTHING = "anything"

    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING: Final = Unset.ANYTHING


@dataclass(frozen=True, slots=True)
class Wanted:
    """A message that somebody wants to see.

    Args:
        exchange: where it was published to.
        routing_key: one of its routing keys.
        body: its octets, or as text its text.
        json: what is in its body.
        headers: headers that it has, perhaps among others.
        properties: properties that it has, perhaps among others.
    """

    exchange: object = ANYTHING
    routing_key: object = ANYTHING
    body: object = ANYTHING
    json: object = ANYTHING
    headers: Mapping[str, object] | None = None
    properties: Mapping[str, object] | None = None

    def check(self) -> None:
        """Refuse what no message can be.

        Raises:
            Misuse: there is no property of this name.
        """
        for name in self.properties or {}:
            if name not in PROPERTY_NAMES:
                raise Misuse(f"messages have no property {name!r}{near_matches(name, PROPERTY_NAMES)}")

    def fits(self, message: Message) -> bool:
        """Say whether a message is what is wanted."""
        return not any(self.differences(message))

    def differences(self, message: Message) -> Iterator[str]:
        """Say how a message differs; nothing if it does not."""
        if self.exchange is not ANYTHING and self.exchange != message.exchange:
            yield _differs("exchange", message.exchange, self.exchange)
        if self.routing_key is not ANYTHING and not any(self.routing_key == key for key in message.routing_keys):
            yield _differs("routing_key", message.routing_key, self.routing_key)
        yield from _named_differences("header", message.headers, self.headers)
        yield from _named_differences("property", message.properties.given(), self.properties)
        if self.body is not ANYTHING and not _is_body(self.body, message.body):
            yield f"body is {shown_body(message.body)}, not {_shown_wanted_body(self.body)}"
        if self.json is not ANYTHING:
            yield from _json_differences(self.json, message)

    def __str__(self) -> str:
        told = [
            (name, value)
            for name, value in (
                ("exchange", self.exchange),
                ("routing_key", self.routing_key),
                ("body", self.body),
                ("json", self.json),
                ("headers", self.headers or ANYTHING),
                ("properties", self.properties or ANYTHING),
            )
            if value is not ANYTHING
        ]
        return "\n".join(f"    {name} = {_cut(value)}" for name, value in told) or "    any message"


def _is_body(wanted: object, body: bytes) -> bool:
    if wanted == body:
        return True
    try:
        return bool(wanted == body.decode())
    except UnicodeDecodeError:
        return False


def _shown_wanted_body(wanted: object) -> str:
    return shown_body(wanted) if isinstance(wanted, bytes) else _cut(wanted)


def _named_differences(what: str, there: Mapping[str, object], wanted: Mapping[str, object] | None) -> Iterator[str]:
    for name, value in (wanted or {}).items():
        if name not in there:
            # A matcher, or None, may want it to be missing.
            if value is not None:
                yield f"{what} {name!r} is missing{near_matches(name, there) if there else ''}"
        elif value != there[name]:
            yield from differences(value, there[name], f"{what} {name!r}")


def _json_differences(wanted: object, message: Message) -> Iterator[str]:
    try:
        there = message.json()
    except ValueError as failure:
        yield f"{_NO_JSON}: {shown_body(message.body)} ({failure})"
        return
    yield from differences(wanted, there, "json")


def differences(wanted: object, there: object, path: str) -> Iterator[str]:
    """Say where a value differs from what is wanted, down to the place in dicts and lists."""
    if wanted == there:
        return
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        for name in [*wanted, *(name for name in there if name not in wanted)]:
            if name not in there:
                yield f"{path}[{name!r}] is missing"
            elif name not in wanted:
                yield f"{path}[{name!r}] is {_cut(there[name])}, and should not be there"
            else:
                yield from differences(wanted[name], there[name], f"{path}[{name!r}]")
    elif isinstance(wanted, list) and isinstance(there, list):
        if len(wanted) != len(there):
            yield f"{path} has {len(there)} items, not {len(wanted)}"
        for at, (want, value) in enumerate(zip(wanted, there, strict=False)):
            yield from differences(want, value, f"{path}[{at}]")
    else:
        yield _differs(path, there, wanted)


def _differs(what: str, there: object, wanted: object) -> str:
    return f"{what} is {_cut(there)}, not {_cut(wanted)}"


def _cut(value: object) -> str:
    shown = shown_value(value)
    return shown if len(shown) <= _VALUE_SHOWN_MAX else f"{shown[:_VALUE_SHOWN_MAX]}…"


def _weight(difference: str) -> int:
    """Say how far away a difference puts a message: a wrong address is worse than a wrong detail."""
    return next((weight for start, weight in _WEIGHTS.items() if difference.startswith(start)), 1)


def nearest(wanted: Wanted, messages: Sequence[tuple[Message, str]]) -> str:
    """Show the messages that differ least from what is wanted, each with what else there is to say of it."""
    judged = [(list(wanted.differences(message)), message, more) for message, more in messages]
    judged.sort(key=lambda one: sum(map(_weight, one[0])))
    shown = []
    for found, message, more in judged[:_MESSAGES_SHOWN_MAX]:
        shown.append(f"  {message}{more}")
        shown += (f"      {difference}" for difference in found[:_DIFFERENCES_SHOWN_MAX])
        if len(found) > _DIFFERENCES_SHOWN_MAX:
            shown.append(f"      and {len(found) - _DIFFERENCES_SHOWN_MAX} more differences")
    if len(judged) > _MESSAGES_SHOWN_MAX:
        shown.append(f"  and {len(judged) - _MESSAGES_SHOWN_MAX} others")
    return "\n".join(shown)
