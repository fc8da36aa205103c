"""Names and tags that are made up anew each time: what was recorded, and what stands for it now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from amqpy_broker.core.arguments import Argument
from amqpy_broker.testing.conversation.events import Content, Said
from amqpy_broker.testing.conversation.methods import MethodValue
from amqpy_broker.testing.conversation.properties import PropertyValue


class Names:
    """A dictionary from recorded names to today's."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        # By channel and recorded delivery tag.
        self._tags: dict[tuple[int, int], int] = {}

    def learn(self, recorded: object, actual: object) -> None:
        """Learn that a text stands for another now."""
        if isinstance(recorded, str) and isinstance(actual, str) and recorded and actual:
            self._texts[recorded] = actual

    def learn_tag(self, channel: int, recorded: object, actual: object) -> None:
        """Learn that a delivery tag stands for another now."""
        if isinstance(recorded, int) and isinstance(actual, int):
            self._tags[channel, recorded] = actual

    def translated(self, said: Said) -> Said:
        """Return what was said, with today's names and tags."""
        arguments = {name: self._value(said.channel, name, value) for name, value in said.arguments.items()}
        content = said.content
        if content is not None:
            properties = {name: self._property(value) for name, value in content.properties.items()}
            content = Content(properties, content.body, content.body_size)
        return replace(said, arguments=arguments, content=content)

    def _value(self, channel: int, name: str, value: MethodValue) -> MethodValue:
        if name == "delivery_tag" and isinstance(value, int):
            return self._tags.get((channel, value), value)
        return self._property(value) if isinstance(value, str | Mapping) else value

    def _property(self, value: PropertyValue) -> PropertyValue:
        if isinstance(value, str):
            return self._texts.get(value, value)
        return self._table(value) if isinstance(value, Mapping) else value

    def _table(self, table: Mapping[str, Argument]) -> dict[str, Argument]:
        return {name: self._argument(item) for name, item in table.items()}

    def _argument(self, item: Argument) -> Argument:
        match item.value:
            case str(text):
                return Argument(item.kind, self._texts.get(text, text))
            case dict(table):
                return Argument(item.kind, self._table(table))
            case list(items):
                return Argument(item.kind, [self._argument(one) for one in items])
            case _:
                return item


def comparable(said: Said) -> Said:
    """Return what was said without what differs each time: when, on which connection, and timestamps in headers."""
    content = said.content
    if content is not None:
        properties = {
            name: _timeless(value) if isinstance(value, Mapping) else value
            for name, value in content.properties.items()
        }
        content = Content(properties, content.body, content.body_size)
    return replace(said, time_s=0.0, connection=0, content=content)


def _timeless(table: Mapping[str, Argument]) -> dict[str, Argument]:
    return {name: _timeless_argument(item) for name, item in table.items()}


def _timeless_argument(item: Argument) -> Argument:
    match item.value:
        case dict(table):
            return Argument(item.kind, _timeless(table))
        case list(items):
            return Argument(item.kind, [_timeless_argument(one) for one in items])
        case _ if item.kind == "timestamp":
            return Argument("timestamp", 0)
        case _:
            return item


def same(recorded: Said, actual: Said) -> bool:
    """Whether two things are the same but for their time. Of a body that was cut, what is there is compared."""
    ours, theirs = comparable(recorded), comparable(actual)
    if ours.content is not None and theirs.content is not None and ours.content.is_cut:
        kept = len(ours.content.body)
        theirs = replace(theirs, content=replace(theirs.content, body=theirs.content.body[:kept]))
    return ours == theirs
