import pika
import pytest
from pamqp.commands import Basic

from amqpy_broker.testing import Broker
from tests.server.loops import connected as socket_client
from tests.server.loops import on_each_loop
from tests.testing.strict.judged import PERSISTENT, channel_of, connected, judged, rules


def consume(channel: pika.adapters.blocking_connection.BlockingChannel, queue: str = "q", **options: object) -> None:
    """Consume one message, and acknowledge it if it is to be."""
    seen: list[int] = []
    channel.basic_publish("", queue, b"")
    tag = channel.basic_consume(
        queue, lambda _channel, method, _properties, _body: seen.append(method.delivery_tag), **options
    )
    while not seen:
        channel.connection.process_data_events(None)
    if not options.get("auto_ack"):
        channel.basic_ack(seen[0])
    channel.basic_cancel(tag)


def test_a_consumer_without_a_prefetch_count_is_found_when_it_gets_something() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("q", durable=True)
            channel.basic_cancel(channel.basic_consume("q", lambda *_: None))
            assert rules(broker) == []
            consume(channel)
        (finding,) = broker.findings
    assert finding.rule == "unlimited-prefetch"
    assert finding.what == "a consumer of queue 'q' has no prefetch count"


def test_a_prefetch_count_that_comes_too_late_is_told() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("q", durable=True)
            tag = channel.basic_consume("q", lambda one, method, *_: one.basic_ack(method.delivery_tag))
            channel.basic_qos(prefetch_count=1)
            channel.basic_publish("", "q", b"")
            channel.connection.process_data_events(1)
            channel.basic_cancel(tag)
        (finding,) = broker.findings
    assert finding.what.endswith("has no prefetch count (a prefetch count was set, but after it began)")


def test_a_prefetch_count_or_no_acknowledgements_or_a_queue_of_its_own_are_fine() -> None:
    with judged(profile="3.10") as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("q", durable=True)
            consume(channel, auto_ack=True)
            consume(channel, channel.queue_declare("", exclusive=True).method.queue)
            channel.basic_qos(prefetch_count=10)
            consume(channel)
        with channel_of(broker) as channel:
            channel.basic_qos(prefetch_count=10, global_qos=True)
            consume(channel)
        assert rules(broker) == []


def test_persistent_messages_that_are_not_acknowledged_are_found_and_those_of_a_private_queue_are_not() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.confirm_delivery()
            channel.queue_declare("q", durable=True)
            private = channel.queue_declare("", exclusive=True).method.queue
            for queue in (private, "q"):
                channel.basic_publish("", queue, b"", PERSISTENT)
                consume(channel, queue, auto_ack=True)
        (finding,) = broker.findings
    assert finding.rule == "persistent-without-ack"
    assert finding.what == "a consumer of queue 'q' gets persistent messages with no_ack"


def test_asking_an_empty_queue_again_and_again_is_found_and_a_few_times_is_fine() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("q", durable=True)
            for _ in range(9):
                channel.basic_get("q")
            assert rules(broker) == []
            channel.basic_get("q")
        (finding,) = broker.findings
    assert finding.rule == "polling-get"
    assert finding.what == "queue 'q' was polled with basic.get: it was empty 10 times"


def test_emptying_a_queue_with_get_is_no_polling() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("q", durable=True)
            for _ in range(30):
                channel.basic_publish("", "q", b"")
            while channel.basic_get("q", auto_ack=True)[0] is not None:
                pass
        assert rules(broker) == []


@pytest.mark.parametrize("notices", [False, True])
def test_a_client_that_goes_on_after_its_consumer_was_cancelled_is_found(notices: bool) -> None:
    with judged() as broker:
        with channel_of(broker) as channel, channel_of(broker) as other:
            channel.queue_declare("q", durable=True)
            channel.basic_consume("q", lambda *_: None)
            other.queue_delete("q")
            channel.connection.process_data_events(1)
            if notices:
                channel.queue_declare("q", durable=True)
            for _ in range(20):
                channel.basic_publish("amq.fanout", "", b"")
        assert rules(broker) == ([] if notices else ["unhandled-cancel"])


def test_a_client_that_deletes_the_queue_itself_knows_that_its_consumer_has_ended() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("q", durable=True)
            channel.basic_consume("q", lambda *_: None)
            channel.queue_delete("q")
            for _ in range(30):
                channel.basic_publish("amq.fanout", "", b"")
        assert rules(broker) == []


@on_each_loop
async def test_a_client_that_does_not_want_to_know_of_a_cancel_is_found() -> None:
    async with Broker(strict="warn") as broker, socket_client(broker.port, capabilities={}) as client:
        await client.call(Basic.Consume, queue="amq.rabbitmq.reply-to", no_ack=True)
        assert [finding.rule for finding in broker.findings] == ["no-cancel-notify"]
        broker.clear_findings()


def test_a_consumer_tag_that_is_taken_is_found() -> None:
    with judged() as broker:
        with connected(broker) as connection:
            channel = connection.channel()
            channel.queue_declare("q", durable=True)
            channel.basic_consume("q", lambda *_: None, consumer_tag="tag")
            channel._impl._consumers.clear()
            channel._consumer_infos.clear()
            with pytest.raises(pika.exceptions.ConnectionClosedByBroker):
                channel.basic_consume("q", lambda *_: None, consumer_tag="tag")
        (finding,) = broker.findings
    assert finding.rule == "reused-consumer-tag"
    assert "attempt to reuse consumer tag 'tag'" in finding.what


def test_a_consumer_without_heartbeats_is_found_and_a_publisher_or_a_private_queue_is_not() -> None:
    with judged() as broker:
        with channel_of(broker, heartbeat=0) as channel:
            channel.queue_declare("q", durable=True)
            channel.basic_publish("", "q", b"")
            channel.basic_consume(channel.queue_declare("", exclusive=True).method.queue, lambda *_: None)
            assert rules(broker) == []
            channel.basic_qos(prefetch_count=1)
            consume(channel)
        (finding,) = broker.findings
    assert finding.rule == "no-heartbeat"
    assert finding.channel == 0
    assert finding.what == "queue 'q' is consumed over a connection without heartbeats"
