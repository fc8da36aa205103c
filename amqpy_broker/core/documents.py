"""Documents: the topology and the users as the journal keeps them, each under a key of its own.

A key is a word and the names that tell what it is: `queue ["/","orders"]`. A document is a JSON object. Both are ASCII,
for names and texts may hold octets that are no text. An argument is a pair of its kind and its value, so that it comes
back with the type that it had on the wire; binary is written as base64.

Rule 1: what is durable and nobody's own has a document from the moment it exists until it is deleted.
Rule 2: a binding is durable if both of its ends are (https://www.rabbitmq.com/docs/exchanges#durability).
Rule 3: a number is given once, ever: the last one is a document, too.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from hashlib import blake2b
from typing import Final, get_args

from amqpy_broker.core.arguments import NO_ARGUMENTS, Argument, Arguments, ArgumentValue, Kind
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.bindings import Binding, Destination
from amqpy_broker.core.exchanges.types import PREDECLARED
from amqpy_broker.core.journal import JournalFailed, JournalWriter
from amqpy_broker.core.policies import Policy
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.users import User

# What the documents of this version look like. A higher number is refused.
FORMAT_VERSION: Final = 1
_PREDECLARED: Final = frozenset(name for name, _, _ in PREDECLARED)
_KINDS: Final[dict[str, Kind]] = {kind: kind for kind in get_args(Kind)}


class About(StrEnum):
    """What a document is about: the first word of its key."""

    FORMAT = "format"
    NUMBERS = "numbers"
    VHOST = "vhost"
    USER = "user"
    EXCHANGE = "exchange"
    QUEUE = "queue"
    BINDING = "binding"
    POLICY = "policy"
    OPERATOR_POLICY = "operator_policy"


def key_of(about: About, *names: str) -> str:
    """Write a key."""
    return f"{about} {json.dumps(names, separators=(',', ':'))}"


class Documents:
    """Writes documents; without a journal it writes nothing."""

    def __init__(self, journal: JournalWriter | None = None) -> None:
        self.journal = journal
        # While the broker is made from its documents, none is written.
        self.recovering = False
        # The last number that was given.
        self.last_number = 0

    def begin(self) -> None:
        """Write what a new journal begins with."""
        self._put(key_of(About.FORMAT), {"version": FORMAT_VERSION})

    def next_number(self) -> int:
        """Give a number that nothing ever had."""
        self.last_number += 1
        self._put(key_of(About.NUMBERS), {"last": self.last_number})
        return self.last_number

    # --- what there is ----------------------------------------------------------------------------------------------

    def vhost_created(self, name: str) -> None:
        """Remember a vhost."""
        self._put(key_of(About.VHOST, name), {})

    def vhost_removed(self, name: str) -> None:
        """Forget a vhost."""
        self._remove(key_of(About.VHOST, name))

    def user_changed(self, user: User) -> None:
        """Remember a user, with the hash of its password."""
        self._put(
            key_of(About.USER, user.name),
            {
                "password_hash": None if user.password_hash is None else user.password_hash.hex(),
                "tags": list(user.tags),
                "permissions": {
                    vhost: [rights.configure, rights.write, rights.read] for vhost, rights in user.permissions.items()
                },
            },
        )

    def user_removed(self, name: str) -> None:
        """Forget a user."""
        self._remove(key_of(About.USER, name))

    def policy_set(self, vhost: str, policy: Policy, *, operators: bool) -> None:
        """Remember a policy."""
        document = {
            "pattern": policy.pattern,
            "definition": dict(policy.definition),
            "priority": policy.priority,
            "apply_to": policy.apply_to,
        }
        self._put(key_of(_about_policies(operators=operators), vhost, policy.name), document)

    def policy_cleared(self, vhost: str, name: str, *, operators: bool) -> None:
        """Forget a policy."""
        self._remove(key_of(_about_policies(operators=operators), vhost, name))

    def exchange_created(self, exchange: Exchange) -> None:
        """Remember an exchange, if it is durable and somebody declared it."""
        if self.journal is None or not exchange.durable or exchange.name in _PREDECLARED or not exchange.name:
            return
        document: dict[str, object] = {
            "type": exchange.type,
            "auto_delete": exchange.auto_delete,
            "internal": exchange.internal,
            "arguments": dump_arguments(exchange.arguments),
        }
        if exchange.journal_id is not None:
            document["id"] = exchange.journal_id
        self._put(key_of(About.EXCHANGE, exchange.vhost, exchange.name), document)

    def exchange_deleted(self, exchange: Exchange) -> None:
        """Forget an exchange."""
        if exchange.durable:
            self._remove(key_of(About.EXCHANGE, exchange.vhost, exchange.name))

    def queue_created(self, queue: Queue, delivered: int = 0) -> None:
        """Remember a queue that lasts, and up to which place its messages may have been delivered."""
        if self.journal is not None and queue.journal_id is not None:
            self._put(
                key_of(About.QUEUE, queue.vhost, queue.name),
                {
                    "id": queue.journal_id,
                    "auto_delete": queue.auto_delete,
                    "delivered": delivered,
                    "arguments": dump_arguments(queue.arguments),
                },
            )

    def queue_deleted(self, queue: Queue) -> None:
        """Forget a queue."""
        if queue.journal_id is not None:
            self._remove(key_of(About.QUEUE, queue.vhost, queue.name))

    def binding_created(self, source: Exchange, binding: Binding) -> None:
        """Remember a binding, if it lasts."""
        if self.journal is not None and source.durable and _lasts(binding.destination) and not self.recovering:
            document = {"number": self.next_number(), "arguments": dump_arguments(binding.arguments)}
            self._put(_binding_key(source, binding), document)

    def binding_deleted(self, source: Exchange, binding: Binding) -> None:
        """Forget a binding."""
        if self.journal is not None and source.durable and _lasts(binding.destination):
            self._remove(_binding_key(source, binding))

    def _put(self, key: str, document: Mapping[str, object]) -> None:
        if self.journal is not None and not self.recovering:
            self.journal.put(key, json.dumps(document, separators=(",", ":")).encode())

    def _remove(self, key: str) -> None:
        if self.journal is not None and not self.recovering:
            self.journal.remove(key)


def _about_policies(*, operators: bool) -> About:
    return About.OPERATOR_POLICY if operators else About.POLICY


def _lasts(destination: Destination) -> bool:
    if isinstance(destination, Queue):
        return destination.journal_id is not None
    return isinstance(destination, Exchange) and destination.durable


def _binding_key(source: Exchange, binding: Binding) -> str:
    """Write the key of a binding. Its arguments may be long: their hash stands for them."""
    to = binding.destination
    names = (source.vhost, source.name, to.kind, to.name, binding.key)
    if not binding.arguments:
        return key_of(About.BINDING, *names)
    arguments = json.dumps(dump_arguments(binding.arguments), sort_keys=True).encode()
    return key_of(About.BINDING, *names, blake2b(arguments, digest_size=16).hexdigest())


# Arguments ------------------------------------------------------------------------------------------------------------


def dump_arguments(arguments: Arguments) -> dict[str, object]:
    """Return what JSON can hold, and `load_arguments` understands."""
    return {name: _dump(argument) for name, argument in arguments.items()}


def load_arguments(document: object) -> dict[str, Argument]:
    """Undo `dump_arguments`.

    Raises:
        JournalFailed: it is no such thing.
    """
    if not isinstance(document, dict):
        raise damaged("a table is no object")
    return {str(name): _load(pair) for name, pair in document.items()}


def _dump(argument: Argument) -> list[object]:
    value = argument.value
    match value:
        case bytes():
            return [argument.kind, base64.b64encode(value).decode()]
        case dict():
            return [argument.kind, dump_arguments(value)]
        case list():
            return [argument.kind, [_dump(item) for item in value]]
        case _:
            return [argument.kind, value]


def _load(pair: object) -> Argument:
    match pair:
        case [str(kind), value] if kind in _KINDS:
            return Argument(_KINDS[kind], _LOADERS.get(kind, _as_it_is)(value))
        case _:
            raise damaged("an argument has no kind")


def _as_it_is(value: object) -> ArgumentValue:
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise damaged("an argument has no value of its kind")


def _load_binary(value: object) -> ArgumentValue:
    if not isinstance(value, str):
        raise damaged("octets are no text")
    return base64.b64decode(value)


def _load_decimal(value: object) -> ArgumentValue:
    match value:
        case [int(scale), int(unscaled)]:
            return scale, unscaled
        case _:
            raise damaged("a decimal is no pair")


def _load_array(value: object) -> ArgumentValue:
    if not isinstance(value, list):
        raise damaged("an array is none")
    return [_load(item) for item in value]


_LOADERS: Final[dict[str, Callable[[object], ArgumentValue]]] = {
    "binary": _load_binary,
    "decimal": _load_decimal,
    "table": load_arguments,
    "array": _load_array,
}


# Reading --------------------------------------------------------------------------------------------------------------


class Document:
    """A document that was read back, with the names in its key."""

    __slots__ = ("_fields", "names")

    def __init__(self, names: list[str], fields: Mapping[str, object]) -> None:
        self.names = names
        self._fields = fields

    def text(self, name: str) -> str:
        """Return a field that is text."""
        value = self._fields.get(name)
        if not isinstance(value, str):
            raise damaged(f"'{name}' is no text")
        return value

    def flag(self, name: str) -> bool:
        """Return a field that is true or false."""
        return self._fields.get(name) is True

    def number(self, name: str) -> int:
        """Return a field that is an integer."""
        value = self.optional_number(name)
        if value is None:
            raise damaged(f"'{name}' is missing")
        return value

    def optional_number(self, name: str) -> int | None:
        """Return a field that is an integer, if it is there."""
        value = self._fields.get(name)
        if value is not None and not isinstance(value, int):
            raise damaged(f"'{name}' is no number")
        return value

    def amount(self, name: str) -> float:
        """Return a field that is a number, whole or not."""
        value = self._fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise damaged(f"'{name}' is no number")
        return value

    def object(self, name: str) -> dict[str, object]:
        """Return a field that is an object."""
        value = self._fields.get(name)
        if not isinstance(value, dict):
            raise damaged(f"'{name}' is no object")
        return {str(key): item for key, item in value.items()}

    @property
    def arguments(self) -> Arguments:
        """The field `arguments`."""
        return load_arguments(self._fields.get("arguments", {})) or NO_ARGUMENTS

    def octets(self, name: str) -> bytes | None:
        """Return a field that is written in hexadecimal, or null."""
        return None if self._fields.get(name) is None else bytes.fromhex(self.text(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a field that is a list of texts."""
        value = self._fields.get(name)
        if not isinstance(value, list):
            raise damaged(f"'{name}' is no list")
        return tuple(str(item) for item in value)

    def lists(self, name: str) -> Iterator[tuple[str, list[str]]]:
        """Return the lists of texts that a field holds by name."""
        value = self._fields.get(name)
        if not isinstance(value, dict):
            raise damaged(f"'{name}' is no object")
        for key, texts in value.items():
            yield str(key), [str(text) for text in texts]


def read_documents(documents: Mapping[str, bytes]) -> dict[About, list[Document]]:
    """Sort documents by what they are about.

    Raises:
        JournalFailed: something is none, or was written by a later version.
    """
    found: dict[About, list[Document]] = {about: [] for about in About}
    for key, octets in documents.items():
        word, _, names = key.partition(" ")
        try:
            fields, parsed = json.loads(octets), json.loads(names)
            found[About(word)].append(Document([str(name) for name in parsed], fields))
        except ValueError:
            raise damaged(f"the document '{key}' cannot be read") from None
    versions = [document.number("version") for document in found[About.FORMAT]]
    if any(version > FORMAT_VERSION for version in versions):
        raise JournalFailed(f"the journal was written by a later version: its documents have format {max(versions)}")
    return found


def damaged(text: str) -> JournalFailed:
    """Complain about a document."""
    return JournalFailed(f"a document in the journal is damaged: {text}")
