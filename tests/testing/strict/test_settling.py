from datetime import timedelta

import pika
import pytest

from tests.testing.strict.judged import channel_of, connected, judged, rules


def filled(channel: pika.adapters.blocking_connection.BlockingChannel, count: int) -> None:
    """Declare the durable queue q, and publish so many messages to it."""
    channel.queue_declare("q", durable=True)
    for number in range(count):
        channel.basic_publish("", "q", b"%d" % number)
    channel.basic_qos(prefetch_count=10)


def test_a_message_that_was_fetched_and_not_acknowledged_is_found_when_the_channel_is_closed() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            filled(channel, 1)
            channel.basic_get("q")
        (finding,) = broker.findings
    assert finding.rule == "unacked-at-close"
    assert finding.what == "1 delivery was not acknowledged before the close: queue 'q', delivery tag 1"


def test_a_consumer_that_never_acknowledges_is_found() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            filled(channel, 2)
            seen: list[bytes] = []
            channel.basic_consume("q", lambda _channel, _method, _properties, body: seen.append(body))
            while len(seen) < 2:
                channel.connection.process_data_events(None)
        assert seen == [b"0", b"1"]
        (finding,) = broker.findings
    assert finding.what == "2 deliveries were not acknowledged before the close: queue 'q', delivery tag 1, 2"


def test_a_delivery_that_was_skipped_is_found_and_what_was_sent_in_advance_is_not() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            filled(channel, 5)
            tags: list[int] = []
            channel.basic_consume("q", lambda _channel, method, _properties, _body: tags.append(method.delivery_tag))
            while len(tags) < 5:
                channel.connection.process_data_events(None)
            channel.basic_ack(1)
            channel.basic_ack(3)
        (finding,) = broker.findings
    assert finding.what.endswith("queue 'q', delivery tag 2")


def test_deliveries_that_are_settled_in_whatever_way_are_fine() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            filled(channel, 5)
            for _ in range(5):
                channel.basic_get("q")
            channel.basic_ack(2, multiple=True)
            channel.basic_nack(3, requeue=False)
            channel.basic_reject(4, requeue=False)
            channel.basic_ack(5)
            channel.basic_get("q", auto_ack=True)
        assert rules(broker) == []


def test_deliveries_of_a_connection_that_breaks_are_nobodys_mistake() -> None:
    with judged() as broker:
        with connected(broker) as connection:
            channel = connection.channel()
            filled(channel, 1)
            channel.basic_get("q")
            broker.run_in_broker(lambda: [one.link.drop() for one in broker.inside().connections])
            with pytest.raises(pika.exceptions.AMQPError):
                connection.process_data_events(None)
        broker.settled()
        assert rules(broker) == []


def requeue(channel: pika.adapters.blocking_connection.BlockingChannel, times: int) -> None:
    for _ in range(times):
        method, _, _ = channel.basic_get("q")
        channel.basic_reject(method.delivery_tag, requeue=True)


def test_a_message_that_goes_back_again_and_again_is_found_and_a_few_tries_are_fine() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            filled(channel, 1)
            requeue(channel, 9)
            assert rules(broker) == []
            requeue(channel, 30)
        (finding,) = broker.findings
    assert finding.rule == "requeue-loop"
    assert finding.what.startswith("a message of queue 'q' was requeued 10 times within 10 seconds")


def test_tries_with_time_in_between_are_no_loop() -> None:
    with judged(virtual_time=True) as broker:
        with channel_of(broker, heartbeat=0) as channel:
            filled(channel, 1)
            for _ in range(4):
                requeue(channel, 5)
                broker.clock.advance(timedelta(seconds=11))
        assert rules(broker) == []


def test_many_messages_that_go_back_once_are_no_loop() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            filled(channel, 20)
            for _ in range(20):
                channel.basic_get("q")
            channel.basic_nack(0, multiple=True, requeue=True)
        assert rules(broker) == []


def test_messages_that_look_alike_and_go_back_twice_are_no_loop() -> None:
    """As those that pika was sent in advance do, when it stops consuming: once before the cancel, once on its way."""
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("q", durable=True)
            for _ in range(5):
                channel.basic_publish("", "q", b"x")
            for _ in range(3):
                for _ in range(5):
                    channel.basic_get("q")
                channel.basic_nack(0, multiple=True, requeue=True)
        assert rules(broker) == []


def test_an_acknowledgement_of_what_was_acknowledged_is_found() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            filled(channel, 1)
            channel.basic_get("q")
            channel.basic_ack(1)
            channel.basic_ack(1)
            with pytest.raises(pika.exceptions.ChannelClosedByBroker):
                channel.queue_declare("q", passive=True)
        (finding,) = broker.findings
    assert finding.rule == "unknown-delivery-tag"
    assert "PRECONDITION_FAILED - unknown delivery tag 1" in finding.what
