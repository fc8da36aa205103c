"""A message, as a test sees it: plain Python values, decoded when they are looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from amqpy_broker.core.arguments import Argument, Arguments, octets_of
from amqpy_broker.core.message import Message as CoreMessage

# How much of a body is shown.
_SHOWN_MAX: Final = 200
_CHARACTER_MAX_BYTES: Final = 4
# Headers that tell how a message died, of which one is enough to read.
_STORY: Final = ("x-death", "x-first-death-", "x-last-death-")
# The last moment that `datetime` knows, in seconds since 1970.
_DATETIME_MAX_S: Final = 253_402_300_799


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of a message but for its headers. None: it does not have it."""

    content_type: str | None = None
    content_encoding: str | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: datetime | int | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    cluster_id: str | None = None

    def given(self) -> dict[str, object]:
        """Return those that the message has."""
        return {name: value for name in PROPERTY_NAMES if (value := getattr(self, name)) is not None}


PROPERTY_NAMES: Final = tuple(field.name for field in fields(Properties))


class Message:
    """A message: where it was published to, its properties, its headers and its body. Nothing of it can be changed.

    Two are equal when all of this is equal.
    """

    __slots__ = ("_message", "_redelivered")

    def __init__(self, message: CoreMessage, *, redelivered: bool = False) -> None:
        self._message = message
        self._redelivered = redelivered

    @property
    def exchange(self) -> str:
        """The exchange it was published to; `""` is the default exchange."""
        return self._message.exchange

    @property
    def routing_key(self) -> str:
        """The routing key it was published with."""
        return self._message.routing_key

    @property
    def routing_keys(self) -> tuple[str, ...]:
        """The routing key, and those that its headers CC and BCC named."""
        return (self._message.routing_key, *self._message.copies)

    @property
    def headers(self) -> dict[str, object]:
        """The header table, empty if there is none."""
        return python_values(self._message.headers)

    @property
    def table(self) -> Arguments:
        """The header table with the types it has on the wire."""
        return self._message.headers

    @property
    def properties(self) -> Properties:
        """Its other properties."""
        values: dict[str, Any] = {
            name: python_value(argument)
            for name, argument in self._message.properties_table.items()
            if name in PROPERTY_NAMES
        }
        seconds = values.get("timestamp")
        if isinstance(seconds, int):
            values["timestamp"] = _moment(seconds)
        return Properties(**values)

    @property
    def body(self) -> bytes:
        """The body."""
        return self._message.body

    @property
    def text(self) -> str:
        """The body as text.

        Raises:
            UnicodeDecodeError: it is not UTF-8.
        """
        return self._message.body.decode()

    def json(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Read the body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self._message.body)

    @property
    def persistent(self) -> bool:
        """Whether its delivery mode is 2."""
        return self._message.persistent

    @property
    def redelivered(self) -> bool:
        """Whether it was handed out before."""
        return self._redelivered

    @property
    def deaths(self) -> list[Mapping[str, object]]:
        """The entries of its header `x-death`, the latest first."""
        entries = self.headers.get("x-death")
        return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and (self._message is other._message or self._all() == other._all())

    def __hash__(self) -> int:
        return hash((self.exchange, self.routing_key, self.body))

    def __repr__(self) -> str:
        return f"<Message {self}>"

    def __str__(self) -> str:
        told = [f"exchange={self.exchange!r} routing_key={self.routing_key!r}"]
        deaths = self.deaths
        headers = {name: value for name, value in self.headers.items() if not (deaths and name.startswith(_STORY))}
        if headers:
            told.append(f"headers={headers!r}")
        if deaths:
            died = ", ".join(f"{death.get('queue')} ({death.get('reason')})" for death in deaths)
            told.append(f"died in {died}")
        if given := self.properties.given():
            told.append(" ".join(f"{name}={shown_value(value)}" for name, value in given.items()))
        return " ".join((*told, f"body={shown_body(self.body)}"))

    def _all(self) -> tuple[object, ...]:
        return self.exchange, self.routing_keys, self.properties, self.headers, self.body


def shown_body(body: bytes) -> str:
    """Show a body in one line: as text if it is, cut if it is long."""
    cut = body[:_SHOWN_MAX]
    try:
        shown = repr(cut.decode())
    except UnicodeDecodeError as failure:
        # A character may have been cut in two.
        is_cut = len(body) > len(cut) and failure.start > len(cut) - _CHARACTER_MAX_BYTES
        shown = repr(cut[: failure.start].decode() if is_cut else cut)
    return shown if len(body) == len(cut) else f"{shown}… ({len(body)} octets)"


def shown_value(value: object) -> str:
    """Show a value in one line; moments readably."""
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def python_values(arguments: Arguments) -> dict[str, object]:
    """Return arguments as plain Python values."""
    return {name: python_value(argument) for name, argument in arguments.items()}


def python_value(argument: Argument) -> object:
    """Return a value of the wire as a plain Python value: text, bytes, numbers, moments, dicts and lists.

    Text that is not UTF-8 becomes bytes.
    """
    kind, value = argument
    match value:
        case str():
            return value if value.isascii() or _is_text(value) else octets_of(value)
        case dict():
            return python_values(value)
        case list():
            return [python_value(item) for item in value]
        case (scale, unscaled):
            return Decimal(unscaled).scaleb(-scale)
        case int() if kind == "timestamp":
            return _moment(value)
        case _:
            return value


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _moment(seconds: int) -> datetime | int:
    """Return a time in UTC; clients that count milliseconds are in years that `datetime` does not know."""
    return datetime.fromtimestamp(seconds, UTC) if seconds <= _DATETIME_MAX_S else seconds
