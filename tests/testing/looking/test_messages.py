"""Messages as tests see them, and as tests make them up."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from amqpy_broker.core.arguments import Argument
from amqpy_broker.testing import Message, Misuse, Properties
from amqpy_broker.testing.arranging.composing import compose
from amqpy_broker.testing.looking.messages import python_values, shown_body
from tests.testing.brokers import new_broker


def composed(body: object = b"", **properties: object) -> Message:
    headers = properties.pop("headers", None)
    assert headers is None or isinstance(headers, dict)
    return Message(compose("e", "k", body, headers, properties, mandatory=False))


def test_a_message_has_its_address_properties_headers_and_body() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    message = composed(
        "grüß", headers={"n": 1}, correlation_id="c", priority=3, timestamp=moment, expiration=1500, delivery_mode=2
    )
    assert (message.exchange, message.routing_key, message.routing_keys) == ("e", "k", ("k",))
    assert (message.body, message.text, message.headers) == ("grüß".encode(), "grüß", {"n": 1})
    assert message.properties == Properties(
        correlation_id="c", priority=3, timestamp=moment, expiration="1500", delivery_mode=2
    )
    assert message.persistent
    assert not message.redelivered


def test_what_a_message_does_not_have_is_none() -> None:
    message = composed()
    assert message.properties == Properties()
    assert message.properties.given() == {}
    assert message.headers == {}


@pytest.mark.parametrize(("body", "octets"), [(b"\x00", b"\x00"), ("a", b"a"), ({"a": [1]}, b'{"a":[1]}'), (7, b"7")])
def test_a_body_is_octets_text_or_json(body: object, octets: bytes) -> None:
    assert composed(body).body == octets


def test_json_is_written_with_its_content_type_unless_another_is_given() -> None:
    assert composed({}).properties.content_type == "application/json"
    assert composed({}, content_type="application/problem+json").properties.content_type == "application/problem+json"
    assert composed("{}").properties.content_type is None
    assert composed({"a": 1}).json() == {"a": 1}


def test_header_values_are_plain_python() -> None:
    table = {
        "text": Argument("longstr", "t"),
        "octets": Argument("binary", b"\xff"),
        "no text": Argument("longstr", "\udcff"),
        "time": Argument("timestamp", 0),
        "far": Argument("timestamp", 2**60),
        "decimal": Argument("decimal", (2, 314)),
        "list": Argument("array", [Argument("bool", True), Argument("void", None)]),
        "table": Argument("table", {"n": Argument("short", 1)}),
    }
    assert python_values(table) == {
        "text": "t",
        "octets": b"\xff",
        "no text": b"\xff",
        "time": datetime(1970, 1, 1, tzinfo=UTC),
        "far": 2**60,
        "decimal": Decimal("3.14"),
        "list": [True, None],
        "table": {"n": 1},
    }


def test_messages_are_equal_when_all_of_them_is() -> None:
    assert composed("a", message_id="1") == composed("a", message_id="1")
    assert hash(composed("a")) == hash(composed("a"))
    assert composed("a", message_id="1") != composed("a", message_id="2")
    assert composed("a", headers={"n": 1}) != composed("a", headers={"n": 2})
    assert composed("a") != composed("b")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"a", "'a'"),
        (b"\xff", r"b'\xff'"),
        (b"a" * 201, f"'{'a' * 200}'… (201 octets)"),
        (b"a" * 199 + "ü".encode(), f"'{'a' * 199}'… (201 octets)"),
        (b"\xff" * 201, f"{bytes([255]) * 200!r}… (201 octets)"),
    ],
)
def test_a_body_is_shown_in_one_line_and_cut(body: bytes, shown: str) -> None:
    assert shown_body(body) == shown


def test_a_message_is_shown_with_what_it_has() -> None:
    assert str(composed("a", headers={"n": 1}, app_id="x")) == (
        "exchange='e' routing_key='k' headers={'n': 1} app_id='x' body='a'"
    )


def test_a_dead_letter_is_shown_with_its_deaths_alone() -> None:
    broker = new_broker()
    broker.declare_queue("graves")
    broker.declare_queue(
        "q", arguments={"x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "graves"}
    )
    broker.publish("", "q", "a", headers={"n": 1})
    letter = broker.take("graves")
    assert [death["queue"] for death in letter.deaths] == ["q"]
    assert "x-death" in letter.headers
    assert str(letter) == "exchange='' routing_key='graves' headers={'n': 1} died in q (expired) body='a'"


@pytest.mark.parametrize(
    ("properties", "complaint"),
    [
        ({"corelation_id": "x"}, "no property 'corelation_id'"),
        ({"priority": 256}, "priority cannot be 256"),
        ({"priority": "high"}, "priority"),
        ({"message_id": "x" * 256}, "message_id"),
        ({"headers": {"x": object()}}, "no AMQP type holds"),
    ],
)
def test_what_no_message_can_have_is_misuse(properties: dict[str, object], complaint: str) -> None:
    with pytest.raises(Misuse, match=complaint):
        composed("a", **properties)


def test_a_body_that_json_cannot_hold_is_misuse() -> None:
    with pytest.raises(Misuse, match="what JSON can hold"):
        composed(object())


def test_a_routing_key_that_is_too_long_is_misuse() -> None:
    with pytest.raises(Misuse, match="routing_key is longer than 255"):
        compose("", "k" * 256, b"", None, {}, mandatory=False)
