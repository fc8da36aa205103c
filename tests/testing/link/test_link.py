"""A link hands on what both sides say, but for what its filters do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic, Channel, Queue

from amqpy_broker.testing.conversation.frames import method_frame_of
from amqpy_broker.testing.link.link import (
    DROP,
    PASS,
    Direction,
    Ending,
    FrameKind,
    Hold,
    Link,
    LinkFilter,
    Order,
    Verdict,
    WireFrame,
)
from tests.wire import ManualClock, frame, handshake, method, publish

TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT
CONVERSATION = b"".join(handshake()) + b"".join(publish(1, "", "q", b"\xce" * size) for size in range(0, 60, 7))


class Told:
    """A filter that does what a test says, and remembers what it saw."""

    def __init__(self, decide: Callable[[WireFrame], Verdict] = lambda _: PASS) -> None:
        self.decide = decide
        self.seen: list[WireFrame] = []

    def filter(self, link: Link, frame: WireFrame) -> Verdict:
        self.seen.append(frame)
        return self.decide(frame)

    @property
    def names(self) -> list[str]:
        return [seen.name for seen in self.seen]


def linked(*filters: LinkFilter, woken: list[Direction] | None = None) -> Link:
    link = Link(ManualClock(), wake=None if woken is None else woken.append)
    for one in filters:
        link.add(one)
    return link


def clock(link: Link) -> ManualClock:
    assert isinstance(link.clock, ManualClock)
    return link.clock


def named(name: str, verdict: Verdict) -> Callable[[WireFrame], Verdict]:
    return lambda frame: verdict if frame.name == name else PASS


def acks(*tags: int, channel: int = 1) -> list[bytes]:
    return [method(channel, Basic.Ack, delivery_tag=tag) for tag in tags]


# Passing --------------------------------------------------------------------------------------------------------------


def test_without_filters_the_very_same_bytes_go_on() -> None:
    link = linked()
    octets = CONVERSATION[:100]
    link.client_sent(octets)
    assert link.take(TO_SERVER) is octets


def test_each_direction_goes_its_way() -> None:
    link = linked(Told())
    link.client_sent(CONVERSATION)
    link.server_sent(frame(8, 0))
    assert (link.take(TO_SERVER), link.take(TO_CLIENT)) == (CONVERSATION, frame(8, 0))


@given(st.data())
def test_filters_that_come_and_go_in_the_middle_of_frames_change_nothing(data: st.DataObject) -> None:
    told = Told()
    link, passed, rest = linked(), b"", CONVERSATION
    while rest:
        if data.draw(st.booleans()):
            link.remove(told) if told in link.filters else link.add(told)
        size = data.draw(st.integers(1, 60))
        link.client_sent(rest[:size])
        rest = rest[size:]
        passed += link.take(TO_SERVER)
    link.remove(told)
    link.client_sent(b"")
    assert passed + link.take(TO_SERVER) == CONVERSATION
    assert all(seen.kind is not FrameKind.UNREADABLE for seen in told.seen)


@given(st.lists(st.binary(max_size=40), max_size=10), st.booleans())
def test_whatever_is_sent_goes_on(chunks: Sequence[bytes], begin_well: bool) -> None:
    link = linked(Told())
    start = CONVERSATION[:60] if begin_well else b""
    for chunk in (start, *chunks):
        link.client_sent(chunk)
        link.server_sent(chunk)
    sent = start + b"".join(chunks)
    went_on = link.take(TO_SERVER)
    # What may be the beginning of a frame waits for its end.
    assert sent.startswith(went_on)
    assert link.take(TO_CLIENT) == went_on
    for one in link.filters:
        link.remove(one)
    link.client_sent(b"")
    assert went_on + link.take(TO_SERVER) == sent


def test_a_filter_added_within_a_frame_begins_with_the_next_one() -> None:
    told, link = Told(), linked()
    octets = publish(1, "", "q", b"body")
    link.client_sent(octets[:12])
    link.add(told)
    link.client_sent(octets[12:])
    assert link.take(TO_SERVER) == octets
    assert told.names == ["header", "body"]


def test_a_filter_sees_names_arguments_and_to_what_contents_belong() -> None:
    told = Told()
    link = linked(told)
    link.client_sent(publish(3, "x", "key", b"body", mandatory=True))
    first, header, body = told.seen
    assert (first.name, first.channel, first.direction) == ("basic.publish", 3, TO_SERVER)
    assert first.arguments["routing_key"] == "key"
    assert first.arguments["mandatory"] is True
    assert (header.content_of, body.content_of, body.payload) == (first, first, b"body")


def test_what_is_no_frame_is_shown_as_it_is_and_goes_on() -> None:
    told = Told()
    link = linked(told)
    link.client_sent(b"GET / HTTP/1.1\r\n")
    link.client_sent(b"\r\n")
    assert [seen.kind for seen in told.seen] == [FrameKind.UNREADABLE] * 2
    assert link.take(TO_SERVER) == b"GET / HTTP/1.1\r\n\r\n"


def test_waking_tells_that_there_is_something_to_take() -> None:
    woken: list[Direction] = []
    link = linked(woken=woken)
    link.client_sent(b"AMQP\x00\x00\x09\x01")
    link.client_sent(frame(8, 0))
    assert woken == [TO_SERVER]
    link.take(TO_SERVER)
    link.client_sent(frame(8, 0))
    assert woken == [TO_SERVER] * 2


# Dropping and replacing -----------------------------------------------------------------------------------------------


def test_a_dropped_method_takes_its_message_with_it() -> None:
    link = linked(Told(lambda frame: DROP if frame.arguments.get("routing_key") == "b" else PASS), later := Told())
    a, b, c = (publish(1, "", key, key.encode()) for key in "abc")
    link.client_sent(a + b + c)
    assert link.take(TO_SERVER) == a + c
    assert len(later.seen) == 6


def test_an_empty_replacement_drops_one_frame_alone() -> None:
    link = linked(Told(named("basic.publish", ())))
    octets = publish(1, "", "q", b"body")
    link.client_sent(octets)
    assert link.take(TO_SERVER) == octets[octets.index(b"\xce\x02") + 1 :]


def test_a_message_on_another_channel_is_not_dropped_with_one() -> None:
    link = linked(Told(lambda frame: DROP if frame.name == "basic.publish" and frame.channel == 1 else PASS))
    one, two = publish(1, "", "q", b"1"), publish(2, "", "q", b"2")
    link.client_sent(one + two)
    assert link.take(TO_SERVER) == two


def test_replacements_go_on_to_the_next_filters() -> None:
    def twice(frame: WireFrame) -> Verdict:
        return [frame, method_frame_of(TO_SERVER, 1, "basic.ack", {"delivery_tag": 7})]

    link = linked(Told(twice), later := Told())
    link.client_sent(acks(1)[0])
    assert link.take(TO_SERVER) == b"".join(acks(1, 7))
    assert [seen.arguments["delivery_tag"] for seen in later.seen] == [1, 7]


def test_a_replaced_method_still_owns_its_message() -> None:
    link = linked(
        Told(lambda frame: [frame.replaced_by(frame.octets)] if frame.name == "basic.publish" else PASS),
        Told(named("basic.publish", DROP)),
    )
    link.client_sent(publish(1, "", "q", b"body"))
    assert link.take(TO_SERVER) == b""


def test_a_corrupt_frame_can_be_sent_on() -> None:
    link = linked(Told(lambda frame: [frame.replaced_by(frame.octets[:-1] + b"\x00")]))
    link.server_sent(frame(8, 0))
    assert link.take(TO_CLIENT) == frame(8, 0)[:-1] + b"\x00"


# Holding --------------------------------------------------------------------------------------------------------------


def test_what_is_held_goes_on_at_its_time_and_in_its_order() -> None:
    link = linked()
    link.add(Told(lambda frame: Hold(until_s=clock(link).now_s + 5) if frame.arguments["delivery_tag"] == 2 else PASS))
    octets = acks(1, 2, 3)
    link.client_sent(b"".join(octets))
    assert link.take(TO_SERVER) == octets[0]
    assert link.next_deadline_s == clock(link).now_s + 5
    clock(link).advance(4)
    link.handle_deadline()
    assert link.take(TO_SERVER) == b""
    clock(link).advance(1)
    link.handle_deadline()
    assert link.take(TO_SERVER) == octets[1] + octets[2]
    assert link.next_deadline_s == float("inf")


def test_channels_overtake_a_hold_that_keeps_the_order_of_its_own_alone() -> None:
    hold = Hold(order=Order.CHANNEL)
    link = linked(Told(lambda frame: hold if frame.channel == 1 else PASS))
    link.client_sent(acks(1)[0] + acks(2, channel=2)[0] + acks(3)[0])
    assert link.take(TO_SERVER) == acks(2, channel=2)[0]
    hold.release()
    assert link.take(TO_SERVER) == acks(1)[0] + acks(3)[0]


def test_the_other_direction_does_not_wait() -> None:
    link = linked(Told(lambda frame: Hold() if frame.direction is TO_SERVER else PASS))
    link.client_sent(frame(8, 0))
    link.server_sent(frame(8, 0))
    assert (link.take(TO_SERVER), link.take(TO_CLIENT)) == (b"", frame(8, 0))


def test_a_hold_that_was_released_holds_no_more() -> None:
    hold = Hold()
    link = linked(Told(lambda _: hold))
    hold.release()
    link.client_sent(frame(8, 0))
    assert link.take(TO_SERVER) == frame(8, 0)


def test_what_two_filters_hold_waits_for_both() -> None:
    first, second = Hold(), Hold()
    link = linked(Told(lambda _: first), Told(lambda _: second))
    link.client_sent(frame(8, 0))
    first.release()
    assert link.take(TO_SERVER) == b""
    second.release()
    assert link.take(TO_SERVER) == frame(8, 0)


def test_what_is_held_stays_held_without_the_filter_and_what_comes_waits_behind_it() -> None:
    hold = Hold()
    link = linked(told := Told(lambda _: hold))
    link.client_sent(acks(1)[0])
    link.remove(told)
    link.client_sent(acks(2)[0][:5])
    link.client_sent(acks(2)[0][5:])
    assert link.take(TO_SERVER) == b""
    hold.release()
    assert link.take(TO_SERVER) == b"".join(acks(1, 2))


def test_too_much_that_is_held_makes_the_link_full() -> None:
    link = linked(Told(lambda _: Hold()))
    while not link.is_full(TO_SERVER):
        link.client_sent(frame(3, 1, b"x" * 1_000_000))
    assert not link.is_full(TO_CLIENT)


# Saying something, and ending -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("filters", [(), (Told(),)])
def test_what_is_put_in_does_not_cut_a_frame(filters: tuple[LinkFilter, ...]) -> None:
    link = linked(*filters)
    octets, own = method(1, Queue.Declare, queue="q"), method(1, Channel.Close)
    for at in range(1, len(octets)):
        link.server_sent(octets[:at])
        link.to_client(own)
        link.server_sent(octets[at:])
        assert link.take(TO_CLIENT) in (octets + own, own + octets)


def test_a_filter_can_answer_in_the_servers_place() -> None:
    link = linked()

    def refuse(frame: WireFrame) -> Verdict:
        link.to_client(method(frame.channel, Basic.GetEmpty))
        return DROP

    link.add(Told(refuse))
    link.client_sent(method(1, Basic.Get, queue="q"))
    assert (link.take(TO_SERVER), link.take(TO_CLIENT)) == (b"", method(1, Basic.GetEmpty))


def test_a_stopped_direction_swallows_everything_for_ever() -> None:
    link = linked()
    link.server_sent(frame(8, 0))
    link.stop(TO_CLIENT)
    link.server_sent(frame(8, 0))
    link.to_client(frame(8, 0))
    link.client_sent(frame(8, 0))
    assert (link.take(TO_SERVER), link.take(TO_CLIENT)) == (frame(8, 0), frame(8, 0))
    assert link.ending is None


@pytest.mark.parametrize(("reset", "ending", "left"), [(False, Ending.CLOSED, frame(8, 0)), (True, Ending.RESET, b"")])
def test_a_dropped_link_says_so_and_lets_nothing_more_through(reset: bool, ending: Ending, left: bytes) -> None:
    woken: list[Direction] = []
    link = linked(woken=woken)
    link.client_sent(frame(8, 0))
    link.drop(reset=reset)
    link.client_sent(frame(8, 0))
    assert link.ending is ending
    assert link.take(TO_SERVER) == left
    assert {*woken} == {TO_SERVER, TO_CLIENT}


def test_a_filter_that_drops_the_link_ends_the_read_it_is_in() -> None:
    link = linked()
    link.add(Told(lambda frame: link.drop() or PASS if frame.arguments["delivery_tag"] == 2 else PASS))
    link.client_sent(b"".join(acks(1, 2, 3)))
    assert link.take(TO_SERVER) == acks(1)[0]
