"""The JSON of definitions: its entries and values, each with its place, for complaints."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from amqpy_broker.core.arguments import TABLE_DEPTH_MAX, Argument, Arguments, argument, octets_of
from amqpy_broker.core.limits import SHORT_STRING_MAX_BYTES
from amqpy_broker.core.policies import ALL, Policy

_PAIR: Final = 2


class DefinitionsError(ValueError):
    """Definitions that cannot be followed; the text names the place and says why."""


def parse(octets: bytes) -> object:
    """Read the JSON of a definitions file.

    Raises:
        DefinitionsError: it is none.
    """
    try:
        return json.loads(octets)
    except (ValueError, RecursionError) as failure:
        raise DefinitionsError(f"this is no JSON: {failure}") from None


@dataclass(frozen=True, slots=True)
class Entry:
    """An object in the document, and where it stands."""

    place: str
    fields: Mapping[str, object]

    def refusal(self, name: str, complaint: str) -> DefinitionsError:
        """Complain about a field."""
        return DefinitionsError(f"{self.place}.{name} {complaint}")

    def text(self, name: str) -> str:
        """Return a field that is text."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise self.refusal(name, f"must be a text, not {shown(value)}" if name in self.fields else "is missing")
        if not _is_unicode(value):
            raise self.refusal(name, "is no Unicode text")
        return value

    def name(self, name: str) -> str:
        """Return a text that is short enough to be a name on the wire."""
        value = self.text(name)
        if len(octets_of(value)) > SHORT_STRING_MAX_BYTES:
            raise self.refusal(name, f"must not be longer than {SHORT_STRING_MAX_BYTES} octets")
        return value

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """Return a field that is true or false."""
        value = self.fields.get(name, default)
        if not isinstance(value, bool):
            raise self.refusal(
                name, f"must be true or false, not {shown(value)}" if name in self.fields else "is missing"
            )
        return value

    def pattern(self, name: str) -> str:
        """Return a field that is a regular expression."""
        value = self.text(name)
        try:
            re.compile(value)
        except re.error as failure:
            raise self.refusal(name, f"must be a regular expression: {failure}") from None
        return value

    def object(self, name: str) -> "Entry":
        """Return a field that is an object."""
        value = self.fields.get(name)
        if not isinstance(value, Mapping):
            raise self.refusal(name, f"must be an object, not {shown(value)}" if name in self.fields else "is missing")
        return Entry(f"{self.place}.{name}", value)

    def policy(self, name: str) -> Policy:
        """Return the policy that this is."""
        return Policy(
            name,
            self.text("pattern"),
            _from_pairs(self.fields.get("definition")) or self.object("definition").fields,
            self._priority(),
            self.text("apply-to") if "apply-to" in self.fields else ALL,
        )

    def _priority(self) -> float:
        value = self.fields.get("priority", 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refusal("priority", f"must be a number, not {shown(value)}")
        return value

    def tags(self) -> tuple[str, ...]:
        """Return the tags: a list, or a text with commas, as old versions wrote them."""
        tags = self.fields.get("tags")
        if isinstance(tags, str):
            return tuple(tag for tag in re.split(r"\s*,\s*", tags.strip()) if tag)
        if not isinstance(tags, Sequence) or not all(isinstance(tag, str) for tag in tags):
            raise self.refusal("tags", "must be a list of texts" if "tags" in self.fields else "is missing")
        return tuple(tags)

    def arguments(self) -> Arguments:
        """Return the arguments, with types."""
        place, values = f"{self.place}.arguments", self.fields.get("arguments", {})
        # What RabbitMQ's JSON library makes of an empty object at times.
        return _table(place, {} if values == [] else values, 1)


def entries(document: Mapping[object, object], key: str) -> Iterator[Entry]:
    """Return the entries of a list, if there is one."""
    entries = document.get(key, ())
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise DefinitionsError(f"{key} must be a list, not {shown(entries)}")
    for number, entry in enumerate(entries):
        place = f"{key}[{number}]"
        if not isinstance(entry, Mapping):
            raise DefinitionsError(f"{place} must be an object, not {shown(entry)}")
        yield Entry(place, entry)


def _is_unicode(text: str) -> bool:
    """Say whether a text has octets: JSON can write surrogates that stand for nothing."""
    try:
        octets_of(text)
    except UnicodeEncodeError:
        return False
    return True


def _table(place: str, values: object, depth: int) -> dict[str, Argument]:
    if not isinstance(values, Mapping):
        raise DefinitionsError(f"{place} must be an object, not {shown(values)}")
    if depth > TABLE_DEPTH_MAX:
        raise DefinitionsError(f"{place} is nested deeper than {TABLE_DEPTH_MAX}")
    for name in values:
        if not (isinstance(name, str) and _is_unicode(name) and len(octets_of(name)) <= SHORT_STRING_MAX_BYTES):
            raise DefinitionsError(f"{place}: a name must be a text of no more than {SHORT_STRING_MAX_BYTES} octets")
    return {name: _argument(f"{place}.{name}", value, depth) for name, value in values.items()}


def _argument(place: str, value: object, depth: int) -> Argument:
    match value:
        case Mapping():
            return Argument("table", _table(place, value, depth + 1))
        case list() | tuple():
            if depth >= TABLE_DEPTH_MAX:
                raise DefinitionsError(f"{place} is nested deeper than {TABLE_DEPTH_MAX}")
            return Argument(
                "array", [_argument(f"{place}[{number}]", item, depth + 1) for number, item in enumerate(value)]
            )
        case None:
            raise DefinitionsError(f"{place} must not be null")
        case _:
            return _scalar(place, value)


def _scalar(place: str, value: object) -> Argument:
    try:
        typed = argument(value)
    except (TypeError, ValueError) as failure:
        raise DefinitionsError(f"{place}: {failure}") from None
    return Argument("long", typed.value) if typed.kind == "signedint" else typed


def shown(value: object) -> str:
    """Show a value of the document in a complaint."""
    words: Mapping[object, str] = {True: "true", False: "false"}
    match value:
        case None:
            return "null"
        case bool():
            return words[value]
        case str() | int() | float():
            return repr(value)
        case Mapping():
            return "an object"
        case _:
            return "a list"


def _from_pairs(pairs: object) -> dict[str, object]:
    """Read an object that is a list of pairs: so `rabbitmqctl export_definitions` writes what operator policies set."""
    if not isinstance(pairs, list):
        return {}
    return {
        pair[0]: pair[1] for pair in pairs if isinstance(pair, list) and len(pair) == _PAIR and isinstance(pair[0], str)
    }
