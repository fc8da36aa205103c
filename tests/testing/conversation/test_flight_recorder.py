"""A flight recorder tells the last that was said, and forgets the rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic

from amqpy_broker.testing.conversation.flight_recorder import FlightRecorder
from tests.conversations import Steps, conversations
from tests.testing.conversation.conversing import TO_SERVER, converse, hear, said
from tests.wire import ManualClock, handshake, method, publish


def ack(tag: int) -> bytes:
    return method(1, Basic.Ack, delivery_tag=tag)


def test_all_is_told_while_there_is_room() -> None:
    turns = converse(ack(1))
    recorder = FlightRecorder(ManualClock())
    for direction, octets in turns:
        recorder.heard(direction, octets)
    assert recorder.events() == hear(turns)[:-1]


def test_the_last_events_are_told() -> None:
    recorder = FlightRecorder(ManualClock(), 7)
    recorder.client_sent(b"".join(map(ack, range(1, 10))))
    assert [event.arguments["delivery_tag"] for event in said(recorder.events(2))] == [8, 9]
    assert {event.connection for event in recorder.events()} == {7}
    assert recorder.events(0) == []


def test_what_is_kept_has_a_bound_and_begins_with_a_whole_frame() -> None:
    recorder = FlightRecorder(ManualClock(), kept_bytes=100)
    octets = b"".join(map(ack, range(1, 100)))
    for at in range(0, len(octets), 10):
        recorder.client_sent(octets[at : at + 10])
    events = recorder.events()
    tags = [event.arguments["delivery_tag"] for event in said(events)]
    assert len(events) == len(tags) == 4
    assert tags == [96, 97, 98, 99]


def test_the_rest_of_a_message_whose_beginning_is_gone_is_not_shown() -> None:
    recorder = FlightRecorder(ManualClock(), kept_bytes=300)
    octets = publish(1, "", "q", b"x" * 500, body_frame_size=100)
    for at in range(0, len(octets), 50):
        recorder.client_sent(octets[at : at + 50])
    recorder.client_sent(ack(1))
    assert [event.name for event in said(recorder.events())] == ["basic.ack"]
    assert len(recorder.events()) == 1


def recorded(octets: bytes, sizes: list[int], kept_bytes: int) -> FlightRecorder:
    """Record what a client says, cut into pieces."""
    recorder = FlightRecorder(ManualClock(), kept_bytes=kept_bytes)
    at = 0
    while at < len(octets):
        size = sizes[at % len(sizes)]
        recorder.client_sent(octets[at : at + size])
        at += size
    return recorder


sizes_of_pieces = st.lists(st.integers(1, 200), min_size=1)


@given(conversations(mistakes_too=False, max_size=8), sizes_of_pieces, st.integers(1, 2000))
def test_what_is_told_is_the_end_of_what_was_said(steps: Steps, sizes: list[int], kept_bytes: int) -> None:
    octets = b"".join((*handshake(), *steps))
    told = recorded(octets, sizes, kept_bytes).events()
    # Of messages on several channels, frame by frame in turn, one may lack its beginning and another not.
    everything = iter(hear([(TO_SERVER, octets)])[:-1])
    assert all(event in everything for event in told)


@given(conversations(max_size=8), sizes_of_pieces, st.integers(1, 2000), st.data())
def test_whatever_was_said_can_be_told(steps: Steps, sizes: list[int], kept_bytes: int, data: st.DataObject) -> None:
    octets = bytearray(b"".join((*handshake(), *steps)))
    for at in data.draw(st.lists(st.integers(0, len(octets) - 1), max_size=4)):
        octets[at] ^= 0xFF
    assert isinstance(recorded(bytes(octets), sizes, kept_bytes).events(), list)
