"""What `amqpy-broker store` tells and does, beside a broker and without one."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from amqpy_broker.cli.store import store
from amqpy_broker.core.journal import Batch, Mark, Name, level_name
from amqpy_broker.core.message import Message
from amqpy_broker.protocols.amqp091.stored import StoredMessages
from amqpy_broker.storage.layout import FILE_NAME
from amqpy_broker.storage.sqlite import SqliteJournal
from amqpy_broker.storage.store import Store
from tests.storage.rigs import SqliteRig, part


def run(*arguments: object) -> Result:
    return CliRunner().invoke(store, [str(argument) for argument in arguments])


def stored_message(exchange: str, routing_key: str, body: bytes) -> Message:
    """A message as the protocol writes it."""
    address = b"".join(bytes((len(text),)) + text.encode() for text in (exchange, routing_key))
    header = b"\0\x3c\0\0" + len(body).to_bytes(8, "big") + b"\0\0"
    frames = b"".join(
        kind + len(payload).to_bytes(4, "big") + payload + b"\xce"
        for kind, payload in ((b"\2\0\1", header), (b"\3\0\1", body))
    )
    return StoredMessages().load(b"\0" + address + b"\xce" + frames)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A journal as a broker leaves it."""
    opened = Store(tmp_path / "data", StoredMessages())
    messages = {place: stored_message("ex", f"k{place}", b"body" * place) for place in range(1, 21)}
    batch = Batch(1, parts={7: messages, 8: {1: messages[1]}}, expiries={(7, 20): 99})
    batch.documents = {'queue ["/","orders"]': b'{"id":7}', 'vhost ["/"]': b"{}"}
    opened.execute(opened.plan(batch))
    batch = Batch(2, settled=[Name(1, 7, place) for place in range(3, 20)], marks={Name(1, 7, 20): Mark(4, 2)})
    opened.execute(opened.plan(batch))
    opened.close()
    return tmp_path / "data"


def test_check_says_that_all_is_sound(directory: Path) -> None:
    result = run("check", directory)

    assert result.exit_code == 0
    assert result.output == f"{directory}: sound: 4 messages of 2 queues, 2 documents\n"


def test_lines_of_a_queue_are_told_as_the_queue(tmp_path: Path) -> None:
    opened = Store(tmp_path / "data", StoredMessages())
    parts = {level_name(7, level): {1: stored_message("ex", f"p{level}", b"body")} for level in (0, 5, 255)}
    batch = Batch(1, parts=parts, documents={'queue ["/","orders"]': b'{"id":7}'})
    opened.execute(opened.plan(batch))
    opened.close()

    stats = json.loads(run("stats", "--json", tmp_path / "data").output)
    (queue,) = stats["queues"]
    assert (queue["id"], queue["name"], queue["batches"], queue["messages"]) == (7, "orders", 1, 3)
    dumped = [json.loads(line) for line in run("dump", tmp_path / "data", "--queue", "orders").output.splitlines()]
    told = [(line["queue"], line["routing_key"]) for line in dumped]
    assert told == [("orders", "p0"), ("orders", "p5"), ("orders", "p255")]


def test_check_fails_and_names_what_is_damaged(directory: Path) -> None:
    octets = (directory / FILE_NAME).read_bytes()
    (directory / FILE_NAME).write_bytes(octets.replace(b"bodybody", b"bodyblob", 1))
    result = run("check", directory)

    assert result.exit_code == 1
    assert "damaged: batch 1: its body's checksum is wrong; it held 20 messages of queue 7" in result.output


def test_stats_count_what_is_there(directory: Path) -> None:
    told = json.loads(run("stats", "--json", directory).output)

    assert told["messages"] == 4
    assert told["documents"] == 2
    assert told["closed_cleanly"] is True
    assert told["in_use"] is False
    assert told["queues"] == [
        {"id": 7, "name": "orders", "vhost": "/", "messages": 3, "body_bytes": 4 * 23, "batches": 1},
        {"id": 8, "name": "", "vhost": "", "messages": 1, "body_bytes": 4, "batches": 1},
    ]
    assert "3         92 B  / orders (7)" in run("stats", directory).output


def test_dump_prints_an_object_a_line(directory: Path) -> None:
    lines = [json.loads(line) for line in run("dump", directory).output.splitlines()]

    assert lines[0] == {"document": 'queue ["/","orders"]', "data": '{"id":7}'}
    assert [(line["queue"], line["place"]) for line in lines[2:]] == [
        ("orders", 1),
        ("orders", 2),
        ("orders", 20),
        (8, 1),
    ]
    assert lines[4] == {
        "queue": "orders",
        "vhost": "/",
        "batch": 1,
        "place": 20,
        "exchange": "ex",
        "routing_key": "k20",
        "body_bytes": 80,
        "body": "body" * 15,
        "expires_at_unix_ms": 99,
        "delivery_count": 4,
    }


