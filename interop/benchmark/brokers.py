"""The brokers that can be measured, and how each is started; all of them on 127.0.0.1."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from interop.benchmark import process, wire
from interop.benchmark.client import Client, RefusedError, StalledError, text_property
from interop.peers.amqpy import amqpy
from interop.peers.garagemq import garagemq, garagemq_available
from interop.peers.peer import Peer
from interop.peers.rabbitmq import rabbitmq, rabbitmq_available

DEFAULT_NAMES: Final = ("amqpy", "rabbitmq", "garagemq")
PROBE_WAIT_S: Final = 2.0


@dataclass(frozen=True)
class Kind:
    """One broker to measure. A running one that was handed to us cannot be started again."""

    name: str
    start: Callable[[], AbstractContextManager[Peer]]
    startable: bool = True
    # Starts it so that it keeps messages in this folder, if it has to be told.
    start_durable: Callable[[Path], AbstractContextManager[Peer]] | None = None

    def durable(self, folder: Path) -> Kind:
        """Return the same broker, keeping messages in this folder; others than ours keep them anyway."""
        if self.start_durable is None:
            return self
        return replace(self, start=partial(self.start_durable, folder))


def find_kinds(names: Iterable[str], amqpy_arguments: list[str]) -> tuple[list[Kind], list[str]]:
    """Return the brokers of these names that this machine can start, and the names of the others."""
    known: dict[str, tuple[Callable[[], bool], Callable[[], AbstractContextManager[Peer]]]] = {
        "amqpy": (amqpy_available, partial(amqpy, arguments=amqpy_arguments)),
        "rabbitmq": (partial(rabbitmq_available, "3.10"), partial(rabbitmq, "3.10")),
        "rabbitmq-4.0": (partial(rabbitmq_available, "4.0"), partial(rabbitmq, "4.0")),
        "garagemq": (garagemq_available, garagemq),
    }

    def start_durable(folder: Path) -> AbstractContextManager[Peer]:
        return amqpy(arguments=[*amqpy_arguments, "--data-dir", str(folder)])

    found, missing = [], []
    for name in names:
        if name not in known:
            raise ValueError(f"no broker {name!r}: there are {', '.join(known)}")
        available, start = known[name]
        if available():
            found.append(Kind(name, start, start_durable=start_durable if name == "amqpy" else None))
        else:
            missing.append(name)
    return found, missing


def amqpy_available() -> bool:
    """Say whether our broker can be run as a module."""
    return importlib.util.find_spec("amqpy_broker.__main__") is not None


def running_kind(url: str, pid: int) -> Kind:
    """Return a broker that already runs on loopback."""
    host = urlsplit(url).hostname
    if host not in ("127.0.0.1", "localhost"):
        raise ValueError(f"only brokers on 127.0.0.1 are measured, not {host}")
    return Kind("external", lambda: nullcontext(Peer("external", url, pid)), startable=False)


def _product(properties: bytes) -> str:
    return " ".join(text_property(properties, key) for key in ("product", "version")).strip()


class Running:
    """One started broker; `start_s` and `start_cpu_s` reach to its first open connection."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._stack = ExitStack()
        began = time.perf_counter()
        self.peer = self._stack.enter_context(kind.start())
        try:
            client = Client(self.peer.port, channels=())
            self.start_s = time.perf_counter() - began
            self.start_cpu_s = process.cpu_s(process.tree(self.peer.pid))
        except BaseException:
            self.stop()
            raise
        properties = client.server_properties
        self.product = f"amqpy-broker {version('amqpy-broker')}" if kind.name == "amqpy" else _product(properties)
        client.close()

    def is_well(self) -> bool:
        """Say whether the broker still opens connections and declares queues."""
        try:
            client = Client(self.peer.port, wait_s=PROBE_WAIT_S)
            try:
                client.call(wire.declare_queue(1, "benchmark.probe"), wire.QUEUE_DECLARE_OK)
                client.call(wire.delete_queue(1, "benchmark.probe"), wire.QUEUE_DELETE_OK)
            finally:
                client.close()
        except (StalledError, RefusedError):
            return False
        return True

    def stop(self) -> None:
        self._stack.close()
