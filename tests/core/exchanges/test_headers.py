"""The headers exchange. What matches what was seen on RabbitMQ 3.10.8 and 4.0.5."""

from typing import Final

import pytest

from amqpy_broker.core.arguments import Argument, Kind
from amqpy_broker.core.errors import PreconditionFailed
from tests.fakes import FakeDestination, an_exchange, bind_with, matched_by, refused

# Arguments of a binding, and the header tables that each mode lets through.
TABLES: Final[dict[str, dict[str, object]]] = {
    "none": {},
    "a": {"a": 1},
    "a x-b": {"a": 1, "x-b": 1},
    "x-b": {"x-b": 1},
    "other a, x-b": {"a": 2, "x-b": 1},
    "x-match": {"x-match": "all"},
    "a b": {"a": 1, "b": 1},
}
EVERYTHING = list(TABLES)
MODES: Final[list[tuple[dict[str, object], str, list[str]]]] = [
    ({}, "all", EVERYTHING),
    ({}, "any", []),
    ({}, "all-with-x", EVERYTHING),
    ({}, "any-with-x", []),
    ({"a": 1}, "all", ["a", "a x-b", "a b"]),
    ({"a": 1}, "any", ["a", "a x-b", "a b"]),
    ({"a": 1, "x-b": 1}, "all", ["a", "a x-b", "a b"]),
    ({"a": 1, "x-b": 1}, "any", ["a", "a x-b", "a b"]),
    ({"a": 1, "x-b": 1}, "all-with-x", ["a x-b"]),
    ({"a": 1, "x-b": 1}, "any-with-x", ["a", "a x-b", "x-b", "other a, x-b", "a b"]),
    ({"x-b": 1}, "all", EVERYTHING),
    ({"x-b": 1}, "any", []),
    ({"x-b": 1}, "all-with-x", ["a x-b", "x-b", "other a, x-b"]),
    ({"x-b": 1}, "any-with-x", ["a x-b", "x-b", "other a, x-b"]),
    ({"a": 1, "b": 1}, "all", ["a b"]),
    ({"a": 1, "b": 1}, "any", ["a", "a x-b", "a b"]),
    ({"a": None}, "all", ["a", "a x-b", "other a, x-b", "a b"]),
    ({"a": None}, "any", ["a", "a x-b", "other a, x-b", "a b"]),
]


@pytest.mark.parametrize("profile", ["3.10", "4.0"])
@pytest.mark.parametrize(("conditions", "mode", "expected"), MODES)
def test_a_mode_says_how_conditions_join_and_whether_x_names_count(
    conditions: dict[str, object], mode: str, expected: list[str], profile: str
) -> None:
    x = an_exchange("headers", profile=profile)
    bind_with(x, FakeDestination("q"), "", {**conditions, "x-match": mode})

    assert [label for label, headers in TABLES.items() if matched_by(x, values=headers)] == expected


def test_without_a_mode_all_conditions_must_hold() -> None:
    x = an_exchange("headers")
    bind_with(x, FakeDestination("q"), "", {"a": 1, "b": 1})

    assert matched_by(x, values={"a": 1, "b": 1, "c": 1}) == ["q"]
    assert matched_by(x, values={"a": 1}) == []


def test_keys_do_not_matter() -> None:
    x = an_exchange("headers")
    bind_with(x, FakeDestination("q"), "k", {"a": 1})

    assert matched_by(x, "other", {"a": 1}) == ["q"]


# Values and their types -----------------------------------------------------------------------------------------------

