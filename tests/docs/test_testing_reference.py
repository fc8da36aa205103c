"""The reference of the test kit is that of the code: nothing is missing, nothing is stale."""

import inspect
import re
import typing
from collections.abc import Iterable
from pathlib import Path

import pytest

import amqpy_broker.testing
from amqpy_broker.testing import Broker, BrokerThread, Explanation, Finding, Message, Properties, Vhost, pytest_plugin
from amqpy_broker.testing.faults.fault import Fault
from amqpy_broker.testing.faults.faults import Faults
from amqpy_broker.testing.faults.selection import AboutFrames
from amqpy_broker.testing.history import records
from amqpy_broker.testing.looking import explanation, views
from amqpy_broker.testing.plugin.options import add_marker, add_options
from amqpy_broker.testing.strict.rules import RULES

PAGE = (Path(__file__).parents[2] / "docs" / "testing" / "reference.md").read_text()
# Public for other parts of the kit, not for tests.
WITHIN_THE_KIT = {
    *("inside", "run_in_broker", "block_on", "core", "home_vhost", "history_vhost"),
    *("facade", "started_at", "settling", "shutdown_grace_s", "wanted_address", "table", "after", "turn_to"),
}


def section(heading: str) -> str:
    """The text below a heading, up to the next."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in it, without their heads."""
    lines = re.sub(r"^\|.*\n\|[-|]+\n", "", text, flags=re.M).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def bare(cell: str) -> str:
    """A name without its backticks and arguments."""
    return re.split(r"\W", cell.strip("`").removeprefix("await "))[0]


def first_names(text: str) -> list[str]:
    return [bare(row[0]) for row in rows(text)]


def table_of(heading: str, column: str) -> str:
    """One table of a section, by the first word of its head."""
    return re.search(rf"^\| {column}.*?(?=\n\n|\Z)", section(heading), re.M | re.S)[0]


def public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")} - WITHIN_THE_KIT


def once(names: Iterable[str]) -> set[str]:
    """The names, none of which is there twice."""
    listed = list(names)
    assert len(listed) == len(set(listed)), listed
    return set(listed)


KINDS = ("Broker", "BrokerThread", "Vhost")
OF_BROKER, OF_THREAD, OF_VHOST = public(Broker()), public(BrokerThread), public(Vhost) | {"name", "broker"}


def test_every_name_of_the_kit_is_there() -> None:
    assert once(first_names(section("Names"))) == set(amqpy_broker.testing.__all__)


def test_what_is_said_of_errors_and_warnings_holds() -> None:
    for name, text in ((bare(row[0]), row[1]) for row in rows(section("Names"))):
        kind = getattr(amqpy_broker.testing, name)
        for base in re.findall(r"\b(\w+Error)\b(?=[^.]*:)", text):
            assert issubclass(kind, __builtins__[base]), name
        if text.startswith("a warning"):
            assert issubclass(kind, Warning), name


def test_every_argument_of_a_broker_is_there_with_its_default() -> None:
    parameters = {**inspect.signature(Broker).parameters, **inspect.signature(BrokerThread).parameters}
    parameters = {name: it for name, it in parameters.items() if name not in WITHIN_THE_KIT | {"options"}}
    documented = {bare(row[0]): row[1].strip("`") for row in rows(section("Arguments"))}
    assert set(documented) == set(parameters)
    for name, parameter in parameters.items():
        default = "" if parameter.default is None else str(parameter.default)
        assert documented[name].strip('"') == default or name == "memory_watermark_bytes"


def test_every_member_is_there_and_where_it_is() -> None:
    assert once(first_names(section("Of a broker and of a vhost"))) == OF_BROKER & OF_THREAD & OF_VHOST
    assert once(first_names(section("Of the whole broker"))) == (OF_BROKER & OF_THREAD) - OF_VHOST
    alone = {
        kind: {bare(row[1]) for row in rows(section("Of one kind alone")) if bare(row[0]) == kind} for kind in KINDS
    }
    assert alone == {
        "Broker": OF_BROKER - OF_THREAD - OF_VHOST,
        "BrokerThread": OF_THREAD - OF_BROKER - OF_VHOST,
        "Vhost": OF_VHOST - OF_BROKER - OF_THREAD,
    }


def test_what_is_to_be_awaited_is_marked() -> None:
    text = "".join(map(section, ("Of a broker and of a vhost", "Of the whole broker", "Of one kind alone")))
    awaited = {bare(cell) for row in rows(text) for cell in row if cell.startswith("`await ")}
    members = {name for name in OF_BROKER if inspect.iscoroutinefunction(inspect.getattr_static(Broker, name, None))}
    assert awaited == members
    assert not any(inspect.iscoroutinefunction(inspect.getattr_static(BrokerThread, name)) for name in OF_THREAD)


