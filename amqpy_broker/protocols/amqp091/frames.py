"""Frames: the envelope of everything on the wire [AMQP 0-9-1 4.2.3].

type:8 channel:16 size:32 payload end:8 (0xCE)
"""

from struct import Struct
from typing import Final

from amqpy_broker.core.erlang_terms import Atom, Term, format_p, format_p_at
from amqpy_broker.core.errors import FrameError, UnexpectedFrame

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
# class and method; class, weight and body size; anything.
HEADER_PAYLOAD_MIN: Final = 12
_LEAST_SIZES: Final = {METHOD: 4, HEADER: HEADER_PAYLOAD_MIN, BODY: 0}

FRAME_END: Final = 0xCE
END_OCTET: Final = b"\xce"
HEAD_SIZE: Final = 7
# Head and end octet: what a frame adds to its payload.
ENVELOPE_SIZE: Final = 8

# type, channel, size
FRAME_HEAD: Final = Struct(">BHI")
HEARTBEAT_FRAME: Final = FRAME_HEAD.pack(HEARTBEAT, 0, 0) + END_OCTET

# What RabbitMQ finds wrong with a frame of no type that it knows.
UNKNOWN_FRAME: Final = Atom("unknown_frame")
# How much of a payload RabbitMQ shows in its texts.
_SHOWN_OCTETS: Final = 16


def pack_frame(frame_type: int, channel: int, payload: bytes) -> bytes:
    """Put a payload into its envelope."""
    return b"".join((FRAME_HEAD.pack(frame_type, channel, len(payload)), payload, END_OCTET))


def is_complete(frame_type: int, payload: bytes) -> bool:
    """Say whether RabbitMQ knows what this is: the type, and a payload that is long enough for it."""
    if frame_type == HEARTBEAT:
        return not payload
    least = _LEAST_SIZES.get(frame_type)
    return least is not None and len(payload) >= least


def bad_frame(frame_type: int, payload: bytes, reason: Term) -> FrameError:
    """Complain about a frame in RabbitMQ's words (`rabbit_reader:frame_error/3`)."""
    shown = _shown(frame_type, payload) + ": "
    return FrameError(shown + format_p_at(reason, len(shown)))


class LostSync(FrameError):
    """The peer's frames cannot be told apart: nothing that follows can be read."""


def lost_sync(frame_type: int, payload: bytes, reason: Term) -> LostSync:
    """Complain about octets that end, or would never end, in the wrong place (`rabbit_reader:fatal_frame_error/5`)."""
    shown = _shown(frame_type, payload) + ": "
    return LostSync(shown + format_p_at(reason, len(shown)))


def unexpected_frame(frame_type: int, payload: bytes) -> UnexpectedFrame:
    """Complain about a frame that may not come here (`rabbit_reader:unexpected_frame/3`)."""
    return UnexpectedFrame(_shown(frame_type, payload))


def _shown(frame_type: int, payload: bytes) -> str:
    which = "all" if len(payload) <= _SHOWN_OCTETS else f"first {_SHOWN_OCTETS}"
    return f"type {frame_type}, {which} octets = {format_p(payload[:_SHOWN_OCTETS])}"
