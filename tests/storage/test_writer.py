"""How batches become statements: few, and never at the cost of what is on the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from amqpy_broker.core.journal import Batch, Mark, Name
from amqpy_broker.storage.layout import connect
from amqpy_broker.storage.store import Store
from tests.storage.rigs import TextFormat, part


class Traced:
    """A store, and the statements that write to it."""

    def __init__(self, directory: Path) -> None:
        self.statements: list[str] = []
        self.path = directory / "journal.db"
        self.store = Store(directory, TextFormat(), connect=self._connect)

    def _connect(self, uri: str) -> sqlite3.Connection:
        connection = connect(uri)
        connection.set_trace_callback(self.statements.append)
        return connection

    def write(self, batch: Batch) -> list[str]:
        """Write a batch; return the first words of the statements that it took."""
        self.statements.clear()
        self.store.execute(self.store.plan(batch))
        return [sql.split()[0] for sql in self.statements if not sql.startswith("--")]

    def rows(self, table: str) -> list[int]:
        with closing(sqlite3.connect(self.path)) as connection:
            return [row for (row,) in connection.execute(f"SELECT id >> 20 FROM {table} WHERE id > 0 ORDER BY id")]


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Traced]:
    traced = Traced(tmp_path / "data")
    yield traced
    traced.store.close()


def settled(*places: int, batch: int) -> list[Name]:
    return [Name(batch, 7, place) for place in places]


def test_a_piece_takes_the_berth_of_one_that_is_settled_in_one_statement(traced: Traced) -> None:
    traced.write(Batch(1, parts={7: part(1, "a", "b")}))
    traced.write(Batch(2, parts={7: part(3, "c")}, settled=settled(1, 2, batch=1)))
    assert traced.write(Batch(3, parts={7: part(4, "d", "e")}, settled=settled(3, batch=2))) == ["INSERT"]
    assert (traced.rows("pieces"), traced.rows("recent"), traced.rows("notes")) == ([], [3], [])


def test_notes_go_with_the_piece_that_they_are_about(traced: Traced) -> None:
    traced.write(Batch(1, parts={7: part(1, "z")}))
    traced.write(Batch(2, parts={7: part(2, "a", "b")}, settled=settled(1, batch=1)))
    traced.write(Batch(3, settled=settled(2, batch=2)))
    assert traced.rows("notes") == [2]
    traced.write(Batch(4, parts={7: part(4, "c")}, settled=settled(3, batch=2)))
    assert (traced.rows("recent"), traced.rows("notes")) == ([4], [])


def test_marks_of_the_first_moment_go_with_their_piece_too(traced: Traced) -> None:
    traced.write(Batch(1, parts={7: part(1, "z")}))
    traced.write(Batch(2, parts={7: part(2, "a")}, marks={Name(2, 7, 2): Mark(1, 1)}, settled=settled(1, batch=1)))
    assert (traced.rows("recent"), traced.rows("notes")) == ([2], [2])
    traced.write(Batch(3, parts={7: part(3, "b")}, settled=settled(2, batch=2)))
    assert (traced.rows("recent"), traced.rows("notes")) == ([3], [])


def test_after_a_restart_nothing_is_taken_to_have_no_notes(tmp_path: Path) -> None:
    traced = Traced(tmp_path / "data")
    traced.write(Batch(1, parts={7: part(1, "z")}))
    traced.write(Batch(2, parts={7: part(2, "a", "b")}, settled=settled(1, batch=1)))
    traced.write(Batch(3, settled=settled(2, batch=2)))
    traced.store.close()

    traced = Traced(tmp_path / "data")
    traced.write(Batch(4, parts={7: part(4, "c")}, settled=settled(3, batch=2)))
    assert (traced.rows("recent"), traced.rows("notes")) == ([4], [])
    traced.store.close()


@pytest.mark.parametrize("lost", ["DELETE FROM pieces WHERE id > 0", "DELETE FROM recent WHERE berth > 0"])
def test_a_piece_is_written_even_if_the_one_that_it_follows_is_gone(traced: Traced, lost: str) -> None:
    traced.write(Batch(1, parts={7: part(1, "a")}))
    traced.write(Batch(2, parts={7: part(2, "b")}, settled=settled(1, batch=1)))
    plan = traced.store.plan(Batch(3, parts={7: part(3, "c")}, settled=settled(2, batch=2)))
    with closing(sqlite3.connect(traced.path, isolation_level=None)) as connection:
        connection.execute(lost)
    traced.store.execute(plan)
    assert traced.rows("recent") == [3]
