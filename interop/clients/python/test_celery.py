"""Celery: a worker in a thread, tasks over the broker, results over rpc://."""

import uuid
from collections.abc import Iterator

import pytest

pytest.importorskip("celery")

import kombu.pools
from celery import Celery, Task, chain, group
from celery.contrib.testing.worker import start_worker
from celery.worker import WorkController


@pytest.fixture(scope="module")
def app(broker_url: str) -> Iterator[Celery]:
    queue = f"celery-{uuid.uuid4().hex}"
    app = Celery(
        "interop",
        broker=broker_url.replace("amqp://", "pyamqp://", 1),
        backend="rpc://",
        set_as_current=False,
        task_default_queue=queue,
        task_acks_late=True,
        worker_prefetch_multiplier=2,
        broker_connection_retry_on_startup=True,
    )

    @app.task(name="multiply")
    def multiply(x: int, y: int) -> int:
        return x * y

    @app.task(name="fail", bind=True, max_retries=2, default_retry_delay=0)
    def fail(self: Task) -> None:
        try:
            raise LookupError(f"attempt {self.request.retries}")
        except LookupError as error:
            raise self.retry(exc=error) from error

    yield app
    # Celery keeps what it connected in three places.
    app.backend.result_consumer.stop()
    with app.connection() as connection:
        connection.default_channel.queue_delete(queue)
    app.close()
    kombu.pools.reset()


@pytest.fixture(scope="module")
def worker(app: Celery) -> Iterator[WorkController]:
    with start_worker(app, perform_ping_check=False, pool="threads", concurrency=4) as worker:
        yield worker
        # The worker sleeps until the broker has something for it: let it be the order to go.
        app.control.shutdown()


@pytest.mark.usefixtures("worker")
def test_results_come_back(app: Celery) -> None:
    multiply = app.tasks["multiply"]
    results = [multiply.delay(number, 2) for number in range(50)]
    assert [result.get(timeout=20) for result in results] == [2 * number for number in range(50)]


@pytest.mark.usefixtures("worker")
def test_groups_and_chains(app: Celery) -> None:
    multiply = app.tasks["multiply"]
    assert group(multiply.s(number, 3) for number in range(5))().get(timeout=20) == [0, 3, 6, 9, 12]
    assert chain(multiply.s(2, 3), multiply.s(4), multiply.s(5))().get(timeout=20) == 120


@pytest.mark.usefixtures("worker")
def test_a_failing_task_is_retried_and_its_exception_passed_on(app: Celery) -> None:
    with pytest.raises(LookupError, match="attempt 2"):
        app.tasks["fail"].delay().get(timeout=20)


def test_remote_control_reaches_the_worker_over_its_mailbox(app: Celery, worker: WorkController) -> None:
    assert app.control.ping(timeout=5, limit=1) == [{worker.hostname: {"ok": "pong"}}]
    [registered] = app.control.inspect(timeout=5, limit=1).registered().values()
    assert "multiply" in registered
