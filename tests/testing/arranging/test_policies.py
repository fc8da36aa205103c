"""Policies, set from the test."""

import pytest

from amqpy_broker.testing import Broker, BrokerThread, Misuse, NoSuchThing


def test_a_policy_counts_for_queues_that_are_there_and_for_those_to_come() -> None:
    with BrokerThread() as broker:
        broker.declare_queue("q.before")
        broker.set_policy("short", "^q", {"max-length": 1}, apply_to="queues")
        broker.declare_queue("q.after")
        for name in ("q.before", "q.after"):
            broker.publish("", name, "1")
            broker.publish("", name, "2")
            assert [message.text for message in broker.take_all(name)] == ["2"]
            assert (broker.queue(name).policy, broker.queue(name).operator_policy) == ("short", None)


def test_a_policy_that_is_cleared_counts_no_longer() -> None:
    with BrokerThread() as broker:
        broker.declare_queue("q")
        broker.set_policy("short", "", {"max-length": 1}, operator=True)
        assert broker.queue("q").operator_policy == "short"
        broker.clear_policy("short", operator=True)
        assert broker.queue("q").operator_policy is None
        assert broker.exchange("amq.direct").policy is None


def test_an_exchange_tells_its_policy() -> None:
    with BrokerThread() as broker:
        broker.set_policy("rest", "^amq.direct$", {"alternate-exchange": "amq.fanout"})
        assert (broker.exchange("amq.direct").policy, broker.exchange("amq.direct").alternate) == ("rest", "amq.fanout")


def test_what_rabbitmq_refuses_is_refused_in_its_words() -> None:
    with BrokerThread() as broker, pytest.raises(Misuse, match=r"^-1 is not a valid maximum length$"):
        broker.set_policy("p", "", {"max-length": -1})


def test_a_policy_that_is_not_there_cannot_be_cleared() -> None:
    with BrokerThread() as broker:
        broker.set_policy("limits", "", {"max-length": 1})
        with pytest.raises(NoSuchThing, match="no policy 'limit'; near: 'limits'"):
            broker.clear_policy("limit")
        with pytest.raises(NoSuchThing, match="no operator policy 'limits'; there is none"):
            broker.clear_policy("limits", operator=True)


@pytest.mark.anyio
async def test_a_vhost_of_a_test_has_policies_of_its_own() -> None:
    async with Broker() as broker:
        broker.add_vhost("mine")
        broker.set_policy("p", "", {"max-length": 1}, vhost="mine")
        broker.declare_queue("q", vhost="mine")
        broker.declare_queue("q")
        assert (broker.queue("q", vhost="mine").policy, broker.queue("q").policy) == ("p", None)


def test_a_snapshot_holds_policies() -> None:
    with BrokerThread() as broker:
        broker.declare_queue("q")
        for number in "123":
            broker.publish("", "q", number)
        snapshot = broker.snapshot()
        broker.declare_queue("dead")
        sets = {"max-length": 1, "dead-letter-exchange": "", "dead-letter-routing-key": "dead"}
        broker.set_policy("short", "^q$", sets)
        assert (broker.queue("q").ready, broker.queue("dead").ready) == (1, 2)
        under_policy = broker.snapshot()

        broker.restore(snapshot)
        assert (broker.queue("q").ready, broker.queue("q").policy) == (3, None)

        broker.publish("", "q", "4")
        broker.restore(under_policy)
        assert (broker.queue("q").ready, broker.queue("q").policy, broker.queue("dead").ready) == (1, "short", 2)


def test_policies_survive_a_restart_of_the_test_broker() -> None:
    with BrokerThread() as broker:
        broker.set_policy("short", "", {"max-length": 1})
        broker.declare_queue("q")
        broker.restart()
        assert broker.queue("q").policy == "short"
