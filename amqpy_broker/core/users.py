"""Users: passwords, permissions, and whether they may come from afar."""

import hashlib
import hmac
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Permissions:
    """Regular expressions over names of queues and exchanges, RabbitMQ's three. An empty one allows nothing."""

    configure: str = ".*"
    write: str = ".*"
    read: str = ".*"

    def allow(self, operation: str, name: str) -> bool:
        """Say whether a name is covered. As in RabbitMQ, the expression may match anywhere in it."""
        pattern: str = getattr(self, operation)
        if pattern == ".*":
            return True
        return bool(pattern) and _compiled(pattern).search(name) is not None


# Operators write the patterns; there are as many as there are permissions.
@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@dataclass(slots=True)
class User:
    """A user. Without a password hash nobody can log in as it."""

    name: str
    password_hash: bytes | None = None
    tags: tuple[str, ...] = ()
    permissions: dict[str, Permissions] = field(default_factory=dict)

    def has_password(self, password: str) -> bool:
        """Say whether this is the user's password, in constant time. An empty one never is."""
        if self.password_hash is None or not password:
            return False
        salt = self.password_hash[:_SALT_BYTES]
        return hmac.compare_digest(self.password_hash, hash_password(password, salt))


_SALT_BYTES = 4


def hash_password(password: str, salt: bytes | None = None) -> bytes:
    """Hash a password as RabbitMQ does: a salt of 4 bytes, then SHA-256 of salt and password.

    See https://www.rabbitmq.com/docs/passwords#this-is-the-algorithm: definitions files carry these hashes.
    """
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    return salt + hashlib.sha256(salt + password.encode("utf-8", "surrogateescape")).digest()


class Users:
    """All users of a broker."""

    def __init__(self) -> None:
        self._by_name: dict[str, User] = {}
        # Told of every change, so that it outlives the broker.
        self.on_change: Callable[[User], None] = _nobody
        self.on_remove: Callable[[str], None] = _nobody

    def add(self, user: User) -> None:
        """Add or replace a user; one that was changed is added again."""
        self._by_name[user.name] = user
        self.on_change(user)

    def remove(self, name: str) -> None:
        """Remove a user, if there is one of that name."""
        if self._by_name.pop(name, None) is not None:
            self.on_remove(name)

    def __iter__(self) -> Iterator[User]:
        """Show all users."""
        return iter(tuple(self._by_name.values()))

    def find(self, name: str) -> User | None:
        """Find a user by name."""
        return self._by_name.get(name)

    def authenticate(self, name: str, password: str) -> User | None:
        """Find the user whose name and password these are."""
        user = self._by_name.get(name)
        return user if user is not None and user.has_password(password) else None


def _nobody(changed: object) -> None:
    """Nobody wants to know."""
