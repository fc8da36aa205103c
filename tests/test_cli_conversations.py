"""`amqpy-broker proxy` and `amqpy-broker trace`, as people use them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pamqp import commands

from amqpy_broker.testing.conversation.recording import load_recording
from tests.broker_process import (
    COMMAND,
    PATIENCE_S,
    BrokerProcess,
    Client,
    broker_process,
    clean_environment,
    run_broker,
)
from tests.testing.conversation.conversing import said

TALK = """
import os, urllib.parse
from tests.broker_process import Client
url = urllib.parse.urlsplit(os.environ["AMQP_URL"])
with Client((url.hostname, url.port)) as client:
    print(client.open().name)
"""


@contextmanager
def command(*arguments: str) -> Iterator[BrokerProcess]:
    """Run a command that serves; it does not outlive the block."""
    process = BrokerProcess(arguments)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.communicate()


def stopped(process: BrokerProcess) -> tuple[int, str, str]:
    process.signal(signal.SIGTERM)
    return process.end()


def listen_to_the_end(port: int | None) -> None:
    """Connect, and wait until the other side closes."""
    with socket.create_connection(("127.0.0.1", port or 0), PATIENCE_S) as client, suppress(ConnectionError):
        while client.recv(1000):
            pass


# proxy ----------------------------------------------------------------------------------------------------------------


def test_a_proxy_prints_and_records_what_is_said(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    with broker_process() as broker, command("proxy", "--to", broker.url, "--record", str(path)) as proxy:
        assert " proxy ready at amqp://guest:guest@127.0.0.1:" in proxy.ready_line
        assert proxy.url != broker.url
        with Client.to(proxy) as client:
            assert isinstance(client.open(), commands.Connection.OpenOk)
        code, stdout, stderr = stopped(proxy)
    assert (code, stderr) == (0, "")
    lines = stdout.splitlines()
    assert lines[0].endswith(f" -> 127.0.0.1:{broker.parts.port}")
    assert lines[1].endswith("#1 client -> AMQP 0-9-1")
    assert "#1 client -> connection.open virtual_host='/'" in stdout
    assert "\x1b" not in stdout
    assert "connection.open-ok" in {event.name for event in said(load_recording(path).events)}


def test_a_password_of_the_url_is_not_printed() -> None:
    with command("proxy", "--to", "amqp://shop:secret@localhost/orders", "--host", "0.0.0.0") as proxy:
        _, stdout, stderr = stopped(proxy)
        assert proxy.url == f"amqp://127.0.0.1:{proxy.parts.port}/orders"
        assert "secret" not in stdout + stderr


def test_a_quiet_proxy_prints_its_ready_line_alone() -> None:
    with broker_process() as broker, command("proxy", "--to", broker.url, "--quiet") as proxy:
        with Client.to(proxy) as client:
            client.open()
        assert stopped(proxy) == (0, "", "")


def test_a_broker_that_cannot_be_reached_is_told_for_each_client() -> None:
    with broker_process() as broker:
        url = broker.url
    with command("proxy", "--to", url) as proxy:
        listen_to_the_end(proxy.parts.port)
        code, stdout, _ = stopped(proxy)
    assert code == 0
    assert f"cannot connect to 127.0.0.1:{broker.parts.port}" in stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["proxy"], 2, "Missing option '--to'"),
        (["proxy", "--to", "localhost"], 2, "'localhost' is no URL of a broker"),
        (["proxy", "--to", "amqp://localhost", "--record", "/nowhere/talk"], 1, "cannot record to /nowhere/talk"),
        (["trace", "--record", "/nowhere/talk"], 1, "cannot record to /nowhere/talk: No such file or directory"),
        (["trace", "nowhere.jsonl"], 1, "cannot read nowhere.jsonl: No such file or directory"),
        (["trace", "no-such-command"], 127, "cannot run no-such-command"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], code: int, words: str) -> None:
    failed = run_broker(*arguments)
    assert (failed.returncode, failed.stdout) == (code, "")
    assert failed.stderr.count("\n") == 1
    assert words in failed.stderr


# trace ----------------------------------------------------------------------------------------------------------------


def test_a_traced_broker_prints_its_ready_line_and_what_is_said() -> None:
    with command("--profile", "3.10", "--port", "0", "trace") as broker:
        with Client.to(broker) as client:
            client.open()
            assert client.server_properties["version"] == "3.10.8"
        code, stdout, stderr = stopped(broker)
    assert (code, stderr) == (0, "")
    assert "#1 server -> connection.open-ok" in stdout


def test_a_command_has_stdout_and_the_exit_code_and_the_conversation_is_on_stderr(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    done = run_broker("trace", "--record", str(path), "--", sys.executable, "-c", f"{TALK}\nraise SystemExit(3)")
    assert (done.returncode, done.stdout) == (3, "Connection.OpenOk\n")
    assert "#1 server -> connection.open-ok" in done.stderr
    shown = run_broker("trace", str(path))
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, done.stderr, "")


def test_a_file_that_is_no_recording_says_where(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text("hello\n")
    failed = run_broker("trace", str(path))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith(f"amqpy-broker: {path}, line 1: ")


def test_a_recording_that_was_cut_short_says_so_after_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    run_broker("trace", "--record", str(path), "--", sys.executable, "-c", TALK)
    path.write_text(path.read_text()[:-10])
    shown = run_broker("trace", str(path))
    assert shown.returncode == 0
    assert "connection.open-ok" in shown.stdout
    assert shown.stderr == f"amqpy-broker: {path} may not be all: the last line is not complete\n"


def test_it_stops_when_nobody_reads_any_more() -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "trace", "--port", "0"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment({"PYTHONUNBUFFERED": "1"}),
    )
    os.close(writer)
    try:
        ready_line = os.read(reader, 1000).decode()
        os.close(reader)
        listen_to_the_end(urlsplit(ready_line.split()[-1]).port)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, stderr) == (0, "")


def test_a_traced_broker_has_all_options_of_the_broker(tmp_path: Path) -> None:
    done = run_broker("--data-dir", str(tmp_path / "data"), "trace", "--", sys.executable, "-c", TALK)
    assert (done.returncode, done.stdout) == (0, "Connection.OpenOk\n")
    assert (tmp_path / "data").is_dir()
    refused = run_broker("--recover", "trace", "--", sys.executable, "-c", TALK)
    assert (refused.returncode, refused.stderr) == (
        2,
        "amqpy-broker: --recover needs --data-dir: there is nothing to recover in memory\n",
    )


@pytest.mark.parametrize("arguments", [(), ("proxy",), ("trace",)])
def test_help_teaches(arguments: tuple[str, ...]) -> None:
    done = run_broker(*arguments, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"amqpy-broker {' '.join(arguments)}".rstrip() in done.stdout.partition("\n\n")[2]
