"""Definitions: RabbitMQ's file is understood, ours is complete, and what is wrong is said with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from amqpy_broker.core.arguments import Argument, arguments
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.definitions import DefinitionsError, dump, load
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.policies import Policy
from amqpy_broker.core.profile import profile_named
from amqpy_broker.core.users import Permissions, User, hash_password

HERE = Path(__file__).parent / "definitions"
LISTS = ("users", "vhosts", "permissions", "policies", "exchanges", "queues", "bindings")


def a_core(profile: str = "4.0") -> BrokerCore:
    return BrokerCore(profile_named(profile))


def exported(version: str) -> dict[str, Any]:
    """What a real RabbitMQ has exported: `python -m interop.definitions --write` has made it."""
    document: dict[str, Any] = json.loads((HERE / f"rabbitmq-{version}.json").read_text())
    return document


def queue(**fields: object) -> dict[str, object]:
    standard = {"vhost": "/", "name": "q", "durable": True, "auto_delete": False, "arguments": {}}
    return {"queues": [standard | fields]}


def exchange(**fields: object) -> dict[str, object]:
    standard = {"vhost": "/", "name": "e", "type": "topic", "durable": True, "auto_delete": False, "arguments": {}}
    return {"exchanges": [standard | fields]}


def binding(**fields: object) -> dict[str, object]:
    standard = {"vhost": "/", "source": "amq.topic", "destination": "amq.fanout", "destination_type": "exchange"}
    return {"bindings": [standard | {"routing_key": "x", "arguments": {}} | fields]}


def refusal(document: object) -> str:
    with pytest.raises(DefinitionsError) as caught:
        load(a_core(), document)
    return str(caught.value)


# RabbitMQ's file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.10", "4.0"])
class TestWhatRabbitmqExports:
    def test_users_keep_their_passwords_tags_and_permissions(self, version: str) -> None:
        core = a_core(version)
        load(core, exported(version))
        shop = core.users.authenticate("shop", "secret")
        assert shop is not None
        assert shop.tags == ("monitoring", "impersonator")
        assert shop.permissions == {"orders": Permissions("^shop\\.", ".*", "")}
        assert core.users.authenticate("guest", "guest") is not None

    def test_a_user_without_a_password_cannot_log_in(self, version: str) -> None:
        core = a_core(version)
        load(core, exported(version))
        assert core.users.find("nobody") is not None
        assert core.users.authenticate("nobody", "") is None

    def test_queues_have_their_arguments_with_whole_numbers_as_long(self, version: str) -> None:
        core = a_core(version)
        load(core, exported(version))
        orders = core.vhosts["orders"].queues["shop.orders"]
        assert orders.durable
        assert orders.asked.max_length == 1000
        assert orders.settings.dead_letter_exchange == "shop.lost"
        assert orders.arguments["x-max-length"] == Argument("long", 1000)
        assert core.vhosts["orders"].queues["shop.quorum"].type == "quorum"
        transient = core.vhosts["orders"].queues["shop.transient"]
        assert (transient.durable, transient.auto_delete) == (False, True)

    def test_exchanges_route_as_they_did(self, version: str) -> None:
        core = a_core(version)
        load(core, exported(version))
        vhost = core.vhosts["orders"]
        events = vhost.exchanges["shop.events"]
        assert events.alternate == "shop.lost"
        found = vhost.route(events, "order.new").queues
        assert {queue.name for queue in found} == {"shop.orders", "shop.quorum"}
        assert len([each for each in events.bindings if each.key == "order.*"]) == 2

    def test_what_does_not_exist_here_is_left_out_with_a_remark(self, version: str) -> None:
        remarks = load(a_core(version), exported(version))
        for word in ("topic_permissions[0]", "('limits')", "('shop.stream')"):
            assert [remark for remark in remarks if word in remark], word
        # RabbitMQ writes bindings of the internal exchange that it does not write.
        assert sum("there is no exchange 'shop.inner'" in remark for remark in remarks) == 2

    def test_policies_count(self, version: str) -> None:
        core = a_core(version)
        load(core, exported(version))
        queues = core.vhosts["orders"].queues
        assert queues["shop.orders"].settings.message_ttl_ms == 60_000
        assert queues["shop.lost"].settings.overflow.value == "reject-publish"
        # RabbitMQ's command writes operator policies in a way that it cannot read itself.
        assert queues["shop.orders"].settings.max_length == queues["shop.lost"].settings.max_length == 99

    def test_what_was_loaded_is_written_again(self, version: str) -> None:
        core = a_core(version)
        document = exported(version)
        load(core, document)
        written = dump(core)
        for key in LISTS:
            ours, theirs = written[key], document[key]
            assert isinstance(ours, list)
            comparable = [comparable_entry(key, entry) for entry in ours]
            lost = [entry for entry in theirs if comparable_entry(key, entry) not in comparable]
            assert all("shop.inner" in str(entry) or "shop.stream" in str(entry) for entry in lost), lost
            assert len(ours) == len(theirs) - len(lost)


def comparable_entry(key: str, entry: dict[str, object]) -> dict[str, object]:
    aside = {
        "users": ("limits",),
        "queues": ("type",),
        "exchanges": ("internal",),
        "vhosts": ("limits", "metadata", "default_queue_type"),
    }
    return {name: value for name, value in entry.items() if name not in aside.get(key, ())}


# Ours -----------------------------------------------------------------------------------------------------------------


def a_full_core() -> BrokerCore:
    core = a_core()
    vhost = core.add_vhost("shop")
    core.users.add(User("clerk", hash_password("x"), ("monitoring",), {"shop": Permissions("a", "b", "c")}))
    source = vhost.create_exchange("e", "headers", durable=True, internal=True)
    to = vhost.create_queue("q", durable=True, arguments=arguments({"x-max-length": 5, "mine": [1, {"a": "b"}]}))
    vhost.create_binding(Binding(source.name, to, "key", arguments({"x-match": "any", "n": 1.5})))
    vhost.create_binding(Binding("amq.topic", source, "#", {}))
    vhost.create_queue("mine", durable=False, owner=object())
    vhost.policies.set(Policy("limits", "^q", {"max-length": 3, "overflow": "drop-head"}, 2, "queues"))
    vhost.policies.set_operator(Policy("ttl", "", {"message-ttl": 5}))
    return core


def test_what_was_written_makes_the_same_again() -> None:
    core = a_full_core()
    document = json.loads(json.dumps(dump(core)))
    other = a_core()
    assert load(other, document) == []
    assert dump(other) == document
    assert other.users.authenticate("clerk", "x") is not None


def test_operator_policies_are_parameters() -> None:
    assert dump(a_full_core())["parameters"] == [
        {
            "vhost": "shop",
            "component": "operator_policy",
            "name": "ttl",
            "value": {"pattern": "", "apply-to": "all", "definition": {"message-ttl": 5}, "priority": 0},
        }
    ]


def policies(**fields: object) -> dict[str, object]:
    return {"policies": [{"vhost": "/", "name": "p", "pattern": "", "definition": {"expires": 1}} | fields]}


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (policies(definition={"expires": 0}), "policies[0]: 0 is not a valid queue expiry"),
        (policies(definition={}), "policies[0]: no policy provided"),
        (policies(definition=5), "policies[0].definition must be an object, not 5"),
        (policies(pattern=5), "policies[0].pattern must be a text, not 5"),
        (policies(priority="1"), "policies[0].priority must be a number, not '1'"),
        (policies(priority=True), "policies[0].priority must be a number, not true"),
        (policies(vhost="x"), "policies[0].vhost names vhost 'x', which does not exist"),
        (
            {"parameters": [{"vhost": "/", "component": "operator_policy", "name": "p", "value": 1}]},
            "parameters[0].value must be an object, not 1",
        ),
        (
            {
                "parameters": [
                    {
                        "vhost": "/",
                        "component": "operator_policy",
                        "name": "p",
                        "value": {"pattern": "", "definition": {"alternate-exchange": "x"}, "priority": 0},
                    }
                ]
            },
            'parameters[0]: [{<<"alternate-exchange">>,<<"x">>}] are not recognised policy settings',
        ),
        (
            {
                "parameters": [
                    {
                        "vhost": "/",
                        "component": "operator_policy",
                        "name": "p",
                        "value": {"pattern": "", "definition": {"expires": 1}},
                    }
                ]
            },
            'parameters[0]: Key "priority" not found in p',
        ),
        (
            {"parameters": [{"vhost": "/", "component": "policy", "name": "p", "value": {}}]},
            "parameters[0]: policies may not be set using this method",
        ),
    ],
)
def test_a_wrong_policy_is_refused_with_its_place(document: object, text: str) -> None:
    assert refusal(document) == text


def test_what_is_wrong_is_found_before_anything_is_done() -> None:
    core = a_core()
    with pytest.raises(DefinitionsError):
        load(core, {"vhosts": [{"name": "new"}], **policies(definition={"expires": 0})})
    assert "new" not in core.vhosts


def test_what_a_policy_does_not_say_is_as_in_rabbitmq() -> None:
    core = a_core()
    load(core, policies())
    assert list(core.vhosts["/"].policies) == [Policy("p", "", {"expires": 1}, 0, "all")]


def test_exclusive_queues_and_what_every_vhost_has_are_not_written() -> None:
    core = a_full_core()
    written = dump(core)
    assert written["queues"] == [
        {
            "vhost": "shop",
            "name": "q",
            "type": "classic",
            "durable": True,
            "auto_delete": False,
            "arguments": {"x-max-length": 5, "mine": [1, {"a": "b"}], "x-queue-type": "classic"},
        }
    ]
    exchanges = written["exchanges"]
    assert isinstance(exchanges, list)
    assert [entry["name"] for entry in exchanges] == ["e"]


def test_a_binding_of_an_exclusive_queue_is_not_written() -> None:
    core = a_core()
    vhost = core.vhosts["/"]
    vhost.create_binding(Binding("amq.topic", vhost.create_queue("mine", durable=False, owner=object()), "k", {}))
    assert dump(core)["bindings"] == []


def test_nothing_is_written_as_the_word_undefined_which_rabbitmq_can_read() -> None:
    core = a_core()
    core.vhosts["/"].create_queue("q", durable=True, arguments=arguments({"x": None, "y": [None], "z": {"a": None}}))
    queues = dump(core)["queues"]
    assert isinstance(queues, list)
    assert queues[0]["arguments"] == {
        "x": "undefined",
        "y": ["undefined"],
        "z": {"a": "undefined"},
        "x-queue-type": "classic",
    }


def test_definitions_of_one_vhost_go_into_another() -> None:
    document = dump(a_full_core(), vhost="shop")
    assert "users" not in document
    core = a_core()
    assert load(core, document, vhost="/") == []
    assert "q" in core.vhosts["/"].queues
    assert [each.destination.name for each in core.vhosts["/"].exchanges["amq.topic"].bindings] == ["e"]


# Loading --------------------------------------------------------------------------------------------------------------


def test_what_is_there_stays() -> None:
    core = a_core()
    there = core.vhosts["/"].create_queue("q", durable=False)
    load(core, queue(arguments={"x-max-length": 5}))
    assert core.vhosts["/"].queues["q"] is there
    assert there.settings.max_length is None


def test_loading_twice_adds_nothing() -> None:
    core = a_core()
    document = exported("4.0")
    load(core, document)
    once = dump(core)
    load(core, document)
    assert dump(core) == once


def test_a_user_that_is_there_gets_the_new_password_and_keeps_permissions_in_other_vhosts() -> None:
    core = a_core()
    load(core, {"users": [{"name": "guest", "password": "new", "tags": "administrator, monitoring"}]})
    guest = core.users.authenticate("guest", "new")
    assert guest is not None
    assert guest.tags == ("administrator", "monitoring")
    assert guest.permissions == {"/": Permissions()}


def test_a_user_whose_hash_is_of_another_kind_cannot_log_in_and_a_remark_says_so() -> None:
    core = a_core()
    password_hash = "kpV8SJT8ZQ07/ShyWFYXF7xCz5/a8MumkoFEQ7Sia6htYbfc"
    (remark,) = load(
        core,
        {
            "users": [
                {
                    "name": "u",
                    "tags": [],
                    "password_hash": password_hash,
                    "hashing_algorithm": "rabbit_password_hashing_sha512",
                }
            ]
        },
    )
    assert "users[0] ('u') cannot log in" in remark
    user = core.users.find("u")
    assert user is not None
    assert user.password_hash is None


def test_a_default_queue_type_that_is_not_classic_gets_a_remark() -> None:
    assert load(a_core(), {"vhosts": [{"name": "v", "default_queue_type": "classic"}]}) == []
    (remark,) = load(a_core(), {"vhosts": [{"name": "v", "default_queue_type": "quorum"}]})
    assert remark == "vhosts[0] ('v'): the default queue type is always classic here"


def test_names_that_only_the_broker_gives_are_passed_over() -> None:
    core = a_core()
    load(core, {**queue(name="amq.gen-x"), **exchange(name="amq.mine")})
    assert "amq.gen-x" not in core.vhosts["/"].queues
    assert "amq.mine" not in core.vhosts["/"].exchanges


def test_a_queue_type_that_only_the_type_tells_does_not_count_as_in_rabbitmq() -> None:
    core = a_core()
    load(core, queue(type="quorum"))
    assert core.vhosts["/"].queues["q"].type == "classic"


def test_an_empty_list_of_arguments_is_no_argument() -> None:
    core = a_core("3.10")
    load(core, queue(arguments=[]))
    assert core.vhosts["/"].queues["q"].arguments == {}


# What is wrong --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([], "definitions must be an object, not a list"),
        ({"policies": 5}, "policies must be a list, not 5"),
        ({"queues": ["q"]}, "queues[0] must be an object, not 'q'"),
        (queue(durable=1), "queues[0].durable must be true or false, not 1"),
        (queue(name=None), "queues[0].name must be a text, not null"),
        (queue(name="x" * 256), "queues[0].name must not be longer than 255 octets"),
        (queue(name="\ud800"), "queues[0].name is no Unicode text"),
        (queue(vhost="none"), "queues[0].vhost names vhost 'none', which does not exist"),
        ({"queues": [{"name": "q", "durable": True, "auto_delete": False}]}, "queues[0].vhost is missing"),
        (queue(arguments={"x-max-length": "abc"}), "queues[0].arguments.x-max-length: expected integer, got longstr"),
        (queue(arguments={"x-max-length": -1}), "queues[0].arguments.x-max-length: {value_negative,-1}"),
        (queue(arguments={"x": None}), "queues[0].arguments.x must not be null"),
        (queue(arguments={"x": [1, {"y": None}]}), "queues[0].arguments.x[1].y must not be null"),
        (queue(arguments={"x": 2**64}), "queues[0].arguments.x: an integer does not fit in 64 bits"),
        (queue(arguments={"x": float("nan")}), "queues[0].arguments.x: nan is not a finite number"),
        (
            queue(arguments={"\ud800": 1}),
            "queues[0].arguments: a name must be a text of no more than 255 octets",
        ),
        ({"users": [{"name": "u", "password": "\ud800", "tags": ""}]}, "users[0].password is no Unicode text"),
        (queue(arguments=3), "queues[0].arguments must be an object, not 3"),
        (
            queue(arguments={"x-queue-type": "quorum"}, auto_delete=True),
            "queues[0]: invalid property 'auto-delete' for queue 'q' in vhost '/'",
        ),
        (exchange(type="x-none"), "exchanges[0].type: unknown exchange type 'x-none'"),
        (binding(destination_type="none"), "bindings[0].destination_type must be 'queue' or 'exchange', not 'none'"),
        (binding(routing_key=None), "bindings[0].routing_key must be a text, not null"),
        ({"users": [{"name": "u", "password": "p"}]}, "users[0].tags is missing"),
        ({"users": [{"name": "u", "password_hash": "?", "tags": ""}]}, "users[0].password_hash must be base64"),
        (
            {"permissions": [{"user": "x", "vhost": "/", "configure": "", "write": "", "read": ""}]},
            "permissions[0].user names user 'x', who does not exist",
        ),
        (
            {"permissions": [{"user": "guest", "vhost": "/", "configure": "(", "write": "", "read": ""}]},
            "permissions[0].configure must be a regular expression: missing ), unterminated subpattern at position 0",
        ),
    ],
)
def test_a_complaint_names_the_place(document: object, text: str) -> None:
    assert refusal(document) == text


def test_a_binding_that_its_exchange_refuses_is_named() -> None:
    document = {
        **exchange(type="x-consistent-hash"),
        **binding(source="e", routing_key="heavy"),
    }
    assert refusal(document) == 'bindings[0]: The binding key must be an integer: <<"heavy">>'


def test_tables_that_are_too_deep_are_refused() -> None:
    deep: dict[str, object] = {}
    for _ in range(70):
        deep = {"a": deep}
    assert refusal(queue(arguments=deep)).endswith("is nested deeper than 64")


def test_nothing_is_done_when_something_cannot_be_read() -> None:
    core = a_core()
    with pytest.raises(DefinitionsError):
        load(core, {**queue(), **binding(source=5)})
    assert not core.vhosts["/"].queues
