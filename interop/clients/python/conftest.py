"""Fixtures of the client suite: the broker under test, restartable brokers, unique names, an aio-pika channel."""

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from interop.clients.python.support.broker_process import COMMAND_VARIABLE, BrokerProcess
from interop.clients.python.support.ports import reserve_port

if TYPE_CHECKING:  # not every environment has every client
    from aio_pika.abc import AbstractChannel, AbstractConnection

EXTERNAL_URL = os.environ.get("AMQP_URL")
IS_OUR_BROKER = not EXTERNAL_URL and "amqpy" in os.environ.get(COMMAND_VARIABLE, "amqpy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect missing extensions to be missing: strictly, so that the mark goes when the extension comes."""
    for item in items:
        if IS_OUR_BROKER and (mark := item.get_closest_marker("extension")):
            item.add_marker(pytest.mark.xfail(reason=f"no {mark.args[0]} yet", strict=True))


@pytest.fixture(scope="session")
def broker_url() -> Iterator[str]:
    """The broker under test: `AMQP_URL`, or one of our own for the whole session."""
    if EXTERNAL_URL:
        yield EXTERNAL_URL
        return
    with BrokerProcess() as broker:
        yield broker.url
        broker.terminate()
        _check_log(broker)


@pytest.fixture
def restartable_broker() -> Iterator[BrokerProcess]:
    """A broker of the test's own, to be terminated, killed and started again."""
    if EXTERNAL_URL:
        pytest.skip("AMQP_URL names a broker that the tests may not restart")
    with BrokerProcess(reserve_port()) as broker:
        yield broker
        _check_log(broker)


def _check_log(broker: BrokerProcess) -> None:
    """Whatever the clients did, our broker saw it coming."""
    if IS_OUR_BROKER:
        assert "Traceback" not in broker.read_log(), broker.read_log()


@pytest.fixture
def name() -> Callable[[str], str]:
    """Make names that no other test uses: all share one broker."""
    suffix = uuid.uuid4().hex[:12]
    return lambda stem: f"{stem}-{suffix}"


@pytest.fixture
async def connection(broker_url: str) -> "AsyncIterator[AbstractConnection]":
    """A plain (not robust) aio-pika connection."""
    import aio_pika

    async with await aio_pika.connect(broker_url) as connection:
        yield connection


@pytest.fixture
async def channel(connection: "AbstractConnection") -> "AbstractChannel":
    """An aio-pika channel with publisher confirms."""
    return await connection.channel()
