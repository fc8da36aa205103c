import pytest

from amqpy_broker.testing.conversation.events import Said
from amqpy_broker.testing.conversation.recording import load_recording
from tests.testing.plugin.inner import run

pytest_plugins = ["pytester"]

PROFILES = """
def profile(url):
    connection = connect(url)
    version = connection._impl.server_properties["version"]
    connection.close()
    return version

def test_of_project(amqp_url, amqp_broker):
    assert profile(amqp_url) == profile(amqp_broker.url) == {project!r}

@pytest.mark.amqp(profile="4.3")
def test_of_marker(amqp_url, amqp_vhost):
    assert profile(amqp_url) == "4.3.5"
"""


def test_the_profile_comes_from_the_marker_the_command_line_the_project_or_is_the_default(
    pytester: pytest.Pytester,
) -> None:
    run(pytester, PROFILES.format(project="4.0.5")).assert_outcomes(passed=2)
    run(pytester, PROFILES.format(project="4.2.5"), ini="amqp_profile = 4.2").assert_outcomes(passed=2)
    result = run(pytester, PROFILES.format(project="3.10.8"), "--amqp-profile=3.10", ini="amqp_profile = 4.2")
    result.assert_outcomes(passed=2)


def test_time_is_virtual_where_the_marker_or_the_project_says_so(pytester: pytest.Pytester) -> None:
    tests = """
def test_of_project(amqp_broker):
    assert amqp_broker.clock.is_virtual is {of_project}

@pytest.mark.amqp(virtual_time=True)
def test_expiry(amqp_vhost):
    publish(amqp_vhost.url, arguments={{"x-expires": 60_000}})
    amqp_vhost.advance(minutes=2)
    assert not amqp_vhost.inside().core.vhosts[amqp_vhost.name].queues
"""
    run(pytester, tests.format(of_project=False)).assert_outcomes(passed=2)
    run(pytester, tests.format(of_project=True), ini="amqp_virtual_time = true").assert_outcomes(passed=2)


def test_the_closest_marker_counts(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
pytestmark = pytest.mark.amqp(virtual_time=True, profile="3.10")

@pytest.mark.amqp(profile="4.1")
def test_it(amqp_vhost):
    assert amqp_vhost.clock.is_virtual
    assert amqp_vhost.inside().core.profile.name == "4.1"
""",
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "refusal"),
    [
        ('profil="4.3"', "pytest.mark.amqp takes profile=, virtual_time=, strict= and ignore=, but not profil"),
        ('"4.3"', "pytest.mark.amqp takes profile=, virtual_time=, strict= and ignore=, but not '4.3'"),
        ('strict="yes"', "strict mode of amqpy-broker is 'warn', 'error' or 'off', not 'yes'"),
        ('ignore="polling-get"', "pytest.mark.amqp: ignore is a list: ignore=['polling-get']"),
    ],
)
def test_a_marker_that_cannot_be_is_refused_before_anything_runs(
    pytester: pytest.Pytester, marker: str, refusal: str
) -> None:
    result = run(pytester, f"@pytest.mark.amqp({marker})\ndef test_it(): ...", "--strict-markers")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: test_it.py::test_it: {refusal}" in [*result.outlines, *result.errlines]


def test_an_option_that_cannot_be_is_refused_before_anything_runs(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_it(): ...", ini="amqp_strict = yes")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: strict mode of amqpy-broker is 'warn', 'error' or 'off', not 'yes'" in result.errlines


def test_a_marker_that_comes_too_late_for_the_shared_broker_says_so(pytester: pytest.Pytester) -> None:
    result = run(pytester, '@pytest.mark.amqp(profile="4.3")\ndef test_too_late(amqp_broker): ...')
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*asks for another broker than amqp_broker*take amqp_vhost*"])


SLOPPY = """
def test_sloppy(amqp_url):
    publish(amqp_url, durable=False)

def test_careful(amqp_url):
    publish(amqp_url)
"""


def test_strict_mode_fails_the_test_that_did_it_when_it_is_taken_down(pytester: pytest.Pytester) -> None:
    for arguments, ini in ((["--amqp-strict"], ""), (["--amqp-strict=error"], ""), ([], "amqp_strict = error")):
        result = run(pytester, SLOPPY, *arguments, ini=ini)
        result.assert_outcomes(passed=2, errors=1)
        result.stdout.fnmatch_lines(
            ["*ERROR at teardown of test_sloppy*", "transient-queue: queue 'q' is declared neither durable*"]
        )


def test_a_test_that_is_run_again_is_judged_anew(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            runtestprotocol(item, log=False, nextitem=nextitem)
            item._initrequest()
            for report in runtestprotocol(item, log=False, nextitem=nextitem):
                item.ihook.pytest_runtest_logreport(report=report)
            return True
        """
    )
    tests = """
tries = {"test_careful_later": 0, "test_sloppy": 0}

def test_careful_later(amqp_url, request):
    tries[request.node.name] += 1
    publish(amqp_url, durable=tries[request.node.name] == 2)
    assert tries[request.node.name] == 2

def test_sloppy(amqp_url, request):
    tries[request.node.name] += 1
    publish(amqp_url, durable=False)
    assert tries[request.node.name] == 2
"""
    result = run(pytester, tests, "--amqp-strict")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_sloppy*"])


