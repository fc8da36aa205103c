"""Where consumers keep up, pieces are written over each other; what stays long is moved, and nothing is lost by it."""

from __future__ import annotations

import lzma
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from amqpy_broker.core.journal import Batch, JournalFailed, Mark, Name, Page
from amqpy_broker.storage.berths import BERTH_BYTES_MAX, BERTHS_MAX, Berth, Berths
from amqpy_broker.storage.inspect import compact, inspect, messages
from amqpy_broker.storage.layout import FILE_NAME
from amqpy_broker.storage.log import PAGE_BYTES
from amqpy_broker.storage.pieces import batch_of, recent_id
from amqpy_broker.storage.store import Store
from tests.storage.rigs import SqliteRig, TextFormat, part

# --- which berth ----------------------------------------------------------------------------------------------------


def test_the_berth_of_a_piece_that_goes_comes_before_a_vacant_one() -> None:
    berths = Berths()
    for number in (1, 2):
        berths.add(number, 480)
    berths.take(recent_id(5, 2))
    assert berths.choose(100, [recent_id(5, 2)], may_be_new=True) == Berth(2, 480)
    assert berths.choose(100, [], may_be_new=True) == Berth(1, 480)


def test_new_berths_are_made_only_while_pieces_go() -> None:
    berths = Berths()
    assert berths.choose(100, [], may_be_new=False) is None
    assert berths.missed_count == 0
    for number in range(1, BERTHS_MAX + 1):
        berth = berths.choose(100, [], may_be_new=True)
        assert berth == Berth(number, 480)
        berths.add(number, 480)
        berths.take(recent_id(number, number))
    assert berths.choose(100, [], may_be_new=True) is None
    assert berths.missed_count == 1


