"""The part of the kit that loads and writes RabbitMQ's definitions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from amqpy_broker.core.broker import DEFAULT_USER
from amqpy_broker.core.definitions import dump, load, parse
from amqpy_broker.testing.in_broker import InBroker, in_broker


class DefinitionsWarning(UserWarning):
    """Something in definitions was left out, because there is no such thing here."""


class Definitions(InBroker):
    """Definitions, from the test."""

    def load_definitions(
        self, definitions: str | PathLike[str] | Mapping[str, object], *, vhost: str | None = None
    ) -> None:
        """Create the users, vhosts, permissions and topology that definitions name, as RabbitMQ exports them.

        What is there stays. The user guest may do everything in the vhosts that are new, unless the definitions say
        otherwise, so that `broker.url` leads to them. What does not exist here, such as streams, is left out with a
        `DefinitionsWarning`.

        Args:
            definitions: a file, or what is in it.
            vhost: where that belongs which names no vhost, as in definitions of a single vhost.

        Raises:
            DefinitionsError: they are not followed, from the place on that the text names.
            OSError: the file cannot be read.
        """
        document: object = definitions
        if isinstance(definitions, str | PathLike):
            document = parse(Path(definitions).read_bytes())
        for remark in self._load_definitions(document, vhost):
            warnings.warn(remark, DefinitionsWarning, stacklevel=2)

    @in_broker
    def _load_definitions(self, document: object, vhost: str | None) -> list[str]:
        return load(self.inside().core, document, vhost=vhost, open_to=DEFAULT_USER)

    @in_broker
    def definitions(self, *, vhost: str | None = None) -> dict[str, object]:
        """Write down what there is, but what is exclusive to a connection, as definitions that RabbitMQ imports.

        Args:
            vhost: write the topology of this one alone, without its name.

        Raises:
            KeyError: there is no such vhost.
        """
        return dump(self.inside().core, vhost=vhost)
