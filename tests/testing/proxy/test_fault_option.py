"""Faults on the command line of the proxy."""

from __future__ import annotations

import re
import subprocess
import sys

import click
import pika
import pytest

from amqpy_broker.cli.fault_specs import FAULTS, FaultSpec, read_faults
from amqpy_broker.cli.proxy import proxy as proxy_command
from amqpy_broker.testing import BrokerThread, Misuse, Proxy
from amqpy_broker.testing.faults.faults import Faults
from tests.broker_process import clean_environment


def spec(text: str) -> FaultSpec:
    (found,) = read_faults(click.Context(proxy_command), proxy_command.params[0], (text,))
    return found


def test_a_fault_is_named_with_what_it_is_about() -> None:
    assert spec("delay:method=basic.ack,seconds=0.5,times=2") == (
        "delay",
        {"method": "basic.ack", "seconds": 0.5, "times": 2},
    )
    assert spec("refuse-connections") == ("refuse_connections", {})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nonsense", "there are close_channel"),
        ("delay:method", "is not KEY=VALUE"),
        ("delay:method=basic.ack,seconds=soon", "seconds has to be a number, not 'soon'"),
    ],
)
def test_what_is_no_fault_is_told(text: str, why: str) -> None:
    with pytest.raises(click.BadParameter, match=why):
        spec(text)


@pytest.mark.parametrize("text", ["delay", "delay:method=basic.ack,color=red", "drop_connection:probability=7"])
def test_what_a_fault_does_not_take_is_told(text: str) -> None:
    with pytest.raises(click.BadParameter, match=text.partition(":")[0]):
        spec(text).begin(Proxy("amqp://localhost").faults)


def test_every_fault_of_a_proxy_can_be_said() -> None:
    """Those that are not named here say themselves that a proxy cannot have them."""
    methods = {name for name in vars(Faults) if not name.startswith("_")} - {"in_force", "clear", "finish"}
    for name in methods - set(FAULTS):
        with pytest.raises(Misuse, match="proxy"):
            getattr(Proxy("amqp://localhost").faults, name)()


def test_the_command_lets_things_go_wrong() -> None:
    with BrokerThread() as broker:
        arguments = ["--to", broker.url, "--quiet", "--fault", "nack_publishes:times=1", "--fault",
                     "close-channel:method=queue.purge,code=404,text=gone"]  # fmt: skip
        with subprocess.Popen(
            [sys.executable, "-m", "amqpy_broker", "proxy", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        ) as process:
            assert process.stdout is not None
            url = re.search(r"amqp://\S+", process.stdout.readline())
            assert url is not None
            connection = pika.BlockingConnection(pika.URLParameters(url[0]))
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare("q")
            with pytest.raises(pika.exceptions.NackError):
                channel.basic_publish("", "q", b"refused")
            channel.basic_publish("", "q", b"taken")
            with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="gone"):
                channel.queue_purge("q")
            connection.close()
            process.terminate()
        assert [message.body for message in broker.queue("q").messages] == [b"taken"]
