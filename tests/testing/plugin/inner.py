"""Runs of pytest inside a test, where every warning is an error.

They run in the same process, because that is ten times as fast. What they load must be loaded before them: pytester
forgets what is loaded first in a run, and a class that is loaded twice is two classes.
"""

from __future__ import annotations

import aio_pika  # noqa: F401
import pika  # noqa: F401
import pytest
import pytest_asyncio  # noqa: F401
import trio  # noqa: F401

import amqpy_broker.testing.conversation.recording
import amqpy_broker.testing.plugin.session
import amqpy_broker.testing.plugin.vhost  # noqa: F401

PIKA = """
import pika
import pytest

def connect(url):
    return pika.BlockingConnection(pika.URLParameters(url))

def publish(url, queue="q", **options):
    connection = connect(url)
    channel = connection.channel()
    channel.queue_declare(queue, **{"durable": True, **options})
    channel.basic_publish("", queue, b"hello")
    ready = channel.queue_declare(queue, passive=True).method.message_count
    connection.close()
    return ready
"""


def run(
    pytester: pytest.Pytester, tests: str, *arguments: str, ini: str = "", warnings: str = "error"
) -> pytest.RunResult:
    """Run tests, which may use what is in PIKA."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n" + ini)
    pytester.makepyfile(test_it=PIKA + tests)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", warnings, *arguments)
