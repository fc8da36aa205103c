"""Octets on their way in: reads in, pieces to act on out, whatever lies across two reads put together."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.protocols.amqp091.input import Input
from tests.wire import frame, split

HEAD_SIZE = 7


def read_frames(reads: list[bytes]) -> tuple[bytes, int]:
    """Take frames as a connection does; return the frames, and what is still held."""
    held = Input()
    held.needed_size = HEAD_SIZE
    taken = b""
    for octets in reads:
        held.push(octets)
        while (buffer := held.next()) is not None:
            data, at = buffer
            while True:
                if len(data) - at < HEAD_SIZE:
                    held.needed_size = HEAD_SIZE
                    break
                stop = at + HEAD_SIZE + int.from_bytes(data[at + 3 : at + 7], "big") + 1
                if stop > len(data):
                    held.needed_size = stop - at
                    break
                taken += data[at:stop]
                at = stop
            held.keep(data, at)
    return taken, held.held_size


@given(st.lists(st.binary(max_size=30), max_size=8), st.lists(st.integers(0, 300), max_size=8))
def test_frames_come_out_whole_however_they_were_read(payloads: list[bytes], cuts: list[int]) -> None:
    octets = b"".join(frame(1, 1, payload) for payload in payloads)
    places = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]

    taken, held = read_frames([octets[start:stop] for start, stop in pairwise(places)])

    assert (taken, held) == (octets, 0)
    assert [payload for _, _, payload in split(taken)] == payloads


def test_a_whole_read_is_handed_out_as_it_is() -> None:
    held = Input()
    octets = frame(1, 1, b"payload")

    held.push(octets)

    buffer = held.next()
    assert buffer is not None
    assert buffer.octets is octets
    assert held.next() is None


def test_what_is_incomplete_is_held() -> None:
    assert read_frames([frame(1, 1, b"payload")[:-1]]) == (b"", 14)


def test_nothing_is_left_after_clearing() -> None:
    held = Input()
    held.push(b"abc")
    held.keep(b"abc", 0)

    held.clear()

    assert held.held_size == 0
    assert held.next() is None
