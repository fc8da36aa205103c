"""A vhost and two clients of it."""

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import a_vhost, an_actor


@pytest.fixture
def vhost() -> VirtualHost:
    return a_vhost()


@pytest.fixture
def actor() -> Actor:
    return an_actor()


@pytest.fixture
def stranger() -> Actor:
    """Somebody on another connection."""
    return an_actor()
