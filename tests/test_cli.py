"""The command line, from outside: processes, signals, exit codes, what is printed where."""

import importlib.util
import json
import signal
import socket
import sys
from pathlib import Path

import pytest
from pamqp import commands

from tests.broker_process import BrokerProcess, Client, broker_process, run_broker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")

SHUTDOWN_TEXT = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
LOOPS = [
    pytest.param(loop, marks=pytest.mark.skipif(not importlib.util.find_spec(loop), reason=f"{loop} is not installed"))
    for loop in ("uvloop", "asyncio", "trio")
]
# Prints what it finds in its environment.
PRINT_URLS = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.endswith('_URL')}))"


# Serving --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_the_ready_line_alone_is_on_stdout_and_the_log_on_stderr(loop: str) -> None:
    with broker_process("--loop", loop) as broker:
        assert broker.ready_line.startswith("amqpy-broker ")
        assert (broker.parts.scheme, broker.parts.hostname, broker.parts.path) == ("amqp", "127.0.0.1", "/")
        assert (broker.parts.username, broker.parts.password) == ("guest", "guest")
        with Client.to(broker) as client:
            assert isinstance(client.open(), commands.Connection.OpenOk)
        broker.signal(signal.SIGTERM)
        code, stdout, stderr = broker.end()
    assert (code, stdout) == (0, "")
    assert "user 'guest' opened vhost '/'" in stderr


def test_port_0_takes_another_port_each_time() -> None:
    with broker_process() as first, broker_process() as second:
        assert first.parts.port != second.parts.port


def test_who_listens_everywhere_is_found_on_this_machine() -> None:
    with broker_process("--host", "0.0.0.0") as broker:
        assert broker.parts.hostname == "127.0.0.1"


def test_the_profile_is_the_version_that_clients_see() -> None:
    assert served_version() == "4.0.5"
    assert served_version("--profile", "3.10") == "3.10.8"


def served_version(*arguments: str, **variables: str) -> str:
    with broker_process(*arguments, environment=variables) as broker, Client.to(broker) as client:
        return str(client.server_properties["version"])


def test_the_log_level_decides_what_is_logged() -> None:
    assert "opened vhost" in log_of_a_session("--log-level", "info")
    assert log_of_a_session("--log-level", "warning") == ""


def log_of_a_session(*arguments: str) -> str:
    with broker_process(*arguments) as broker:
        with Client.to(broker) as client:
            client.open()
        broker.signal(signal.SIGTERM)
        return broker.end()[2]


# Unix sockets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_a_unix_socket_is_served_too_and_removed_at_the_end(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with broker_process("--unix", str(path), "--loop", loop) as broker:
        with Client(path) as client:
            assert isinstance(client.open(), commands.Connection.OpenOk)
        broker.signal(signal.SIGTERM)
        assert broker.end()[0] == 0
    assert not path.exists()


def test_a_unix_socket_that_somebody_serves_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with broker_process("--unix", str(path)):
        second = run_broker("--port", "0", "--unix", str(path))
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == f"amqpy-broker: cannot listen on {path}: Address already in use\n"
        with Client(path) as client:
            assert isinstance(client.open(), commands.Connection.OpenOk)


def test_a_unix_socket_that_a_killed_broker_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with broker_process("--unix", str(path)):
        pass
    assert path.exists()
    with broker_process("--unix", str(path)), Client(path) as client:
        assert isinstance(client.open(), commands.Connection.OpenOk)


# A data directory -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_what_is_durable_outlives_a_kill(loop: str, tmp_path: Path) -> None:
    for found in (0, 1):
        with broker_process("--data-dir", str(tmp_path), "--loop", loop) as broker, Client.to(broker) as client:
            assert publish_durably(client) == found
            broker.process.kill()


def publish_durably(client: Client) -> int:
    """Publish a persistent message into a durable queue, and wait for the confirm; return how many were there."""
    client.open()
    client.send(commands.Channel.Open(), 1)
    assert isinstance(client.receive(), commands.Channel.OpenOk)
    client.send(commands.Queue.Declare(queue="q", durable=True), 1)
    declared = client.receive()
    assert isinstance(declared, commands.Queue.DeclareOk)
    client.send(commands.Confirm.Select(), 1)
    assert isinstance(client.receive(), commands.Confirm.SelectOk)
    client.publish("q", b"kept")
    assert isinstance(client.receive(), commands.Basic.Ack)
    return declared.message_count


