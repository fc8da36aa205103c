"""Frames: the envelope, and what is said about those that are wrong."""

import pytest

from amqpy_broker.core.erlang_terms import Atom
from amqpy_broker.core.errors import FrameError, Scope, UnexpectedFrame
from amqpy_broker.protocols.amqp091 import frames


def test_a_frame_is_type_channel_size_payload_and_the_end_octet() -> None:
    assert frames.pack_frame(frames.METHOD, 258, b"abc") == b"\x01\x01\x02\x00\x00\x00\x03abc\xce"


def test_a_heartbeat_is_an_empty_frame_on_channel_0() -> None:
    assert frames.HEARTBEAT_FRAME == b"\x08\x00\x00\x00\x00\x00\x00\xce"


def test_the_envelope_is_what_a_frame_adds_to_its_payload() -> None:
    assert len(frames.pack_frame(frames.BODY, 1, b"x" * 10)) == 10 + frames.ENVELOPE_SIZE


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"", "type 1, all octets = <<>>: unknown_frame"),
        (b"\x00\x3c\x00\x0a", "type 1, all octets = <<0,60,0,10>>: unknown_frame"),
        (b"\x00" * 17, "type 1, first 16 octets = <<0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0>>: unknown_frame"),
    ],
)
def test_a_bad_frame_is_shown_with_its_first_octets(payload: bytes, shown: str) -> None:
    refusal = frames.bad_frame(frames.METHOD, payload, Atom("unknown_frame"))

    assert (type(refusal), refusal.code, refusal.scope) == (FrameError, 501, Scope.CONNECTION)
    assert refusal.text == shown


def test_lost_sync_is_a_frame_error_in_the_same_words() -> None:
    reason = (Atom("frame_too_large"), 262144, 131064)

    assert isinstance(frames.lost_sync(1, b"", reason), FrameError)
    assert frames.lost_sync(1, b"", reason).reply_text == frames.bad_frame(1, b"", reason).reply_text
    assert frames.lost_sync(1, b"", reason).text == "type 1, all octets = <<>>: {frame_too_large,262144,131064}"


def test_an_unexpected_frame_is_shown_without_a_reason() -> None:
    refusal = frames.unexpected_frame(frames.HEARTBEAT, b"")

    assert isinstance(refusal, UnexpectedFrame)
    assert refusal.reply_text == "UNEXPECTED_FRAME - type 8, all octets = <<>>"
