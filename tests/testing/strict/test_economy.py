from tests.testing.strict.judged import channel_of, connected, judged, rules


def test_a_channel_for_each_message_is_found() -> None:
    with judged() as broker:
        with connected(broker) as connection:
            for _ in range(4):
                publish_once(connection)
            assert rules(broker) == []
            publish_once(connection)
        (finding,) = broker.findings
    assert finding.rule == "channel-per-message"
    assert finding.what == "5 channels one after the other were opened for one message each"


def test_channels_that_do_more_than_publish_once_are_fine() -> None:
    with judged() as broker:
        with connected(broker) as connection:
            for _ in range(2):
                for _ in range(4):
                    publish_once(connection)
                channel = connection.channel()
                channel.basic_publish("amq.fanout", "", b"")
                channel.basic_publish("amq.fanout", "", b"")
                channel.close()
        assert rules(broker) == []


def test_a_connection_for_each_message_is_found_until_the_test_is_another() -> None:
    with judged() as broker:
        for _ in range(4):
            with channel_of(broker) as channel:
                channel.basic_publish("amq.fanout", "", b"")
        broker.settled()
        broker.clear_findings()
        for _ in range(4):
            with channel_of(broker) as channel:
                channel.basic_publish("amq.fanout", "", b"")
        broker.settled()
        assert rules(broker) == []
        with channel_of(broker) as channel:
            channel.basic_publish("amq.fanout", "", b"")
        broker.settled()
        (finding,) = broker.findings
    assert finding.rule == "connection-per-message"
    assert finding.what == "5 connections one after the other were opened for one message each"


def publish_once(connection: object) -> None:
    channel = connection.channel()
    channel.basic_publish("amq.fanout", "", b"")
    channel.close()
