"""A real RabbitMQ on loopback: own ports, epmd, node name, data folder and enabled plugins, nothing shared.

The Erlang VM is the direct child of this process (its script `exec`s all the way), so `Peer.pid` is `beam.smp`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from interop.peers import debian
from interop.peers.peer import Peer, PeerFailedError, await_amqp, free_port, stop

START_TIMEOUT_S = 90
MANAGEMENT = "rabbitmq_management"
# It listens where we say, and counts nothing, which would only take time.
_MANAGEMENT_CONFIG = """
management.tcp.ip = 127.0.0.1
management.tcp.port = {port}
management_agent.disable_metrics_collector = true
"""


def rabbitmq_available(version: str = "3.10") -> bool:
    """Say whether this RabbitMQ can be started without installing anything."""
    return version in debian.RELEASES and os.geteuid() == 0 and debian.find(version) is not None


@contextmanager
def rabbitmq(version: str = "3.10", *, port: int = 0, plugins: Sequence[str] = (), config: str = "") -> Iterator[Peer]:
    """Run RabbitMQ `version` ("3.10" or "4.0"), installing it if need be, and yield it once it answers.

    `config` is in the format of rabbitmq.conf. With the plugin `MANAGEMENT` it has a `management_port`.
    """
    if version not in debian.RELEASES:
        raise PeerFailedError(f"no RabbitMQ {version}: there are {', '.join(debian.RELEASES)}")
    root = debian.find_or_install(version)
    if root != Path("/"):
        # RabbitMQ looks up its host's name for every connection: without this, a name server's 5 s now and then.
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n")
    port = port or free_port()
    management_port = free_port() if MANAGEMENT in plugins else None
    if management_port is not None:
        config += _MANAGEMENT_CONFIG.format(port=management_port)
    with _data_folder(root) as folder, _epmd(root, folder) as epmd_port:
        environment = _environment(root, folder, port=port, epmd_port=epmd_port)
        (folder / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
        (folder / "rabbitmq.conf").write_text(config)
        log = folder / "console.log"
        command = ["/" + debian.SERVER_SCRIPT]
        process = _start(root, command, environment, log)

        def restart(kill: bool) -> None:
            nonlocal process
            if kill:
                process.kill()
            stop(process)
            process = _start(root, command, environment, log)
            await_amqp(port, process, timeout_s=START_TIMEOUT_S, log=log)

        try:
            await_amqp(port, process, timeout_s=START_TIMEOUT_S, log=log)
            url = f"amqp://guest:guest@127.0.0.1:{port}/"
            yield Peer(f"RabbitMQ {version}", url, process.pid, log, restart, management_port)
        finally:
            stop(process)


def _environment(root: Path, folder: Path, *, port: int, epmd_port: int) -> dict[str, str]:
    """Return all that RabbitMQ's scripts read from the environment; nothing comes from /etc/rabbitmq."""
    inside = "/" + str(folder.relative_to(root))
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": inside,  # where Erlang keeps its cookie
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"amqpy-peer-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONF_ENV_FILE": f"{inside}/none",
        "RABBITMQ_CONFIG_FILE": f"{inside}/rabbitmq.conf",
        "RABBITMQ_ADVANCED_CONFIG_FILE": f"{inside}/none",
        "RABBITMQ_MNESIA_BASE": f"{inside}/data",
        "RABBITMQ_LOG_BASE": f"{inside}/log",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{inside}/enabled_plugins",
        # Without a shell to wait for, the script becomes the Erlang VM instead of its parent.
        "RABBITMQ_ALLOW_INPUT": "1",
        "RABBITMQ_SERVER_START_ARGS": "-noinput",
    }


@contextmanager
def _epmd(root: Path, folder: Path) -> Iterator[int]:
    """Run an Erlang port mapper of our own, which otherwise outlives RabbitMQ."""
    port = free_port()
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    command = ["/usr/bin/epmd", "-port", str(port), "-address", "127.0.0.1"]
    process = _start(root, command, environment, folder / "epmd.log")
    try:
        yield port
    finally:
        stop(process)


@contextmanager
def _data_folder(root: Path) -> Iterator[Path]:
    """Make a folder for everything that RabbitMQ writes; inside its root, which is all it can see."""
    base = Path(tempfile.gettempdir()) if root == Path("/") else root / "var/tmp"
    folder = Path(tempfile.mkdtemp(prefix="amqpy-peer-", dir=base)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(root: Path, command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a program of this root; in another root it gets its own /proc, seen by nobody else."""
    if root != Path("/"):
        inside = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside, str(root), *command]
    with log.open("wb") as output:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd="/"
        )
