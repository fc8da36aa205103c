"""Plays scenarios against one broker and returns their transcripts."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import local
from urllib.parse import urlsplit

from interop.differential.administration import Administration
from interop.differential.channel import Channel
from interop.differential.client import Connection
from interop.differential.pace import Pace
from interop.differential.scenario import Scenario, Stage
from interop.differential.transcript import Transcript
from interop.peers.peer import PeerFailedError

# Scenarios share nothing but the broker, so several may play at once.
WORKERS_COUNT = 6
# In these files most of the time is spent waiting for the 3 s after which RabbitMQ closes a socket without a word.
WAITING_NOUNS = {"handshake"}
WAITING_WORKERS_COUNT = 40

Transcripts = dict[str, list[str]]


class Player:
    """Plays scenarios against the broker behind an amqp:// URL, which is administered in a way of its own."""

    def __init__(self, url: str, administration: Administration | None = None, pace: Pace | None = None) -> None:
        self._administration = administration
        self._pace = pace
        parts = urlsplit(url)
        self.address = (parts.hostname or "127.0.0.1", parts.port or 5672)
        self._janitor = local()
        self._janitors: list[Connection] = []

    def play_all(self, scenarios: Iterable[Scenario]) -> Transcripts:
        """Play scenarios, several at a time, and return the lines of each by its name."""
        chosen = list(scenarios)
        waiting = [scenario for scenario in chosen if scenario.noun in WAITING_NOUNS]
        working = [scenario for scenario in chosen if scenario.noun not in WAITING_NOUNS]
        played = self._play_side_by_side(working, WORKERS_COUNT)
        played |= self._play_side_by_side(waiting, WAITING_WORKERS_COUNT)
        return {scenario.name: played[scenario.name] for scenario in chosen}

    def _play_side_by_side(self, scenarios: list[Scenario], workers_count: int) -> Transcripts:
        with ThreadPoolExecutor(workers_count) as pool:
            return dict(zip((scenario.name for scenario in scenarios), pool.map(self.play, scenarios), strict=True))

    def stage(self, name: str) -> Stage:
        """Make a stage for a scenario of this name."""
        return Stage(name, self.address, self._delete, self._administration, self._pace)

    def play(self, scenario: Scenario) -> list[str]:
        """Play one scenario from a clean state and leave a clean state."""
        stage = self.stage(scenario.name)
        try:
            scenario.play(stage)
            stage.finish()
        except Exception as error:
            # A broker that answers oddly must not end the run.
            stage.transcript.remark(f"the scenario cannot go on: {type(error).__name__}: {error}")
        lines = list(stage.transcript.lines)
        self._leave(stage)
        return lines

    def close(self) -> None:
        """Close the connections that cleaned up."""
        for janitor in self._janitors:
            janitor.leave()

    def _leave(self, stage: Stage) -> None:
        stage.forget_policies()
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
            connection = self._janitor.connection = self._connect()
            self._janitors.append(connection)
        return connection.probe_channel()

    def _connect(self) -> Connection:
        try:
            return Connection("janitor", self.address, Transcript()).handshake()
        except OSError as error:
            host, port = self.address
            raise PeerFailedError(f"the broker at {host}:{port} does not answer any more: {error}") from error
