"""Definitions, compared with a real RabbitMQ: its file is loaded here, ours is imported there, both refuse the same.

python -m interop.definitions                          compare with 3.10
python -m interop.definitions --version 4.0 --write    and keep RabbitMQ's file for the tests
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pika
from pika.adapters.blocking_connection import BlockingChannel

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.definitions import DefinitionsError, dump, load
from amqpy_broker.core.profile import profile_named
from interop.peers import debian
from interop.peers.peer import Peer
from interop.peers.rabbitmq import rabbitmq

FIXTURES = Path(__file__).parents[1] / "tests/core/definitions"
PLUGINS = ("rabbitmq_consistent_hash_exchange",)
VHOST = "orders"
COMPARED = ("users", "permissions", "policies", "parameters", "exchanges", "queues", "bindings")

Definitions = dict[str, list[dict[str, object]]]


class Control:
    """`rabbitmqctl` of one running RabbitMQ."""

    def __init__(self, peer: Peer, version: str) -> None:
        self._root = debian.find(version) or Path("/")
        variables = Path(f"/proc/{peer.pid}/environ").read_text().split("\0")
        self._environment = dict(variable.split("=", 1) for variable in variables if "=" in variable)
        # Next to its log: all that it can see, too.
        self._file = peer.log.parent / "definitions.json"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command, and return what came of it."""
        chroot = [] if self._root == Path("/") else ["chroot", str(self._root)]
        program = [*chroot, "/usr/lib/rabbitmq/bin/rabbitmqctl", *command]
        return subprocess.run(program, env=self._environment, capture_output=True, text=True, check=False)

    def do(self, *command: str) -> None:
        """Run a command that must succeed."""
        done = self.run(*command)
        if done.returncode:
            raise SystemExit(f"{command}: {done.stdout}{done.stderr}")

    def export(self) -> Definitions:
        """Return all its definitions."""
        self.do("export_definitions", self._inside)
        exported: Definitions = json.loads(self._file.read_text())
        return exported

    def import_(self, definitions: object) -> str:
        """Import definitions; return its complaint, or nothing."""
        self._file.write_text(json.dumps(definitions))
        done = self.run("import_definitions", self._inside)
        return done.stdout + done.stderr if done.returncode else ""

    @property
    def _inside(self) -> str:
        return "/" + str(self._file.relative_to(self._root))


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; the exit code says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", default="3.10", choices=list(debian.RELEASES))
    parser.add_argument("--write", action="store_true", help="keep RabbitMQ's file for the tests")
    options = parser.parse_args(arguments)
    with rabbitmq(options.version, plugins=PLUGINS) as peer:
        control = Control(peer, options.version)
        make_topology(peer, control)
        theirs = control.export()
    if options.write:
        FIXTURES.mkdir(exist_ok=True)
        text = json.dumps(theirs, indent=1, sort_keys=True)
        (FIXTURES / f"rabbitmq-{options.version}.json").write_text(text + "\n")
    core = BrokerCore(profile_named(options.version))
    for remark in load(core, theirs):
        print("left out:", remark)
    ours = dump(core)
    with rabbitmq(options.version, plugins=PLUGINS) as peer:
        control = Control(peer, options.version)
        differences = [*compare_import(control, ours), *compare_refusals(control, options.version)]
    print("\n".join(differences) or "no differences")
    return bool(differences)


def make_topology(peer: Peer, control: Control) -> None:
    """Make something of everything that definitions tell of."""
    for command in (
        f"add_vhost {VHOST}",
        "add_user shop secret",
        "set_user_tags shop monitoring impersonator",
        f"set_permissions -p {VHOST} shop ^shop\\. .* ",
        f"set_permissions -p {VHOST} guest .* .* .*",
        "add_user nobody x",
        "clear_password nobody",
        f'set_policy -p {VHOST} ttl ^shop\\. {{"message-ttl":60000}}',
        f'set_policy -p {VHOST} --priority 5 --apply-to queues lost ^shop.lost$ {{"overflow":"reject-publish"}}',
        f'set_policy -p {VHOST} --priority -1 --apply-to exchanges unroutable . {{"alternate-exchange":"shop.lost"}}',
        'set_policy quorum ^q {"delivery-limit":5,"dead-letter-exchange":"x","dead-letter-routing-key":"ä"}',
        f'set_operator_policy -p {VHOST} --priority 2 --apply-to queues limit .* {{"max-length":99,"expires":900000}}',
        'set_operator_policy limit ^q {"max-length-bytes":1000000}',
        f"set_topic_permissions -p {VHOST} shop shop.events ^a .*",
        f'set_vhost_limits -p {VHOST} {{"max-queues":100}}',
    ):
        control.do(*command.split(" "))
    connection = pika.BlockingConnection(pika.URLParameters(peer.url + VHOST))
    declare(connection.channel())
    connection.close()


