"""What every started broker offers to those who ask it, and the small tools to start one."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


@dataclass(frozen=True)
class Peer:
    """A running broker. `pid` is the process that does the broker's work: its CPU time is the broker's."""

    name: str
    url: str
    pid: int
    log: Path | None = None
    # Starts it again on the same port with the same data, after it stopped or, if told so, was killed. `pid` is the
    # first one's.
    restart: Callable[[bool], None] | None = None
    # Where it answers to HTTP requests as RabbitMQ's management plugin does, if it does.
    management_port: int | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 5672


class PeerFailedError(Exception):
    """A broker could not be found, installed or started."""


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers_amqp(port: int) -> bool:
    """Say whether a broker answers the protocol header on this port with a first frame."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
            client.sendall(PROTOCOL_HEADER)
            return client.recv(1) == b"\x01"
    except OSError:
        return False


def await_amqp(port: int, process: subprocess.Popen[bytes], *, timeout_s: float, log: Path) -> None:
    """Return when the broker answers on its port; raise with the tail of its log when it does not."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answers_amqp(port):
            return
        if process.poll() is not None:
            raise PeerFailedError(f"broker exited with {process.returncode}:\n{tail(log)}")
        time.sleep(0.05)
    raise PeerFailedError(f"broker does not answer on port {port} after {timeout_s} s:\n{tail(log)}")


def tail(log: Path, lines_count: int = 30) -> str:
    """Return the last lines of a log, or nothing if there is none."""
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines_count:])
    return ""


def stop(process: subprocess.Popen[bytes], *, timeout_s: float = 20) -> None:
    """End a process that we started: politely, then for certain."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
