"""A broker in a process of its own, started on a free port, stopped and started again on the same one.

The command is our broker's, or whatever `AMQP_BROKER_COMMAND` says, to which `--port N` is appended. It has to print
one line with its `amqp://` URL on stdout once it takes connections.
"""

import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self
from urllib.parse import urlsplit

COMMAND_VARIABLE: Final = "AMQP_BROKER_COMMAND"

_REPOSITORY: Final = Path(__file__).resolve().parents[4]
_URL: Final = re.compile(r"amqp://[^\s'\"]+")
# RabbitMQ needs about four seconds, and a loaded CI machine several times that.
_READY_TIMEOUT_S: Final = 40.0
_STOP_TIMEOUT_S: Final = 20.0


class BrokerDidNotStartError(RuntimeError):
    """The process ended, or stayed silent, before it said where it listens."""


class BrokerProcess:
    """Start with `start()`, ask `url`, end with `terminate()` or `kill()`; `start()` again keeps the port."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.url = ""
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the broker

    def start(self) -> Self:
        assert self._process is None, "the broker runs already"
        self._process = subprocess.Popen(
            [*_command(), "--port", str(self.port)],
            cwd=_REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        self.url = self._wait_until_ready(self._process)
        port = urlsplit(self.url).port
        assert port is not None, self.url
        self.port = port
        return self

    def terminate(self) -> int:
        """Ask the broker to stop (SIGTERM) and return its exit code."""
        return self._stop(signal.SIGTERM)

    def kill(self) -> int:
        """Take the broker away (SIGKILL): no close frame, no flush."""
        return self._stop(signal.SIGKILL)

    def read_log(self) -> str:
        """Return everything the broker wrote to stderr, over all its lives."""
        self._log.seek(0)
        return self._log.read()

    def close(self) -> None:
        if self._process is not None:
            self.terminate()
        self._log.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _wait_until_ready(self, process: subprocess.Popen[str]) -> str:
        urls: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_report_url, args=(process, urls), daemon=True).start()
        try:
            url = urls.get(timeout=_READY_TIMEOUT_S)
        except queue.Empty:
            url = None
        if url is None:
            self.kill()
            raise BrokerDidNotStartError(f"no amqp:// URL on stdout from {shlex.join(_command())}:\n{self.read_log()}")
        return url

    def _stop(self, signal_number: signal.Signals) -> int:
        assert self._process is not None, "the broker does not run"
        process, self._process = self._process, None
        if process.poll() is None:
            # The broker only on SIGTERM, everything it may have started on SIGKILL: the latter cannot be passed on.
            if signal_number is signal.SIGKILL:
                os.killpg(process.pid, signal_number)
            else:
                process.send_signal(signal_number)
        try:
            return process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def _command() -> list[str]:
    command = os.environ.get(COMMAND_VARIABLE)
    return shlex.split(command) if command else [sys.executable, "-m", "amqpy_broker", "--host", "127.0.0.1"]


def _report_url(process: subprocess.Popen[str], urls: "queue.Queue[str | None]") -> None:
    """Report the first URL, then keep the pipe empty; None when the process ended without one."""
    assert process.stdout is not None
    with process.stdout as stdout:
        for line in stdout:
            if match := _URL.search(line):
                urls.put(match[0].rstrip(".,;"))
    urls.put(None)