def test_without_a_data_directory_the_log_says_that_all_is_in_memory(tmp_path: Path) -> None:
    assert "everything is kept in memory" in log_of_a_session()
    assert "everything is kept in memory" not in log_of_a_session("--data-dir", str(tmp_path))


def test_the_log_says_what_was_recovered_and_when_the_last_end_was_a_crash(tmp_path: Path) -> None:
    with broker_process("--data-dir", str(tmp_path)) as broker, Client.to(broker) as client:
        publish_durably(client)
        broker.process.kill()
    text = log_of_a_session("--data-dir", str(tmp_path))
    assert f"the last broker on {tmp_path} did not stop cleanly" in text
    assert f"recovered 1 messages in 1 queues from {tmp_path}" in text
    assert "did not stop cleanly" not in log_of_a_session("--data-dir", str(tmp_path))


def test_a_directory_in_use_is_one_line(tmp_path: Path) -> None:
    with broker_process("--data-dir", str(tmp_path)) as broker:
        second = run_broker("--port", "0", "--data-dir", str(tmp_path))
        assert (second.returncode, second.stdout) == (1, "")
        assert last_line(second.stderr) == f"amqpy-broker: {tmp_path} is in use by process {broker.process.pid}"


def test_a_directory_that_is_damaged_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with broker_process("--data-dir", str(tmp_path)) as broker:
        with Client.to(broker) as client:
            publish_durably(client)
        broker.signal(signal.SIGTERM)
        broker.end()
    journal = tmp_path / "journal.db"
    octets = journal.read_bytes()
    assert b"kept" in octets
    journal.write_bytes(octets.replace(b"kept", b"lost"))

    refused = run_broker("--port", "0", "--data-dir", str(tmp_path))

    assert (refused.returncode, refused.stdout) == (1, "")
    assert last_line(refused.stderr).startswith("amqpy-broker: ")
    assert "--recover" in last_line(refused.stderr)
    with broker_process("--data-dir", str(tmp_path), "--recover") as broker, Client.to(broker) as client:
        # The queue is there, and the message is set aside.
        assert publish_durably(client) == 0


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = run_broker("--port", "0", "--data-dir", str(tmp_path / "file" / "data"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"amqpy-broker: cannot use the data directory {tmp_path}/file/data: Not a directory\n"


def test_there_is_nothing_to_recover_in_memory() -> None:
    refused = run_broker("--recover")
    assert refused.returncode == 2
    assert refused.stderr == "amqpy-broker: --recover needs --data-dir: there is nothing to recover in memory\n"


def last_line(text: str) -> str:
    return text.splitlines()[-1]


# Limits ---------------------------------------------------------------------------------------------------------------


def test_the_file_limits_what_clients_may_have(tmp_path: Path) -> None:
    (tmp_path / "broker.toml").write_text("[limits]\nconnection_max = 1")
    with (
        broker_process("--config", str(tmp_path / "broker.toml")) as broker,
        Client.to(broker) as first,
        Client.to(broker) as second,
    ):
        assert isinstance(first.open(), commands.Connection.OpenOk)
        refused = second.open()
    assert isinstance(refused, commands.Connection.Close)
    assert refused.reply_text == "NOT_ALLOWED - connection refused: node connection limit (1) is reached"


# The end --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_clients_with_320_and_exits_0(number: signal.Signals, loop: str) -> None:
    with broker_process("--loop", loop) as broker, Client.to(broker) as client:
        client.open()
        broker.signal(number)
        close = client.receive()
        assert isinstance(close, commands.Connection.Close)
        assert (close.reply_code, close.reply_text) == (320, SHUTDOWN_TEXT)
        assert (close.class_id, close.method_id) == (0, 0)
        client.send(commands.Connection.CloseOk())
        assert client.at_end()
        code, _, stderr = broker.end()
    assert code == 0
    assert "Traceback" not in stderr


@pytest.mark.parametrize("loop", LOOPS)
def test_a_second_signal_does_not_wait_for_clients_that_never_answer(loop: str) -> None:
    with broker_process("--loop", loop) as broker, Client.to(broker) as silent:
        silent.open()
        broker.signal(signal.SIGTERM)
        assert isinstance(silent.receive(), commands.Connection.Close)
        broker.signal(signal.SIGTERM)
        assert broker.end()[0] == 128 + signal.SIGTERM


def test_a_client_that_never_answers_cannot_keep_the_broker() -> None:
    with broker_process() as broker, Client.to(broker) as silent:
        silent.open()
        broker.signal(signal.SIGTERM)
        assert broker.end()[0] == 0


# What cannot be had ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_a_port_in_use_is_one_line_and_exit_code_1(loop: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = run_broker("--port", str(port), "--loop", loop)
    assert (failed.returncode, failed.stdout) == (1, "")
    where = f"127.0.0.1:{port}"
    assert failed.stderr == (
        f"amqpy-broker: cannot listen on {where}: Address already in use; --port 0 takes a free port\n"
    )


def test_a_host_that_is_not_ours_is_one_line_and_exit_code_1() -> None:
    failed = run_broker("--host", "192.0.2.1", "--port", "0")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "amqpy-broker: cannot listen on 192.0.2.1:0: Cannot assign requested address\n"


def test_a_loop_that_is_not_installed_is_one_line() -> None:
    script = "import sys; sys.modules['uvloop'] = None\nfrom amqpy_broker.cli import main\nmain(['--loop', 'uvloop'])"
    failed = run_broker_script(script)
    assert failed == (1, "amqpy-broker: --loop uvloop: uvloop is not installed\n")


def run_broker_script(script: str) -> tuple[int, str]:
    import subprocess

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "many"], "Invalid value for '--port'"),
        (["--port", "65536"], "65536 is not in the range 0<=x<=65535"),
        (["--profile", "2.0"], "'2.0' is not one of '3.10', '4.0'"),
        (["--memory-watermark", "lots"], "'lots' is not a size"),
        (["--memory-watermark", "0.4"], "Invalid value for '--memory-watermark'"),
        (["--log-level", "loud"], "'loud' is not one of"),
        (["--loop", "none"], "'none' is not one of"),
        (["--colour", "red"], "No such option"),
        (["serve"], "No such command 'serve'"),
        (["--config", "nowhere.toml"], "nowhere.toml: No such file or directory"),
        (["run"], "Missing argument 'COMMAND...'"),
    ],
)
def test_a_bad_option_is_one_line(arguments: list[str], words: str) -> None:
    failed = run_broker(*arguments)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.count("\n") == 1
    assert words in failed.stderr