def test_a_piece_is_padded_to_the_length_of_its_berth_unless_it_is_much_shorter() -> None:
    berths = Berths()
    length = 480 + 2 * (PAGE_BYTES - 4)
    berths.add(1, length)
    assert berths.choose(length - 1, [], may_be_new=True) == Berth(1, length)
    assert berths.choose(length // 4 + 1, [], may_be_new=True) == Berth(1, length)
    assert berths.choose(length // 5, [], may_be_new=False) == Berth(1, 480 + PAGE_BYTES - 4)
    assert berths.choose(length + 1, [], may_be_new=False) == Berth(1, 480 + 3 * (PAGE_BYTES - 4))


def test_what_is_too_long_for_a_berth_gets_none() -> None:
    berths = Berths()
    assert berths.choose(BERTH_BYTES_MAX + 1, [], may_be_new=True) is None


# --- a flow of batches ----------------------------------------------------------------------------------------------


class Flow:
    """Batches of which each settles the one before."""

    def __init__(self, directory: Path, **options: int) -> None:
        self.directory = directory
        self.options = options
        self.store = Store(directory, TextFormat(), **options)
        self.number = 0
        # What is not settled.
        self.left: dict[Name, str] = {}

    def write(self, *bodies: str, stays: bool = False, settle: bool = True) -> None:
        self.number += 1
        place = self.number * 100
        settled = [name for name, body in self.left.items() if not body.startswith("stays")] if settle else []
        bodies = tuple(f"stays {body}" for body in bodies) if stays else bodies
        self.store.execute(self.store.plan(Batch(self.number, parts={7: part(place, *bodies)}, settled=settled)))
        for name in settled:
            del self.left[name]
        self.left |= {Name(self.number, 7, place + offset): body for offset, body in enumerate(bodies)}

    def settle(self, *names: Name) -> None:
        self.number += 1
        self.store.execute(self.store.plan(Batch(self.number, settled=list(names))))
        for name in names:
            del self.left[name]

    def read(self) -> dict[Name, str]:
        return {
            Name(batch, 7, stored.place): stored.message.body.decode()
            for batch in range(1, self.number + 1)
            for stored in self.store.read(Page(batch, 7, 0, 1 << 40, 0, 0))
        }

    def recovered(self) -> dict[Name, str]:
        return {
            Name(page.batch, page.queue, stored.place): stored.message.body.decode()
            for page in self.store.recovered.pages
            for stored in self.store.read(page)
        }

    def restart(self, *, kill: bool) -> None:
        if kill:
            self.store.abandon()
        else:
            self.store.close()
        self.store = Store(self.directory, TextFormat(), **self.options)

    def batches(self, table: str) -> list[int]:
        """Batches with live pieces in a table."""
        with closing(sqlite3.connect(self.directory / FILE_NAME)) as connection:
            found = connection.execute(f"SELECT id FROM {table} WHERE id > 0 ORDER BY id").fetchall()
        return [batch_of(row) for (row,) in found]


@pytest.mark.parametrize("kill", [True, False])
def test_what_is_in_a_berth_is_read_and_recovered_like_everything_else(tmp_path: Path, kill: bool) -> None:
    flow = Flow(tmp_path / "data")
    flow.write("a", stays=True)
    for size in (1, 50_000, 3, 2000, 20_000, 1):
        flow.write("x" * size, "y" * 10)
        assert flow.read() == flow.left
    assert flow.batches("recent")
    flow.restart(kill=kill)
    assert flow.recovered() == flow.left
    flow.write("after")
    assert flow.read() == flow.left
    flow.store.close()


def test_the_file_does_not_grow_with_batches_of_all_sizes(tmp_path: Path) -> None:
    flow = Flow(tmp_path / "data")
    for number in range(200):
        flow.write("x" * (number * 997 % 120_000))
    while flow.store.tidy(idle=True):
        pass
    flow.store.close()
    assert (tmp_path / "data" / FILE_NAME).stat().st_size < BERTHS_MAX * BERTH_BYTES_MAX + 2_000_000


def test_a_settled_piece_leaves_a_vacant_berth_and_not_its_messages(tmp_path: Path) -> None:
    flow = Flow(tmp_path / "data")
    flow.write("a")
    flow.write("b")
    flow.settle(*flow.left)
    assert flow.batches("recent") == []
    flow.restart(kill=True)
    assert list(flow.store.recovered.pages) == []
    flow.write("c")
    assert (flow.batches("recent"), flow.read()) == ([4], flow.left)
    flow.store.close()


def test_pieces_that_stay_leave_their_berths_to_others(tmp_path: Path) -> None:
    flow = Flow(tmp_path / "data", berths_missed_max=3)
    flow.write("first")
    for number in range(BERTHS_MAX):
        flow.write(f"{number}", stays=True)
        flow.write("comes and goes")
    stuck = flow.batches("recent")
    marked = next(name for name in flow.left if name.batch == stuck[0])
    flow.number += 1
    flow.store.execute(flow.store.plan(Batch(flow.number, marks={marked: Mark(7, 7)})))
    for number in range(100):
        flow.write(f"flow {number}")
        flow.store.tidy(idle=False)
    assert stuck[0] in flow.batches("pieces")
    assert flow.number in flow.batches("recent")
    assert flow.read() == flow.left
    (found,) = flow.store.read(Page(marked.batch, 7, marked.place, marked.place, 1, 0))
    assert found.mark == Mark(7, 7)
    flow.restart(kill=True)
    assert flow.recovered() == flow.left
    flow.settle(*flow.left)
    flow.restart(kill=False)
    assert list(flow.store.recovered.pages) == []
    flow.store.close()


def test_a_piece_that_has_left_its_berth_is_found_with_what_its_batch_spilled(tmp_path: Path) -> None:
    flow = Flow(tmp_path / "data", berths_missed_max=1)
    flow.write("z")
    batch = Batch(2, parts={7: part(200, "lasts")}, spilled={7: part(201, "spilled")}, settled=list(flow.left))
    flow.store.execute(flow.store.plan(batch))
    flow.number, flow.left = 2, {Name(2, 7, 200): "stays", Name(2, 7, 201): "stays"}
    page = Page(2, 7, 0, 1 << 40, 2, 0)
    assert [stored.message.body for stored in flow.store.read(page)] == [b"lasts", b"spilled"]
    for number in range(BERTHS_MAX):
        flow.write(f"{number}", stays=True)
        flow.write("comes and goes")
    for number in range(100):
        flow.write(f"flow {number}")
        flow.store.tidy(idle=False)
    assert 2 in flow.batches("pieces")
    assert [stored.message.body for stored in flow.store.read(page)] == [b"lasts", b"spilled"]
    flow.store.close()


# --- from outside ---------------------------------------------------------------------------------------------------


def test_who_looks_in_from_outside_sees_what_is_in_berths_in_its_place(tmp_path: Path) -> None:
    flow = Flow(tmp_path / "data")
    for number in range(4):
        flow.write(f"{number}", stays=True)
        flow.write("comes and goes")
    flow.store.close()

    assert inspect(tmp_path / "data").queues[7].messages == 5
    shown = [(found.batch, found.message.body.decode()) for found in messages(tmp_path / "data", TextFormat())]
    assert shown == sorted((name.batch, body) for name, body in flow.left.items())
    compact(tmp_path / "data")
    flow.store = Store(tmp_path / "data", TextFormat())
    assert flow.recovered() == flow.left
    flow.store.close()


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("UPDATE recent SET id = id + 1048576 WHERE id = {live}", "its head's checksum is wrong"),
        ("UPDATE recent SET id = -id - 1 WHERE id = {live}", "its head's checksum is wrong"),
        ("UPDATE recent SET id = 'x' WHERE id = {live}", "it is not what was written"),
        ("UPDATE recent SET berth = 77 WHERE id = {live}", "it is in another's berth"),
        ("UPDATE recent SET body = zeroblob(length(body)) WHERE id = {live}", "its body's checksum is wrong"),
        ("UPDATE recent SET head = x'00' WHERE id = {live}", "its head is too short"),
        ("UPDATE recent SET head = x'00' WHERE id < 0", "its head is too short"),
    ],
)
def test_a_damaged_berth_is_told_and_set_aside(tmp_path: Path, sql: str, told: str) -> None:
    flow = Flow(tmp_path / "data")
    flow.write("a")
    flow.write("b")
    flow.write("c", stays=True)
    flow.write("d")
    flow.write("e")
    flow.settle(Name(5, 7, 500))
    live = recent_id(3, 1)
    flow.store.close()
    with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME, isolation_level=None)) as connection:
        connection.execute(sql.format(live=live))

    with pytest.raises(JournalFailed, match=told):
        Store(tmp_path / "data", TextFormat())
    store = Store(tmp_path / "data", TextFormat(), recover=True)
    left = [stored.message.body for page in store.recovered.pages for stored in store.read(page)]
    assert left == ([b"stays c"] if "id < 0" in sql else [])
    store.close()
    Store(tmp_path / "data", TextFormat()).close()