VALUES: Final[dict[str, Argument]] = {
    "byte": Argument("byte", 1),
    "unsignedbyte": Argument("unsignedbyte", 1),
    "short": Argument("short", 1),
    "unsignedshort": Argument("unsignedshort", 1),
    "signedint": Argument("signedint", 1),
    "unsignedint": Argument("unsignedint", 1),
    "long": Argument("long", 1),
    "float": Argument("float", 1.0),
    "double": Argument("double", 1.0),
    "timestamp": Argument("timestamp", 1),
    "bool": Argument("bool", True),
    "longstr": Argument("longstr", "1"),
    "binary": Argument("binary", b"1"),
    "decimal": Argument("decimal", (0, 1)),
    "array": Argument("array", [Argument("signedint", 1)]),
    "array of long": Argument("array", [Argument("long", 1)]),
    "table": Argument("table", {"a": Argument("signedint", 1)}),
    "table of double": Argument("table", {"a": Argument("double", 1.0)}),
}
INTEGERS = {"byte", "unsignedbyte", "short", "unsignedshort", "signedint", "unsignedint", "long"}
FLOATS = {"float", "double"}
TEXTS = {"longstr", "binary"}
# Types of headers by types of conditions. 3.10 compares values alone; 4.0 looks at what kind of number it is first, and
# counts the timestamps of messages in milliseconds, but not those of bindings.
NUMBERS = INTEGERS | FLOATS | {"timestamp"}
MATCHING: Final = {
    "3.10": {**dict.fromkeys(NUMBERS, NUMBERS), **dict.fromkeys(TEXTS, TEXTS)},
    "4.0": {
        **dict.fromkeys(INTEGERS | {"timestamp"}, INTEGERS),
        **dict.fromkeys(FLOATS, FLOATS),
        **dict.fromkeys(TEXTS, TEXTS),
    },
}


@pytest.mark.parametrize("profile", ["3.10", "4.0"])
@pytest.mark.parametrize("wanted", VALUES)
def test_values_are_equal_within_a_group_of_types(wanted: str, profile: str) -> None:
    x = an_exchange("headers", profile=profile)
    bind_with(x, FakeDestination("q"), "", {"k": VALUES[wanted]})

    expected = MATCHING[profile].get(wanted, {wanted})
    assert {kind for kind, value in VALUES.items() if matched_by(x, values={"k": value})} == expected


@pytest.mark.parametrize("kind", ["long", "timestamp"])
def test_version_4_counts_a_messages_timestamps_in_milliseconds(kind: Kind) -> None:
    x = an_exchange("headers", profile="4.0")
    bind_with(x, FakeDestination("q"), "", {"k": Argument(kind, 7000)})

    assert matched_by(x, values={"k": Argument("timestamp", 7)}) == ["q"]
    assert matched_by(x, values={"k": Argument("timestamp", 7000)}) == []


@pytest.mark.parametrize("profile", ["3.10", "4.0"])
@pytest.mark.parametrize("kind", ["signedint", "double", "longstr", "bool"])
def test_other_values_of_the_same_type_differ(kind: Kind, profile: str) -> None:
    others: dict[Kind, object] = {"signedint": 2, "double": 1.5, "longstr": "2", "bool": False}
    x = an_exchange("headers", profile=profile)
    bind_with(x, FakeDestination("q"), "", {"k": VALUES[kind]})

    assert matched_by(x, values={"k": others[kind]}) == []


@pytest.mark.parametrize("kind", VALUES)
def test_a_condition_without_a_value_asks_for_presence_only(kind: str) -> None:
    x = an_exchange("headers")
    bind_with(x, FakeDestination("q"), "", {"k": None})

    assert matched_by(x, values={"k": VALUES[kind]}) == ["q"]
    assert matched_by(x, values={"other": VALUES[kind]}) == []


@pytest.mark.parametrize("kind", VALUES)
def test_a_header_without_a_value_equals_no_value(kind: str) -> None:
    x = an_exchange("headers")
    bind_with(x, FakeDestination("q"), "", {"k": VALUES[kind]})

    assert matched_by(x, values={"k": None}) == []


# What binds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("foo", 'Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x'),
        ("ALL", 'Invalid x-match field value <<"ALL">>; expected all, any, all-with-x, or any-with-x'),
        ("", "Invalid x-match field value <<>>; expected all, any, all-with-x, or any-with-x"),
        (1, "Invalid x-match field type signedint (value 1); expected longstr"),
        (True, "Invalid x-match field type bool (value true); expected longstr"),
        (None, "Invalid x-match field type void (value undefined); expected longstr"),
        (b"all", 'Invalid x-match field type binary (value <<"all">>); expected longstr'),
    ],
)
def test_an_unknown_mode_is_refused(value: object, text: str) -> None:
    with refused(PreconditionFailed, text):
        bind_with(an_exchange("headers"), FakeDestination("q"), "", {"x-match": value})


def test_bindings_of_one_destination_are_tried_each_on_its_own() -> None:
    x, q = an_exchange("headers"), FakeDestination("q")
    first = bind_with(x, q, "", {"a": 1})
    bind_with(x, q, "", {"b": 1})

    x.remove_binding(first)

    assert matched_by(x, values={"a": 1}) == []
    assert matched_by(x, values={"b": 1}) == ["q"]
