import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from app import RETRY_AFTER_S, make_broker
from taskiq import AsyncTaskiqDecoratedTask
from taskiq.api import run_receiver_task
from taskiq.exceptions import SendTaskError
from taskiq_aio_pika import AioPikaBroker

from amqpy_broker.testing import Broker


class FakePhone:
    """Nobody answers so many times."""

    def __init__(self) -> None:
        self.failures_left = 0
        self.rung: list[str] = []

    async def ring(self, who: str) -> None:
        if self.failures_left:
            self.failures_left -= 1
            raise ConnectionError("nobody answers")
        self.rung.append(who)


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    async with Broker(virtual_time=True, strict="error") as broker:
        yield broker


@pytest.fixture
def phone() -> FakePhone:
    return FakePhone()


@pytest.fixture
async def app(broker: Broker, phone: FakePhone) -> AsyncIterator[AioPikaBroker]:
    app = make_broker(broker.url)
    app.state.phone = phone
    app.is_worker_process = True
    await app.startup()
    worker = asyncio.create_task(run_receiver_task(app))
    await broker.wait_for_queue("reminders", consumers=1)
    yield app
    worker.cancel()
    with suppress(asyncio.CancelledError):
        await worker
    await app.shutdown()


@pytest.fixture
def remind(app: AioPikaBroker) -> AsyncTaskiqDecoratedTask:
    task = app.find_task("remind")
    assert task is not None
    return task


async def test_a_reminder_comes_when_its_time_has_come(
    broker: Broker, phone: FakePhone, remind: AsyncTaskiqDecoratedTask
) -> None:
    await remind.kicker().with_labels(delay=3600).kiq("Ann")
    await broker.advance(minutes=59)
    broker.assert_queue("reminders.later", ready=1)
    assert not phone.rung
    await broker.advance(minutes=1)
    await broker.settled()
    assert phone.rung == ["Ann"]


async def test_a_short_delay_waits_for_a_long_one_that_was_first(
    broker: Broker, phone: FakePhone, remind: AsyncTaskiqDecoratedTask
) -> None:
    await remind.kicker().with_labels(delay=3600).kiq("Ann")
    await remind.kicker().with_labels(delay=60).kiq("Bob")
    await broker.advance(minutes=59)
    # A queue expires its messages from its head: Bob waits behind Ann.
    assert not phone.rung
    await broker.advance(minutes=1)
    await broker.settled()
    assert phone.rung == ["Ann", "Bob"]


async def test_a_task_that_fails_is_tried_again_ten_minutes_later(
    broker: Broker, phone: FakePhone, remind: AsyncTaskiqDecoratedTask
) -> None:
    phone.failures_left = 1
    await remind.kiq("Ann")
    await broker.settled()
    broker.assert_queue("reminders.later", ready=1)
    await broker.advance(seconds=RETRY_AFTER_S - 1)
    assert not phone.rung
    await broker.advance(seconds=1)
    await broker.settled()
    assert phone.rung == ["Ann"]


async def test_a_task_that_the_broker_refuses_is_told_of_to_who_sends_it(
    broker: Broker, remind: AsyncTaskiqDecoratedTask
) -> None:
    with broker.faults.nack_publishes(exchange="taskiq"), pytest.raises(SendTaskError):
        await remind.kiq("Ann")
    broker.assert_queue_empty("reminders")


async def test_reminders_that_wait_outlive_a_restart_of_the_broker(
    broker: Broker, phone: FakePhone, remind: AsyncTaskiqDecoratedTask
) -> None:
    await remind.kicker().with_labels(delay=3600).kiq("Ann")
    async with broker.down(how="kill"):
        # Its time comes while nobody is there.
        await broker.advance(hours=2)
    await broker.wait_for(lambda _: phone.rung)
    assert phone.rung == ["Ann"]
