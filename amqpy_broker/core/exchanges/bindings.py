"""A binding: from an exchange to a queue or to another exchange, with a binding key and arguments."""

from abc import ABC
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from amqpy_broker.core.arguments import Argument, Arguments


class Destination(ABC):
    """What a binding can lead to: a queue or an exchange."""

    __slots__ = ()

    # "queue" or "exchange": names of both kinds may be equal.
    kind: ClassVar[str]
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One binding. Two with the same identity are one [queue.bind.queue:duplicates]."""

    source: str
    destination: Destination
    key: str
    arguments: Arguments

    @property
    def identity(self) -> Hashable:
        """What makes it the same binding as another from the same exchange."""
        return identity(self.destination, self.key, self.arguments)


def identity(destination: Destination, key: str, arguments: Arguments) -> Hashable:
    """Say what makes a binding of an exchange unique: destination, binding key and arguments with their types."""
    return destination.kind, destination.name, key, _frozen_table(arguments)


def _frozen_table(table: Arguments) -> Hashable:
    return frozenset((name, _frozen(argument)) for name, argument in table.items()) if table else None


def _frozen(argument: Argument) -> Hashable:
    value = argument.value
    if isinstance(value, dict):
        return argument.kind, _frozen_table(value)
    if isinstance(value, list):
        return argument.kind, tuple(_frozen(item) for item in value)
    return argument.kind, value
