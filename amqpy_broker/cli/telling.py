"""How commands tell conversations: as lines on a stream, and into a file."""

import os
import signal
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

import click

from amqpy_broker.cli.group import fail
from amqpy_broker.testing.conversation.events import Event
from amqpy_broker.testing.conversation.recording import FILE_MAX_BYTES, Recorder
from amqpy_broker.testing.conversation.show import Printer

Tell = Callable[[Event], None]


class Lines:
    """Prints events, until nobody reads them any more: `on_unread` is called then."""

    def __init__(self, stream: TextIO, on_unread: Callable[[], None] = lambda: None) -> None:
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character must not end anything.
            stream.reconfigure(errors="backslashreplace")
        self._stream = stream
        self._on_unread = on_unread
        self._printer = Printer(colours=stream.isatty() and not os.environ.get("NO_COLOR"))
        self.is_read = True

    def tell(self, event: Event) -> None:
        """Print an event."""
        if not self.is_read:
            return
        try:
            print(self._printer.line(event), file=self._stream, flush=True)
        except BrokenPipeError:
            self.is_read = False
            # What is still buffered must not be complained about at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            self._on_unread()


def stop_serving() -> None:
    """Stop as if a signal asked for it: `amqpy-broker trace | head` has seen enough."""
    signal.raise_signal(signal.SIGTERM)


def recorder_for(path: Path | None) -> Recorder | None:
    """Open a recording, or end the command with what hinders it."""
    try:
        return Recorder(path) if path is not None else None
    except OSError as failure:
        fail(f"cannot record to {path}: {failure.strerror}")


def teller(lines: Lines | None, recorder: Recorder | None) -> Tell:
    """Combine what is told of an event, to whom."""

    def tell(event: Event) -> None:
        if lines is not None:
            lines.tell(event)
        if recorder is not None and not recorder.is_full:
            recorder.record(event)
            if recorder.is_full:
                limit = f"{FILE_MAX_BYTES >> 20} MiB"
                click.echo(f"amqpy-broker: the recording has reached {limit}, and ends here", err=True)

    return tell
