"""Deliveries that are not acknowledged in time: https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout."""

import pytest
from pamqp.commands import Basic, Queue

from amqpy_broker.core.policies import Policy
from tests.wire import Client, new_broker, refusal

HALF_AN_HOUR_S = 1800
TEXT = (
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: {} ms."
    " This timeout value can be configured, see consumers doc guide to learn more"
)


def with_a_delivery(
    client: Client, queue: dict[str, object] | None = None, consumer: dict[str, object] | None = None
) -> None:
    """Let the client have one message that it has not acknowledged."""
    client.send(Queue.Declare, queue="q", durable=True, arguments=queue or {})
    client.send(Basic.Consume, queue="q", consumer_tag="c", arguments=consumer or {})
    client.publish("", "q", b"m")
    assert client.names() == ["Queue.DeclareOk", "Basic.ConsumeOk", "Basic.Deliver"]


def test_a_channel_is_closed_when_a_delivery_was_kept_for_half_an_hour() -> None:
    client = Client().open(heartbeat=0)
    with_a_delivery(client)

    client.pass_time(HALF_AN_HOUR_S - 1)
    assert client.names() == []
    client.pass_time(61)

    assert refusal(client.heard_one()) == ("channel", 406, TEXT.format(1_800_000), 0, 0)
    assert client.broker.vhosts["/"].queues["q"].ready_count == 1


def test_an_acknowledgement_in_time_keeps_the_channel_open() -> None:
    client = Client().open(heartbeat=0)
    with_a_delivery(client)

    client.pass_time(HALF_AN_HOUR_S - 60)
    client.send(Basic.Ack, delivery_tag=1)
    client.pass_time(2 * HALF_AN_HOUR_S)

    assert client.names() == []


def test_each_delivery_has_its_own_time() -> None:
    client = Client().open(heartbeat=0)
    with_a_delivery(client)
    client.pass_time(1000)
    client.publish("", "q", b"later")
    client.send(Basic.Ack, delivery_tag=1)
    assert client.names() == ["Basic.Deliver"]

    client.pass_time(HALF_AN_HOUR_S - 1)
    assert client.names() == []
    client.pass_time(61)

    assert client.names() == ["Channel.Close"]


@pytest.mark.parametrize(
    "arguments", [{"queue": {"x-consumer-timeout": 5000}}, {"consumer": {"x-consumer-timeout": 5000}}]
)
def test_a_queue_or_a_consumer_may_say_how_long(arguments: dict[str, dict[str, object]]) -> None:
    client = Client().open(heartbeat=0)
    with_a_delivery(client, **arguments)

    client.pass_time(4.9)
    assert client.names() == []
    client.pass_time(0.7)

    assert refusal(client.heard_one())[2] == TEXT.format(5000)


@pytest.mark.parametrize(("asked_ms", "timeout_ms"), [(None, 5000), (4000, 4000), (6000, 5000)])
def test_a_policy_may_say_how_long_too(asked_ms: int | None, timeout_ms: int) -> None:
    client = Client().open(heartbeat=0)
    client.broker.vhosts["/"].policies.set(Policy("quick", "^q", {"consumer-timeout": 5000}))
    with_a_delivery(client, {} if asked_ms is None else {"x-consumer-timeout": asked_ms})

    client.pass_time(timeout_ms / 1000 - 0.1)
    assert client.names() == []
    # Noticed up to two ticks later.
    client.pass_time(1.0)

    assert refusal(client.heard_one())[2] == TEXT.format(timeout_ms)


def test_0_is_for_ever() -> None:
    client = Client(new_broker(consumer_timeout_ms=0)).open(heartbeat=0)
    with_a_delivery(client)

    client.pass_time(10 * HALF_AN_HOUR_S)

    assert client.names() == []


def test_4_3_leaves_classic_queues_alone() -> None:
    client = Client(new_broker("4.3")).open(heartbeat=0)
    with_a_delivery(client)

    client.pass_time(2 * HALF_AN_HOUR_S)

    assert client.names() == []


def test_4_3_cancels_the_consumer_of_a_quorum_queue_and_takes_the_message_back() -> None:
    client = Client(new_broker("4.3")).open(heartbeat=0, capabilities={"consumer_cancel_notify": True})
    with_a_delivery(client, {"x-queue-type": "quorum"})

    client.pass_time(HALF_AN_HOUR_S + 61)

    assert client.names() == ["Basic.Cancel"]
    assert client.broker.vhosts["/"].queues["q"].ready_count == 1


def test_4_3_closes_the_channel_of_a_client_that_does_not_understand_cancelling() -> None:
    client = Client(new_broker("4.3")).open(heartbeat=0, capabilities={})
    with_a_delivery(client, {"x-queue-type": "quorum"})

    client.pass_time(HALF_AN_HOUR_S + 61)

    assert client.names() == ["Channel.Close"]
