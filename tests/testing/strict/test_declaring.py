import pika
import pytest

from tests.testing.strict.judged import channel_of, judged, rules


def test_a_queue_that_is_declared_in_two_ways_is_found() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("q", durable=True)
            with pytest.raises(pika.exceptions.ChannelClosedByBroker):
                channel.queue_declare("q", durable=True, arguments={"x-max-length": 3})
        (finding,) = broker.findings
    assert finding.rule == "inequivalent-redeclare"
    assert "inequivalent arg 'x-max-length' for queue 'q'" in finding.what


def test_a_queue_that_is_neither_durable_nor_exclusive_is_found_and_others_are_not() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("durable", durable=True)
            channel.queue_declare("exclusive", exclusive=True)
            channel.queue_declare("durable", passive=True)
            assert rules(broker) == []
            channel.queue_declare("transient")
        (finding,) = broker.findings
    assert finding.rule == "transient-queue"
    assert "transient_nonexcl_queues" in finding.fix


def test_what_4_3_refuses_is_found_with_the_refusal() -> None:
    with judged(profile="4.3") as broker:
        with channel_of(broker) as channel, pytest.raises(pika.exceptions.ConnectionClosedByBroker):
            channel.queue_declare("transient")
        assert rules(broker) == ["transient-queue"]


def test_a_prefetch_count_for_a_channel_is_found() -> None:
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.basic_qos(prefetch_count=1)
            assert rules(broker) == []
            channel.basic_qos(prefetch_count=1, global_qos=True)
        assert rules(broker) == ["global-prefetch"]


def test_arguments_that_mean_nothing_any_more_are_found() -> None:
    arguments = {"x-queue-mode": "lazy", "x-queue-version": 2, "x-ha-policy": "all"}
    with judged() as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("q", durable=True, arguments=arguments)
        assert [finding.what for finding in broker.findings] == [
            "argument x-ha-policy of queue 'q': mirrored queues are gone since 4.0",
            "argument x-queue-mode of queue 'q': classic queues know no modes since 3.12",
        ]


def test_3_10_knows_no_deprecation() -> None:
    with judged(profile="3.10") as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("transient", arguments={"x-queue-mode": "lazy"})
            channel.basic_qos(prefetch_count=1, global_qos=True)
        assert rules(broker) == []
