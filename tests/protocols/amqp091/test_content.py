"""Contents: what is read of a header, and frames that come out as they came in, or cut to the receiver's size."""

from datetime import UTC, datetime
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import header
from pamqp.commands import Basic

from amqpy_broker.core.arguments import arguments, plain
from amqpy_broker.protocols.amqp091.content import ContentHeader, FramedMessage, MalformedContent
from amqpy_broker.protocols.amqp091.publishes import Publish
from amqpy_broker.protocols.amqp091.tables import MalformedTable
from tests.wire import content, frame, split

# pamqp leaves out what is empty.
short_texts = st.text(min_size=1, max_size=40)
property_values = st.fixed_dictionaries(
    {},
    optional={
        "content_type": short_texts,
        "content_encoding": short_texts,
        "headers": st.dictionaries(
            st.text(min_size=1, max_size=5), st.booleans() | short_texts, min_size=1, max_size=4
        ),
        "delivery_mode": st.sampled_from((1, 2)),
        "priority": st.integers(1, 9),
        "correlation_id": short_texts,
        "reply_to": short_texts,
        "expiration": short_texts,
        "message_id": short_texts,
        "timestamp": st.integers(0, 2**31).map(lambda second: datetime.fromtimestamp(second, UTC)),
        "message_type": short_texts,
        "user_id": short_texts,
        "app_id": short_texts,
    },
)


def header_payload(size: int, **properties: object) -> bytes:
    payload: bytes = header.ContentHeader(0, size, Basic.Properties(**properties)).marshal()
    return payload


def message_of(frames: bytes, channel: int) -> FramedMessage:
    _, _, payload = next(split(frames))
    return FramedMessage(Publish("x", "key", mandatory=False, immediate=False), ContentHeader(payload), frames, channel)


def read(frames: bytes) -> tuple[set[int], bytes, bytes, list[int]]:
    """Take content frames apart: channels, header, body, the sizes of the body frames."""
    parts = list(split(frames))
    assert [frame_type for frame_type, _, _ in parts] == [2] + [3] * (len(parts) - 1)
    bodies = [payload for _, _, payload in parts[1:]]
    return {channel for _, channel, _ in parts}, parts[0][2], b"".join(bodies), [len(body) for body in bodies]


@given(property_values, st.integers(0, 2**64 - 1))
def test_a_header_is_scanned_as_pamqp_reads_it(properties: dict[str, object], size: int) -> None:
    scanned = ContentHeader(header_payload(size, **properties))

    user_id = properties.get("user_id")
    assert (scanned.class_id, scanned.body_size) == (60, size)
    assert scanned.delivery_mode == properties.get("delivery_mode", 1)
    assert scanned.user_id == (user_id.encode() if isinstance(user_id, str) else None)
    assert bool(scanned.headers_at) == ("headers" in properties)


@given(property_values)
def test_the_header_table_is_found_among_any_properties(properties: dict[str, object]) -> None:
    message = message_of(content(1, b"body", **properties), 1)

    assert plain(message.headers) == properties.get("headers", {})


@given(property_values)
def test_a_header_with_a_property_that_ends_early_is_refused(properties: dict[str, object]) -> None:
    payload = header_payload(0, **properties)

    for size in range(len(payload)):
        with pytest.raises(MalformedContent):
            ContentHeader(payload[:size])


@pytest.mark.parametrize("name", ["correlation_id", "message_id", "timestamp"])
def test_a_header_with_a_property_that_is_different_each_time_is_not_worth_remembering(name: str) -> None:
    values = {"timestamp": datetime.fromtimestamp(0, UTC)}

    assert not ContentHeader(header_payload(1, **{name: values.get(name, "id")})).repeats
    assert ContentHeader(header_payload(1, delivery_mode=2, content_type="text/plain")).repeats


def test_a_second_word_of_flags_is_refused() -> None:
    with pytest.raises(MalformedContent):
        ContentHeader(pack(">HHQHH", 60, 0, 0, 1, 0))


@given(st.binary(max_size=40))
def test_any_octets_are_a_header_or_malformed(octets: bytes) -> None:
    try:
        scanned = ContentHeader(octets)
    except MalformedContent:
        return

    assert scanned.payload_size == len(octets)


def test_a_header_table_that_is_none_is_told_when_somebody_looks() -> None:
    raw = pack(">HI", 0x2000, 3) + b"\x09ab"
    message = message_of(content(1, b"", raw_properties=raw), 1)

    with pytest.raises(MalformedTable):
        _ = message.headers


bodies = st.binary(max_size=60)
frame_sizes = st.integers(1, 70)


@given(property_values, bodies, frame_sizes, st.integers(1, 9), st.integers(1, 9), frame_sizes)
def test_frames_for_another_channel_and_size_hold_the_same_message(
    properties: dict[str, object],
    body: bytes,
    body_frame_size: int,
    channel: int,
    other_channel: int,
    payload_max: int,
) -> None:
    frames = content(channel, body, body_frame_size=body_frame_size, **properties)

    written = message_of(frames, channel).frames_for(other_channel, payload_max)

    channels, head, written_body, sizes = read(written)
    assert channels == {other_channel}
    assert head == next(split(frames))[2]
    assert written_body == body
    assert all(0 < size <= payload_max for size in sizes)


