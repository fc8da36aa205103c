"""The generation of a vhost: who remembers a route compares it, so it grows with all that may change one."""

from collections.abc import Callable

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import FakeConsumer, declare_exchange, declare_queue, delete_queue, filled

Operation = Callable[[VirtualHost, Actor], object]

CHANGES: dict[str, Operation] = {
    "declare queue": lambda vhost, actor: declare_queue(vhost, actor, "new"),
    "delete queue": lambda vhost, actor: delete_queue(vhost, actor, "q"),
    "disconnect": lambda vhost, actor: vhost.drop_exclusive_queues(actor.owner),
    "declare exchange": lambda vhost, actor: declare_exchange(vhost, actor, "new"),
    "delete exchange": lambda vhost, actor: vhost.delete_exchange(actor, "x", if_unused=False),
    "bind queue": lambda vhost, actor: vhost.bind_queue(actor, "q", "x", "new", {}),
    "unbind queue": lambda vhost, actor: vhost.unbind_queue(actor, "q", "x", "k", {}),
    "bind exchange": lambda vhost, actor: vhost.bind_exchange(actor, "x", "y", "new", {}),
    "unbind exchange": lambda vhost, actor: vhost.unbind_exchange(actor, "x", "y", "k", {}),
}
NO_CHANGES: dict[str, Operation] = {
    "declare queue again": lambda vhost, actor: declare_queue(vhost, actor, "q"),
    "delete missing queue": lambda vhost, actor: delete_queue(vhost, actor, "nope"),
    "declare exchange again": lambda vhost, actor: declare_exchange(vhost, actor, "x"),
    "delete missing exchange": lambda vhost, actor: vhost.delete_exchange(actor, "nope", if_unused=False),
    "bind again": lambda vhost, actor: vhost.bind_queue(actor, "q", "x", "k", {}),
    "unbind missing": lambda vhost, actor: vhost.unbind_queue(actor, "q", "x", "nope", {}),
    "purge": lambda vhost, actor: vhost.purge_queue(actor, "q"),
    "publish": lambda vhost, actor: filled(vhost.queues["q"], "1"),
    "consume": lambda vhost, actor: FakeConsumer(vhost.queues["q"]).start().stop(),
}


@pytest.fixture
def busy(vhost: VirtualHost, actor: Actor) -> VirtualHost:
    declare_queue(vhost, actor, "q")
    declare_queue(vhost, actor, "exclusive", exclusive=True)
    declare_exchange(vhost, actor, "x")
    declare_exchange(vhost, actor, "y")
    vhost.bind_queue(actor, "q", "x", "k", {})
    vhost.bind_exchange(actor, "x", "y", "k", {})
    return vhost


@pytest.mark.parametrize("operation", CHANGES.values(), ids=CHANGES)
def test_what_may_change_a_route_makes_a_new_generation(busy: VirtualHost, actor: Actor, operation: Operation) -> None:
    before = busy.generation
    operation(busy, actor)
    assert busy.generation > before


@pytest.mark.parametrize("operation", NO_CHANGES.values(), ids=NO_CHANGES)
def test_what_changes_no_route_leaves_the_generation(busy: VirtualHost, actor: Actor, operation: Operation) -> None:
    before = busy.generation
    operation(busy, actor)
    assert busy.generation == before


def test_an_auto_delete_queue_makes_a_new_generation_when_it_goes(vhost: VirtualHost, actor: Actor) -> None:
    queue = declare_queue(vhost, actor, auto_delete=True)
    FakeConsumer(queue).start().stop()
    before = vhost.generation
    vhost.consumer_gone(queue)
    assert vhost.generation > before
