"""A proxy speaks TLS to a broker that asks for it, and checks its certificate."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from pamqp.commands import Queue

from amqpy_broker import Broker
from amqpy_broker.testing.conversation.events import Ended, Event
from amqpy_broker.testing.proxy.proxy import Proxy
from tests.server.loops import SocketClient, connected, on_each_loop, until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, and its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    options = ["-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        ["openssl", "req", *options, *names, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True
    )
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@asynccontextmanager
async def behind_tls(broker: Broker, certificate: Path) -> AsyncIterator[int]:
    """Let a broker be reached by TLS alone; return the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def carry(source: ByteStream, sink: ByteStream) -> None:
        try:
            while True:
                await sink.send(await source.receive())
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await source.aclose()
            await sink.aclose()

    async def serve(client: ByteStream) -> None:
        async with await anyio.connect_tcp("127.0.0.1", broker.port) as server, anyio.create_task_group() as tasks:
            tasks.start_soon(carry, client, server)
            tasks.start_soon(carry, server, client)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as tcp, anyio.create_task_group() as tasks:
        listener = _Quiet(tcp, context, standard_compatible=False)
        tasks.start_soon(listener.serve, serve)
        yield int(tcp.extra(SocketAttribute.local_port))
        tasks.cancel_scope.cancel()


class _Quiet(TLSListener):
    @staticmethod
    async def handle_handshake_error(exc: BaseException, stream: object) -> None:
        """Forget clients that do not trust us."""
        assert isinstance(stream, ByteStream)
        await anyio.aclose_forcefully(stream)


@on_each_loop
async def test_clients_speak_plainly_to_the_proxy_and_the_proxy_tls_to_the_broker(certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    async with (
        Broker() as broker,
        behind_tls(broker, certificate) as port,
        Proxy(f"amqps://localhost:{port}/", ssl_context=context) as proxy,
        connected(proxy.port) as client,
    ):
        assert (await client.call(Queue.Declare, queue="q")).name == "Queue.DeclareOk"


@on_each_loop
async def test_a_broker_that_is_not_trusted_is_not_talked_to(certificate: Path) -> None:
    events: list[Event] = []
    async with (
        Broker() as broker,
        behind_tls(broker, certificate) as port,
        Proxy(f"amqps://localhost:{port}/", on_event=events.append) as proxy,
        await anyio.connect_tcp("127.0.0.1", proxy.port) as stream,
    ):
        assert await SocketClient(stream).ended()
        await until(lambda: len(events) == 2)
    assert isinstance(events[1], Ended)
    assert "certificate verify failed" in events[1].how
