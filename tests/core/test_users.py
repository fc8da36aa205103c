"""Users: passwords as RabbitMQ hashes them, and permissions."""

from base64 import b64encode

import pytest

from amqpy_broker.core.users import Permissions, User, Users, hash_password


def test_a_password_is_hashed_as_in_rabbitmqs_own_example() -> None:
    """See https://www.rabbitmq.com/docs/passwords#computing-password-hash."""
    salt = bytes.fromhex("908DC60A")

    assert b64encode(hash_password("test12", salt)) == b"kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


def test_the_same_password_is_salted_differently_each_time() -> None:
    assert hash_password("secret") != hash_password("secret")


@pytest.mark.parametrize("password", ["secret", "пароль", "not \udcff UTF-8", "p" * 1000])
def test_a_user_has_its_own_password_only(password: str) -> None:
    user = User("bob", hash_password(password))

    assert user.has_password(password)
    assert not user.has_password(password + "x")
    assert not user.has_password("")


def test_without_a_password_hash_no_password_is_right() -> None:
    assert not User("bob").has_password("")
    assert not User("bob", b"").has_password("")


def test_users_are_found_by_name_and_known_by_password() -> None:
    users, bob = Users(), User("bob", hash_password("secret"))
    users.add(bob)

    assert users.find("bob") is bob
    assert users.find("Bob") is None
    assert users.authenticate("bob", "secret") is bob
    assert users.authenticate("bob", "other") is None
    assert users.authenticate("alice", "secret") is None


def test_adding_a_user_again_replaces_it() -> None:
    users = Users()
    users.add(User("bob", hash_password("old")))
    users.add(User("bob", hash_password("new")))

    assert users.authenticate("bob", "old") is None
    assert users.authenticate("bob", "new") is not None


# Permissions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        (".*", ["q", "amq.default", "очередь"], []),
        ("", [], ["q", "amq.default"]),
        ("^$", [], ["q", "amq.default"]),
        # As in RabbitMQ, an expression may match anywhere unless it says otherwise.
        ("job", ["job", "jobs", "my-job"], ["jo", "JOB"]),
        ("^job", ["job", "jobs"], ["my-job"]),
        ("^job$", ["job"], ["jobs", "my-job"]),
        (r"^(job|task)\.", ["job.1", "task."], ["job", "tasks.1"]),
    ],
)
def test_a_pattern_says_which_names_are_covered(pattern: str, allowed: list[str], refused: list[str]) -> None:
    permissions = Permissions(configure=pattern, write=pattern, read=pattern)

    for operation in ("configure", "write", "read"):
        assert all(permissions.allow(operation, name) for name in allowed)
        assert not any(permissions.allow(operation, name) for name in refused)


def test_the_three_permissions_are_told_apart() -> None:
    permissions = Permissions(configure="^c$", write="^w$", read="^r$")

    allowed = {name: [o for o in ("configure", "write", "read") if permissions.allow(o, name)] for name in "cwr"}
    assert allowed == {"c": ["configure"], "w": ["write"], "r": ["read"]}