# --- the format before ----------------------------------------------------------------------------------------------

# Written by the version before there were berths, as the journal of `test_damage`.
FORMAT_1 = Path(__file__).parent / "journals" / "format-1.db.xz"
IN_FORMAT_1 = {Name(1, 7, 2): "b", Name(1, 8, 1): "x", Name(2, 7, 3): "c", Name(3, 7, 4): "d"}


def test_a_journal_of_format_1_opens_and_goes_on(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / FILE_NAME).write_bytes(lzma.decompress(FORMAT_1.read_bytes()))
    assert not inspect(directory).survey.findings
    assert len(list(messages(directory, TextFormat()))) == 4

    rig = SqliteRig(directory)
    assert rig.everything() == IN_FORMAT_1
    assert rig.recovered.documents == {"d": b"1", "e": b"2"}
    (found,) = rig.stored(1, 7)
    assert found.mark == Mark(3, 0)
    first = rig.recovered.next_batch
    rig.write(Batch(first, parts={7: part(9, "new")}, settled=[Name(2, 7, 3)]))
    rig.write(Batch(first + 1, parts={7: part(10, "newer")}, settled=[Name(first, 7, 9)]))
    rig.restart()
    assert sorted(rig.everything().values()) == ["b", "d", "newer", "x"]
    rig.stop()


def test_tables_of_one_format_that_say_another_are_damaged(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / FILE_NAME).write_bytes(lzma.decompress(FORMAT_1.read_bytes()))
    SqliteRig(directory).stop()
    with closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("DROP TABLE recent")
    with pytest.raises(JournalFailed, match="another format than it says"):
        SqliteRig(directory)
