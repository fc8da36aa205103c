"""Run cases against brokers in turn, and keep every sample.

Rule 1: within a case the brokers take turns, round by round, so that a slow phase of the machine meets all of them.
Rule 2: nothing waits for ever: a broker that stalls or refuses gets that as its result, and is started anew.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from interop.benchmark import backlog, kit, latency, memory, process, throughput, topology
from interop.benchmark.brokers import Kind, Running
from interop.benchmark.cases import (
    FRESH,
    Backlog,
    Case,
    Declare,
    IdleConnections,
    Kit,
    Latency,
    Load,
    Restart,
    Start,
    Waiting,
    Work,
)
from interop.benchmark.client import RefusedError, StalledError
from interop.peers.peer import PeerFailedError

FAILURES_MAX: Final = 2
_IDLE_S: Final = 1.0
_MIB: Final = 1024 * 1024

Sample = dict[str, float]


@dataclass
class Result:
    """All samples of one case on one broker, and the words of the attempts that failed."""

    samples: list[Sample] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def median(self, key: str) -> float | None:
        values = [sample[key] for sample in self.samples if key in sample]
        return statistics.median(values) if values else None

    @property
    def failure(self) -> str:
        """One word for the table, the whole words are in the JSON."""
        if not self.failures:
            return ""
        return "stalls" if self.failures[0].startswith("stalls") else "fails"


Results = dict[str, dict[str, Result]]


class Runner:
    """Keeps the brokers running between cases; those that a case wants fresh are started for it alone."""

    def __init__(self, kinds: list[Kind], *, seconds: float, rounds: int) -> None:
        self.results: Results = {}
        self.products: dict[str, str] = {}
        self._kinds = kinds
        self._seconds = seconds
        self._rounds = rounds
        # By name; those that were told to keep messages by themselves.
        self._running: dict[str, Running] = {}
        self._folders = ExitStack()

    def run(self, cases: Iterable[Case]) -> None:
        try:
            for case in cases:
                self._run_case(case)
        finally:
            for running in self._running.values():
                running.stop()
            self._folders.close()

    def _run_case(self, case: Case) -> None:
        results = self.results[case.name] = {kind.name: Result() for kind in self._kinds}
        # Memory hardly varies, and its cases take long.
        rounds = 1 if isinstance(case.work, Waiting | IdleConnections | Backlog) else self._rounds
        for round_number in range(rounds):
            for kind in self._kinds:
                result = results[kind.name]
                if len(result.failures) < FAILURES_MAX:
                    _say(f"{case.name}: {kind.name}, round {round_number + 1} of {rounds}")
                    self._attempt(case, kind, result)

    def _attempt(self, case: Case, kind: Kind, result: Result) -> None:
        try:
            if isinstance(case.work, Kit):
                if kind.name == "amqpy":
                    result.samples.append(kit.measure(case.work))
                elif kind.startable:
                    result.samples.append({"start_ms": self._start_s(kind) * 1e3})
            elif isinstance(case.work, Restart):
                if kind.start_durable is not None:
                    result.samples.append(self._sample_restart(kind, case.work))
            elif isinstance(case.work, FRESH):
                if kind.startable:
                    result.samples.append(self._sample_fresh(kind, case.work))
            else:
                result.samples.append(sample(self._get(kind, case.work), case.work, self._seconds))
        except StalledError as error:
            self._fail(case, kind, f"stalls: {error}")
        except (RefusedError, PeerFailedError) as error:
            self._fail(case, kind, f"fails: {error}")
        self._restart_if_ill(kind, case.work)

    def _fail(self, case: Case, kind: Kind, words: str) -> None:
        self.results[case.name][kind.name].failures.append(words)
        _say(f"{case.name}: {kind.name} {words}")

    def _start_s(self, kind: Kind) -> float:
        running = Running(kind)
        running.stop()
        self.products[kind.name] = running.product
        return running.start_s

    def _sample_restart(self, kind: Kind, work: Restart) -> Sample:
        with tempfile.TemporaryDirectory(prefix="amqpy-benchmark-") as folder:
            durable = kind.durable(Path(folder))
            first = Running(durable)
            try:
                backlog.fill(first.peer.port, work.count, work.body_size)
            finally:
                first.stop()
            return self._sample_fresh(durable, work)

    def _sample_fresh(self, kind: Kind, work: Work) -> Sample:
        if isinstance(work, Backlog):
            with tempfile.TemporaryDirectory(prefix="amqpy-benchmark-") as folder:
                return self._sample_started(kind.durable(Path(folder)), work)
        return self._sample_started(kind, work)

    def _sample_started(self, kind: Kind, work: Work) -> Sample:
        running = Running(kind)
        self.products[kind.name] = running.product
        try:
            return sample(running, work, self._seconds)
        finally:
            running.stop()

    def _get(self, kind: Kind, work: Work) -> Running:
        key = _key(kind, work)
        if key not in self._running:
            folder = self._folders.enter_context(tempfile.TemporaryDirectory(prefix="amqpy-benchmark-"))
            self._running[key] = Running(kind.durable(Path(folder)) if key != kind.name else kind)
            self.products[kind.name] = self._running[key].product
        return self._running[key]

    def _restart_if_ill(self, kind: Kind, work: Work) -> None:
        running = self._running.get(_key(kind, work))
        if running is not None and not running.is_well():
            _say(f"{kind.name} no longer answers: it is started anew")
            running.stop()
            del self._running[_key(kind, work)]


def sample(running: Running, work: Work, seconds: float) -> Sample:
    """Measure once."""
    port, pid = running.peer.port, running.peer.pid
    match work:
        case Load():
            return throughput.measure(port, pid, work, seconds)
        case Latency():
            return latency.measure(port, work, seconds)
        case Waiting():
            return memory.measure_waiting(port, pid, work)
        case IdleConnections():
            return memory.measure_connections(port, pid, work)
        case Backlog():
            return backlog.measure(port, pid, work)
        case Restart():
            time.sleep(_IDLE_S)
            return {"start_s": running.start_s, "rss_mib": process.memory(pid).rss / _MIB}
        case Kit():
            return kit.measure(work)
        case Declare():
            return topology.measure(port, pid, work)
        case Start():
            time.sleep(_IDLE_S)
            used = process.memory(pid)
            return {
                "start_s": running.start_s,
                "start_cpu_s": running.start_cpu_s,
                "idle_rss_mib": used.rss / _MIB,
                "idle_pss_mib": used.pss / _MIB,
            }


def _key(kind: Kind, work: Work) -> str:
    """Name the broker that does this work: one that keeps messages is another than one that does not."""
    durable = isinstance(work, Load | Latency) and work.persistent and kind.start_durable is not None
    return f"{kind.name}, durable" if durable else kind.name


def shortened(case: Case) -> Case:
    """Return the case with a tenth of its queues, waiting messages or idle connections."""
    match case.work:
        case Waiting() | IdleConnections() | Declare() | Backlog() | Restart() | Kit() as work:
            return replace(case, work=replace(work, count=work.count // 10))
    return case


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
