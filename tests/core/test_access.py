"""Who acts: what is refused, and how it is said."""

import pytest

from amqpy_broker.core.access import Actor, Operation
from amqpy_broker.core.errors import AccessRefused
from amqpy_broker.core.users import Permissions, User
from tests.fakes import an_actor, refused

OPERATIONS: list[Operation] = ["configure", "write", "read"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_user_with_permission_may_act(operation: Operation) -> None:
    actor = an_actor("bob", Permissions("^c", "^w", "^r"))

    actor.check_queue(operation, operation[0])
    actor.check_exchange(operation, operation[0])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_refusal_names_operation_resource_vhost_and_user(operation: Operation) -> None:
    actor = an_actor("bob", Permissions("", "", ""), vhost="/v")

    with refused(AccessRefused, f"{operation} access to queue 'q' in vhost '/v' refused for user 'bob'"):
        actor.check_queue(operation, "q")
    with refused(AccessRefused, f"{operation} access to exchange 'x' in vhost '/v' refused for user 'bob'"):
        actor.check_exchange(operation, "x")


def test_the_default_exchange_is_asked_for_as_amq_default() -> None:
    an_actor("bob", Permissions(write=r"^amq\.default$")).check_exchange("write", "")

    text = "write access to exchange 'amq.default' in vhost '/' refused for user 'bob'"
    with refused(AccessRefused, text):
        an_actor("bob", Permissions(write="^$")).check_exchange("write", "")


def test_permissions_are_those_of_the_vhost() -> None:
    user = User("bob", permissions={"/": Permissions(), "other": Permissions("", "", "")})

    Actor(user, "/", owner=object()).check_queue("read", "q")
    with refused(AccessRefused, "read access to queue 'q' in vhost 'other' refused for user 'bob'"):
        Actor(user, "other", owner=object()).check_queue("read", "q")
