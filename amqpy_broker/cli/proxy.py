"""`amqpy-broker proxy --to URL`: stand before a broker, print and record what is said."""

import logging
import sys
from functools import partial
from pathlib import Path
from typing import Final

import click

from amqpy_broker.cli.fault_specs import FaultSpec, read_faults
from amqpy_broker.cli.group import fail
from amqpy_broker.cli.running import run_loop, serve
from amqpy_broker.cli.telling import Lines, recorder_for, stop_serving, teller
from amqpy_broker.testing.proxy.proxy import Proxy
from amqpy_broker.version import VERSION

PUBLIC_LOGIN: Final = "guest:guest@"
READY: Final = f"amqpy-broker {VERSION} proxy ready at {{url}}"


class DiscreetProxy(Proxy):
    """A proxy whose URL can be printed: logs are read by many."""

    @property
    def url(self) -> str:
        """What clients connect to, with their own user and password."""
        return self.url_for(self.upstream.login if self.upstream.login == PUBLIC_LOGIN else "")


@click.command(context_settings={"show_default": True, "default_map": {}})
@click.option("--to", required=True, metavar="URL", help="The broker: amqp://user:password@host:port/vhost, or amqps.")
@click.option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 is all of them.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port to listen on; 0 is any free one.")
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write everything into a file, too: JSON, one event a line.")  # fmt: skip
@click.option("--fault", "faults", multiple=True, callback=read_faults, metavar="FAULT",
              help="Let something go wrong, for example delay:method=queue.declare,seconds=2; repeatable.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="Print the ready line alone.")
@click.pass_context
def proxy(
    context: click.Context,
    to: str,
    host: str,
    port: int,
    record: Path | None,
    faults: tuple[FaultSpec, ...],
    quiet: bool,
) -> None:
    """Stand before a broker, any AMQP 0-9-1 broker, and show what is said.

    Prints one line with its URL when clients can connect; then each frame on a line: who says what, with arguments,
    properties, and the beginning of the body. Clients are let through as they are: they log in as they would at the
    broker. Stops on SIGTERM or SIGINT (Ctrl-C).

    \b
    amqpy-broker proxy --to amqp://localhost                       show what clients of this proxy say
    amqpy-broker proxy --to amqps://user:password@mq.example.org   TLS to the broker, none to clients
    amqpy-broker proxy --to amqp://localhost --record talk.jsonl   and keep it
    amqpy-broker trace talk.jsonl                                  show it again
    amqpy-broker proxy --to amqp://localhost --fault drop_connection:how=reset,method=basic.ack,times=1
    amqpy-broker proxy --to amqp://localhost --fault nack_publishes:probability=0.1,seed=7

    Faults, and what they take, are told in docs/testing/faults.md; `--fault list` names them. Passwords are neither
    shown nor recorded; bodies are.
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    recorder = recorder_for(record)
    tell = teller(None if quiet else Lines(sys.stdout, stop_serving), recorder)
    try:
        service = DiscreetProxy(to, host=host, port=port, on_event=tell)
    except ValueError as failure:
        fail(f"--to: {failure}", code=2)
    for fault in faults:
        fault.begin(service.faults)
    loop = context.parent.params["loop"] if context.parent is not None else "auto"
    try:
        run_loop(partial(serve, service, READY), loop)
    finally:
        if recorder is not None:
            recorder.close()
