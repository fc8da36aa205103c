import pika
import pytest
from pamqp.commands import Queue

from amqpy_broker.testing import Broker
from tests.server.loops import connected, on_each_loop, until
from tests.testing.strict.judged import PERSISTENT, channel_of, judged, rules
from tests.wire import publish


def test_a_message_that_no_queue_gets_is_found() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.basic_publish("", "nowhere", b"lost")
        (finding,) = broker.findings
    assert finding.rule == "unroutable-dropped"
    assert finding.what == "a message to the default exchange with routing key 'nowhere' reached no queue and is lost"
    assert "mandatory=True" in finding.fix
    assert finding.channel == 1
    assert "basic.publish exchange='' routing_key='nowhere' 'lost'" in finding.said[-1]


@on_each_loop
async def test_what_was_said_ends_with_the_message_though_more_was_said_at_once() -> None:
    broker = Broker(strict="warn", ignore=["transient-queue"])
    async with broker, connected(broker.port) as client:
        await client.call(Queue.Declare, queue="q")
        rest = b"".join(publish(1, "", "q", b"%d" % number) for number in range(100))
        await client.send(publish(1, "", "nowhere", b"lost") + rest)
        await until(lambda: bool(broker.findings))
        said = broker.findings[0].said
        assert "routing_key='nowhere' 'lost'" in said[-1]
        assert "queue.declare-ok" in said[-2]
        broker.clear_findings()


@pytest.mark.parametrize("exchange_type", ["direct", "headers"])
def test_a_message_to_an_exchange_without_a_binding_for_it_is_found(exchange_type: str) -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.exchange_declare("x", exchange_type)
            channel.basic_publish("x", "key", b"lost")
        assert rules(broker) == ["unroutable-dropped"]
        assert "exchange 'x' with routing key 'key'" in broker.findings[0].what


@pytest.mark.parametrize("exchange_type", ["fanout", "topic"])
def test_a_transient_event_that_nobody_listens_to_is_fine_but_a_persistent_one_is_not(exchange_type: str) -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.confirm_delivery()
            channel.exchange_declare("x", exchange_type)
            channel.basic_publish("x", "key", b"unheard")
            assert rules(broker) == []
            channel.basic_publish("x", "key", b"lost", PERSISTENT)
        assert rules(broker) == ["unroutable-dropped"]


def test_a_reply_to_somebody_who_has_gone_is_fine() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.basic_publish("", "reply-queue", b"42", pika.BasicProperties(correlation_id="7"))
            channel.basic_publish("", "amq.gen-of-somebody", b"42")
        assert rules(broker) == []


def test_a_mandatory_message_is_its_publishers_affair() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.confirm_delivery()
            with pytest.raises(pika.exceptions.UnroutableError):
                channel.basic_publish("", "nowhere", b"returned", mandatory=True)
        assert rules(broker) == []


def test_a_message_that_an_alternate_exchange_takes_or_an_exchange_keeps_is_not_lost() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.exchange_declare("rest", "fanout")
            channel.queue_bind(channel.queue_declare("", exclusive=True).method.queue, "rest")
            channel.exchange_declare("x", "direct", arguments={"alternate-exchange": "rest"})
            channel.basic_publish("x", "key", b"caught")
            channel.exchange_declare("later", "x-delayed-message", arguments={"x-delayed-type": "direct"})
            channel.basic_publish("later", "key", b"kept", pika.BasicProperties(headers={"x-delay": 60_000}))
        assert rules(broker) == []


def test_persistent_messages_without_confirms_are_found_once_with_their_count() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("q", durable=True)
            for _ in range(3):
                channel.basic_publish("", "q", b"", PERSISTENT)
        (finding,) = broker.findings
    assert finding.rule == "publish-without-confirms"
    assert finding.times == 3
    assert "(3 times)" in str(finding)


def test_persistent_messages_with_confirms_or_in_a_transaction_are_fine_and_transient_ones_always() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("q", durable=True)
            channel.basic_publish("", "q", b"transient")
            channel.confirm_delivery()
            channel.basic_publish("", "q", b"", PERSISTENT)
        with channel_of(broker) as channel:
            channel.tx_select()
            channel.basic_publish("", "q", b"", PERSISTENT)
            channel.tx_commit()
        assert rules(broker) == []
