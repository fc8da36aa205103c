"""Which permission each operation asks for, before it looks for anything."""

from collections.abc import Callable

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.errors import AccessRefused
from amqpy_broker.core.users import Permissions
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import an_actor, declare_exchange, declare_queue, delete_queue, refused

Operation = Callable[[VirtualHost, Actor], object]

OPERATIONS: list[tuple[str, Operation]] = [
    ("configure access to queue 'q'", lambda vhost, actor: declare_queue(vhost, actor)),
    ("configure access to queue 'q'", lambda vhost, actor: delete_queue(vhost, actor)),
    ("read access to queue 'q'", lambda vhost, actor: vhost.purge_queue(actor, "q")),
    ("configure access to exchange 'x'", lambda vhost, actor: declare_exchange(vhost, actor)),
    ("configure access to exchange 'x'", lambda vhost, actor: vhost.delete_exchange(actor, "x", if_unused=False)),
    ("write access to exchange 'x'", lambda vhost, actor: vhost.exchange_for_publish(actor, "x")),
    ("write access to exchange 'amq.default'", lambda vhost, actor: vhost.exchange_for_publish(actor, "")),
    ("write access to queue 'q'", lambda vhost, actor: vhost.bind_queue(actor, "q", "x", "", {})),
    ("write access to queue 'q'", lambda vhost, actor: vhost.unbind_queue(actor, "q", "x", "", {})),
    ("write access to exchange 'y'", lambda vhost, actor: vhost.bind_exchange(actor, "y", "x", "", {})),
    ("write access to exchange 'y'", lambda vhost, actor: vhost.unbind_exchange(actor, "y", "x", "", {})),
]


@pytest.mark.parametrize(("access", "operation"), OPERATIONS)
@pytest.mark.parametrize("exists", [True, False])
def test_who_may_nothing_is_refused_whether_it_exists_or_not(
    vhost: VirtualHost, actor: Actor, access: str, operation: Operation, exists: bool
) -> None:
    if exists:
        declare_queue(vhost, actor)
        declare_exchange(vhost, actor, "x")
        declare_exchange(vhost, actor, "y")

    with refused(AccessRefused, f"{access} in vhost '/' refused for user 'bob'"):
        operation(vhost, an_actor("bob", Permissions("", "", "")))


def test_a_server_named_queue_needs_the_permission_for_the_name_it_gets(vhost: VirtualHost) -> None:
    declare_queue(vhost, an_actor("bob", Permissions(configure="^amq.gen-")), "")

    with pytest.raises(AccessRefused, match=r"^configure access to queue 'amq\.gen-.{22}' in vhost '/' refused"):
        declare_queue(vhost, an_actor("bob", Permissions(configure="^my-")), "")


@pytest.mark.parametrize(
    ("permissions", "text"),
    [
        (Permissions(read=""), "read access to exchange 'x' in vhost '/' refused for user 'bob'"),
        (Permissions(write="^x$"), "write access to exchange 'ae' in vhost '/' refused for user 'bob'"),
    ],
)
def test_an_alternate_exchange_asks_read_here_and_write_there(
    vhost: VirtualHost, permissions: Permissions, text: str
) -> None:
    with refused(AccessRefused, text):
        declare_exchange(vhost, an_actor("bob", permissions), alternate_exchange="ae")
    assert "x" not in vhost.exchanges


def test_finding_a_queue_or_an_exchange_asks_for_no_permission(vhost: VirtualHost, actor: Actor) -> None:
    """Passive declares: who may nothing may still see."""
    bob = an_actor("bob", Permissions("", "", ""))
    declare_queue(vhost, actor)

    assert vhost.find_queue("q", bob).name == "q"
    vhost.check_exchange(bob, "amq.direct")


def test_names_that_are_reserved_come_before_permissions_for_queues_and_after_for_exchanges(vhost: VirtualHost) -> None:
    bob = an_actor("bob", Permissions("", "", ""))

    with refused(AccessRefused, "queue name 'amq.foo' contains reserved prefix 'amq.*'"):
        declare_queue(vhost, bob, "amq.foo")
    with refused(AccessRefused, "configure access to exchange 'amq.foo' in vhost '/' refused for user 'bob'"):
        declare_exchange(vhost, bob, "amq.foo")


def test_an_actor_acts_in_its_own_vhost_only() -> None:
    with pytest.raises(KeyError):
        Actor(an_actor(vhost="/").user, "other", owner=object())


def test_arguments_are_not_looked_at_before_permissions(vhost: VirtualHost) -> None:
    with pytest.raises(AccessRefused):
        vhost.declare_queue(
            an_actor("bob", Permissions(configure="")),
            "q",
            durable=False,
            exclusive=False,
            auto_delete=False,
            arguments=arguments({"x-queue-type": "foo"}),
        )
