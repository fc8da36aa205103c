"""The pytest plugin: brokers as fixtures, and what happened in them in the report.

Rule 1: this is loaded in every run of pytest in its environment. It imports nothing of the broker before a test uses
        one, and does nothing to runs that do not.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

from amqpy_broker.testing.plugin.options import (
    MARKER,
    add_marker,
    add_options,
    options_of,
    options_of_project,
    record_directory,
    wants_report,
)
from amqpy_broker.testing.plugin.summary import Found, Summary
from amqpy_broker.testing.running.register import RUNNING, RunningBroker

if TYPE_CHECKING:
    from amqpy_broker.testing.plugin.session import Session
    from amqpy_broker.testing.plugin.vhost import Vhost
    from amqpy_broker.testing.thread import BrokerThread

_PLUGIN: Final = pytest.StashKey["Plugin"]()
_HAS_FAILED: Final = pytest.StashKey[bool]()
_FOUND: Final = pytest.StashKey[list[Found]]()
# What a worker of xdist tells at its end, and under which name its reports bring findings.
_LEAKS: Final = "amqp_leaks"
_FINDINGS: Final = "amqp_findings"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell pytest of the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Begin to look for brokers.

    Raises:
        pytest.UsageError: an option says what cannot be.
    """
    add_marker(config)
    options_of_project(config)
    plugin = config.stash[_PLUGIN] = Plugin(config)
    config.pluginmanager.register(plugin, "amqpy-broker-run")
    RUNNING.watch(plugin)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Look for brokers no more."""
    plugin = config.stash.get(_PLUGIN, None)
    if plugin is not None:
        RUNNING.unwatch(plugin)


# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def amqp_broker(pytestconfig: pytest.Config) -> BrokerThread:
    """A broker that all tests share, in a thread of its own."""
    session = pytestconfig.stash[_PLUGIN].needed_session()
    return session.shared.broker(options_of_project(pytestconfig))


@pytest.fixture
def amqp_vhost(request: pytest.FixtureRequest) -> Iterator[Vhost]:
    """A fresh vhost of a shared broker: what is in it goes away with the test."""
    from amqpy_broker.testing.plugin.vhost import vhost_of  # noqa: PLC0415 - only when there is a broker

    session = request.config.stash[_PLUGIN].needed_session()
    broker = session.shared.broker(options_of(request.node))
    with vhost_of(broker, request.node.name, next(session.vhost_numbers)) as vhost:
        yield vhost


@pytest.fixture
def amqp_url(amqp_vhost: Vhost) -> str:
    """The URL of the test's own vhost."""
    return amqp_vhost.url


@pytest.fixture
def amqp_broker_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., BrokerThread]]:
    """Make brokers for this test: call it with what `Broker` takes. They stop with the test."""
    session = request.config.stash[_PLUGIN].needed_session()
    options, made = options_of(request.node), list["BrokerThread"]()

    def make(**arguments: Any) -> BrokerThread:  # noqa: ANN401 - Broker's own, which checks them
        made.append(session.make(options, arguments))
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


# --- a run ------------------------------------------------------------------------------------------------------------


class Plugin:
    """A run of pytest. Its `session` comes with the first broker."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._summary = Summary()
        self._session: Session | None = None
        self._test = ""
        # Whether a test's own code runs, not a fixture's.
        self._in_call = False

    def needed_session(self) -> Session:
        """Return the session; it begins now, if it has not."""
        if self._session is None:
            from amqpy_broker.testing.plugin.session import Session  # noqa: PLC0415 - only when there is a broker

            self._session = Session(self._test, record_directory(self._config))
        return self._session

    # --- brokers ----------------------------------------------------------------------------------------------------

    def starting(self, running: RunningBroker) -> None:
        """Learn of a broker that is about to listen."""
        self.needed_session().starting(running, in_call=self._in_call)

    def stopping(self, running: RunningBroker) -> None:
        """Learn of a broker that is about to end."""
        if self._session is not None:
            self._session.stopping(running)

    # --- tests ------------------------------------------------------------------------------------------------------

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Read all markers, and so refuse what cannot be before anything runs."""
        for item in items:
            if item.get_closest_marker(MARKER) is not None:
                options_of(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Learn that a test begins."""
        self._test = item.nodeid
        if self._session is not None:
            self._session.begin(item.nodeid)
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin, perhaps once more, and refuse what cannot be: a marker changes nothing about the shared broker."""
        item.stash[_HAS_FAILED] = False
        if self._session is not None:
            self._session.begin(item.nodeid)
        if item.get_closest_marker(MARKER) is None or "amqp_broker" not in _arguments_of(item):
            return
        if options_of(item).needs != options_of_project(item.config).needs:
            pytest.fail(
                "the marker of this test asks for another broker than amqp_broker, which all tests share: take"
                " amqp_vhost, whose `broker` is as the marker says",
                pytrace=False,
            )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        """Tell what a test's own code starts from what fixtures do."""
        self._in_call = True
        try:
            yield
        finally:
            self._in_call = False

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self) -> Generator[None, object, object]:
        """Tell a fixture that a test asks for in its own code from that code."""
        before, self._in_call = self._in_call, False
        try:
            return (yield)
        finally:
            self._in_call = before

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        """When all of a test is taken down, tell what it left running, and what strict mode found."""
        has_failed = item.stash.get(_HAS_FAILED, False)
        complaints = [] if self._session is None else self._session.end_faults(has_failed=has_failed)
        yield
        session = self._session
        if session is None:
            return
        verdict = session.verdict(options_of(item))
        item.stash[_FOUND] = verdict.found
        leaks = session.leaks()
        if not has_failed:
            verdict.pronounce()
        session.complain(complaints, leaks)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add what happened in the brokers to the report of a test that failed."""
        report = yield
        if self._session is not None and report.failed:
            item.stash[_HAS_FAILED] = True
            report.sections += self._session.sections()
        if report.when == "teardown" and item.stash.get(_FOUND, None):
            # Reports travel from xdist's workers with all their attributes.
            setattr(report, _FINDINGS, item.stash[_FOUND])
        return report

    # --- the end ----------------------------------------------------------------------------------------------------

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what was found, here or in a worker."""
        self._summary.add(report.nodeid, getattr(report, _FINDINGS, []))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - xdist's, which need not be installed
        """Learn what a worker of xdist tells at its end."""
        self._summary.leaks += getattr(node, "workeroutput", {}).get(_LEAKS, [])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Stop what runs."""
        if self._session is None:
            return
        leaks = self._session.end()
        self._summary.leaks += leaks
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_LEAKS] = leaks

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell what was found, and what was never stopped."""
        if wants_report(self._config):
            terminalreporter.section("amqp-broker: strict mode")
            for line in self._summary.lines():
                terminalreporter.write_line(line)
        if self._summary.leaks:
            terminalreporter.section("amqp-broker: brokers that were never stopped")
            for place in self._summary.leaks:
                terminalreporter.write_line(f"started at {place}: use `with`, or call stop() in the fixture's end")


def _arguments_of(item: pytest.Item) -> frozenset[str]:
    """Name what a test's own function asks for."""
    function = getattr(item, "function", None)
    return frozenset(inspect.signature(function).parameters) if function is not None else frozenset()
