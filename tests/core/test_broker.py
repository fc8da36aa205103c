"""The root of the broker: what is there when it begins."""

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.profile import profile_named
from tests.fakes import ManualClock, an_actor, declare_queue, filled


def test_a_broker_begins_with_one_vhost_and_one_user() -> None:
    core = BrokerCore()
    guest = core.users.authenticate("guest", "guest")

    assert list(core.vhosts) == ["/"]
    assert guest is not None
    assert guest.tags == ("administrator",)
    assert guest.permissions["/"].allow("configure", "anything")


def test_adding_a_vhost_again_finds_it() -> None:
    core = BrokerCore()
    vhost = core.add_vhost("v")

    assert core.add_vhost("v") is vhost
    assert core.add_vhost("other") is not vhost


def test_vhosts_share_nothing_but_the_profile() -> None:
    core = BrokerCore(profile_named("3.10"))
    declare_queue(core.add_vhost("v"), an_actor(vhost="v"))

    assert "q" not in core.vhosts["/"].queues
    assert core.vhosts["v"].profile is core.vhosts["/"].profile is profile_named("3.10")


def test_a_seed_makes_the_names_that_a_broker_gives_out_repeat() -> None:
    names = [declare_queue(BrokerCore(seed=5).vhosts["/"], an_actor(), "").name for _ in range(2)]

    assert names[0] == names[1]


def test_a_broker_reads_the_clock_that_it_is_given() -> None:
    clock = ManualClock()

    assert BrokerCore(clock=clock).clock is clock


def test_memory_of_every_vhost_counts_against_the_watermark() -> None:
    core = BrokerCore(memory_watermark_bytes=10)
    vhost = core.add_vhost("added later")

    filled(declare_queue(vhost, an_actor(vhost=vhost.name)), "1")
    core.memory.measure()

    assert core.memory.alarm
