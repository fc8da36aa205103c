"""What is damaged is told, set aside when asked for, and never taken for something else."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from amqpy_broker.core.journal import Batch, JournalFailed, Mark, Name
from amqpy_broker.storage.layout import DAMAGED_FOLDER, FILE_NAME
from amqpy_broker.storage.log import PAGE_BYTES, log_path
from tests.storage.rigs import SqliteRig, part


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A journal of three batches, closed."""
    rig = SqliteRig(tmp_path / "data")
    rig.write(Batch(1, parts={7: part(1, "a", "b"), 8: part(1, "x")}, documents={"d": b"1", "e": b"2"}))
    rig.write(Batch(2, parts={7: part(3, "c")}))
    rig.write(Batch(3, parts={7: part(4, "d")}, settled=[Name(1, 7, 1)], marks={Name(1, 7, 2): Mark(3, 0)}))
    rig.stop()
    return rig.directory


def change(directory: Path, sql: str) -> None:
    connection = sqlite3.connect(directory / FILE_NAME)
    assert connection.execute(sql).rowcount == 1
    connection.commit()
    connection.close()


SOUND = {Name(1, 7, 2): "b", Name(1, 8, 1): "x", Name(2, 7, 3): "c", Name(3, 7, 4): "d"}


def test_a_damaged_batch_is_told_with_what_it_held_and_what_to_do(directory: Path) -> None:
    octets = (directory / FILE_NAME).read_bytes()
    (directory / FILE_NAME).write_bytes(octets.replace(b"mambmx", b"mamqmx"))

    with pytest.raises(JournalFailed) as failure:
        SqliteRig(directory)
    assert str(failure.value) == (
        f"the journal in {directory} is damaged: batch 1: its body's checksum is wrong; it held 2 messages of queue 7, "
        "1 messages of queue 8. Start with --recover to set aside what is damaged and to go on with the rest"
    )


@pytest.mark.parametrize(
    ("sql", "told", "left"),
    [
        (f"UPDATE pieces SET body = x'00' WHERE id = {2 << 20}", "1 messages of queue 7", {(2, 7, 3)}),
        (f"UPDATE pieces SET head = x'00' WHERE id = {2 << 20}", "an unknown number of messages", {(2, 7, 3)}),
        (f"UPDATE pieces SET id = {5 << 20} WHERE id = {2 << 20}", "its head's checksum is wrong", {(2, 7, 3)}),
        ("UPDATE documents SET data = x'00' WHERE key = CAST('d' AS BLOB)", "document b'd' is damaged", set()),
        (f"UPDATE notes SET id = {2 << 20} WHERE id = {1 << 20}", "its notes are another piece's", set()),
    ],
)
def test_the_rest_opens_without_what_is_damaged(
    directory: Path, sql: str, told: str, left: set[tuple[int, int, int]]
) -> None:
    change(directory, sql)
    with pytest.raises(JournalFailed, match=told if "another" not in told else "checksum"):
        SqliteRig(directory)

    rig = SqliteRig(directory, recover=True)
    found = rig.everything()
    rig.stop()
    again = SqliteRig(directory)
    assert {name: body for name, body in SOUND.items() if name not in left}.items() <= found.items()
    assert not left & set(found)
    assert again.everything() == found
    assert again.recovered.documents == ({"e": b"2"} if "documents" in sql else {"d": b"1", "e": b"2"})
    assert (directory / DAMAGED_FOLDER / "1" / "findings.txt").read_text()
    assert len(list((directory / DAMAGED_FOLDER / "1").iterdir())) > 1
    again.stop()


def test_when_notes_are_damaged_messages_come_back_rather_than_go(directory: Path) -> None:
    change(directory, f"UPDATE notes SET data = x'00' WHERE id = {1 << 20}")

    rig = SqliteRig(directory, recover=True)
    assert rig.everything() == {**SOUND, Name(1, 7, 1): "a"}
    rig.stop()


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def scramble_tree(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    at = octets.index(b"pieces", PAGE_BYTES) // PAGE_BYTES * PAGE_BYTES
    octets[at + 3 : at + 5] = b"\0\1"
    path.write_bytes(octets)


@pytest.mark.parametrize("damage", [truncate, scramble_tree])
def test_a_file_whose_structure_is_damaged_is_refused_and_kept(directory: Path, damage: Callable[[Path], None]) -> None:
    damage(directory / FILE_NAME)
    octets = (directory / FILE_NAME).read_bytes()
    with pytest.raises(JournalFailed, match="--recover"):
        SqliteRig(directory)
    assert (directory / FILE_NAME).read_bytes() == octets

    try:
        rig = SqliteRig(directory, recover=True)
    except JournalFailed as failure:
        assert "restore a backup" in str(failure)  # noqa: PT017 - or it opens, as below
    else:
        assert rig.everything().items() <= {**SOUND, Name(1, 7, 1): "a"}.items()
        rig.stop()
    assert (directory / DAMAGED_FOLDER / "1" / FILE_NAME).read_bytes() == octets


def test_something_else_is_no_journal(directory: Path) -> None:
    (directory / FILE_NAME).write_bytes(b"something else entirely" * 1000)

    with pytest.raises(JournalFailed, match="file is not a database"):
        SqliteRig(directory)


# --- the log --------------------------------------------------------------------------------------------------------


def killed(tmp_path: Path) -> Path:
    """A journal of a broker that was killed, with its last batches in the log."""
    rig = SqliteRig(tmp_path / "data")
    for number in range(1, 6):
        rig.write(Batch(number, parts={7: part(number, str(number))}))
    shutil.copytree(rig.directory, tmp_path / "killed", ignore=shutil.ignore_patterns("*-shm"))
    rig.stop()
    return tmp_path / "killed"


def test_a_file_without_its_log_is_refused(tmp_path: Path) -> None:
    # As somebody leaves it who backs up one file of a running broker.
    directory = killed(tmp_path)
    log_path(directory / FILE_NAME).unlink()

    with pytest.raises(JournalFailed, match=r"the log journal.db-wal is missing, with the last batches in it"):
        SqliteRig(directory)
    rig = SqliteRig(directory, recover=True)
    assert rig.everything().items() <= {Name(n, 7, n): str(n) for n in range(1, 6)}.items()
    rig.stop()


def test_a_log_without_its_file_is_refused(tmp_path: Path) -> None:
    directory = killed(tmp_path)
    (directory / FILE_NAME).unlink()

    with pytest.raises(JournalFailed, match="is missing, and its log is there"):
        SqliteRig(directory)


def test_a_log_that_is_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    directory = killed(tmp_path)
    log = log_path(directory / FILE_NAME)
    octets = bytearray(log.read_bytes())
    # In the first of its batches.
    octets[32 + 24 + 4120 + 100] ^= 1
    log.write_bytes(octets)

    with pytest.raises(JournalFailed, match=r"the log is damaged in the middle: the last \d batches in it are lost"):
        SqliteRig(directory)
    assert log.read_bytes() == octets
    rig = SqliteRig(directory, recover=True)
    assert rig.everything().items() <= {Name(n, 7, n): str(n) for n in range(1, 6)}.items()
    rig.stop()
    assert (directory / DAMAGED_FOLDER / "1" / log.name).read_bytes() == octets


def test_a_log_with_a_torn_end_is_a_crash_and_no_damage(tmp_path: Path) -> None:
    directory = killed(tmp_path)
    log = log_path(directory / FILE_NAME)
    log.write_bytes(log.read_bytes()[:-100])

    rig = SqliteRig(directory)
    assert rig.everything() == {Name(n, 7, n): str(n) for n in range(1, 5)}
    rig.stop()
