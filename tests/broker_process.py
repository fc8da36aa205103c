"""The broker as people start it: a process, its ready line, its end. And a client small enough to see every frame."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

COMMAND: Final = (sys.executable, "-m", "amqpy_broker")
# Long enough for any machine; nothing waits this long unless it is broken.
PATIENCE_S: Final = 30


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's variables without those that would configure the broker, or have Python compile it every time."""
    unwanted = ("AMQPY_", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return {**inherited, **(extra or {})}


def run_broker(
    *arguments: str, environment: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=clean_environment(environment),
        check=False,
    )


class BrokerProcess:
    """A broker that has printed its ready line."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(environment),
        )
        assert self.process.stdout is not None
        self.ready_line = self.process.stdout.readline()

    @property
    def url(self) -> str:
        """What the ready line ends with."""
        return self.ready_line.split()[-1]

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Wait for its end: exit code, the rest of stdout, stderr."""
        stdout, stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, stdout, stderr


@contextmanager
def broker_process(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[BrokerProcess]:
    """Run a broker on a free port, unless the arguments say another; it does not outlive the block."""
    broker = BrokerProcess(["--port", "0", *arguments], environment)
    try:
        yield broker
    finally:
        broker.process.kill()
        broker.process.communicate()


class Client:
    """Frames over a socket, one method at a time."""

    def __init__(self, address: tuple[str, int] | Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(str(address) if isinstance(address, Path) else address)
        self._held = b""
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        start = self.receive()
        assert isinstance(start, commands.Connection.Start)
        self.server_properties = start.server_properties

    @classmethod
    def to(cls, broker: BrokerProcess) -> "Client":
        assert broker.parts.hostname is not None
        assert broker.parts.port is not None
        return cls((broker.parts.hostname, broker.parts.port))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def open(self, user: str = "guest", password: str = "guest", vhost: str = "/") -> Frame:
        """Log in; return connection.open-ok, or the close that came instead of any answer."""
        properties = {"capabilities": {"authentication_failure_close": True}}
        self.send(commands.Connection.StartOk(properties, "PLAIN", f"\0{user}\0{password}", "en_US"))
        tune = self.receive()
        if not isinstance(tune, commands.Connection.Tune):
            return tune
        self.send(commands.Connection.TuneOk(tune.channel_max, tune.frame_max, 0))
        self.send(commands.Connection.Open(vhost))
        return self.receive()

    def send(self, method: Frame, channel: int = 0) -> None:
        self._socket.sendall(frame.marshal(method, channel))

    def publish(self, routing_key: str, body: bytes) -> None:
        """Publish a persistent message on channel 1."""
        header = ContentHeader(0, len(body), commands.Basic.Properties(delivery_mode=2))
        self.send(commands.Basic.Publish(routing_key=routing_key), 1)
        self._socket.sendall(frame.marshal(header, 1) + frame.marshal(ContentBody(body), 1))

    def receive(self) -> Frame:
        """The next method."""
        while True:
            consumed, _, method = frame.unmarshal(self._held) if len(self._held) >= 8 else (0, 0, None)
            if consumed:
                self._held = self._held[consumed:]
                assert isinstance(method, Frame)
                return method
            data = self._socket.recv(65_536)
            assert data, "the broker closed the socket"
            self._held += data

    def at_end(self) -> bool:
        """Wait for the socket's end, and say whether nothing came before it."""
        return self._held == b"" and self._socket.recv(1) == b""
