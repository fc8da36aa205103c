import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import first_version
import pika
import pytest
from app import Command

from amqpy_broker.testing import BrokerThread

EGGS = {"product": "egg", "count": 12}


def handle(order: object) -> str:
    assert isinstance(order, dict)
    return f"{order['count']} {order['product']}"


@pytest.fixture
def broker(amqp_broker_factory: Callable[..., BrokerThread]) -> BrokerThread:
    return amqp_broker_factory(virtual_time=True, strict="error")


@contextmanager
def worker(url: str, handle: Callable[[object], str] = handle) -> Iterator[None]:
    command = Command(url, handle, reconnect_after_s=0.01)
    thread = threading.Thread(target=command.run)
    thread.start()
    try:
        yield
    finally:
        command.stop()
        thread.join(timeout=20)
    assert not thread.is_alive()


def test_an_order_gets_its_receipt(broker: BrokerThread) -> None:
    with worker(broker.url):
        broker.wait_for_queue("orders", consumers=1)
        broker.publish("", "orders", EGGS)
        broker.wait_for(lambda broker: broker.acked("orders"))
    assert broker.take("receipts").text == "12 egg"


def test_an_order_that_cannot_be_handled_is_put_aside(broker: BrokerThread) -> None:
    with worker(broker.url):
        broker.wait_for_queue("orders", consumers=1)
        broker.publish("", "orders", "what?")
        broker.publish("", "orders", EGGS)
        broker.wait_for(lambda broker: broker.acked("orders"))
    broker.assert_dead_lettered("orders", reason="rejected", body="what?")
    broker.assert_queue("orders.failed", ready=1)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_connection_breaks_before_the_acknowledgement(broker: BrokerThread, how: str) -> None:
    with worker(broker.url):
        broker.wait_for_queue("orders", consumers=1)
        with broker.faults.drop_connection(how=how, method="basic.ack", sent_by="client", times=1):
            broker.publish("", "orders", EGGS)
            broker.wait_for(lambda broker: broker.acked("orders"))
    # There are two receipts: who reads them had better not mind.
    assert [receipt.text for receipt in broker.take_all("receipts")] == ["12 egg"] * 2


def test_the_broker_closes_the_channel(broker: BrokerThread) -> None:
    with worker(broker.url):
        broker.wait_for_queue("orders", consumers=1)
        with broker.faults.close_channel(406, "delivery acknowledgement timed out", method="basic.ack", times=1):
            broker.publish("", "orders", EGGS)
            broker.wait_for(lambda broker: broker.acked("orders"))
        broker.wait_for_queue("orders", ready=0, unacked=0, consumers=1)


def test_the_broker_is_not_there_yet(broker: BrokerThread) -> None:
    with broker.faults.refuse_connections(times=3), worker(broker.url):
        broker.wait_for_queue("orders", consumers=1)


def test_the_broker_restarts(broker: BrokerThread) -> None:
    with worker(broker.url):
        broker.wait_for_queue("orders", consumers=1)
        broker.restart()
        broker.wait_for_queue("orders", consumers=1)


def test_a_dead_network_is_noticed_by_the_broker_which_delivers_again(broker: BrokerThread) -> None:
    with worker(broker.url):
        broker.wait_for_queue("orders", consumers=1)
        broker.faults.drop_connection(how="half-open")
        broker.publish("", "orders", EGGS)
        broker.wait_for_queue("orders", unacked=1)
        broker.advance(minutes=2)
        broker.wait_for(lambda broker: broker.acked("orders"))
    assert [record.message.redelivered for record in broker.delivered("orders")] == [False, True]


def test_the_first_version_made_seven_mistakes(broker: BrokerThread) -> None:
    broker.declare_queue("orders", durable=False)
    for order in [EGGS] * 5 + [{"product": "ham"}]:
        broker.publish("", "orders", order)
    with ThreadPoolExecutor() as threads:
        working = threads.submit(first_version.work, broker.url, handle)
        mistakes = {
            "connection-per-message",
            "no-heartbeat",
            "publish-without-confirms",
            "requeue-loop",
            "transient-queue",
            "unlimited-prefetch",
            "unroutable-dropped",
        }
        broker.wait_for(lambda broker: {finding.rule for finding in broker.findings} == mistakes, timeout_s=20)
        # An eighth: it does not come back.
        broker.faults.close_connection(320, "maintenance")
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker):
            working.result(timeout=20)
    broker.clear_findings()
