"""`amqpy-broker trace`: a broker that shows what is said; or show what was recorded."""

import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import click
from click.core import ParameterSource

from amqpy_broker.cli.group import fail
from amqpy_broker.cli.running import run_loop, serve, serve_command
from amqpy_broker.cli.serve import DEFAULT_PORT, READY, make_broker
from amqpy_broker.cli.telling import Lines, Tell, recorder_for, stop_serving, teller
from amqpy_broker.testing.conversation.recording import RecordingError, RecordingReader
from amqpy_broker.testing.conversation.wiretap import WiretappedBroker

RECORDING_SUFFIX: Final = ".jsonl"


# Whatever follows the command's name is the command's, --help too.
@click.command(context_settings={"allow_interspersed_args": False, "default_map": {}})
@click.option("--port", type=click.IntRange(0, 65535),
              help="Port; 0 is any free one. [default: 5672; a free one with COMMAND]")  # fmt: skip
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write everything into a file, too: JSON, one event a line.")  # fmt: skip
@click.argument("what", nargs=-1, type=click.UNPROCESSED, metavar="[FILE.jsonl | COMMAND...]")
@click.pass_context
def trace(context: click.Context, port: int | None, record: Path | None, what: Sequence[str]) -> None:
    """Run a broker, and show what its clients and it say to each other; or show a recording.

    Prints one line with the broker's URL when clients can connect; then each frame on a line: who says what, with
    arguments, properties, and the beginning of the body. With COMMAND, the command finds the broker in AMQP_URL,
    RABBITMQ_URL and CELERY_BROKER_URL, stdout is the command's alone, and so is the exit code; the conversation is on
    stderr. Options of the broker come before `trace`.

    \b
    amqpy-broker trace                                  a broker on 127.0.0.1:5672 that shows everything
    amqpy-broker trace -- pytest tests/test_orders.py   what these tests say
    amqpy-broker --profile 3.10 trace --record talk.jsonl
    amqpy-broker trace talk.jsonl                       show it again

    Passwords are neither shown nor recorded; bodies are.
    """
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    if len(what) == 1 and what[0].endswith(RECORDING_SUFFIX):
        _show_recording(Path(what[0]))
        return
    recorder = recorder_for(record)
    tell = teller(Lines(sys.stderr) if what else Lines(sys.stdout, stop_serving), recorder)
    try:
        context.exit(_trace(context, port, tell, what))
    finally:
        if recorder is not None:
            recorder.close()


def _trace(context: click.Context, port: int | None, tell: Tell, command: Sequence[str]) -> int:
    main = context.parent
    assert main is not None
    if port is None and main.get_parameter_source("port") is not ParameterSource.DEFAULT:
        port = main.params["port"]
    broker = make_broker(main, WiretappedBroker, port=port if port is not None else 0 if command else DEFAULT_PORT)
    broker.on_event = tell
    task = partial(serve_command, broker, command) if command else partial(serve, broker, READY)
    return run_loop(task, main.params["loop"])


def _show_recording(path: Path) -> None:
    lines = Lines(sys.stdout)
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            reader = RecordingReader(file, str(path))
            for event in reader:
                lines.tell(event)
                if not lines.is_read:
                    return
    except OSError as failure:
        fail(f"cannot read {path}: {failure.strerror}")
    except RecordingError as failure:
        fail(str(failure))
    if reader.cut_short:
        click.echo(f"amqpy-broker: {path} may not be all: {reader.cut_short}", err=True)
