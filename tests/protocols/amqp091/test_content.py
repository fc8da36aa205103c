"""Contents: what is read of a header, and frames that come out as they came in, or cut to the receiver's size."""

from datetime import UTC, datetime
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import header
from pamqp.commands import Basic

from amqpy_broker.core.arguments import plain
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
