"""The engine in a directory: a disk that is full or fails, who may open it, reading beside writing, and space."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from amqpy_broker.core.journal import Batch, JournalFailed, Mark, Name, Page
from amqpy_broker.storage.layout import FILE_NAME, connect, write_state
from amqpy_broker.storage.log import log_path
from amqpy_broker.storage.store import Store
from tests.storage.faulty_disk import Fault
from tests.storage.rigs import SqliteRig, TextFormat, part


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


# --- a disk that is full, a disk that fails ------------------------------------------------------------------------


def test_a_batch_without_room_waits_and_is_written_when_there_is_room_again(directory: Path) -> None:
    fault = Fault()
    rig = SqliteRig(directory, connect=fault.connect)
    fault.arm(sqlite3.SQLITE_FULL, times=1 << 30)
    rig.journal.append(Batch(1, parts={7: part(1, "a")}, documents={"d": b"1"}))
    assert rig.wait() is True
    fault.times = 0
    assert rig.wait() is False
    assert rig.wait() == 1

    rig.write(Batch(2, settled=[Name(1, 7, 1)], parts={7: part(2, "b")}))
    rig.restart()
    assert rig.everything() == {Name(2, 7, 2): "b"}
    rig.stop()


def test_a_full_disk_is_told_once_however_often_it_is_tried(directory: Path) -> None:
    fault = Fault()
    rig = SqliteRig(directory, connect=fault.connect)
    fault.arm(sqlite3.SQLITE_FULL, times=3)
    rig.journal.append(Batch(1, parts={7: part(1, "a")}, documents={"d": b"1"}))
    rig.wait_for(1)

    assert rig.told == [True, False, 1]
    rig.stop()


def test_sqlites_own_word_that_the_file_may_not_grow_is_a_full_disk(directory: Path) -> None:
    connections: list[sqlite3.Connection] = []

    def connect_and_keep(uri: str) -> sqlite3.Connection:
        connection = connect(uri)
        if "mode=rwc" in uri:
            connections.append(connection)
        return connection

    rig = SqliteRig(directory, connect=connect_and_keep)
    (limit,) = connections[-1].execute("PRAGMA page_count").fetchone()
    connections[-1].execute(f"PRAGMA max_page_count={limit}")
    rig.journal.append(Batch(1, parts={7: part(1, "x" * 100_000)}))
    assert rig.wait() is True
    connections[-1].execute("PRAGMA max_page_count=1000000")
    rig.wait_for(1)

    rig.crash()
    assert rig.bodies(1, 7) == ["x" * 100_000]
    rig.stop()


def test_closing_says_what_found_no_room(directory: Path) -> None:
    fault = Fault()
    rig = SqliteRig(directory, connect=fault.connect)
    rig.write(Batch(1, parts={7: part(1, "a")}))
    fault.arm(sqlite3.SQLITE_FULL, times=1 << 30)
    rig.journal.append(Batch(2, parts={7: part(2, "b")}))
    assert rig.wait() is True

    with pytest.raises(JournalFailed, match="there is no room for the last batches"):
        rig.stop()
    fault.times = 0
    again = SqliteRig(directory)
    assert again.everything() == {Name(1, 7, 1): "a"}
    assert not again.recovered.closed_cleanly
    again.stop()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CORRUPT])
def test_after_a_failure_nothing_is_told_to_be_durable_any_more(directory: Path, code: int) -> None:
    fault = Fault()
    rig = SqliteRig(directory, connect=fault.connect)
    rig.write(Batch(1, parts={7: part(1, "a")}))
    fault.arm(code)
    rig.journal.append(Batch(2, parts={7: part(2, "b")}))
    failure = rig.wait()
    rig.journal.append(Batch(3, parts={7: part(3, "c")}))
    rig.stop()

    assert isinstance(failure, JournalFailed)
    assert f"the journal in {directory} cannot be written any more" in str(failure)
    assert rig.told == [1, failure]
    assert rig.called.empty()
    again = SqliteRig(directory)
    assert Name(1, 7, 1) in again.everything()
    assert not again.recovered.closed_cleanly
    again.stop()


def test_what_cannot_be_written_is_a_failure_and_not_silence(directory: Path) -> None:
    rig = SqliteRig(directory)
    # More than the format can count.
    rig.journal.append(Batch(1 << 43, parts={7: part(1, "a")}))

    assert isinstance(rig.wait(), JournalFailed)
    rig.stop()


# --- reading beside writing -----------------------------------------------------------------------------------------


def test_a_read_does_not_wait_for_a_commit_that_is_under_way(directory: Path) -> None:
    rig = SqliteRig(directory)
    rig.write(Batch(1, parts={7: part(1, "a")}))
    writing = sqlite3.connect(directory / FILE_NAME, isolation_level=None)
    writing.execute("BEGIN IMMEDIATE")
    writing.execute("DELETE FROM pieces")

    assert rig.bodies(1, 7) == ["a"]
    writing.execute("ROLLBACK")
    writing.close()
    rig.stop()


def test_a_page_that_went_bad_is_not_read_as_something_else(directory: Path) -> None:
    rig = SqliteRig(directory)
    rig.write(Batch(1, parts={7: part(1, "a")}))
    with sqlite3.connect(directory / FILE_NAME) as other:
        other.execute("UPDATE pieces SET body = replace(body, 'a', 'b')")
    other.close()

    with pytest.raises(JournalFailed, match="batch 1 of the journal is damaged"):
        rig.stored(1, 7)
    rig.stop()


# --- who may open it ------------------------------------------------------------------------------------------------


def test_a_second_broker_is_refused_and_told_who_has_the_directory(directory: Path) -> None:
    rig = SqliteRig(directory)
    script = (
        "import sys; from pathlib import Path; from amqpy_broker.storage.sqlite import SqliteJournal\n"
        "SqliteJournal(Path(sys.argv[1]), None, None).recover()"
    )
    other = subprocess.run([sys.executable, "-c", script, str(directory)], capture_output=True, text=True, check=False)

    with pytest.raises(JournalFailed, match=r"data is in use by process \d+"):
        SqliteRig(directory)
    assert other.returncode == 1
    assert "is in use by process" in other.stderr
    rig.stop()
    SqliteRig(directory).stop()


def test_a_killed_broker_leaves_the_directory_to_the_next(directory: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom amqpy_broker.core.journal import Batch\n"
        "from amqpy_broker.storage.store import Store\nfrom tests.storage.rigs import TextFormat, part\n"
        "store = Store(Path(sys.argv[1]), TextFormat())\n"
        "store.execute(store.plan(Batch(1, parts={7: part(1, 'a')})))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script, str(directory)], cwd=root, check=False, env={"PYTHONPATH": str(root)})

    rig = SqliteRig(directory)
    assert rig.everything() == {Name(1, 7, 1): "a"}
    assert not rig.recovered.closed_cleanly
    rig.stop()


def test_who_does_nothing_after_a_crash_does_not_hide_it(directory: Path) -> None:
    rig = SqliteRig(directory)
    rig.write(Batch(1, parts={7: part(1, "a")}))
    rig.crash()
    rig.restart()

    assert not rig.recovered.closed_cleanly
    rig.write(Batch(rig.recovered.next_batch, settled=[Name(1, 7, 1)]))
    rig.restart()
    assert rig.recovered.closed_cleanly
    rig.stop()


def test_a_later_format_is_refused(directory: Path) -> None:
    SqliteRig(directory).stop()
    with sqlite3.connect(directory / FILE_NAME) as other:
        write_state(other, "format", "3")
    other.close()

    with pytest.raises(JournalFailed, match="has format 3, and this version of the broker knows format 2"):
        SqliteRig(directory)
    with pytest.raises(JournalFailed, match="has format 3"):
        SqliteRig(directory, recover=True)


# --- space ----------------------------------------------------------------------------------------------------------


def a_store(directory: Path, **options: int) -> Store:
    return Store(directory, TextFormat(), connect=Fault().connect, **options)


def write(store: Store, batch: Batch) -> None:
    store.execute(store.plan(batch))


def tidied(store: Store) -> int:
    """Tidy up until nothing is left to do; return the size of the file and its log."""
    while store.tidy(idle=True):
        pass
    return store.path.stat().st_size + log_path(store.path).stat().st_size


def test_space_returns_to_the_system_when_a_queue_is_empty(directory: Path) -> None:
    store = a_store(directory)
    empty = tidied(store)
    for number in range(1, 41):
        write(store, Batch(number, parts={7: part(number * 100, *["x" * 1000] * 100)}))
    full = tidied(store)
    write(store, Batch(41, settled_ranges=[(Name(number, 7, 0), 1 << 40) for number in range(1, 41)]))

    assert full > 4_000_000
    # What the next batches need stays free in the file.
    assert tidied(store) < empty + 1_100_000
    store.close()


def test_one_message_that_nobody_takes_does_not_keep_the_space_of_the_others(directory: Path) -> None:
    store = a_store(directory)
    for number in range(1, 41):
        write(store, Batch(number, parts={7: part(number * 100, *["x" * 1000] * 100)}, expiries={(7, number * 100): 5}))
        write(store, Batch(number + 100, marks={Name(number, 7, number * 100): Mark(number, 0)}))
    full = tidied(store)
    for number in range(1, 41):
        write(store, Batch(number + 200, settled_ranges=[(Name(number, 7, number * 100 + 1), 1 << 40)]))

    assert tidied(store) < full // 3
    left = store.read(Page(40, 7, 0, 1 << 40, 1, 0))
    assert [(stored.place, stored.expires_at_unix_ms, stored.mark) for stored in left] == [(4000, 5, Mark(40, 0))]
    assert left[0].message.body == b"x" * 1000
    store.close()
    again = a_store(directory)
    assert len(list(again.recovered.pages)) == 40
    write(again, Batch(again.recovered.next_batch, settled=[Name(40, 7, 4000)]))
    assert again.read(Page(40, 7, 0, 1 << 40, 1, 0)) == []
    again.close()


def test_the_log_does_not_grow_with_what_is_written(directory: Path) -> None:
    store = a_store(directory)
    sizes = []
    for number in range(1, 81):
        write(
            store,
            Batch(number, parts={7: part(number, "x" * 1_000_000)}, settled=[Name(max(1, number - 1), 7, number - 1)]),
        )
        store.tidy(idle=False)
        sizes.append(log_path(store.path).stat().st_size)

    assert sizes[-1] == sizes[40] < 32_000_000
    store.close()


def test_what_is_synced_can_be_read_while_the_next_batches_are_written(directory: Path) -> None:
    rig = SqliteRig(directory)
    for number in range(1, 61):
        settled = [Name(number - 20, 7, (number - 20) * 100 + offset) for offset in range(99)] if number > 20 else []
        bodies = ["x" * 300 + str(number * 100 + offset) for offset in range(100)]
        rig.journal.append(Batch(number, parts={7: part(number * 100, *bodies)}, settled=settled))
    for number in range(1, 61):
        rig.wait_for(number)
        # Others are settled, and their pieces written anew, meanwhile.
        assert rig.bodies(number, 7, number * 100 + 99)[0].endswith("x" + str(number * 100 + 99))
    rig.restart()
    assert [page.count for page in rig.pages] == [1] * 40 + [100] * 20
    rig.stop()