@pytest.mark.parametrize(
    "call",
    [row[0].strip("`") for row in rows(section("Of a broker and of a vhost")) if "(" in row[0]]
    + [row[0].strip("`") for row in rows(section("Of the whole broker")) if "(" in row[0]],
)
def test_the_arguments_of_a_call_are_its_own(call: str) -> None:
    name, told = re.fullmatch(r"(?:await )?(\w+)\((.*)\)", call).groups()
    parameters = inspect.signature(getattr(Broker, name)).parameters
    for word in re.findall(r"(\w+)=", told):
        assert word in parameters
    if "=" not in told and "…" not in told and name not in ("load_definitions",):
        positional = [word for word in told.split(", ") if word]
        assert positional == [parameter for parameter in parameters if parameter != "self"][: len(positional)]


def test_the_clock_is_all_there() -> None:
    assert once(first_names(section("The clock"))) == public(Broker().clock)


def test_every_fault_and_every_keyword_is_there() -> None:
    assert once(first_names(table_of("Faults", "fault"))) == public(Faults)
    assert once(first_names(table_of("Faults", "keyword"))) == set(typing.get_type_hints(AboutFrames))
    told = re.search(r"A fault is a `with` block, and has (.*)", PAGE)[1]
    assert set(re.findall(r"`(\w+)", told)) <= set(dir(Fault()))


def test_every_rule_of_strict_mode_is_there_and_described() -> None:
    documented = [row[0].strip("`") for row in rows(table_of("Strict mode", "rule"))]
    assert documented == [rule.name for rule in RULES]
    strict = (Path(__file__).parents[2] / "docs" / "testing" / "strict.md").read_text()
    assert re.findall(r"^### ([\w-]+)$", strict, re.M) == documented
    assert once(first_names(table_of("Strict mode", "field"))) == public(Finding)


class Asked:
    """Stands in for pytest's parser and configuration: it remembers what it is told of."""

    def __init__(self) -> None:
        self.options: set[str] = set()
        self.settings: set[str] = set()
        self.marker = ""

    def getgroup(self, *_: str) -> "Asked":
        return self

    def addoption(self, name: str, **_: object) -> None:
        self.options.add(name)

    def addini(self, name: str, *_: str, **__: object) -> None:
        self.settings.add(name)

    def addinivalue_line(self, _: str, line: str) -> None:
        self.marker = line


def test_every_fixture_option_and_marker_is_there() -> None:
    asked = Asked()
    add_options(asked)
    add_marker(asked)
    assert {row[0].strip("`") for row in rows(table_of("pytest", "option"))} == asked.options
    assert once(first_names(table_of("pytest", "setting"))) == asked.settings
    assert once(first_names(table_of("pytest", "argument"))) == set(re.findall(r"(\w+)=", asked.marker))
    documented = {bare(row[0]): row[1] for row in rows(table_of("pytest", "fixture"))}
    found = re.findall(r"^@pytest\.fixture(.*)\ndef (\w+)", inspect.getsource(pytest_plugin), re.M)
    assert documented == {name: "session" if "session" in scope else "test" for scope, name in found}


def test_messages_are_all_there() -> None:
    assert once(first_names(section("Messages"))) == public(Message)
    (properties,) = [row[1] for row in rows(section("Messages")) if bare(row[0]) == "properties"]
    assert set(re.findall(r"`(\w+)`", properties)) == public(Properties) - {"given"}


@pytest.mark.parametrize(("heading", "module"), [("Views", views), ("Records", records), ("Explanations", explanation)])
def test_what_the_kit_returns_is_all_there(heading: str, module: object) -> None:
    documented = {bare(row[0]): set(re.findall(r"`(\w+)`", row[1])) for row in rows(section(heading))}
    classes = {
        name: kind
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and kind.__module__ == module.__name__ and not name.startswith("_")
    }
    shared = public(records.Record)
    bases = {"Record", "Settled", "Loss"}
    assert set(documented) == set(classes) - bases
    for name, fields in documented.items():
        annotated = {field for base in classes[name].__mro__ for field in getattr(base, "__annotations__", {})}
        there = public(classes[name]) | annotated
        assert fields == (there - shared - set(records.Record.__annotations__) if heading == "Records" else there), name


def test_the_explanation_is_the_one_that_is_exported() -> None:
    assert Explanation is explanation.Explanation
