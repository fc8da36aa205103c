"""Our own broker in a process of its own, on a free port."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from urllib.parse import urlsplit

from interop.peers.peer import Peer, PeerFailedError, stop, tail

READY_TIMEOUT_S = 15


@contextmanager
def amqpy(
    profile: str = "4.0",
    *,
    port: int = 0,
    arguments: Sequence[str] = (),
    python: str = sys.executable,
    program: Sequence[str] = ("-m", "amqpy_broker"),
) -> Iterator[Peer]:
    """Run `python -m amqpy_broker` and yield it once it has printed its ready line.

    Another `program` for Python runs it under a profiler.
    """
    with tempfile.TemporaryDirectory(prefix="amqpy-peer-") as folder:
        log = Path(folder, "broker.log")

        def start(on_port: int) -> subprocess.Popen[bytes]:
            command = [python, *program, "--port", str(on_port), "--profile", profile, *arguments]
            with log.open("ab") as stderr:
                return subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, env=_environment()
                )

        def restart(kill: bool) -> None:
            nonlocal process
            if kill:
                process.kill()
            _end(process)
            process = start(urlsplit(url).port or port)
            _ready_url(process, log)

        process = start(port)
        try:
            url = _ready_url(process, log)
            yield Peer(f"amqpy-broker (profile {profile})", url, process.pid, log, restart)
        except PeerFailedError as error:
            raise PeerFailedError(f"{error}\n{tail(log)}") from error
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    stop(process)
    if process.stdout:
        process.stdout.close()


def _environment() -> dict[str, str]:
    """Let Python keep what it compiles, as pip does when it installs: a start is not a compilation."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _ready_url(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the amqp:// URL in the ready line; the rest of stdout is read and forgotten."""
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line.decode())
        lines.put("")

    Thread(target=read, daemon=True).start()
    try:
        line = lines.get(timeout=READY_TIMEOUT_S)
    except Empty:
        raise PeerFailedError(f"no ready line after {READY_TIMEOUT_S} s") from None
    found = re.search(r"amqps?://\S+", line)
    if found is None:
        raise PeerFailedError(f"no URL in the ready line {line!r}")
    return found[0].rstrip(".,;")
