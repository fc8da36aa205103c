"""A broker with a data directory: what is there after a stop, and what happens when the journal or its disk fails."""

import logging
from pathlib import Path

import pytest
from pamqp.commands import Basic, Confirm, Connection, Queue

from amqpy_broker import Broker
from amqpy_broker.core.alarms import Resource
from amqpy_broker.core.journal import JournalFailed
from tests.server.durable import LIMIT, persistent, served
from tests.server.loops import connected, on_each_loop, until
from tests.wire import method, publish

# --- a directory ------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_what_is_durable_is_there_after_a_restart_and_nothing_else(tmp_path: Path) -> None:
    async with Broker(data_dir=tmp_path / "data") as broker, connected(broker.port) as client:
        await client.call(Queue.Declare, queue="q", durable=True)
        await client.call(Queue.Declare, queue="transient")
        await client.call(Confirm.Select)
        await client.send(persistent(b"1") + publish(1, "", "q", b"lost") + persistent(b"2"))
        assert (await client.hear())["delivery_tag"] == 3

    async with Broker(data_dir=tmp_path / "data") as broker, connected(broker.port) as client:
        assert set(broker.core.vhosts["/"].queues) == {"q"}
        assert [(await client.call(Basic.Get, queue="q", no_ack=True)).body for _ in range(2)] == [b"1", b"2"]
        assert (await client.call(Basic.Get, queue="q")).name == "Basic.GetEmpty"


@on_each_loop
async def test_confirms_come_one_after_the_other(tmp_path: Path) -> None:
    async with Broker(data_dir=tmp_path) as broker, connected(broker.port) as client:
        await client.call(Queue.Declare, queue="q", durable=True)
        await client.call(Confirm.Select)
        for number in range(1, 21):
            await client.send(persistent(b"x"))
            assert (await client.hear())["delivery_tag"] == number


@on_each_loop
async def test_a_directory_belongs_to_one_broker_until_that_stops(tmp_path: Path) -> None:
    async with Broker(data_dir=tmp_path):
        with pytest.raises(JournalFailed, match="in use"):
            Broker(data_dir=tmp_path)

    await Broker(data_dir=tmp_path).stop()


@on_each_loop
async def test_a_broker_that_was_never_started_lets_go_of_its_directory(tmp_path: Path) -> None:
    await Broker(data_dir=tmp_path).stop()

    async with Broker(data_dir=tmp_path):
        pass


@on_each_loop
async def test_a_broker_that_cannot_listen_lets_go_of_its_directory(tmp_path: Path) -> None:
    async with Broker() as other:
        with pytest.raises(OSError, match=r".+"):
            await Broker(data_dir=tmp_path, port=other.port).start()

    await Broker(data_dir=tmp_path).stop()


@on_each_loop
async def test_the_log_tells_what_was_recovered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with Broker(data_dir=tmp_path) as broker, connected(broker.port) as client:
        await client.call(Queue.Declare, queue="q", durable=True)
        await client.send(persistent(b"1") * 3)
        await client.call(Queue.Declare, queue="q", passive=True)
    assert f"the data directory {tmp_path} is new" in caplog.messages

    await Broker(data_dir=tmp_path).stop()

    assert any(text.startswith(f"recovered 3 messages in 1 queues from {tmp_path} in ") for text in caplog.messages)


# --- the journal ------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_what_a_step_did_is_one_batch_and_is_handed_over_after_it() -> None:
    async with served() as durable, connected(durable.server.port) as client:
        await client.call(Queue.Declare, queue="q", durable=True)
        await client.call(Confirm.Select)
        before = durable.journal.batches_count

        await client.send(persistent(b"x") * 100)
        # A busy machine may read them in several steps; each batch is confirmed at once.
        confirms_count = 1
        while (await client.hear())["delivery_tag"] < 100:
            confirms_count += 1

        assert durable.journal.batches_count == before + confirms_count < before + 100


@on_each_loop
async def test_what_was_there_before_the_start_is_written_then() -> None:
    async with served() as durable:
        await until(lambda: durable.journal.disk.last_batch > 0)
        assert durable.journal.disk.documents


@on_each_loop
async def test_a_journal_that_fails_ends_the_broker_loudly_and_confirms_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served() as durable, connected(durable.server.port) as client:
        await client.call(Queue.Declare, queue="q", durable=True)
        await client.call(Confirm.Select)
        await until(lambda: not durable.journal.under_way)
        durable.journal.slow = True
        await client.send(persistent(b"1"))
        await until(lambda: bool(durable.journal.under_way))

        durable.journal.on_failed(JournalFailed("the sync failed"))

        assert (await client.hear()).name == "Connection.Close"
        await client.send(method(0, Connection.CloseOk))
        assert await client.ended()
    assert str(durable.failure) == "the sync failed"
    assert "the sync failed; the broker stops" in caplog.messages


@on_each_loop
async def test_a_full_disk_is_an_alarm_and_what_waits_is_confirmed_when_there_is_room() -> None:
    async with served() as durable, connected(durable.server.port) as client:
        await client.call(Queue.Declare, queue="q", durable=True)
        await client.call(Confirm.Select)
        await until(lambda: not durable.journal.under_way)
        durable.journal.slow = True
        await client.send(persistent(b"1"))
        await until(lambda: bool(durable.journal.under_way))
        durable.journal.on_stalled(True)
        await client.send(persistent(b"2"))
        blocked = await client.hear()
        assert (blocked.name, blocked["reason"]) == ("Connection.Blocked", "low on disk")

        durable.journal.slow = False
        durable.journal.on_stalled(False)
        durable.journal.catch_up()

        assert (await client.hear()).name == "Connection.Unblocked"
        assert [(await client.hear())["delivery_tag"] for _ in range(2)] == [1, 2]


# --- the disk ---------------------------------------------------------------------------------------------------------


@on_each_loop
async def test_publishers_wait_while_the_disk_has_less_room_than_the_limit() -> None:
    async with served(free_bytes=LIMIT - 1) as durable, connected(durable.server.port) as client:
        await client.send(publish(1, "", "q"))
        blocked = await client.hear()
        assert (blocked.name, blocked["reason"]) == ("Connection.Blocked", "low on disk")
        assert durable.core.alarms.resources == (Resource.DISK,)

        durable.free_bytes = 2 * LIMIT

        assert (await client.hear()).name == "Connection.Unblocked"
