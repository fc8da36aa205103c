"""The kit at home in one vhost."""

from __future__ import annotations

import pytest

from amqpy_broker.testing import Broker, BrokerThread, NoSuchThing, NotSeen
from tests.server.loops import on_each_loop


@on_each_loop
async def test_what_is_asked_without_a_vhost_is_asked_at_home() -> None:
    async with Broker() as broker:
        broker.add_vhost("home")
        home = broker.vhost("home")
        home.declare_queue("q")
        broker.declare_queue("q")
        assert home.publish("", "q", b"1") == ("q",)
        assert (home.queue("q").ready, broker.queue("q").ready) == (1, 0)
        assert home.explain("", "q").queues == ("q",)
        await home.wait_for_queue("q", ready=1)
        await home.wait_for(lambda home: home.queue("q").ready == 1)
        assert home.take("q").body == b"1"
        assert home.queue("q", vhost="/").ready == 0


@on_each_loop
async def test_the_history_is_that_of_the_vhost() -> None:
    async with Broker() as broker:
        broker.add_vhost("home")
        home = broker.vhost("home")
        broker.publish("", "x", b"elsewhere")
        home.assert_nothing_published()
        home.assert_nothing_unrouted()
        home.publish("", "x", b"at home")
        assert home.assert_published(times=1).body == b"at home"
        assert len(home.history()) == 1
        assert len(broker.published()) == 2
        with pytest.raises(NotSeen, match="of 1 messages 0"):
            await home.wait_for_published(body=b"elsewhere", timeout_s=0.01)


def test_a_vhost_of_a_broker_in_a_thread_waits_too() -> None:
    with BrokerThread() as broker:
        broker.add_vhost("home")
        home = broker.vhost("home")
        home.declare_queue("q")
        home.publish("", "q")
        assert home.wait_for_queue("q", ready=1).vhost == "home"
        assert home.wait_for_published("", "q")
        assert home.wait_for(lambda home: home.take_all("q"))


def test_a_vhost_that_is_not_there_is_told_when_it_is_asked() -> None:
    broker = Broker()
    home = broker.vhost("home")
    with pytest.raises(NoSuchThing, match="no vhost 'home'"):
        home.queues()
    broker.add_vhost("home")
    assert home.queues() == ()
