"""Where RabbitMQ comes from: the package of the Debian release that has the wanted version.

On a machine of that release it is the machine's own package, otherwise a root made by debootstrap and kept in
`$AMQPY_PEERS_DIR`, or else in the user's cache folder. Building one takes about two minutes and needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interop.peers.peer import PeerFailedError

# RabbitMQ's version: the Debian release that packages it.
RELEASES = {"3.10": "bookworm", "4.0": "trixie"}
PACKAGE = "rabbitmq-server"
SERVER_SCRIPT = "usr/lib/rabbitmq/bin/rabbitmq-server"

_NO_SERVICES = "#!/bin/sh\nexit 101\n"
_ENVIRONMENT = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


def find(version: str) -> Path | None:
    """Return the root folder that has this RabbitMQ ("/" for the machine's own), or None."""
    if _installed_version(Path("/")).startswith(version + "."):
        return Path("/")
    root = _cached_root(version)
    return root if (root / SERVER_SCRIPT).exists() else None


def find_or_install(version: str) -> Path:
    """Return the root folder that has this RabbitMQ, installing it first if need be."""
    found = find(version)
    if found is not None:
        return found
    if os.geteuid() != 0:
        raise PeerFailedError(f"RabbitMQ {version} is not installed, and only root can install it")
    if _machine_release() == RELEASES[version]:
        with _services_denied(Path("/")):
            _run("apt-get", "update")
            _run("apt-get", "install", "--yes", "--no-install-recommends", PACKAGE)
        return Path("/")
    return _build_root(version)


def _build_root(version: str) -> Path:
    """Make a Debian root with RabbitMQ in it; it gets its final name only when it is complete."""
    root = _cached_root(version)
    part = root.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    if shutil.which("debootstrap") is None:
        _run("apt-get", "update")
        _run("apt-get", "install", "--yes", "--no-install-recommends", "debootstrap")
    _run("debootstrap", "--variant=minbase", RELEASES[version], str(part), _mirror())
    with _services_denied(part):
        _run("chroot", str(part), "apt-get", "update")
        _run("chroot", str(part), "apt-get", "install", "--yes", "--no-install-recommends", PACKAGE)
    part.rename(root)
    return root


def _cached_root(version: str) -> Path:
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "amqpy-broker", "peers")
    return Path(os.environ.get("AMQPY_PEERS_DIR") or default) / f"debian-{RELEASES[version]}"


def _mirror() -> str:
    """Return the Debian mirror that this machine's apt is configured for."""
    answer = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT)", "Identifier: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    uris = [line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" main")]
    uris = [uri for uri in uris if uri.rstrip("/").endswith("/debian")]
    if not uris:
        raise PeerFailedError("apt of this machine knows no Debian mirror to install RabbitMQ from")
    return uris[0]


def _machine_release() -> str:
    with open("/etc/os-release") as release:
        fields = dict(line.rstrip("\n").split("=", 1) for line in release if "=" in line)
    return fields.get("VERSION_CODENAME", "").strip('"')


def _installed_version(root: Path) -> str:
    """Return the version of RabbitMQ under a root, read from the folder that it is installed in."""
    folders = sorted(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*"))
    return folders[-1].name.partition("-")[2] if folders else ""


@contextmanager
def _services_denied(root: Path) -> Iterator[None]:
    """Keep a package that is being installed from starting its service [invoke-rc.d(8)]."""
    policy = root / "usr/sbin/policy-rc.d"
    if policy.exists():
        yield
        return
    policy.write_text(_NO_SERVICES)
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def _run(*command: str) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, env=_ENVIRONMENT, check=False)
    if finished.returncode != 0:
        raise PeerFailedError(f"{' '.join(command)} failed:\n{(finished.stdout + finished.stderr)[-2000:]}")
