"""Definitions: users, vhosts, permissions and topology, as RabbitMQ's `definitions.json` has them.

See https://www.rabbitmq.com/docs/definitions.

Rule 1: loading adds. What is there stays; users and permissions that are named are replaced.
Rule 2: what RabbitMQ refuses is refused here, and the text names the place: `queues[3].arguments.x-max-length: ...`.
        Everything is read before anything is done, so that only what contradicts what is there stops half way.
Rule 3: what RabbitMQ takes and this broker does not have is left out, and a remark says so.
Rule 4: whole numbers in arguments become `long`, as in RabbitMQ; JSON tells no more of their types.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from amqpy_broker.core.arguments import Arguments, plain
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.definition_entries import DefinitionsError, Entry, entries, parse, shown
from amqpy_broker.core.errors import AmqpError
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.bindings import Binding, Destination
from amqpy_broker.core.exchanges.types import EXCHANGE_TYPES
from amqpy_broker.core.names import DEFAULT_EXCHANGE, RESERVED_PREFIX
from amqpy_broker.core.policies import Policy, PolicyRefused, check_policy
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.queues.settings import ARGUMENTS, QUEUE_TYPE
from amqpy_broker.core.users import Permissions, User, hash_password
from amqpy_broker.core.vhost import VirtualHost

_SHA256: Final = "rabbit_password_hashing_sha256"
# Lists that this broker has nothing for, and what it does not do without them.
_UNSUPPORTED: Final[Mapping[str, str]] = {
    "topic_permissions": "topic permissions are not checked here",
}
# The component of the only parameters that there are here.
_OPERATOR_POLICY: Final = "operator_policy"
_POLICY: Final = "policy"
_INVALID_ARGUMENT: Final = re.compile(r"invalid arg '([^']*)' for .* in vhost '.*': (.*)", re.DOTALL)

__all__ = ["DefinitionsError", "dump", "load", "parse"]

Step: TypeAlias = Callable[[], None]


def load(core: BrokerCore, document: object, *, vhost: str | None = None, open_to: str | None = None) -> list[str]:
    """Create what definitions name and is not there yet.

    Args:
        core: where to create it.
        document: what `parse` makes of a definitions file.
        vhost: where that belongs which names no vhost, as in definitions of a single vhost.
        open_to: a user who may do everything in the vhosts that are new, unless the definitions say otherwise.

    Returns:
        Remarks on what was left out, because there is no such thing here.

    Raises:
        DefinitionsError: they are not followed, from the place on that the text names.
    """
    loading = _Loading(core, vhost)
    steps = loading.read(document)
    known = set(core.vhosts)
    for step in steps:
        step()
    user = None if open_to is None else core.users.find(open_to)
    if user is not None:
        for name in set(core.vhosts) - known - set(user.permissions):
            user.permissions[name] = Permissions()
            core.users.add(user)
    return loading.remarks


def dump(core: BrokerCore, *, vhost: str | None = None) -> dict[str, object]:
    """Write definitions that RabbitMQ and `load` understand: everything but what is exclusive to a connection.

    Args:
        core: what to write down.
        vhost: write the topology of this one alone, without its name.

    Raises:
        KeyError: there is no such vhost.
    """
    if vhost is not None:
        return _versions(core) | _contents([core.vhosts[vhost]], with_name=False)
    users = list(core.users)
    return {
        **_versions(core),
        "users": [_dump_user(user) for user in users],
        "vhosts": [{"name": name, "limits": [], "metadata": {"description": "", "tags": []}} for name in core.vhosts],
        "permissions": [
            {"user": user.name, "vhost": name, "configure": may.configure, "write": may.write, "read": may.read}
            for user in users
            for name, may in user.permissions.items()
            if name in core.vhosts
        ],
        "topic_permissions": [],
        "global_parameters": [],
        **_contents(core.vhosts.values(), with_name=True),
    }


# Writing --------------------------------------------------------------------------------------------------------------


def _versions(core: BrokerCore) -> dict[str, object]:
    # RabbitMQ reads from them how old the file is.
    return {"rabbit_version": core.profile.version, "rabbitmq_version": core.profile.version}


def _dump_user(user: User) -> dict[str, object]:
    return {
        "name": user.name,
        "password_hash": base64.b64encode(user.password_hash or b"").decode(),
        "hashing_algorithm": _SHA256,
        "tags": list(user.tags),
        "limits": {},
    }


def _contents(vhosts: Iterable[VirtualHost], *, with_name: bool) -> dict[str, object]:
    parameters, policies, exchanges, queues, bindings = [], [], [], [], []
    for vhost in vhosts:
        where: dict[str, object] = {"vhost": vhost.name} if with_name else {}
        parameters += [where | _dump_operator_policy(policy) for policy in vhost.policies.operators]
        policies += [where | {"name": policy.name} | _dump_policy(policy) for policy in vhost.policies.users]
        exchanges += [where | _dump_exchange(exchange) for exchange in vhost.exchanges.values() if _is_own(exchange)]
        queues += [where | _dump_queue(queue) for queue in vhost.queues.values() if not queue.exclusive]
        bindings += [where | _dump_binding(binding) for binding in _shared_bindings(vhost)]
    return {
        "parameters": parameters,
        "policies": policies,
        "exchanges": exchanges,
        "queues": queues,
        "bindings": bindings,
    }


def _dump_operator_policy(policy: Policy) -> dict[str, object]:
    return {"component": _OPERATOR_POLICY, "name": policy.name, "value": _dump_policy(policy)}


def _dump_policy(policy: Policy) -> dict[str, object]:
    return {
        "pattern": policy.pattern,
        "apply-to": policy.apply_to,
        "definition": dict(policy.definition),
        "priority": policy.priority,
    }


def _is_own(exchange: Exchange) -> bool:
    """Say whether somebody declared it."""
    return exchange.name != DEFAULT_EXCHANGE and not exchange.name.startswith(RESERVED_PREFIX)


def _shared_bindings(vhost: VirtualHost) -> Iterator[Binding]:
    for exchange in vhost.exchanges.values():
        for binding in exchange.bindings:
            to = binding.destination
            if not (isinstance(to, Queue) and to.exclusive):
                yield binding


def _dump_exchange(exchange: Exchange) -> dict[str, object]:
    return {
        "name": exchange.name,
        "type": exchange.type,
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": _dump_arguments(exchange.arguments),
    }


def _dump_queue(queue: Queue) -> dict[str, object]:
    return {
        "name": queue.name,
        "type": queue.type,
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "arguments": _dump_arguments(queue.arguments),
    }


def _dump_binding(binding: Binding) -> dict[str, object]:
    return {
        "source": binding.source,
        "destination": binding.destination.name,
        "destination_type": binding.destination.kind,
        "routing_key": binding.key,
        "arguments": _dump_arguments(binding.arguments),
    }


def _dump_arguments(arguments: Arguments) -> dict[str, object]:
    """Write arguments as RabbitMQ does; it has no null to read back, either."""
    return {name: _without_null(value) for name, value in plain(arguments).items()}


def _without_null(value: object) -> object:
    match value:
        case None:
            return "undefined"
        case dict():
            return {name: _without_null(item) for name, item in value.items()}
        case list():
            return [_without_null(item) for item in value]
        case _:
            return value


# Reading --------------------------------------------------------------------------------------------------------------


class _Loading:
    """Reads definitions, and knows how to follow them."""

    def __init__(self, core: BrokerCore, vhost: str | None) -> None:
        self.remarks: list[str] = []
        self._core = core
        self._vhost = vhost
        # In the order in which things need each other.
        self._readers: Mapping[str, Callable[[Entry], Step]] = {
            "vhosts": self._read_vhost,
            "users": self._read_user,
            "permissions": self._read_permission,
            "policies": self._read_policy,
            "parameters": self._read_parameter,
            "exchanges": self._read_exchange,
            "queues": self._read_queue,
            "bindings": self._read_binding,
        }

    def read(self, document: object) -> list[Step]:
        """Read everything; the steps do it."""
        if not isinstance(document, Mapping):
            raise DefinitionsError(f"definitions must be an object, not {shown(document)}")
        for key, why in _UNSUPPORTED.items():
            for entry in entries(document, key):
                name = entry.fields.get("name", entry.fields.get("user"))
                self.remarks.append(f"{entry.place} ({name!r}) is left out: {why}")
        return [reader(entry) for key, reader in self._readers.items() for entry in entries(document, key)]

    # --- users and vhosts -------------------------------------------------------------------------------------------

    def _read_vhost(self, entry: Entry) -> Step:
        name, queue_type = entry.name("name"), entry.fields.get("default_queue_type")
        if queue_type not in (None, "classic", "undefined"):
            self.remarks.append(f"{entry.place} ({name!r}): the default queue type is always classic here")

        def create() -> None:
            self._core.add_vhost(name)

        return create

    def _read_user(self, entry: Entry) -> Step:
        name, password_hash, tags = entry.name("name"), self._password_hash(entry), entry.tags()

        def create() -> None:
            existing = self._core.users.find(name)
            permissions = {} if existing is None else dict(existing.permissions)
            self._core.users.add(User(name, password_hash, tags, permissions))

        return create

    def _password_hash(self, entry: Entry) -> bytes | None:
        if "password" in entry.fields:
            return hash_password(entry.text("password"))
        if "password_hash" not in entry.fields:
            return None
        try:
            octets = base64.b64decode(entry.text("password_hash"), validate=True)
        except (binascii.Error, ValueError):
            raise entry.refusal("password_hash", "must be base64") from None
        algorithm = entry.fields.get("hashing_algorithm", _SHA256)
        if octets and algorithm != _SHA256:
            self.remarks.append(
                f"{entry.place} ({entry.fields['name']!r}) cannot log in: no passwords are hashed with {algorithm} here"
            )
            return None
        return octets or None

    def _read_permission(self, entry: Entry) -> Step:
        name, vhost_name = entry.name("user"), self._vhost_name(entry)
        permissions = Permissions(*(entry.pattern(operation) for operation in ("configure", "write", "read")))

        def grant() -> None:
            user = self._core.users.find(name)
            if user is None:
                raise entry.refusal("user", f"names user {name!r}, who does not exist")
            self._find_vhost(entry, vhost_name)
            user.permissions[vhost_name] = permissions
            self._core.users.add(user)

        return grant

    # --- policies ---------------------------------------------------------------------------------------------------

    def _read_policy(self, entry: Entry) -> Step:
        return self._set_policy(entry, entry.policy(entry.text("name")), operators=False)

    def _read_parameter(self, entry: Entry) -> Step:
        component, name = entry.text("component"), entry.text("name")
        if component == _POLICY:
            raise DefinitionsError(f"{entry.place}: policies may not be set using this method")
        if component != _OPERATOR_POLICY:
            self.remarks.append(f"{entry.place} ({name!r}) is left out: there are no parameters of {component} here")
            return _do_nothing
        value = entry.object("value")
        if "priority" not in value.fields:
            raise DefinitionsError(f'{entry.place}: Key "priority" not found in {name}')
        return self._set_policy(entry, value.policy(name), operators=True)

    def _set_policy(self, entry: Entry, policy: Policy, *, operators: bool) -> Step:
        vhost_name = self._vhost_name(entry)
        try:
            check_policy(policy, self._core.profile, operators=operators)
        except PolicyRefused as refusal:
            raise DefinitionsError(f"{entry.place}: {refusal}") from None
        return lambda: self._find_vhost(entry, vhost_name).policies.put_back(policy, operators=operators)

    # --- topology ---------------------------------------------------------------------------------------------------

    def _read_exchange(self, entry: Entry) -> Step:
        name, kind, vhost_name = entry.name("name"), entry.name("type"), self._vhost_name(entry)
        durable, auto_delete = entry.flag("durable"), entry.flag("auto_delete")
        internal, arguments = entry.flag("internal", default=False), entry.arguments()

        def create() -> None:
            vhost = self._find_vhost(entry, vhost_name)
            if name in vhost.exchanges or _is_reserved(name):
                return
            try:
                vhost.exchange_type(kind)
                vhost.create_exchange(
                    name, kind, durable=durable, auto_delete=auto_delete, internal=internal, arguments=arguments
                )
            except AmqpError as refusal:
                raise _refused(entry, refusal, "" if kind in EXCHANGE_TYPES else ".type") from None

        return create

    def _read_queue(self, entry: Entry) -> Step:
        name, vhost_name = entry.name("name"), self._vhost_name(entry)
        durable, auto_delete, arguments = entry.flag("durable"), entry.flag("auto_delete"), entry.arguments()

        def create() -> None:
            vhost = self._find_vhost(entry, vhost_name)
            if name in vhost.queues or _is_reserved(name):
                return
            if self._is_of_unknown_type(entry, arguments):
                return
            try:
                vhost.create_queue(name, durable=durable, auto_delete=auto_delete, arguments=arguments)
            except AmqpError as refusal:
                raise _refused(entry, refusal) from None

        return create

    def _is_of_unknown_type(self, entry: Entry, arguments: Arguments) -> bool:
        asked = arguments.get(QUEUE_TYPE)
        if asked is None or asked.kind != "longstr" or asked.value in ARGUMENTS:
            return False
        self.remarks.append(
            f"{entry.place} ({entry.fields['name']!r}) is left out: there are no queues of type '{asked.value!s}' here"
        )
        return True

    def _read_binding(self, entry: Entry) -> Step:
        source, to, vhost_name = entry.name("source"), entry.name("destination"), self._vhost_name(entry)
        kind, key, arguments = entry.text("destination_type"), entry.name("routing_key"), entry.arguments()
        if kind not in ("queue", "exchange"):
            raise entry.refusal("destination_type", f"must be 'queue' or 'exchange', not {shown(kind)}")

        def create() -> None:
            vhost = self._find_vhost(entry, vhost_name)
            exchange = vhost.exchanges.get(source)
            ends: Mapping[str, Destination] = vhost.queues if kind == "queue" else vhost.exchanges
            # The default exchange has its bindings by itself.
            if source == DEFAULT_EXCHANGE:
                return
            if exchange is None or to not in ends:
                # RabbitMQ writes bindings of what it does not write, exclusive queues and internal exchanges.
                missing = f"exchange {source!r}" if exchange is None else f"{kind} {to!r}"
                self.remarks.append(f"{entry.place} is left out: there is no {missing}")
                return
            _bind(vhost, exchange, Binding(source, ends[to], key, arguments), entry)

        return create

    # --- vhosts -----------------------------------------------------------------------------------------------------

    def _vhost_name(self, entry: Entry) -> str:
        if "vhost" not in entry.fields and self._vhost is not None:
            return self._vhost
        return entry.name("vhost")

    def _find_vhost(self, entry: Entry, name: str) -> VirtualHost:
        vhost = self._core.vhosts.get(name)
        if vhost is None:
            raise entry.refusal("vhost", f"names vhost {name!r}, which does not exist")
        return vhost


def _do_nothing() -> None:
    """It is left out."""


def _bind(vhost: VirtualHost, source: Exchange, binding: Binding, entry: Entry) -> None:
    try:
        source.check_binding(binding)
    except AmqpError as refusal:
        raise _refused(entry, refusal) from None
    if source.find_binding(binding.destination, binding.key, binding.arguments) is None:
        vhost.create_binding(binding)


def _is_reserved(name: str) -> bool:
    """Say whether only the broker creates what has this name; RabbitMQ passes over it."""
    return name == DEFAULT_EXCHANGE or name.startswith(RESERVED_PREFIX)


def _refused(entry: Entry, refusal: AmqpError, field: str = "") -> DefinitionsError:
    """Say where what the broker refuses stands."""
    found = _INVALID_ARGUMENT.fullmatch(refusal.text)
    if found is not None:
        reason = found[2].strip('"')
        return DefinitionsError(f"{entry.place}.arguments.{found[1]}: {reason}")
    return DefinitionsError(f"{entry.place}{field}: {refusal.text}")
