"""Plays scenarios against one broker and returns their transcripts."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import local
from urllib.parse import urlsplit

from interop.differential.channel import Channel
from interop.differential.client import Connection
from interop.differential.scenario import Scenario, Stage
from interop.differential.transcript import Transcript

# Scenarios share nothing but the broker; more at a time only hides the 3 s for which RabbitMQ keeps some sockets open.
WORKERS_COUNT = 6

Transcripts = dict[str, list[str]]


class Player:
    """Plays scenarios against the broker behind an amqp:// URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "127.0.0.1", parts.port or 5672)
        self._janitor = local()
        self._janitors: list[Connection] = []

    def play_all(self, scenarios: Iterable[Scenario], *, workers_count: int = WORKERS_COUNT) -> Transcripts:
        """Play scenarios, several at a time, and return the lines of each by its name."""
        with ThreadPoolExecutor(workers_count) as pool:
            played = list(pool.map(lambda scenario: (scenario.name, self.play(scenario)), scenarios))
        return dict(played)

    def play(self, scenario: Scenario) -> list[str]:
        """Play one scenario from a clean state and leave a clean state."""
        stage = Stage(scenario.name, self.address, self._delete)
        try:
            scenario.play(stage)
            stage.finish()
        except Exception as error:
            # A broker that answers oddly must not end the run.
            stage.transcript.remark(f"the scenario cannot go on: {type(error).__name__}: {error}")
        self._leave(stage)
        return stage.transcript.lines

    def close(self) -> None:
        """Close the connections that cleaned up."""
        for janitor in self._janitors:
            janitor.leave()

    def _leave(self, stage: Stage) -> None:
        for connection in stage.connections:
            try:
                connection.leave()
            except OSError:
                connection.drop()
        for noun, name in stage.names:
            self._delete(noun, name)

    def _delete(self, noun: str, name: str) -> None:
        """Delete a queue or an exchange, waiting for the end of the connection that owns it if need be."""
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            channel = self._janitor_channel()
            if channel.call_unseen(f"{noun}.delete", **{noun: name}) is not None:
                return
            time.sleep(0.02)

    def _janitor_channel(self) -> Channel:
        """Return an open channel of this thread's own connection."""
        connection: Connection | None = getattr(self._janitor, "connection", None)
        if connection is None or connection.is_closed:
            connection = self._janitor.connection = Connection("janitor", self.address, Transcript()).handshake()
            self._janitors.append(connection)
        return connection.probe_channel()