@given(property_values, bodies, frame_sizes)
def test_frames_for_the_same_channel_are_the_very_octets_that_came(
    properties: dict[str, object], body: bytes, body_frame_size: int
) -> None:
    frames = content(3, body, body_frame_size=body_frame_size, **properties)

    assert message_of(frames, 3).frames_for(3, 131_064) is frames


@given(property_values, bodies, frame_sizes)
def test_a_message_knows_its_body_and_properties(
    properties: dict[str, object], body: bytes, body_frame_size: int
) -> None:
    frames = content(3, body, body_frame_size=body_frame_size, **properties)
    message = message_of(frames, 3)

    assert message.body == body
    assert message.body_size == len(body)
    assert message.properties == next(split(frames))[2][12:]
    assert message.memory_size == len(frames)
    assert message.persistent == (properties.get("delivery_mode") == 2)


def test_an_empty_body_has_no_frame() -> None:
    assert read(message_of(content(1, b""), 1).frames_for(2, 100))[3] == []


def test_frames_are_as_large_as_they_may_be() -> None:
    message = message_of(content(1, b"x" * 250, body_frame_size=30), 1)

    assert read(message.frames_for(2, 100))[3] == [100, 100, 50]


def test_a_body_frame_larger_than_the_receiver_takes_is_cut() -> None:
    frames = frame(2, 1, pack(">HHQH", 60, 0, 108, 0)) + frame(3, 1, b"x" * 108)

    assert read(message_of(frames, 1).frames_for(1, 100))[3] == [100, 8]


# --- messages that are changed on their way ---------------------------------------------------------------------------

CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "exchange": st.text(max_size=10),
        "routing_key": st.text(max_size=10),
        "headers": st.dictionaries(st.text(min_size=1, max_size=5), st.booleans() | short_texts, max_size=3),
        "drop_expiration": st.booleans(),
        "reply_to": short_texts,
    },
)


def read_properties(payload: bytes) -> dict[str, object]:
    read = header.ContentHeader()
    read.unmarshal(payload)
    return {name: value for name, value in read.properties if value is not None}


@given(property_values, bodies, frame_sizes, CHANGES)
def test_an_edited_message_differs_in_what_was_asked_for_alone(
    properties: dict[str, object], body: bytes, body_frame_size: int, changes: dict[str, Any]
) -> None:
    frames = content(3, body, body_frame_size=body_frame_size, **properties)
    original = message_of(frames, 3)
    expected = read_properties(next(split(frames))[2])
    if "reply_to" in changes:
        expected["reply_to"] = changes["reply_to"]
    if changes.get("drop_expiration"):
        expected.pop("expiration", None)
    if "headers" in changes:
        expected.pop("headers", None)
        expected |= {"headers": changes["headers"]} if changes["headers"] else {}
        changes["headers"] = arguments(changes["headers"])

    edited = original.edited(**changes)

    assert edited.exchange == changes.get("exchange", "x")
    assert edited.routing_key == changes.get("routing_key", "key")
    channels, head, edited_body, sizes = read(edited.frames)
    assert read_properties(head) == expected
    assert plain(edited.headers) == expected.get("headers", {})
    assert (channels, edited_body, sizes) == ({3}, *read(frames)[2:])
    assert (edited.body, edited.persistent, edited.memory_size) == (body, original.persistent, len(edited.frames))
    assert original.frames is frames


@given(property_values, CHANGES.filter(lambda changes: not changes.keys() - {"exchange", "routing_key"}))
def test_a_message_with_another_address_shares_its_octets(
    properties: dict[str, object], changes: dict[str, Any]
) -> None:
    original = message_of(content(3, b"body", **properties), 3)

    assert original.edited(**changes).frames is original.frames


def test_properties_that_are_not_edited_stay_byte_for_byte() -> None:
    # Text that is not UTF-8, a delivery mode that nobody has defined, a table with a field of each name twice.
    before = b"\x02\xff\xfe\x01\x80"
    table = b"\x01aI\x00\x00\x00\x07\x01aL" + bytes(8)
    after = b"\x07\xff" + b"\x03c\xff\xfe"
    raw = pack(">H", 0xFC00) + before + pack(">I", len(table)) + table + after
    message = message_of(content(1, b"body", raw_properties=raw), 1)

    edited = message.edited(reply_to="there")

    assert edited.properties == pack(">H", 0xFE00) + raw[2:] + b"\x05there"
    assert edited.edited(headers={}).properties == pack(">H", 0xDE00) + before + after + b"\x05there"


def test_a_message_knows_its_priority_and_expiration() -> None:
    message = message_of(content(1, b"", priority=7, expiration="1500"), 1)

    assert (message.priority, message.expiration_ms) == (7, 1500)
    assert (message.edited(drop_expiration=True).priority, message.edited(drop_expiration=True).expiration_ms) == (
        7,
        None,
    )


def test_without_the_properties_there_is_no_priority_and_no_expiration() -> None:
    message = message_of(content(1, b"", delivery_mode=2), 1)

    assert (message.priority, message.expiration_ms) == (0, None)
