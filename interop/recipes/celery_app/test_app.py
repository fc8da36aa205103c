import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import kombu.pools
import pytest
from app import make_app
from celery import Celery
from celery.contrib.testing.worker import start_worker

from amqpy_broker.testing import BrokerThread


class FakeBank:
    """Fails so many times; waits for `open` before it answers."""

    def __init__(self) -> None:
        self.failures_left = 0
        self.charged: list[tuple[str, int]] = []
        self.open = threading.Event()
        self.open.set()

    def charge(self, card: str, cents: int) -> str:
        self.charged.append((card, cents))
        assert self.open.wait(timeout=30)
        if self.failures_left:
            self.failures_left -= 1
            raise ConnectionError("no line to the bank")
        return f"receipt for {cents}"


@pytest.fixture
def broker(amqp_broker_factory: Callable[..., BrokerThread]) -> BrokerThread:
    # One of its own: it will be restarted.
    return amqp_broker_factory(strict="error")


@pytest.fixture
def bank() -> FakeBank:
    return FakeBank()


@pytest.fixture
def app(broker: BrokerThread, bank: FakeBank) -> Iterator[Celery]:
    app = make_app(broker.url, bank, retry_after_s=0)
    yield app
    # Celery keeps what it connected in three places; in this one once a result was waited for.
    with suppress(AttributeError):
        app.backend.result_consumer.stop()
    app.close()
    kombu.pools.reset()


@contextmanager
def worker_of(app: Celery) -> Iterator[None]:
    with start_worker(app, perform_ping_check=False, pool="threads", concurrency=1):
        yield
        # The worker sleeps until the broker has something for it: let it be the order to go.
        app.control.shutdown()


@pytest.fixture
def worker(app: Celery) -> Iterator[None]:
    with worker_of(app):
        yield


@pytest.mark.usefixtures("worker")
def test_the_receipt_comes_back(app: Celery) -> None:
    assert app.tasks["charge"].delay("1234", 500).get(timeout=20) == "receipt for 500"


@pytest.mark.usefixtures("worker")
def test_a_bank_that_cannot_be_reached_is_asked_again(app: Celery, bank: FakeBank, broker: BrokerThread) -> None:
    bank.failures_left = 2
    assert app.tasks["charge"].delay("1234", 500).get(timeout=20) == "receipt for 500"
    assert [record.message.headers["retries"] for record in broker.published("", "celery")] == [0, 1, 2]


@pytest.mark.usefixtures("worker")
def test_a_broker_that_restarts_amid_a_task_loses_nothing(app: Celery, bank: FakeBank, broker: BrokerThread) -> None:
    bank.open.clear()
    results = [app.tasks["charge"].delay("1234", cents) for cents in range(5)]
    broker.wait_for_queue("celery", unacked=1, ready=4)
    broker.restart(how="kill")
    bank.open.set()
    assert [result.get(timeout=20) for result in results] == [f"receipt for {cents}" for cents in range(5)]
    # The first was charged twice: it was not acknowledged. A bank that is asked so wants to know the task's id.
    assert [cents for _, cents in bank.charged] == [0, 0, 1, 2, 3, 4]


# The worker stops and holds a message: that is meant to be.
@pytest.mark.amqp(ignore=["unacked-at-close"])
def test_a_task_for_later_outlives_the_worker_that_holds_it(app: Celery, bank: FakeBank, broker: BrokerThread) -> None:
    with worker_of(app):
        app.tasks["remind"].apply_async(["1234"], countdown=3600)
        broker.wait_for_queue("celery", unacked=1)
    broker.wait_for_queue("celery", ready=1, unacked=0)
    assert broker.queue("celery").messages[0].redelivered
    assert not bank.charged


@pytest.mark.usefixtures("worker")
def test_a_publisher_waits_while_the_broker_is_short_of_memory(
    app: Celery, bank: FakeBank, broker: BrokerThread
) -> None:
    def publish() -> None:
        for cents in (1, 2):
            app.tasks["charge"].apply_async(["1234", cents], ignore_result=True)

    with ThreadPoolExecutor() as threads:
        with broker.faults.memory_alarm() as fault:
            # The first is taken, and its publisher is told: the broker does not read the second.
            publishing = threads.submit(publish)
            broker.wait_for(lambda _: fault.fired)
            broker.wait_for(lambda broker: broker.acked("celery"))
            assert len(broker.published("", "celery")) == 1
        publishing.result(timeout=20)
    broker.wait_for(lambda broker: len(broker.acked("celery")) == 2)
    assert bank.charged == [("1234", 1), ("1234", 2)]
