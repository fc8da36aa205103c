"""Faults of a broker in a thread, with clients that block."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import aio_pika
import pika
import pika.exceptions
import pytest
from aio_pika.exceptions import DeliveryError
from pamqp.commands import Basic

from amqpy_broker.testing import BrokerThread
from amqpy_broker.testing.faults.errors import FaultNeverFired, UnusedFaultWarning


def connect(broker: BrokerThread, name: str = "test") -> pika.BlockingConnection:
    parameters = pika.URLParameters(broker.url)
    parameters.client_properties = {"connection_name": name}
    return pika.BlockingConnection(parameters)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_pika_sees_its_connection_break_and_connects_again(how: str) -> None:
    with BrokerThread() as broker:
        channel = connect(broker).channel()
        channel.queue_declare("q")
        with (
            broker.faults.drop_connection(how=how, method="queue.purge"),
            pytest.raises(pika.exceptions.AMQPConnectionError),
        ):
            channel.queue_purge("q")
        connection = connect(broker)
        connection.channel().queue_declare("q", passive=True)
        connection.close()


def test_pika_is_told_of_a_publish_that_is_refused() -> None:
    with BrokerThread() as broker:
        connection = connect(broker)
        channel = connection.channel()
        channel.queue_declare("q")
        channel.confirm_delivery()
        with broker.faults.nack_publishes(queue="q", times=1), pytest.raises(pika.exceptions.NackError):
            channel.basic_publish("", "q", b"1")
        channel.basic_publish("", "q", b"2")
        assert channel.basic_get("q", auto_ack=True)[2] == b"2"
        connection.close()


def test_pika_is_refused_a_login() -> None:
    with BrokerThread() as broker, broker.faults.refuse_login(times=1) as fault:
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            connect(broker)
        assert fault.fired == 1


def test_pika_is_blocked_by_an_alarm_and_goes_on_after_it() -> None:
    with BrokerThread() as broker:
        parameters = pika.URLParameters(broker.url)
        parameters.blocked_connection_timeout = 0.2
        connection = pika.BlockingConnection(parameters)
        channel = connection.channel()
        channel.queue_declare("q")
        with broker.faults.memory_alarm() as alarm:
            channel.basic_publish("", "q", b"1")
            with pytest.raises(pika.exceptions.ConnectionBlockedTimeout):
                connection.process_data_events(10)
            assert alarm.fired == 1
        connection = connect(broker)
        connection.channel().basic_publish("", "q", b"2")
        connection.close()


def test_pika_is_told_of_a_cancelled_consumer() -> None:
    with BrokerThread() as broker:
        connection = connect(broker, "worker")
        channel = connection.channel()
        channel.queue_declare("q")
        channel.basic_consume("q", lambda *_: None)
        broker.faults.cancel_consumers(connection="worker")
        # It returns when there are no consumers any more.
        channel.start_consuming()
        connection.close()


def test_pika_gets_a_channel_closed_under_its_hands() -> None:
    with BrokerThread() as broker:
        connection = connect(broker)
        channel = connection.channel()
        with (
            broker.faults.close_channel(404, "no queue 'q' in vhost '/'", method="queue.declare"),
            pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed,
        ):
            channel.queue_declare("q")
        assert closed.value.reply_code == 404
        connection.close()


def test_delays_pass_with_virtual_time() -> None:
    with BrokerThread(virtual_time=True) as broker:
        connection = connect(broker)
        channel = connection.channel()
        channel.queue_declare("q")
        broker.faults.delay("basic.publish", 60, times=1)
        channel.basic_publish("", "q", b"1")
        broker.settled()
        broker.advance(minutes=1)
        assert channel.basic_get("q", auto_ack=True)[2] == b"1"
        connection.close()


def test_complaints_come_in_the_test() -> None:
    with BrokerThread() as broker, pytest.raises(FaultNeverFired), broker.faults.swallow("basic.publish"):
        pass
    with pytest.warns(UnusedFaultWarning), BrokerThread() as broker:
        broker.faults.swallow("basic.publish", times=1)
    with pytest.raises(ValueError, match="own"), BrokerThread() as broker:  # noqa: PT012 - the block is what is asked
        broker.faults.swallow("basic.publish", times=1)
        raise ValueError("the test's own")


def test_faults_that_come_and_go_amid_a_stream_of_publishes_leave_every_confirm_true() -> None:
    async def publish_on(url: str) -> int:
        refused = 0
        async with await aio_pika.connect(url) as connection:
            exchange = (await connection.channel()).default_exchange
            for number in range(0, 1000, 50):
                results = await asyncio.gather(
                    *(exchange.publish(aio_pika.Message(b"x" * 5000 + b"%d" % one), "q") for one in range(50)),
                    return_exceptions=True,
                )
                assert all(result is None or isinstance(result, DeliveryError | Basic.Ack) for result in results), (
                    number
                )
                refused += sum(isinstance(result, DeliveryError) for result in results)
        return refused

    def publish(url: str) -> int:
        return asyncio.run(publish_on(url))

    with BrokerThread() as broker:
        broker.declare_queue("q")
        with ThreadPoolExecutor() as threads:
            publishers = [threads.submit(publish, broker.url) for _ in range(2)]
            fired = 0
            while not all(publisher.done() for publisher in publishers):
                with broker.faults.nack_publishes(probability=0.3, may_not_fire=True) as fault:
                    broker.run_in_broker(lambda: None)
                fired += fault.fired
        refused = sum(publisher.result() for publisher in publishers)
        assert refused == fired > 0
        assert broker.queue("q").ready == 2000 - refused
