"""A recording of each test, in a directory."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Lock
from typing import Final

from amqpy_broker.testing.conversation.decoder import Conversation
from amqpy_broker.testing.conversation.events import Event
from amqpy_broker.testing.conversation.recording import Recorder

# File systems allow 255; the directory's own name comes before.
_NAME_MAX: Final = 200


class Recordings:
    """Writes what is said into the file of the test that runs. Tests that say nothing have none."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._test = ""
        self._recorder: Recorder | None = None
        # The conversations that have a beginning in this file.
        self._begun: set[Conversation] = set()
        # Brokers in several threads write here.
        self._lock = Lock()

    def begin(self, test: str) -> None:
        """Learn which test runs from now on."""
        with self._lock:
            self._test = test
            self._close()

    def end(self) -> None:
        """Close the file of the last test."""
        with self._lock:
            self._close()

    def record(self, conversation: Conversation, event: Event) -> None:
        """Write what was said in a conversation."""
        with self._lock:
            if self._recorder is None:
                self._directory.mkdir(parents=True, exist_ok=True)
                self._recorder = Recorder(self._directory / file_name(self._test))
            if conversation not in self._begun:
                self._begun.add(conversation)
                self._recorder.record(conversation.opened)
            self._recorder.record(event)

    def _close(self) -> None:
        recorder, self._recorder = self._recorder, None
        self._begun.clear()
        if recorder is not None:
            recorder.close()


def file_name(test: str) -> str:
    """Make a file's name of a test's: `tests/test_a.py::test_b[x]` is `tests-test_a.py-test_b-x.jsonl`."""
    return re.sub(r"[^\w.]+", "-", test).strip("-")[:_NAME_MAX] + ".jsonl"
