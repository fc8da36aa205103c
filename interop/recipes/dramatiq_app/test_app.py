import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from app import Newsletter
from dramatiq import Worker

from amqpy_broker.testing import Vhost

pytestmark = pytest.mark.amqp(virtual_time=True, strict="error")


class FakeMailServer:
    """Refuses so many letters; waits for `open` before it answers."""

    def __init__(self) -> None:
        self.failures_left = 0
        self.sent: list[str] = []
        self.open = threading.Event()
        self.open.set()

    def send(self, address: str, text: str) -> None:
        assert self.open.wait(timeout=30)
        if self.failures_left:
            self.failures_left -= 1
            raise OSError("try again later")
        self.sent.append(address)


@pytest.fixture
def mail_server() -> FakeMailServer:
    return FakeMailServer()


@pytest.fixture
def newsletter(amqp_url: str, mail_server: FakeMailServer) -> Iterator[Newsletter]:
    newsletter = Newsletter(amqp_url, mail_server)
    yield newsletter
    newsletter.broker.close()


@contextmanager
def worker_of(newsletter: Newsletter) -> Iterator[None]:
    worker = Worker(newsletter.broker, worker_threads=1, worker_timeout=100)
    worker.start()
    try:
        yield
    finally:
        worker.stop()


def test_a_letter_is_sent(amqp_vhost: Vhost, newsletter: Newsletter, mail_server: FakeMailServer) -> None:
    newsletter.send.send("ann@example.org", "News!")
    with worker_of(newsletter):
        amqp_vhost.wait_for(lambda vhost: vhost.acked("default"))
    assert mail_server.sent == ["ann@example.org"]


def test_what_fails_is_tried_again_by_way_of_the_delay_queue(
    amqp_vhost: Vhost, newsletter: Newsletter, mail_server: FakeMailServer
) -> None:
    mail_server.failures_left = 2
    with worker_of(newsletter):
        newsletter.send.send_with_options(args=("ann@example.org", "News!"), min_backoff=1)
        amqp_vhost.wait_for(lambda _: mail_server.sent)
    assert len(amqp_vhost.published("", "default.DQ")) == 2
    amqp_vhost.assert_queue_empty("default.XQ")


def test_what_fails_for_good_is_kept_for_a_week_and_not_longer(
    amqp_vhost: Vhost, newsletter: Newsletter, mail_server: FakeMailServer
) -> None:
    mail_server.failures_left = 1
    with worker_of(newsletter):
        newsletter.send.send_with_options(args=("ann@example.org", "News!"), max_retries=0)
        amqp_vhost.wait_for_queue("default.XQ", ready=1)
    amqp_vhost.assert_dead_lettered("default", reason="rejected")

    amqp_vhost.advance(days=6, hours=23)
    amqp_vhost.assert_queue("default.XQ", ready=1)
    amqp_vhost.advance(hours=1)
    amqp_vhost.assert_queue_empty("default.XQ")


def test_a_worker_that_dies_amid_a_letter_loses_nothing(
    amqp_vhost: Vhost, newsletter: Newsletter, mail_server: FakeMailServer
) -> None:
    mail_server.open.clear()
    newsletter.send.send("ann@example.org", "News!")
    with worker_of(newsletter):
        amqp_vhost.wait_for_queue("default", unacked=1)
        # Its connections are reset; the worker itself comes back.
        amqp_vhost.faults.drop_connection(how="reset")
        amqp_vhost.wait_for(lambda vhost: len(vhost.delivered("default")) == 2, timeout_s=20)
        mail_server.open.set()
        amqp_vhost.wait_for(lambda vhost: vhost.acked("default"))
    assert mail_server.sent == ["ann@example.org"] * 2
