"""Octets that nobody should send: nothing raises, nothing leaks, and nobody else notices."""

from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.core.limits import UNFINISHED_CONTENT_MAX_BYTES
from amqpy_broker.protocols.amqp091.connection import State
from tests.conversations import Steps, at_once, conversations, divided_at, play
from tests.wire import PROTOCOL_HEADER, Client, handshake, new_broker

HELD_MAX_BYTES = 131_072 + 8
ENDINGS = (State.CLOSING, State.LINGERING, State.SILENT, State.CLOSED)

cuts = st.lists(st.integers(0, 2**20), max_size=6)
# Where, what to do there, with what.
changes = st.lists(
    st.tuples(
        st.integers(0, 2**20),
        st.sampled_from(("replace", "insert", "delete", "flip", "repeat")),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=4,
)


def changed(octets: bytes, what: list[tuple[int, str, bytes]]) -> bytes:
    """Damage octets here and there."""
    for place, how, new in what:
        at = place % (len(octets) + 1)
        before, after = octets[:at], octets[at:]
        match how:
            case "replace":
                octets = before + new + after[len(new) :]
            case "insert":
                octets = before + new + after
            case "delete":
                octets = before + after[len(new) :]
            case "flip":
                octets = before + bytes(octet ^ 1 << (new[0] % 8) for octet in after[:1]) + after[1:]
            case _:
                octets = before + after[: 16 * len(new)] + after
    return octets


def check_that_all_is_well(client: Client) -> None:
    """A connection holds no more than it may, ends in time, leaves nothing behind, and has disturbed nobody."""
    connection, broker = client.connection, client.broker
    assert connection._input.held_size <= HELD_MAX_BYTES
    session = connection._session
    assert session is None or 0 <= session.unfinished_bytes <= UNFINISHED_CONTENT_MAX_BYTES
    if client.state in ENDINGS:
        client.pass_time(31)
        assert connection.closed
    connection.lost()
    assert connection.closed
    assert connection._session is None
    assert all(not q.unacked_count and not q.consumer_count for q in broker.vhosts["/"].queues.values())
    assert Client(broker).open().is_usable()


@given(st.binary(max_size=300), cuts)
def test_random_octets_instead_of_a_header(octets: bytes, where: list[int]) -> None:
    client = Client()

    for chunk in divided_at(where)(octets):
        client.feed(chunk)

    check_that_all_is_well(client)


@given(st.binary(max_size=300), cuts, st.integers(0, 4))
def test_random_octets_in_and_after_a_handshake(octets: bytes, where: list[int], steps: int) -> None:
    client = Client()
    for said in handshake()[:steps]:
        client.feed(said)

    for chunk in divided_at(where)(octets):
        client.feed(chunk)

    check_that_all_is_well(client)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.binary(max_size=40)), max_size=20))
def test_random_frames(frames: list[tuple[int, int, bytes]]) -> None:
    from tests.wire import frame

    check_that_all_is_well(play(new_broker(), [frame(*parts) for parts in frames]))


@given(changes, cuts)
def test_a_damaged_handshake(what: list[tuple[int, str, bytes]], where: list[int]) -> None:
    client = Client()

    for chunk in divided_at(where)(PROTOCOL_HEADER + changed(b"".join(handshake()[1:]), what)):
        client.feed(chunk)

    check_that_all_is_well(client)


@given(conversations(), changes, cuts)
def test_a_damaged_conversation(steps: Steps, what: list[tuple[int, str, bytes]], where: list[int]) -> None:
    damaged = changed(b"".join(steps), what)

    check_that_all_is_well(play(new_broker(), [damaged], divided_at(where)))


@given(conversations(), st.integers(0, 2**20))
def test_a_conversation_that_breaks_off(steps: Steps, at: int) -> None:
    octets = b"".join(steps)

    check_that_all_is_well(play(new_broker(), [octets[: at % (len(octets) + 1)]], at_once))


@given(conversations(), conversations(), changes)
def test_two_at_once_one_of_them_damaged(one: Steps, other: Steps, what: list[tuple[int, str, bytes]]) -> None:
    broker = new_broker()
    good = play(broker, one)
    bad = play(broker, [changed(b"".join(other), what)])

    good.connection.lost()
    check_that_all_is_well(bad)