@pytest.mark.parametrize("queue", ["orders", "7"])
def test_dump_can_be_limited_to_a_queue(directory: Path, queue: str) -> None:
    lines = [json.loads(line) for line in run("dump", directory, "--queue", queue, "--bodies").output.splitlines()]

    assert [line["body"] for line in lines] == ["body", "body" * 2, "body" * 20]
    assert run("dump", directory, "--queue", "unknown").exit_code == 1


def test_compact_makes_the_file_small_and_loses_nothing(tmp_path: Path) -> None:
    rig = SqliteRig(tmp_path / "data")
    rig.write(Batch(1, parts={7: part(1, *["x" * 1000] * 1000)}, documents={"d": b"1"}))
    rig.write(Batch(2, settled_ranges=[(Name(1, 7, 2), 999)], marks={Name(1, 7, 1000): Mark(1, 1)}))
    rig.crash()
    rig.stop()
    result = run("compact", rig.directory)

    assert result.exit_code == 0
    assert (rig.directory / FILE_NAME).stat().st_size < 100_000
    again = SqliteRig(rig.directory)
    assert [(stored.place, stored.mark) for stored in again.stored(1, 7)] == [(1, None), (1000, Mark(1, 1))]
    assert again.recovered.documents == {"d": b"1"}
    again.stop()


def test_a_journal_in_use_is_told_and_not_compacted(tmp_path: Path) -> None:
    rig = SqliteRig(tmp_path / "data")
    rig.write(Batch(1, parts={7: part(1, "a")}))

    assert "sound: 1 messages of 1 queues, 0 documents; in use by process" in run("check", rig.directory).output
    assert json.loads(run("stats", "--json", rig.directory).output)["in_use"] is True
    compacted = run("compact", rig.directory)
    assert compacted.exit_code == 1
    assert "is in use by process" in compacted.output
    rig.write(Batch(2, settled=[Name(1, 7, 1)]))
    rig.stop()


def test_a_directory_without_a_journal_is_said_to_be_one(tmp_path: Path) -> None:
    for command in ("check", "stats", "dump", "compact"):
        result = run(command, tmp_path)
        assert (result.exit_code, result.output) == (1, f"Error: there is no journal in {tmp_path}\n")


# --- backups --------------------------------------------------------------------------------------------------------


def test_a_backup_beside_a_running_broker_holds_what_was_durable(tmp_path: Path) -> None:
    rig = SqliteRig(tmp_path / "data")
    rig.write(Batch(1, parts={7: part(1, "a", "b")}, documents={"d": b"1"}, spilled={9: part(1, "s")}))
    result = run("backup", rig.directory, tmp_path / "copy")
    rig.write(Batch(2, settled=[Name(1, 7, 1)], parts={7: part(3, "c")}))

    assert result.exit_code == 0
    assert [file.name for file in (tmp_path / "copy").iterdir()] == [FILE_NAME]
    copy = SqliteRig(tmp_path / "copy")
    assert copy.everything() == {Name(1, 7, 1): "a", Name(1, 7, 2): "b"}
    assert copy.recovered.documents == {"d": b"1"}
    assert not copy.recovered.closed_cleanly
    copy.stop()
    rig.restart()
    assert rig.everything() == {Name(1, 7, 2): "b", Name(2, 7, 3): "c"}
    rig.stop()


def test_the_engine_can_copy_itself_while_batches_are_on_their_way(tmp_path: Path) -> None:
    rig = SqliteRig(tmp_path / "data")
    assert isinstance(rig.journal, SqliteJournal)
    for number in range(1, 30):
        rig.journal.append(Batch(number, parts={7: part(number, str(number))}))
    rig.journal.backup(tmp_path / "copy")
    rig.wait_for(29)

    copy = SqliteRig(tmp_path / "copy")
    # All batches up to one of them.
    assert copy.everything() == {Name(n, 7, n): str(n) for n in range(1, len(copy.pages) + 1)}
    copy.stop()
    rig.stop()


def test_a_backup_does_not_write_over_another(tmp_path: Path) -> None:
    SqliteRig(tmp_path / "data").stop()

    assert run("backup", tmp_path / "data", tmp_path / "copy").exit_code == 0
    again = run("backup", tmp_path / "data", tmp_path / "copy")
    assert (again.exit_code, again.output) == (1, f"Error: there is a journal already in {tmp_path / 'copy'}\n")
    copy = SqliteRig(tmp_path / "copy")
    assert copy.recovered.closed_cleanly
    copy.stop()