def declare(channel: BlockingChannel) -> None:
    """Declare exchanges, queues and bindings."""
    channel.exchange_declare("shop.lost", "fanout", durable=True)
    channel.exchange_declare("shop.events", "topic", durable=True, arguments={"alternate-exchange": "shop.lost"})
    channel.exchange_declare("shop.inner", "headers", durable=True, internal=True)
    channel.exchange_declare("shop.passing", "direct", auto_delete=True)
    channel.exchange_declare("shop.hash", "x-consistent-hash", durable=True, arguments={"hash-header": "order"})
    orders = {
        "x-max-length": 1000,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "shop.lost",
        "x-dead-letter-routing-key": "dead",
        "x-max-priority": 3,
    }
    channel.queue_declare("shop.orders", durable=True, arguments=orders)
    channel.queue_declare("shop.quorum", durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 5})
    channel.queue_declare("shop.stream", durable=True, arguments={"x-queue-type": "stream", "x-max-age": "1h"})
    nested = {"x-expires": 600_000, "mine": {"a": [1, True, None, "x", b"y", {"deep": -5}]}}
    channel.queue_declare("shop.transient", auto_delete=True, arguments=nested)
    channel.queue_declare("shop.exclusive", exclusive=True)
    channel.queue_declare("shop.lost", durable=True, arguments={"x-single-active-consumer": True})
    channel.queue_bind("shop.orders", "shop.events", "order.*")
    channel.queue_bind("shop.orders", "shop.events", "order.*", {"n": 1})
    channel.queue_bind("shop.quorum", "shop.events", "#")
    channel.queue_bind("shop.quorum", "amq.fanout")
    channel.queue_bind("shop.quorum", "shop.hash", "2")
    channel.queue_bind("shop.lost", "shop.lost")
    channel.queue_bind("shop.exclusive", "amq.topic", "x")
    channel.queue_bind("shop.transient", "shop.passing", "p")
    channel.exchange_bind("shop.inner", "shop.events", "inner.#")
    channel.queue_bind("shop.orders", "shop.inner", "", {"x-match": "any", "colour": "red", "size": 5})


def compare_import(control: Control, ours: dict[str, object]) -> Iterator[str]:
    """Say what RabbitMQ makes of our definitions that is not in them, and what it leaves out."""
    complaint = control.import_(ours)
    if complaint:
        yield f"RabbitMQ does not import ours: {complaint}"
        return
    result = control.export()
    for key in COMPARED:
        sent = ours[key]
        assert isinstance(sent, list)
        wanted = [_comparable(key, entry) for entry in sent if _is_compared(key, entry)]
        made = [_comparable(key, entry) for entry in result[key] if _is_compared(key, entry)]
        yield from (f"{key}: RabbitMQ left out {entry}" for entry in wanted if entry not in made)
        yield from (f"{key}: RabbitMQ has, we have not: {entry}" for entry in made if entry not in wanted)


def _is_compared(key: str, entry: dict[str, object]) -> bool:
    """Leave out internal exchanges, which it imports and does not write, and parameters that we do not have."""
    return not entry.get("internal") if key != "parameters" else entry["component"] == "operator_policy"


def _comparable(key: str, entry: dict[str, object]) -> dict[str, object]:
    """Leave out what says nothing: a queue's type is in its arguments, and RabbitMQ writes no internal exchanges."""
    aside = {"users": ("limits",), "queues": ("type",), "exchanges": ("internal",)}.get(key, ())
    return {name: value for name, value in entry.items() if name not in aside}


def compare_refusals(control: Control, version: str) -> Iterator[str]:
    """Say which definitions only one of the two refuses."""
    for document in REFUSED_OR_NOT:
        complaint = control.import_(document)
        try:
            load(BrokerCore(profile_named(version)), document)
            refusal = ""
        except DefinitionsError as error:
            refusal = str(error)
        if bool(complaint) != bool(refusal):
            yield f"{json.dumps(document)}: RabbitMQ: {complaint or 'ok'}; here: {refusal or 'ok'}"


def _queue(**fields: object) -> dict[str, object]:
    return {"queues": [{"vhost": "/", "name": "q", "durable": True, "auto_delete": False, "arguments": {}} | fields]}


def _exchange(**fields: object) -> dict[str, object]:
    standard = {"vhost": "/", "name": "e", "type": "topic", "durable": True, "auto_delete": False, "arguments": {}}
    return {"exchanges": [standard | fields]}


