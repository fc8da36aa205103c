import warnings

import pytest

from amqpy_broker.testing import Broker, BrokerThread, Misuse
from amqpy_broker.testing.strict.finding import FindingsError, StrictWarning
from amqpy_broker.testing.strict.rules import RULES
from tests.server.loops import connected as socket_client
from tests.server.loops import on_each_loop, until
from tests.testing.strict.judged import channel_of, judged, rules
from tests.wire import publish


async def lose_a_message(broker: Broker) -> None:
    """Let a client publish a message that no queue gets."""
    async with broker, socket_client(broker.port) as client:
        await client.send(publish(1, "", "nowhere", b"lost"))
        await until(lambda: bool(broker.findings))


@on_each_loop
async def test_a_strict_broker_fails_when_it_is_left_and_something_was_found() -> None:
    with pytest.raises(FindingsError, match="unroutable-dropped: a message to the default exchange"):
        await lose_a_message(Broker(strict="error"))


@on_each_loop
async def test_a_strict_broker_that_only_warns_warns_when_it_is_left() -> None:
    with pytest.warns(StrictWarning, match="unroutable-dropped"):
        await lose_a_message(Broker(strict="warn"))


def declare_transient_queue(broker: BrokerThread, error: Exception | None = None) -> None:
    """Let a client do what is found, and the test fail if it should."""
    with broker, channel_of(broker) as channel:
        channel.queue_declare("q")
        if error is not None:
            raise error


def test_a_strict_broker_in_a_thread_fails_when_it_is_left_and_something_was_found() -> None:
    with pytest.raises(FindingsError, match="transient-queue"):
        declare_transient_queue(BrokerThread(strict="error"))


def test_what_failed_first_is_what_is_seen() -> None:
    with pytest.raises(ZeroDivisionError):
        declare_transient_queue(BrokerThread(strict="error"), ZeroDivisionError())


def test_nothing_is_said_when_nothing_was_found() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with BrokerThread(strict="warn") as broker, channel_of(broker) as channel:
            channel.queue_declare("q", durable=True)
        broker.assert_no_findings()


def test_a_rule_is_silenced_by_its_name() -> None:
    with judged(ignore=["transient-queue"]) as broker:
        with channel_of(broker) as channel:
            channel.queue_declare("q")
            channel.basic_publish("", "nowhere", b"")
        assert rules(broker) == ["unroutable-dropped"]


def test_findings_can_be_asserted_and_cleared_in_between() -> None:
    with judged() as broker, channel_of(broker) as channel:
        channel.queue_declare("q")
        with pytest.raises(AssertionError, match=r"(?s)strict mode found 1 thing.*do: declare the queue durable"):
            broker.assert_no_findings()
        broker.clear_findings()
        broker.assert_no_findings()
        channel.queue_declare("q")
        assert rules(broker) == ["transient-queue"]


def test_a_finding_names_the_connection_as_its_client_does() -> None:
    with judged() as broker:
        with channel_of(broker, client_properties={"connection_name": "billing"}) as channel:
            channel.queue_declare("q")
        (finding,) = broker.findings
    assert finding.connection == "billing"
    assert finding.headline.endswith("[connection 'billing', channel 1]")


def test_a_rule_or_a_level_that_does_not_exist_is_refused_with_what_there_is() -> None:
    with pytest.raises(Misuse, match=r"no rule 'transient-queues': is it 'transient-queue'\?"):
        Broker(strict="warn", ignore=["transient-queues"])
    with pytest.raises(Misuse, match="there are 'warn' and 'error'"):
        Broker(strict="yes")


def test_a_broker_that_does_not_judge_says_so() -> None:
    with BrokerThread() as broker, pytest.raises(Misuse, match="make it with strict="):
        broker.assert_no_findings()


def test_every_rule_has_a_name_of_its_own_and_a_remedy() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert all(rule.fix for rule in RULES)