def test_a_bad_value_is_traced_to_its_variable() -> None:
    failed = run_broker(environment={"AMQPY_PROFILE": "2.0"})
    assert failed.returncode == 2
    assert failed.stderr.endswith("(said in AMQPY_PROFILE)\n")


def test_a_bad_value_is_traced_to_its_file(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text('profile = "2.0"')
    failed = run_broker("--config", str(path))
    assert failed.returncode == 2
    assert failed.stderr.endswith(f"(said in {path})\n")


def test_a_file_that_is_no_toml_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text("port = = 1")
    failed = run_broker("--config", str(path))
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert str(path) in failed.stderr
    assert "line 1" in failed.stderr


# Settings -------------------------------------------------------------------------------------------------------------


def test_flags_go_before_variables_before_the_file_before_defaults(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text('profile = "3.10"')
    file = ("--config", str(path))
    assert served_version() == "4.0.5"
    assert served_version(*file) == "3.10.8"
    assert served_version(*file, AMQPY_PROFILE="4.0") == "4.0.5"
    assert served_version(*file, "--profile", "3.10", AMQPY_PROFILE="4.0") == "3.10.8"


def test_the_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text('profile = "3.10"')
    assert served_version(AMQPY_CONFIG=str(path)) == "3.10.8"


def test_users_and_vhosts_come_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text(
        """
        vhosts = ["/", "orders"]
        [[users]]
        name = "shop"
        password = "secret"
        [users.permissions.orders]
        write = ".*"
        """
    )
    with broker_process("--config", str(path)) as broker:
        assert broker.parts.username is None
        assert opened(broker, "shop", "secret", "orders") == "open"
        assert opened(broker, "shop", "wrong", "orders").startswith("403 ACCESS_REFUSED")
        assert opened(broker, "guest", "guest", "/").startswith("403 ACCESS_REFUSED")
        assert opened(broker, "shop", "secret", "/") == "530 NOT_ALLOWED - access to vhost '/' refused for user 'shop'"
        assert opened(broker, "shop", "secret", "stock") == "530 NOT_ALLOWED - vhost stock not found"


def opened(broker: BrokerProcess, user: str, password: str, vhost: str) -> str:
    with Client.to(broker) as client:
        answer = client.open(user, password, vhost)
    if isinstance(answer, commands.Connection.Close):
        return f"{answer.reply_code} {answer.reply_text}"
    assert isinstance(answer, commands.Connection.OpenOk)
    return "open"


def test_guest_may_use_every_vhost_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text('vhosts = ["/", "orders"]')
    with broker_process("--config", str(path)) as broker:
        assert opened(broker, "guest", "guest", "orders") == "open"


# One command ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_the_command_finds_the_broker_in_three_variables(loop: str) -> None:
    done = run_broker("--loop", loop, "run", "--", sys.executable, "-c", PRINT_URLS)
    assert (done.returncode, done.stderr) == (0, "")
    urls = json.loads(done.stdout)
    assert urls["AMQP_URL"].startswith("amqp://guest:guest@127.0.0.1:")
    assert urls["AMQP_URL"] == urls["RABBITMQ_URL"] == urls["CELERY_BROKER_URL"]


def test_the_command_can_connect() -> None:
    script = """
import os, urllib.parse
from tests.broker_process import Client
url = urllib.parse.urlsplit(os.environ["AMQP_URL"])
with Client((url.hostname, url.port)) as client:
    print(client.open().name)
"""
    done = run_broker("run", "--", sys.executable, "-c", script)
    assert (done.stdout, done.stderr) == ("Connection.OpenOk\n", "")


@pytest.mark.parametrize("code", [0, 1, 42])
def test_the_exit_code_is_the_commands(code: int) -> None:
    assert run_broker("run", "--", sys.executable, "-c", f"raise SystemExit({code})").returncode == code


def test_a_command_killed_by_a_signal_gives_128_and_its_number() -> None:
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run_broker("run", "--", sys.executable, "-c", script).returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_go_to_the_command_which_decides(number: signal.Signals, loop: str) -> None:
    script = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
print("ready", flush=True)
sys.exit(signal.sigwait([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]))
"""
    broker = BrokerProcess(["--loop", loop, "run", "--", sys.executable, "-c", script])
    assert broker.ready_line == "ready\n"
    broker.signal(number)
    assert broker.end() == (number, "", "")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_command_that_is_not_there_is_127(loop: str) -> None:
    failed = run_broker("--loop", loop, "run", "no-such-command")
    assert (failed.returncode, failed.stdout) == (127, "")
    assert failed.stderr == "amqpy-broker: cannot run no-such-command: No such file or directory\n"


def test_a_command_that_cannot_be_run_is_126(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("no program")
    failed = run_broker("run", str(path))
    assert failed.returncode == 126
    assert failed.stderr == f"amqpy-broker: cannot run {path}: Permission denied\n"


def test_stdin_goes_to_the_command() -> None:
    script = "import sys; print(sys.stdin.read().upper())"
    assert run_broker("run", "--", sys.executable, "-c", script, stdin="hello").stdout == "HELLO\n"


def test_options_after_the_command_are_the_commands() -> None:
    done = run_broker("run", sys.executable, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ")
    assert "--profile" not in done.stdout


def test_the_command_gets_a_free_port_unless_one_is_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = run_broker("--port", str(port), "run", "--", sys.executable, "-c", "")
        assert failed.returncode == 1
        done = run_broker("run", "--", sys.executable, "-c", PRINT_URLS)
    assert f":{port}/" not in done.stdout


def test_the_commands_broker_says_only_warnings_unless_asked() -> None:
    script = "import os; from tests.broker_process import Client; import urllib.parse as u; " + (
        "p = u.urlsplit(os.environ['AMQP_URL']); c = Client((p.hostname, p.port)); c.open()"
    )
    assert run_broker("run", "--", sys.executable, "-c", script).stderr == ""
    assert "opened vhost" in run_broker("--log-level", "info", "run", "--", sys.executable, "-c", script).stderr
