"""Texts and verdicts are those of `rabbit_misc:assert_args_equivalence/4` of RabbitMQ 3.10.8."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest

from amqpy_broker.core.arguments import (
    INTEGER_KINDS,
    TABLE_DEPTH_MAX,
    Argument,
    Arguments,
    argument,
    arguments,
    check_equivalent,
    inequivalent,
    plain,
    plain_value,
)

QUEUE = "queue 'q' in vhost '/'"


def difference(current: Argument | None, received: Argument | None, key: str = "k") -> str | None:
    def table(value: Argument | None) -> Arguments:
        return {} if value is None else {key: value}

    text = check_equivalent(table(current), table(received), [key], QUEUE)
    return None if text is None else text.removeprefix(f"inequivalent arg '{key}' for {QUEUE}: ")


# The natural type of a value ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", Argument("longstr", "text")),
        (True, Argument("bool", True)),
        (1, Argument("signedint", 1)),
        (2**31 - 1, Argument("signedint", 2**31 - 1)),
        (-(2**31), Argument("signedint", -(2**31))),
        (2**31, Argument("long", 2**31)),
        (-(2**63), Argument("long", -(2**63))),
        (1.5, Argument("double", 1.5)),
        (None, Argument("void", None)),
        (b"octets", Argument("binary", b"octets")),
        (bytearray(b"octets"), Argument("binary", b"octets")),
        ({"a": 1}, Argument("table", {"a": Argument("signedint", 1)})),
        ([1, "a"], Argument("array", [Argument("signedint", 1), Argument("longstr", "a")])),
        ((1,), Argument("array", [Argument("signedint", 1)])),
        (datetime(1970, 1, 1, 1, tzinfo=UTC), Argument("timestamp", 3600)),
        (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), Argument("timestamp", 0)),
        (datetime(1970, 1, 1, 1), Argument("timestamp", 3600)),
        (Argument("short", 5), Argument("short", 5)),
    ],
)
def test_a_python_value_has_a_natural_type(value: object, expected: Argument) -> None:
    assert argument(value) == expected
    assert type(argument(value).value) is type(expected.value)


def test_tables_are_made_of_mappings() -> None:
    assert arguments({"x-message-ttl": 5, "nested": {"deep": [None]}}) == {
        "x-message-ttl": Argument("signedint", 5),
        "nested": Argument("table", {"deep": Argument("array", [Argument("void", None)])}),
    }


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**63) - 1,
        float("nan"),
        float("inf"),
        "\ud800",
        {"\ud800": 1},
        {"n" * 256: 1},
        datetime(1969, 12, 31, tzinfo=UTC),
    ],
)
def test_a_value_outside_the_range_of_its_type_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        argument(value)


@pytest.mark.parametrize("value", [object(), 1j, {1: "a"}, {"a": {"b": [set()]}}])
def test_a_value_that_no_type_holds_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        argument(value)


def nested(levels: int) -> object:
    value: object = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_values_nest_as_deep_as_the_wire_allows_and_no_deeper() -> None:
    argument(nested(TABLE_DEPTH_MAX - 1))
    with pytest.raises(ValueError, match="nested deeper than 64"):
        argument(nested(TABLE_DEPTH_MAX))
    with pytest.raises(ValueError, match="nested deeper than 64"):
        argument(nested(100_000))


# Plain values -------------------------------------------------------------------------------------------------------


def test_plain_values_are_those_that_json_can_hold() -> None:
    table: Mapping[str, Argument] = {
        "text": Argument("longstr", "é"),
        "octets": Argument("binary", b"abc"),
        "number": Argument("unsignedshort", 5),
        "decimal": Argument("decimal", (2, 314)),
        "moment": Argument("timestamp", 1700000000),
        "nothing": Argument("void", None),
        "yes": Argument("bool", True),
        "pair": Argument("array", [Argument("byte", 1), Argument("byte", 2)]),
        "table": Argument("table", {"deep": Argument("array", [Argument("double", 0.5)])}),
    }

    assert plain(table) == {
        "text": "é",
        "octets": "abc",
        "number": 5,
        "decimal": 3.14,
        "moment": 1700000000,
        "nothing": None,
        "yes": True,
        "pair": [1, 2],
        "table": {"deep": [0.5]},
    }


def test_octets_that_are_not_utf8_are_shown_in_base64() -> None:
    text = b"a\xff".decode("utf-8", "surrogateescape")

    assert plain_value(Argument("longstr", text)) == "Not UTF-8, base64 is: Yf8="
    assert plain({text: Argument("binary", b"a\xff")}) == {"Not UTF-8, base64 is: Yf8=": "Not UTF-8, base64 is: Yf8="}


# Equivalence --------------------------------------------------------------------------------------------------------


def test_only_the_named_keys_count() -> None:
    current, received = arguments({"x-foo": 1}), arguments({"x-foo": 2, "x-bar": 3})

    assert check_equivalent(current, received, [], QUEUE) is None
    assert check_equivalent(current, received, ["x-message-ttl"], QUEUE) is None


def test_the_first_difference_in_the_order_of_the_keys_is_told() -> None:
    current, received = arguments({"a": 1, "b": 1, "c": 1}), arguments({"a": 1, "b": 2, "c": 2})

    assert check_equivalent(current, received, ["a", "c", "b"], QUEUE) == (
        "inequivalent arg 'c' for queue 'q' in vhost '/': received '2' but current is '1'"
    )


def test_an_argument_that_is_new_is_told_with_its_type() -> None:
    assert check_equivalent({}, {"x-message-ttl": Argument("short", 5000)}, ["x-message-ttl"], QUEUE) == (
        "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': "
        "received the value '5000' of type 'short' but current is none"
    )


def test_an_argument_that_is_missing_is_told_with_its_type() -> None:
    assert difference(Argument("longstr", "x"), None) == (
        "received none but current is the value 'x' of type 'longstr'"
    )


def test_values_that_differ_are_told_without_types() -> None:
    assert difference(Argument("signedint", 5000), Argument("short", 6000)) == ("received '6000' but current is '5000'")


@pytest.mark.parametrize("kind", sorted({*INTEGER_KINDS, "timestamp"}))
def test_integers_of_every_kind_and_timestamps_are_one_class(kind: str) -> None:
    assert difference(Argument("byte", 1), Argument(kind, 1)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("current", "received"),
    [
        (Argument("float", 1.0), Argument("double", 1.0)),
        (Argument("double", 0.0), Argument("double", -0.0)),
        (Argument("longstr", "a"), Argument("binary", b"a")),
        (Argument("table", {}), Argument("array", [])),
        (Argument("void", None), Argument("void", None)),
        (argument({"a": [1]}), argument({"a": [1]})),
    ],
)
def test_values_that_erlang_holds_as_one_term_are_equivalent(current: Argument, received: Argument) -> None:
    assert difference(current, received) is None
    assert difference(received, current) is None


@pytest.mark.parametrize(
    ("current", "received", "text"),
    [
        (argument(1), argument(True), "received 'true' but current is '1'"),
        (argument(1), argument(1.0), "received '1.0' but current is '1'"),
        (argument(1), argument("1"), "received '1' but current is '1'"),
        (argument(1), argument(None), "received none but current is '1'"),
        (argument(None), argument("a"), "received 'a' but current is none"),
        (argument("a"), argument([]), "received '[]' but current is 'a'"),
        (argument("a"), argument("é"), "received 'é' but current is 'a'"),
        (argument([1]), argument([2]), "received '[{signedint,2}]' but current is '[{signedint,1}]'"),
        (
            Argument("array", [Argument("byte", 1)]),
            Argument("array", [Argument("long", 1)]),
            "received '[{long,1}]' but current is '[{byte,1}]'",
        ),
        (
            argument({"a": 1, "b": "x"}),
            argument({"b": "x", "a": 1}),
            'received \'[{<<"b">>,longstr,<<"x">>},{<<"a">>,signedint,1}]\' '
            'but current is \'[{<<"a">>,signedint,1},{<<"b">>,longstr,<<"x">>}]\'',
        ),
        (None, argument(None), "received the value 'undefined' of type 'void' but current is none"),
        (None, argument(2**40), "received the value '1099511627776' of type 'long' but current is none"),
        (None, argument(100000.0), "received the value '1.0e5' of type 'double' but current is none"),
        (None, Argument("decimal", (2, 314)), "received the value '{2,314}' of type 'decimal' but current is none"),
        (None, argument(b"ab"), "received the value 'ab' of type 'binary' but current is none"),
        (None, argument(""), "received the value '' of type 'longstr' but current is none"),
        (
            None,
            argument([1, None, "x"]),
            "received the value '[{signedint,1},{void,undefined},{longstr,<<\"x\">>}]' of type 'array' "
            "but current is none",
        ),
    ],
)
def test_values_are_told_as_erlang_prints_them(current: Argument | None, received: Argument, text: str) -> None:
    assert difference(current, received) == text


def test_text_that_is_not_utf8_is_told_as_latin1_so_that_the_reply_text_is_utf8() -> None:
    value = Argument("longstr", b"\xe9".decode("utf-8", "surrogateescape"))

    assert difference(None, value) == "received the value 'é' of type 'longstr' but current is none"


def test_classic_is_what_a_queue_is_without_a_queue_type() -> None:
    classic, quorum = argument("classic"), argument("quorum")

    assert difference(None, classic, "x-queue-type") is None
    assert difference(classic, None, "x-queue-type") is None
    assert difference(None, quorum, "x-queue-type") == (
        "received the value 'quorum' of type 'longstr' but current is none"
    )
    assert difference(classic, quorum, "x-queue-type") == "received 'quorum' but current is 'classic'"
    assert difference(None, classic, "x-queue-mode") == (
        "received the value 'classic' of type 'longstr' but current is none"
    )


def test_other_differences_are_told_in_the_same_words() -> None:
    assert inequivalent("durable", QUEUE, "'false'", "'true'") == (
        "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"
    )
