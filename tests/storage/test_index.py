"""What the writer keeps in memory: little for each piece, and nothing for those that are gone."""

from amqpy_broker.core.journal import Batch, Name
from amqpy_broker.storage.index import PieceIndex
from amqpy_broker.storage.pieces import encode, piece_id, read_body, read_head
from amqpy_broker.storage.tallies import TALLIES_MAX, Tallies, Tally
from tests.fakes import FakeMessage
from tests.storage.rigs import TextFormat, part


def test_the_pieces_of_a_batch_and_of_a_queue_are_found() -> None:
    index = PieceIndex()
    index.add(piece_id(5, 0), [1, 2], 10)
    index.add(piece_id(5, 1), [1], 3)
    index.add(piece_id(5, 0, spilled=True), [3], 1)
    index.add(piece_id(6, 0), [2], 1)

    assert list(index.of_batch(5)) == [piece_id(5, 0), piece_id(5, 1), piece_id(5, 0, spilled=True)]
    assert index.of_queue(2) == [piece_id(5, 0), piece_id(6, 0)]
    index.remove(piece_id(5, 0))
    assert list(index.of_batch(5)) == [piece_id(5, 1), piece_id(5, 0, spilled=True)]
    assert index.of_queue(2) == [piece_id(6, 0)]


def test_the_search_in_a_batch_begins_where_something_was_found_last() -> None:
    index = PieceIndex()
    rows = [piece_id(5, number) for number in range(4)] + [piece_id(5, number, spilled=True) for number in range(2)]
    for row in rows:
        index.add(row, [1], 1)
    index.remove(rows[2])

    assert list(index.of_batch(5, near=rows[3])) == [rows[3], rows[4], rows[5], rows[0], rows[1]]
    assert list(index.of_batch(5, near=rows[2])) == [rows[3], rows[4], rows[5], rows[0], rows[1]]


def test_a_queue_through_which_much_goes_does_not_collect_what_is_gone() -> None:
    index = PieceIndex()
    for batch in range(1, 10_000):
        index.add(piece_id(batch, 0), [7], 1)
        index.add(piece_id(batch, 1), [7], 1)
        index.remove(piece_id(batch, 0))
        index.remove(piece_id(batch, 1))

    assert not index.live
    assert len(index._rows_by_queue[7].rows) < 100
    assert not index._spread


def test_tallies_that_nobody_asks_for_are_read_again() -> None:
    loaded: list[int] = []

    def load(row: int) -> Tally:
        loaded.append(row)
        (written,) = encode(Batch(row >> 20, parts={7: part(1, "a")}), TextFormat().dump)
        return Tally(written.head)

    tallies = Tallies(load)
    for batch in range(1, TALLIES_MAX + 2):
        tallies.get(piece_id(batch, 0))
    tallies.trim()
    tallies.get(piece_id(2, 0))
    tallies.get(piece_id(1, 0))

    assert loaded[-2:] == [piece_id(TALLIES_MAX + 1, 0), piece_id(1, 0)]


def test_a_message_is_written_once_however_many_queues_hold_it() -> None:
    shared = FakeMessage("s" * 1000)
    batch = Batch(1, parts={queue: {place: shared for place in (1, 2, 9)} for queue in range(100)})
    (row,) = encode(batch, TextFormat().dump)
    head = read_head(row.head.id, row.head_octets)

    assert row.body.count(b"s" * 1000) == 1
    assert head.slot_count == 300
    assert read_body(head, row.body).body_sizes == (1000,)


def test_a_batch_is_cut_into_pieces_that_hold_all_of_it() -> None:
    bodies = ["x" * (number % 50) for number in range(200)]
    batch = Batch(3, parts={7: part(1, *bodies), 8: part(5, "own")}, expiries={(7, 150): 99})
    rows = list(encode(batch, TextFormat().dump, piece_bytes=1000))

    assert len(rows) > 4
    assert all(len(row.body) < 1000 + 9 * row.head.message_count for row in rows)
    assert sum(row.head.slot_count for row in rows) == 201
    tallies = [Tally(row.head) for row in rows]
    for name in [Name(3, 7, place) for place in range(1, 201)] + [Name(3, 8, 5)]:
        assert sum(tally.span(name.queue, name.place) is not None for tally in tallies) == 1
    expiries = [
        (tally.span(7, 150), read_body(row.head, row.body).expiries) for tally, row in zip(tallies, rows, strict=True)
    ]
    assert [({150 + span.shift: 99} if span else {}) == found for span, found in expiries] == [True] * len(rows)


def test_messages_that_several_queues_hold_with_gaps_are_each_in_one_piece() -> None:
    shared = [FakeMessage(str(number) * 30) for number in range(60)]
    forward = {3 * number: message for number, message in enumerate(shared)}
    backward = {2 * number: message for number, message in enumerate(reversed(shared))}
    rows = list(encode(Batch(3, parts={7: forward, 8: backward}), TextFormat().dump, piece_bytes=500))

    assert len(rows) > 4
    found: dict[tuple[int, int], bytes] = {}
    for row in rows:
        bounds = read_body(row.head, row.body).bounds()
        for queue, place, message, length in row.head.runs:
            for offset in range(length):
                at = message + offset
                found[queue, place + offset] = row.body[bounds[at] + 1 : bounds[at + 1]]
    assert found == {
        **{(7, place): message.body for place, message in forward.items()},
        **{(8, place): message.body for place, message in backward.items()},
    }