def _binding(**fields: object) -> dict[str, object]:
    standard = {"vhost": "/", "source": "amq.topic", "destination": "amq.fanout", "destination_type": "exchange"}
    return {"bindings": [standard | {"routing_key": "x", "arguments": {}} | fields]}


def _policy(**fields: object) -> dict[str, object]:
    return {"policies": [{"vhost": "/", "name": "p", "pattern": "^p", "definition": {"max-length": 1}} | fields]}


def _policy_without(*names: str) -> dict[str, object]:
    (entry,) = _policy()["policies"]  # type: ignore[misc]  # the one above
    return {"policies": [{name: value for name, value in entry.items() if name not in names}]}


def _operator_policy(*, component: str = "operator_policy", **fields: object) -> dict[str, object]:
    value = {"pattern": "^p", "definition": {"max-length": 1}, "priority": 0, "apply-to": "all"} | fields
    given = {name: field for name, field in value.items() if field is not None}
    return {"parameters": [{"vhost": "/", "component": component, "name": "o", "value": given}]}


def _permission(**fields: object) -> dict[str, object]:
    return {"permissions": [{"user": "guest", "vhost": "/", "configure": ".*", "write": "", "read": ""} | fields]}


# Not here: bindings of what is missing, which 3.10 passes over and 4.0 refuses, though both write such files; and a
# queue that does not say whether it is durable, of which 4.0 makes something.
REFUSED_OR_NOT: tuple[object, ...] = (
    _queue(arguments={"x-max-length": "abc"}),
    _queue(arguments={"x-max-length": -1}),
    _queue(arguments={"x-message-ttl": 1.5}),
    _queue(arguments={"x": None}),
    _queue(arguments={"x": [1, {"y": None}]}),
    _queue(arguments=[]),
    _queue(arguments={"x": [1, 2.5, {"y": "z"}]}),
    _queue(name="d", durable=1),
    _queue(vhost="none"),
    _queue(name="amq.q"),
    _queue(name="a", type="classic"),
    {"queues": [{"vhost": "/", "name": "b", "durable": True, "auto_delete": False}]},
    {"queues": [{"name": "c", "durable": True, "auto_delete": False, "arguments": {}}]},
    _exchange(),
    _exchange(name="f", type="x-none"),
    _exchange(name="g", type="direct", internal=True),
    _binding(),
    _binding(destination_type="nothing"),
    _permission(),
    _permission(user="somebody"),
    _permission(vhost="none"),
    _permission(configure="("),
    {"users": [{"name": "u", "password": "p", "tags": "a, b"}]},
    {"users": [{"name": "u", "password": "p", "tags": ["a"]}]},
    {"users": [{"name": "u", "password": "p"}]},
    {"users": [{"name": "u", "tags": ""}]},
    {"users": [{"name": "u", "password_hash": "not base64!", "tags": ""}]},
    {"vhosts": [{"name": "v"}]},
    {"policies": 5},
    _policy(),
    _policy(priority=7, **{"apply-to": "queues"}),
    _policy(priority=1.5),
    _policy(priority="7"),
    _policy(priority=None),
    _policy(other=5),
    _policy(name="l" * 300),
    _policy(definition={}),
    _policy(definition={"max-length": -1}),
    _policy(definition={"nonsense": 1}),
    _policy(definition={"max-length": 1, "nonsense": 1}),
    _policy(definition={"ha-mode": "all"}),
    _policy(definition={"delivery-limit": -1}),
    _policy(definition={"dead-letter-exchange": ""}),
    _policy(definition={"max-length": 1.0}),
    _policy(pattern="("),
    _policy(pattern=""),
    _policy(pattern=5),
    _policy(vhost="none"),
    _policy(**{"apply-to": "x"}),
    _policy(**{"apply-to": "classic_queues"}),
    _policy(**{"apply-to": "streams"}),
    _policy_without("vhost"),
    _policy_without("name"),
    _policy_without("pattern"),
    _policy_without("definition"),
    _operator_policy(),
    _operator_policy(definition={"dead-letter-exchange": "x"}),
    _operator_policy(definition={"overflow": "drop-head"}),
    _operator_policy(definition={"max-length": "1"}),
    _operator_policy(definition={}),
    _operator_policy(pattern="["),
    _operator_policy(priority=None),
    _operator_policy(pattern=None),
    _operator_policy(definition=None),
    _operator_policy(**{"apply-to": None}),
    _operator_policy(**{"apply-to": "x"}),
    _operator_policy(component="policy"),
    {"operator_policies": []},
    {},
    [],
)


if __name__ == "__main__":
    sys.exit(main())
