"""Messages that a test makes up: from plain Python values to what a client would have sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from amqpy_broker.core.arguments import Argument, arguments
from amqpy_broker.core.limits import SHORT_STRING_MAX_BYTES
from amqpy_broker.protocols.amqp091.content import ContentHeader, FramedMessage
from amqpy_broker.protocols.amqp091.frames import BODY, HEADER, pack_frame
from amqpy_broker.protocols.amqp091.publishes import Publish
from amqpy_broker.testing.conversation.properties import ContentHead, PropertyValue, write_header
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.looking.messages import PROPERTY_NAMES

# Who gets it on another channel gets it rewritten.
_CHANNEL: Final = 1
_JSON: Final = "application/json"


def compose(
    exchange: str,
    routing_key: str,
    body: object,
    headers: Mapping[str, object] | None,
    properties: Mapping[str, object],
    *,
    mandatory: bool,
) -> FramedMessage:
    """Make a message.

    Args:
        exchange: where it goes.
        routing_key: with which routing key.
        body: octets as they are, text as UTF-8, anything else as JSON.
        headers: the header table.
        properties: the others by name; a time may be a `datetime`.
        mandatory: whether it is to be returned if there is no way for it.

    Raises:
        Misuse: there cannot be such a message.
    """
    octets, is_json = octets_of_body(body)
    given = dict(properties)
    if is_json:
        given.setdefault("content_type", _JSON)
    try:
        _check_name("exchange", exchange)
        _check_name("routing_key", routing_key)
        values = {name: _property(name, value) for name, value in given.items() if value is not None}
        if headers is not None:
            values["headers"] = arguments(headers)
        payload = write_header(ContentHead(len(octets), values))
    except (TypeError, ValueError) as failure:
        raise Misuse(f"there cannot be such a message: {failure}") from None
    frames = pack_frame(HEADER, _CHANNEL, payload) + (pack_frame(BODY, _CHANNEL, octets) if octets else b"")
    publish = Publish(exchange, routing_key, mandatory=mandatory, immediate=False)
    return FramedMessage(publish, ContentHeader(payload), frames, _CHANNEL)


def octets_of_body(body: object) -> tuple[bytes, bool]:
    """Write a body; say whether it was written as JSON.

    Raises:
        Misuse: it cannot be.
    """
    match body:
        case bytes() | bytearray() | memoryview():
            return bytes(body), False
        case str():
            return body.encode(), False
        case _:
            try:
                return json.dumps(body, separators=(",", ":")).encode(), True
            except (TypeError, ValueError) as failure:
                raise Misuse(f"a body is bytes, text, or what JSON can hold: {failure}") from None


def _property(name: str, value: object) -> PropertyValue:
    if name == "headers" or name not in PROPERTY_NAMES:
        hint = "; pass headers=" if name == "headers" else ""
        raise ValueError(f"messages have no property {name!r}{hint}; they have {', '.join(PROPERTY_NAMES)}")
    match value:
        case datetime():
            moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
            return int(moment.timestamp())
        case str():
            return value
        case int() if name == "expiration":
            return str(value)
        case int() if not isinstance(value, bool):
            return value
        case _:
            raise ValueError(f"the property {name} cannot be {value!r}")


def _check_name(what: str, name: str) -> None:
    if len(name.encode("utf-8", "surrogateescape")) > SHORT_STRING_MAX_BYTES:
        raise ValueError(f"{what} is longer than {SHORT_STRING_MAX_BYTES} octets")


def typed(values: Mapping[str, object] | None) -> dict[str, Argument]:
    """Give arguments their natural types.

    Raises:
        Misuse: there is none for one of them.
    """
    try:
        return arguments(values or {})
    except (TypeError, ValueError) as failure:
        raise Misuse(f"there cannot be such arguments: {failure}") from None
