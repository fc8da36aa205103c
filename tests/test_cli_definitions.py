"""`--definitions FILE`, from outside."""

import json
import sys
from pathlib import Path

import pytest
from pamqp import commands

from tests.broker_process import Client, broker_process, run_broker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")

EXPORTED = Path(__file__).parent / "core/definitions/rabbitmq-3.10.json"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "definitions.json"


def test_what_rabbitmq_has_exported_is_there_and_what_was_left_out_is_in_the_log() -> None:
    with broker_process("--definitions", str(EXPORTED)) as broker:
        with Client.to(broker) as client:
            assert isinstance(client.open(vhost="orders"), commands.Connection.OpenOk)
        broker.signal(15)
        _, _, log = broker.end()
    assert "topic_permissions[0] ('shop') is left out" in log


def test_policies_of_the_file_outlive_a_kill(file: Path, tmp_path: Path) -> None:
    policy = {"vhost": "/", "name": "short", "pattern": "^q$", "definition": {"max-length": 2}}
    file.write_text(json.dumps({"policies": [policy]}))
    data = str(tmp_path / "data")
    for options in (["--definitions", str(file)], []):
        with broker_process("--data-dir", data, *options) as broker, Client.to(broker) as client:
            found = publish_durably(client, 5)
            broker.process.kill()
    assert found == 2


def publish_durably(client: Client, count: int) -> int:
    """Publish persistent messages into a durable queue, and wait for the confirms; return how many were there."""
    client.open()
    client.send(commands.Channel.Open(), 1)
    assert isinstance(client.receive(), commands.Channel.OpenOk)
    client.send(commands.Queue.Declare(queue="q", durable=True), 1)
    declared = client.receive()
    assert isinstance(declared, commands.Queue.DeclareOk)
    client.send(commands.Confirm.Select(), 1)
    assert isinstance(client.receive(), commands.Confirm.SelectOk)
    for _ in range(count):
        client.publish("q", b"kept")
        assert isinstance(client.receive(), commands.Basic.Ack)
    return declared.message_count


def test_a_file_that_names_users_means_these(file: Path) -> None:
    file.write_text(json.dumps({"users": [{"name": "shop", "password": "x", "tags": ""}]}))
    with broker_process("--definitions", str(file)) as broker:
        assert broker.parts.username is None


def test_a_file_without_users_leaves_guest_who_may_use_the_new_vhosts(file: Path) -> None:
    file.write_text(json.dumps({"vhosts": [{"name": "orders"}]}))
    with broker_process(environment={"AMQPY_DEFINITIONS": str(file)}) as broker, Client.to(broker) as client:
        assert isinstance(client.open(vhost="orders"), commands.Connection.OpenOk)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "this is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ('{"queues": [{"name": "q"}]}', "queues[0].vhost is missing"),
    ],
)
def test_a_file_that_is_wrong_is_one_line_that_names_the_place(file: Path, text: str, complaint: str) -> None:
    file.write_text(text)
    failed = run_broker("--definitions", str(file))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == f"amqpy-broker: {file}: {complaint}\n"


def test_a_file_that_is_not_there_is_one_line(file: Path) -> None:
    failed = run_broker("--definitions", str(file))
    assert (failed.returncode, failed.stderr) == (1, f"amqpy-broker: cannot read {file}: No such file or directory\n")
