"""A run of pytest, from the first broker on: hears all brokers, and judges those that tests share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import pytest

from amqpy_broker.testing.errors import NotSettled
from amqpy_broker.testing.kit import Kit
from amqpy_broker.testing.plugin.brokers import Brokers, as_arguments, started
from amqpy_broker.testing.plugin.flight import BrokerLog
from amqpy_broker.testing.plugin.options import REPORT, Options
from amqpy_broker.testing.plugin.recordings import Recordings
from amqpy_broker.testing.plugin.summary import Found
from amqpy_broker.testing.running.register import RUNNING, LeakedBroker, RunningBroker
from amqpy_broker.testing.strict.finding import Finding, StrictWarning, tell
from amqpy_broker.testing.strict.strict import Level, check_rule_names
from amqpy_broker.testing.thread import BrokerThread

# How long clients that are still connected may take to come to rest before the verdict.
_REST_S = 1.0


class Session:
    """What the plugin knows from the first broker on."""

    def __init__(self, test: str, record_to: str | None) -> None:
        self.shared = Brokers()
        self.vhost_numbers = count(1)
        self._connection_numbers = count(1)
        self._recordings = Recordings(record_to) if record_to is not None else None
        self._logs: dict[Kit, BrokerLog] = {}
        # Brokers that have stopped since the test began.
        self._stopped: list[BrokerLog] = []
        # Brokers that this test's own code has started.
        self._started_in_call: list[RunningBroker] = []
        # Brokers that `amqp_broker_factory` has made for this test, and what becomes of findings there.
        self._made: dict[Kit, str | None] = {}
        if self._recordings is not None:
            self._recordings.begin(test)

    # --- what happens -----------------------------------------------------------------------------------------------

    def starting(self, running: RunningBroker, *, in_call: bool) -> None:
        """Learn of a broker that is about to listen; `in_call` tells that a test's own code did that."""
        assert isinstance(running.broker, Kit)
        record = self._recordings.record if self._recordings is not None else None
        log = self._logs[running.broker] = BrokerLog(running.broker, running.place, self._connection_numbers, record)
        running.broker.inside().listeners.append(log)
        if in_call:
            self._started_in_call.append(running)

    def stopping(self, running: RunningBroker) -> None:
        """Learn of a broker that is about to end."""
        assert isinstance(running.broker, Kit)
        log = self._logs.pop(running.broker, None)
        if log is not None:
            log.stopping()
            self._stopped.append(log)

    def begin(self, test: str) -> None:
        """Learn that a test begins."""
        self._stopped.clear()
        self._started_in_call.clear()
        self._made.clear()
        for log in self._logs.values():
            log.begin()
        if self._recordings is not None:
            self._recordings.begin(test)

    def end_faults(self, *, has_failed: bool) -> list[Warning]:
        """Let nothing go wrong any more in shared brokers; return complaints of faults that never fired."""
        with warnings.catch_warnings(record=True) as complaints:
            warnings.simplefilter("always")
            for broker in self.shared:
                if has_failed:
                    broker.faults.clear()
                broker.faults.finish()
        return [complaint.message for complaint in complaints if isinstance(complaint.message, Warning)]

    def end(self) -> list[str]:
        """Learn that all tests are done: stop everything; return where brokers were started that nobody stopped."""
        self.shared.stop()
        leaks = [_stop_leak(running) for running in RUNNING if running.broker in self._logs]
        if self._recordings is not None:
            self._recordings.end()
        return leaks

    def make(self, options: Options, arguments: dict[str, object]) -> BrokerThread:
        """Start a broker for one test."""
        broker = started(**{**as_arguments(options), **arguments})
        self._made[broker] = str(arguments["strict"]) if arguments.get("strict") else options.strict
        return broker

    # --- what is told -----------------------------------------------------------------------------------------------

    def sections(self) -> Iterator[tuple[str, str]]:
        """Tell what was said to the brokers of this test, and how their queues are."""
        for log in (*self._stopped, *self._logs.values()):
            frames = log.frames()
            if not frames:
                continue
            name = self._name(log)
            yield f"amqp-broker: last frames ({name})", "\n".join(frames)
            yield f"amqp-broker: queues ({name})", "\n".join(log.queues() or ["no queues"])

    def _name(self, log: BrokerLog) -> str:
        if log.broker in self.shared:
            return f"shared broker, RabbitMQ {log.core.profile.name}"
        if log.broker in self._made:
            return f"broker {[*self._made].index(log.broker) + 1} of amqp_broker_factory"
        return f"broker started at {log.place}"

    def verdict(self, options: Options) -> Verdict:
        """Return what strict mode found in this test.

        Raises:
            Misuse: a rule is ignored that does not exist.
        """
        ignore = check_rule_names(options.ignore)
        verdict = Verdict()
        for log in (*self._stopped, *self._logs.values()):
            level = self._level(log.broker, options)
            if level is not None and log.strict is not None:
                if log.broker in self._logs:
                    _let_rest(log.broker)
                verdict.add([finding for finding in log.findings() if finding.rule not in ignore], level)
        return verdict

    def _level(self, broker: Kit, options: Options) -> str | None:
        """Say what becomes of findings: brokers that are not the plugin's tell them on their own."""
        if broker in self.shared:
            return options.strict
        return self._made.get(broker, REPORT)

    def leaks(self) -> list[str]:
        """Stop what the test's own code started and left running; return where it was started."""
        return [_stop_leak(running) for running in self._started_in_call if running in tuple(RUNNING)]

    def complain(self, complaints: list[Warning], leaks: list[str]) -> None:
        """Warn of what a test did to its brokers."""
        for complaint in complaints:
            warnings.warn(complaint, stacklevel=2)
        for place in leaks:
            warnings.warn(
                LeakedBroker(
                    f"a broker was started at {place} and never stopped: use `with BrokerThread() as broker`, or"
                    " `async with Broker() as broker`, or call stop()"
                ),
                stacklevel=2,
            )


class Verdict:
    """What strict mode found in a test."""

    def __init__(self) -> None:
        self.errors: list[Finding] = []
        self.warnings: list[Finding] = []
        # What is for the summary only; and what brokers that are not the plugin's tell when they stop.
        self.told: list[Finding] = []

    def add(self, findings: list[Finding], level: str) -> None:
        """Add what one broker found."""
        where = {Level.ERROR.value: self.errors, Level.WARN.value: self.warnings, REPORT: self.told}
        where[level].extend(findings)

    @property
    def found(self) -> list[Found]:
        """Return all of it, as it travels."""
        return [
            Found(rule=finding.rule, what=finding.what, fix=finding.fix, times=finding.times)
            for finding in (*self.errors, *self.warnings, *self.told)
        ]

    def pronounce(self) -> None:
        """Warn of what was found, or fail."""
        for finding in self.warnings:
            warnings.warn(StrictWarning(str(finding)), stacklevel=2)
        if self.errors:
            pytest.fail(tell(self.errors), pytrace=False)


def _let_rest(broker: Kit) -> None:
    """Let the broker read what clients have said that are still connected: it may not have come to it."""
    if isinstance(broker, BrokerThread) and broker.run_in_broker(lambda: any(broker.inside().connections)):
        with suppress(NotSettled):
            broker.settled(timeout_s=_REST_S, unacked_ok=True)


def _stop_leak(running: RunningBroker) -> str:
    if isinstance(running.broker, BrokerThread):
        running.broker.stop()
    else:
        # Its event loop is over, and everything in it.
        RUNNING.remove(running.broker)
    return running.place