def test_the_plugin_can_be_switched_off(pytester: pytest.Pytester) -> None:
    result = run(pytester, SLOPPY, "-p", "no:amqpy-broker")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*fixture 'amqp_url' not found*"])


def test_strict_mode_can_warn_only(pytester: pytest.Pytester) -> None:
    result = run(pytester, SLOPPY, "--amqp-strict=warn", warnings="default")
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(["test_it.py::test_sloppy", "*StrictWarning: transient-queue: queue 'q' is declared*"])


def test_strict_mode_is_off_unless_somebody_wants_it(pytester: pytest.Pytester) -> None:
    run(pytester, SLOPPY).assert_outcomes(passed=2)
    run(pytester, SLOPPY, "--amqp-strict=off", ini="amqp_strict = error").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("arguments", "ini"), [(["--amqp-ignore=transient-queue"], ""), ([], "amqp_ignore = transient-queue polling-get")]
)
def test_a_rule_can_be_ignored_by_the_project(pytester: pytest.Pytester, arguments: list[str], ini: str) -> None:
    run(pytester, SLOPPY, "--amqp-strict", *arguments, ini=ini).assert_outcomes(passed=2)


def test_a_marker_chooses_strictness_and_what_is_ignored(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.amqp(strict="error")
def test_strict(amqp_url):
    publish(amqp_url, durable=False)

@pytest.mark.amqp(strict="error", ignore=["transient-queue"])
def test_ignored(amqp_url):
    publish(amqp_url, durable=False)

@pytest.mark.amqp(strict="error", ignore=["transient-queues"])
def test_misspelt(amqp_url):
    publish(amqp_url)
""",
    )
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(["*no rule 'transient-queues': is it 'transient-queue'?*"])


def test_a_broker_of_the_factory_is_judged_as_its_test_or_as_it_says_itself(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_as_it_says(amqp_broker_factory):
    publish(amqp_broker_factory(strict="error").url, durable=False)

@pytest.mark.amqp(strict="error")
def test_as_its_test(amqp_broker_factory):
    publish(amqp_broker_factory().url, durable=False)

def test_not_at_all(amqp_broker_factory):
    publish(amqp_broker_factory().url, durable=False)
""",
    )
    result.assert_outcomes(passed=3, errors=2)


REPORT = [
    "*amqp-broker: strict mode*",
    "transient-queue: 3 times in 2 tests",
    "  such as: queue 'q' is declared neither durable nor exclusive",
    "  do: declare the queue durable*",
    "  test_it.py::test_once",
    "  test_it.py::test_twice",
    "polling-get: 1 time in 1 test",
]
REPORTED = """
def test_once(amqp_url):
    publish(amqp_url, durable=False)

def test_twice(amqp_url):
    publish(amqp_url, durable=False)
    publish(amqp_url, durable=False)

def test_poll(amqp_url):
    connection = connect(amqp_url)
    channel = connection.channel()
    channel.queue_declare("p", durable=True)
    for _ in range(10):
        channel.basic_get("p")
    connection.close()
"""


def test_a_report_tells_by_rule_what_was_found(pytester: pytest.Pytester) -> None:
    result = run(pytester, REPORTED, "--amqp-report")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(REPORT, consecutive=False)


@pytest.mark.timeout(300)
def test_a_report_alone_fails_no_test_whatever_warnings_do(pytester: pytest.Pytester) -> None:
    tests = """
def test_made(amqp_broker_factory):
    publish(amqp_broker_factory().url, durable=False)

def test_own():
    from amqpy_broker.testing import BrokerThread
    broker = BrokerThread(strict="error")
    broker.start()
    publish(broker.url, durable=False)
    broker.stop()
"""
    result = run(pytester, tests, "--amqp-report")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["transient-queue: 2 times in 2 tests"])


def test_a_report_gathers_what_workers_of_xdist_found(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    result = run(pytester, REPORTED, "--amqp-report", "-n2")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines_random(REPORT)


def test_a_report_of_nothing_says_so(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_it(): ...", "--amqp-report")
    result.stdout.fnmatch_lines(["strict mode found nothing"])


def test_each_test_that_talks_is_recorded_in_a_file_of_its_own(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.fixture(scope="module")
def shared(amqp_broker):
    connection = connect(amqp_broker.url)
    yield connection.channel()
    connection.close()

def test_silence(): ...

@pytest.mark.parametrize("queue", ["a", "b"])
def test_talk(shared, queue):
    shared.queue_declare(queue, durable=True)
"""
    run(pytester, tests, "--amqp-record=records", ini="amqp_record = elsewhere").assert_outcomes(passed=3)
    files = sorted(path.name for path in (pytester.path / "records").iterdir())
    assert files == ["test_it.py-test_talk-a.jsonl", "test_it.py-test_talk-b.jsonl"]
    for name, queue in zip(files, "ab", strict=True):
        said = [event for event in load_recording(pytester.path / "records" / name).events if isinstance(event, Said)]
        assert [one.arguments["queue"] for one in said if one.name == "queue.declare"] == [queue]
