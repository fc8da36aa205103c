"""What is said can be read, however its bytes are cut, and nothing that is said makes the reader stumble."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic, Channel, Queue

from amqpy_broker.core.arguments import Argument
from amqpy_broker.testing.conversation.decoder import Conversation
from amqpy_broker.testing.conversation.events import Ended, Event, Heartbeat, ProtocolHeader, Said, Unreadable
from amqpy_broker.testing.conversation.frames import Direction
from amqpy_broker.testing.conversation.splitter import Follower
from tests.conversations import Steps, conversations
from tests.testing.conversation.conversing import (
    TO_CLIENT,
    TO_SERVER,
    after_the_handshake,
    converse,
    hear,
    joined,
    said,
)
from tests.wire import ManualClock, content, frame, handshake, method, publish


def heard(*octets: bytes) -> list[Event]:
    """What happens when a client says this, without the end."""
    conversation = Conversation(ManualClock())
    return [event for one in octets for event in conversation.client_sent(one)]


def test_a_conversation_is_told_in_its_order_and_by_who_speaks() -> None:
    events = hear(converse(method(1, Channel.Open), method(1, Queue.Declare, queue="q"), frame(8, 0)))
    assert isinstance(events[0], ProtocolHeader)
    assert [(event.direction, event.name) for event in said(events)] == [
        (TO_CLIENT, "connection.start"),
        (TO_SERVER, "connection.start-ok"),
        (TO_CLIENT, "connection.tune"),
        (TO_SERVER, "connection.tune-ok"),
        (TO_SERVER, "connection.open"),
        (TO_CLIENT, "connection.open-ok"),
        (TO_SERVER, "channel.open"),
        (TO_CLIENT, "channel.open-ok"),
        (TO_SERVER, "queue.declare"),
        (TO_CLIENT, "queue.declare-ok"),
    ]
    assert [type(event) for event in events[-2:]] == [Heartbeat, Ended]


def test_arguments_keep_the_types_of_the_wire() -> None:
    arguments = {"x-max-length": Argument("short", 3), "nested": {"list": [1, None]}}
    (declare,) = said(heard(method(1, Queue.Declare, queue="q", durable=True, arguments=arguments)))
    assert declare.arguments["durable"] is True
    assert declare.arguments["arguments"] == {
        "x-max-length": Argument("short", 3),
        "nested": Argument("table", {"list": Argument("array", [Argument("signedint", 1), Argument("void", None)])}),
    }


@pytest.mark.parametrize("body", [b"", b"x", b"x" * 10_000])
def test_a_message_is_one_event_with_properties_and_body(body: bytes) -> None:
    octets = publish(1, "x", "key", body, body_frame_size=4096, headers={"a": 1}, delivery_mode=2, message_type="new")
    (event,) = heard(octets)
    assert isinstance(event, Said)
    assert event.content is not None
    assert event.content.properties == {
        "headers": {"a": Argument("byte", 1)},
        "delivery_mode": 2,
        "type": "new",
    }
    assert (event.content.body, event.content.body_size) == (body, len(body))


def test_a_broker_brings_messages_in_three_methods() -> None:
    events = after_the_handshake(
        hear(
            converse(
                method(1, Channel.Open) + method(1, Queue.Declare, queue="q"),
                publish(1, "", "q", b"got") + publish(1, "", "q", b"delivered"),
                publish(1, "", "missing", b"returned", mandatory=True),
                method(1, Basic.Get, queue="q"),
                method(1, Basic.Consume, queue="q"),
            )
        )
    )
    brought = [(event.name, event.content.body) for event in events if event.content and event.direction is TO_CLIENT]
    assert brought == [
        ("basic.return", b"returned"),
        ("basic.get-ok", b"got"),
        ("basic.deliver", b"delivered"),
    ]


def test_contents_on_two_channels_may_come_in_turns() -> None:
    first, second = publish(1, "", "a", b"first"), publish(2, "", "b", b"second")
    events = said(heard(first[:-13], second, first[-13:]))
    assert [(event.channel, event.content and event.content.body) for event in events] == [
        (2, b"second"),
        (1, b"first"),
    ]


def test_of_a_large_body_the_beginning_is_kept() -> None:
    conversation = Conversation(ManualClock(), body_kept_bytes=100)
    (event,) = conversation.client_sent(publish(1, "", "q", b"x" * 1000, body_frame_size=64))
    assert isinstance(event, Said)
    assert event.content is not None
    assert (event.content.body, event.content.body_size, event.content.is_cut) == (b"x" * 100, 1000, True)


# What cannot be read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (frame(1, 1, b"\x00\x3c\x27\x0f"), "unknown 60.9999: unknown method 60.9999"),
        (frame(1, 1, b"\x00\x3c\x00\x50"), "basic.ack: cannot decode"),
        (frame(3, 1, b"body"), "a body frame that belongs to nothing"),
        (content(1, b"body"), "a header frame that belongs to nothing"),
        (frame(8, 0, b"payload"), "this is no frame"),
        (method(1, Basic.Publish) + frame(2, 1, b"\x00\x3c" + b"\xff" * 20), "the content header cannot be read"),
        (publish(1, "", "q", b"body")[:-12] + method(1, Channel.Close), "basic.publish waits for 4 octets, and is cut"),
    ],
)
def test_what_cannot_be_read_is_told_and_what_follows_is_read(octets: bytes, reason: str) -> None:
    events = heard(octets + method(1, Basic.Ack, delivery_tag=5))
    unreadable = next(event for event in events if isinstance(event, Unreadable))
    assert reason in unreadable.reason
    last = events[-1]
    assert isinstance(last, Said)
    assert last.arguments["delivery_tag"] == 5


@pytest.mark.parametrize(
    "octets", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x00\xf5\x01\x00\x00", b"\x01\x00\x01\x00\x00\x00\x00!"]
)
def test_when_frames_cannot_be_told_apart_the_rest_is_raw(octets: bytes) -> None:
    events = heard(octets, method(1, Basic.Ack))
    assert [type(event) for event in events] == [Unreadable] * 2
    assert b"".join(event.octets for event in events if isinstance(event, Unreadable)) == octets + method(1, Basic.Ack)


def test_one_side_that_cannot_be_read_does_not_hide_the_other() -> None:
    conversation = Conversation(ManualClock())
    conversation.client_sent(b"GET / HTTP/1.1\r\n")
    assert len(said(conversation.server_sent(method(1, Basic.Ack)))) == 1


def test_the_end_tells_what_it_cut_short() -> None:
    conversation = Conversation(ManualClock())
    conversation.client_sent(publish(1, "", "q", b"body")[:-12] + b"\x03\x00\x01")
    reasons = [event.reason for event in conversation.ended("reset") if isinstance(event, Unreadable)]
    assert reasons == [
        "basic.publish waits for 4 octets, and is cut short after 0 octets by the connection",
        "the connection ends within a frame",
    ]


# Properties -----------------------------------------------------------------------------------------------------------

chunk_sizes = st.lists(st.integers(1, 300), max_size=40)


def cut(octets: bytes, sizes: Sequence[int]) -> list[bytes]:
    places = [0]
    for size in sizes:
        places.append(min(places[-1] + size, len(octets)))
    return [octets[start:stop] for start, stop in pairwise([*places, len(octets)])]


@given(conversations(max_size=12), chunk_sizes, chunk_sizes)
def test_the_events_do_not_depend_on_how_bytes_are_cut(steps: Steps, client: list[int], server: list[int]) -> None:
    turns = converse(*steps)
    sides = {way: b"".join(octets for direction, octets in turns if direction is way) for way in Direction}
    whole = hear([*sides.items()])
    cuts = {TO_SERVER: client, TO_CLIENT: server}
    chunked = hear([(way, chunk) for way, octets in sides.items() for chunk in cut(octets, cuts[way])])
    assert joined(chunked) == joined(whole)


@given(st.lists(st.tuples(st.sampled_from(Direction), st.binary(max_size=200)), max_size=20), st.booleans())
def test_random_bytes_never_raise_and_none_of_them_are_lost(
    turns: list[tuple[Direction, bytes]], begin_well: bool
) -> None:
    start = [(TO_SERVER, b"".join(handshake()))] if begin_well else []
    assert isinstance(hear([*start, *turns])[-1], Ended)


@given(conversations(max_size=8), st.data())
def test_damaged_bytes_never_raise(steps: Steps, data: st.DataObject) -> None:
    octets = bytearray(b"".join((*handshake(), *steps)))
    for at in data.draw(st.lists(st.integers(0, len(octets) - 1), max_size=8)):
        octets[at] ^= data.draw(st.integers(1, 255))
    assert isinstance(hear([(TO_SERVER, bytes(octets))])[-1], Ended)


@given(conversations(max_size=8, mistakes_too=False), chunk_sizes)
def test_a_follower_knows_where_frames_begin(steps: Steps, sizes: list[int]) -> None:
    octets = b"".join((*handshake(), *steps))
    starts, at = set(), 0
    while at < len(octets):
        starts.add(at)
        at += 8 if octets.startswith(b"AMQP", at) else 8 + int.from_bytes(octets[at + 3 : at + 7], "big")
    follower, passed = Follower(), 0
    for chunk in cut(octets, sizes):
        first = follower.pass_by(chunk)
        begin = [start for start in starts if passed <= start < passed + len(chunk)]
        assert first == (min(begin) - passed if begin else len(chunk))
        passed += len(chunk)
        assert follower.between_frames is (passed in starts or passed == len(octets))
