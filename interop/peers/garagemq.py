"""garagemq (Debian package `garagemq`), a broker in Go: a second opinion for the benchmark, never for behaviour.

It is started on loopback with a data folder of its own and leaves nothing behind. It is not installed on demand.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interop.peers.peer import Peer, PeerFailedError, answers_amqp, free_port, stop, tail

START_TIMEOUT_S = 15

# The password is the MD5 of "guest"; everything else is the package's own configuration.
_CONFIG = """\
proto: amqp-rabbit
users:
  - username: guest
    password: 084e0343a0486ff05530df6c705c8bb4
tcp: {{ip: 127.0.0.1, port: {port}, nodelay: false, readBufSize: 196608, writeBufSize: 196608}}
admin: {{ip: 127.0.0.1, port: {admin_port}}}
queue: {{shardSize: 8192, maxMessagesInRam: 131072}}
db: {{defaultPath: "{folder}", engine: badger}}
vhost: {{defaultPath: /}}
security: {{passwordCheck: md5}}
connection: {{channelsMax: 4096, frameMaxSize: 65536}}
"""


def garagemq_available() -> bool:
    """Say whether garagemq is installed."""
    return shutil.which("garagemq") is not None


@contextmanager
def garagemq(*, port: int = 0) -> Iterator[Peer]:
    """Run garagemq and yield it once it answers."""
    program = shutil.which("garagemq")
    if program is None:
        raise PeerFailedError("garagemq is not installed")
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="amqpy-peer-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        config, log = folder / "config.yaml", folder / "console.log"
        config.write_text(_CONFIG.format(port=port, admin_port=free_port(), folder=folder / "db"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "--config", str(config), "--log-level", "error"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _await_quickly(port, process, log)
            yield Peer("garagemq", f"amqp://guest:guest@127.0.0.1:{port}/", process.pid, log)
        finally:
            stop(process, timeout_s=5)


def _await_quickly(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when it answers; looked at every few milliseconds, because it starts in some forty."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not answers_amqp(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise PeerFailedError(f"garagemq did not start:\n{tail(log)}")
        time.sleep(0.003)
