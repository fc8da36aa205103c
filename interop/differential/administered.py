"""Our broker as a process whose policies may be set by HTTP, in the few words that `administration` uses.

`amqpy_broker.cli` has no such thing yet; what a client of AMQP sees is the same.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote

from anyio.from_thread import BlockingPortal

from amqpy_broker.cli.running import run_loop, serve
from amqpy_broker.cli.serve import READY
from amqpy_broker.core.policies import Policies, Policy
from amqpy_broker.server.broker import Broker
from interop.differential.administration import VHOST, clear_policy, set_policy
from interop.peers import Peer, amqpy
from interop.peers.peer import free_port


@contextmanager
def administered(profile: str, *arguments: str) -> Iterator[Peer]:
    """Run it and yield it; `arguments` are more of its options."""
    port = free_port()
    options = ("--management-port", str(port), *arguments)
    with amqpy(profile, program=("-m", "interop.differential.administered"), arguments=options) as peer:
        yield replace(peer, management_port=port)


class _Handler(BaseHTTPRequestHandler):
    """PUT and DELETE /api/policies/VHOST/NAME and /api/operator-policies/VHOST/NAME."""

    def __init__(self, policies: Policies, portal: BlockingPortal, *arguments: object) -> None:
        self._policies = policies
        self._portal = portal
        super().__init__(*arguments)  # type: ignore[arg-type]  # what socketserver passes on

    def do_PUT(self) -> None:
        """Set a policy."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        policy = Policy(self._name, body["pattern"], body["definition"], body["priority"], body["apply-to"])
        self._answer(self._portal.call(partial(set_policy, self._policies, policy, operators=self._is_operators)))

    def do_DELETE(self) -> None:
        """Clear a policy."""
        self._answer(self._portal.call(partial(clear_policy, self._policies, self._name, operators=self._is_operators)))

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    @property
    def _name(self) -> str:
        return unquote(self.path.rpartition("/")[2])

    @property
    def _is_operators(self) -> bool:
        return self.path.startswith("/api/operator-policies/")

    def _answer(self, complaint: str) -> None:
        code = 204 if not complaint else 404 if complaint == "not found" else 400
        body = json.dumps({"reason": complaint}).encode() if complaint else b""
        self.send_response(code)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


async def _serve(broker: Broker, management_port: int) -> None:
    async with BlockingPortal() as portal:
        policies = broker.core.vhosts[VHOST].policies
        api = ThreadingHTTPServer(("127.0.0.1", management_port), partial(_Handler, policies, portal))
        Thread(target=api.serve_forever, daemon=True).start()
        try:
            await serve(broker, READY)
        finally:
            api.shutdown()
            api.server_close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m interop.differential.administered", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--profile", default="4.0")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--events", action="store_true")
    parser.add_argument("--management-port", type=int, required=True)
    options = parser.parse_args()
    broker = Broker(port=options.port, profile=options.profile, data_dir=options.data_dir, events=options.events)
    run_loop(partial(_serve, broker, options.management_port), "auto")


if __name__ == "__main__":
    main()
