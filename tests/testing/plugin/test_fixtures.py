import pytest

from tests.testing.plugin.inner import run

pytest_plugins = ["pytester"]


def test_tests_share_a_broker_and_each_has_a_vhost_of_its_own(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
seen, left = [], []

@pytest.mark.parametrize("number", [1, 2])
def test_alone(amqp_vhost, amqp_url, amqp_broker, number):
    assert amqp_url == amqp_vhost.url
    assert amqp_vhost.broker is amqp_broker
    seen.append(amqp_vhost.name)
    assert publish(amqp_url) == 1
    assert list(amqp_broker.inside().core.vhosts) == ["/", amqp_vhost.name]
    left.append(connect(amqp_url))

def test_names(amqp_broker):
    assert seen == ["test_alone-1-1", "test_alone-2-2"]
    assert list(amqp_broker.inside().core.vhosts) == ["/"]
    assert list(amqp_broker.inside().core.users.find("guest").permissions) == ["/"]

def test_what_was_left_open_went_with_its_vhost():
    for name, connection in zip(seen, left, strict=True):
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match=f"320.*vhost '{name}' is deleted"):
            connection.process_data_events(None)
        connection._impl.ioloop.close()
""",
    )
    result.assert_outcomes(passed=4)


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_they_work_with_pytest_asyncio_in_every_mode_and_loop_scope(pytester: pytest.Pytester, mode: str) -> None:
    result = run(
        pytester,
        """
import aio_pika
import pytest_asyncio

@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(amqp_broker):
    async with await aio_pika.connect(amqp_broker.url) as connection:
        yield connection

@pytest_asyncio.fixture
async def own(amqp_url):
    async with await aio_pika.connect_robust(amqp_url) as connection:
        yield connection

@pytest.mark.asyncio
async def test_own(own, amqp_vhost):
    channel = await own.channel()
    await channel.declare_queue("q", durable=True)
    await channel.default_exchange.publish(aio_pika.Message(b""), "q")
    assert amqp_vhost.inside().core.vhosts[amqp_vhost.name].queues["q"].ready_count == 1

@pytest.mark.asyncio(loop_scope="module")
async def test_shared(shared):
    await (await shared.channel()).declare_queue("", exclusive=True)
""",
        ini=f"asyncio_mode = {mode}",
    )
    result.assert_outcomes(passed=2)


def test_they_work_with_anyios_plugin_on_both_loops(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
import anyio

@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param

@pytest.mark.anyio
async def test_it(amqp_vhost):
    async with await anyio.connect_tcp("127.0.0.1", amqp_vhost.port) as stream:
        await stream.send(b"AMQP\\0\\0\\x09\\x01")
        assert (await stream.receive())[7:11] == b"\\0\\x0a\\0\\x0a"
""",
    )
    result.assert_outcomes(passed=2)


@pytest.mark.timeout(300)
def test_each_worker_of_xdist_has_a_broker_of_its_own(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    result = run(
        pytester,
        """
import os

@pytest.mark.parametrize("number", range(8))
def test_it(amqp_url, amqp_vhost, number, tmp_path_factory):
    assert publish(amqp_url) == 1
    port = tmp_path_factory.getbasetemp().parent / f"port-{os.environ['PYTEST_XDIST_WORKER']}"
    port.write_text(str(amqp_vhost.port))
    assert len({one.read_text() for one in port.parent.glob("port-*")}) == len(list(port.parent.glob("port-*")))
""",
        "-n2",
        "--basetemp=base",
    )
    result.assert_outcomes(passed=8)
    assert len(list(pytester.path.glob("base/port-*"))) == 2


def test_a_factory_makes_brokers_with_options_and_stops_them(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
from amqpy_broker.testing import Misuse
made = []

def test_make(amqp_broker_factory):
    made.extend([amqp_broker_factory(), amqp_broker_factory(profile="3.10", virtual_time=True)])
    assert [publish(broker.url) for broker in made] == [1, 1]
    made[1].clock.advance(minutes=1)
    assert made[1].core.profile.name == "3.10"

def test_gone():
    for broker in made:
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            connect(broker.url)
""",
    )
    result.assert_outcomes(passed=2)


def test_a_run_that_needs_no_broker_loads_none(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_loaded(pytestconfig):
            assert pytestconfig.pluginmanager.hasplugin("amqpy-broker")
            loaded = {name for name in sys.modules if name.startswith("amqpy_broker")}
            assert loaded == {
                "amqpy_broker", "amqpy_broker.testing", "amqpy_broker.testing.pytest_plugin",
                "amqpy_broker.testing.plugin", "amqpy_broker.testing.plugin.options",
                "amqpy_broker.testing.plugin.summary", "amqpy_broker.testing.running",
                "amqpy_broker.testing.running.register",
            }
            assert not {"anyio", "pamqp", "asyncio"} & sys.modules.keys()
        """
    )
    without = [
        part for name in ("anyio", "asyncio", "timeout", "xdist", "hypothesispytest") for part in ("-p", f"no:{name}")
    ]
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider", "--strict-config", *without)
    result.assert_outcomes(passed=1)


def test_a_broker_that_a_test_does_not_stop_is_told_with_its_place_and_stopped(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
from amqpy_broker.testing import BrokerThread
left = []

def test_leak():
    left.append(BrokerThread())
    left[0].start()

def test_stopped():
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        connect(left[0].url)
""",
        warnings="default",
    )
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.re_match_lines([r".*LeakedBroker: a broker was started at .*test_it.py:21 and never stopped"])


def test_a_broker_that_could_not_start_troubles_nobody(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
from amqpy_broker.testing import BrokerThread

def test_taken(amqp_broker):
    with pytest.raises(OSError):
        BrokerThread(port=amqp_broker.port, strict="error").start()

def test_after(amqp_url):
    publish(amqp_url)
""",
        "--amqp-report",
    )
    result.assert_outcomes(passed=2)


def test_a_fixture_that_a_test_asks_for_in_its_code_leaks_nothing(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
from amqpy_broker.testing import BrokerThread

@pytest.fixture(scope="session")
def own():
    with BrokerThread() as broker:
        yield broker

@pytest.mark.parametrize("number", [1, 2])
def test_ask(request, number):
    connect(request.getfixturevalue("own").url).close()
    connect(request.getfixturevalue("amqp_broker").url).close()
""",
    )
    result.assert_outcomes(passed=2)


def test_a_leak_is_an_error_where_warnings_are(pytester: pytest.Pytester) -> None:
    tests = """
import asyncio
from amqpy_broker.testing import Broker

def test_leak():
    async def start():
        await Broker().start()
    asyncio.run(start())
"""
    result = run(pytester, tests)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.re_match_lines([r".*LeakedBroker: a broker was started at .*test_it.py:21 and never stopped"])


def test_a_broker_that_a_fixture_does_not_stop_is_told_at_the_end(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
from amqpy_broker.testing import BrokerThread

@pytest.fixture(scope="session")
def broker():
    broker = BrokerThread()
    broker.start()
    return broker

def test_it(broker):
    assert publish(broker.url) == 1
""",
    )
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [r"=+ amqp-broker: brokers that were never stopped =+", r"started at .*test_it.py:21: use `with`.*"]
    )


def test_a_vhost_has_the_kit_at_home_in_it(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.parametrize("number", [1, 2])
def test_it(amqp_vhost, amqp_broker, number):
    publish(amqp_broker.url, "elsewhere")
    publish(amqp_vhost.url, "q")
    assert amqp_vhost.queue("q").ready == 1
    amqp_vhost.assert_published("", "q", body="hello", times=1)
    assert [record.message.routing_key for record in amqp_vhost.published()] == ["q"]
    amqp_vhost.wait_for_queue("q", ready=1)
    amqp_vhost.publish("", "q", "more")
    amqp_vhost.settled()
    assert [message.text for message in amqp_vhost.take_all("q")] == ["hello", "more"]

@pytest.mark.amqp(strict="warn")
def test_findings(amqp_vhost):
    publish(amqp_vhost.broker.url, durable=False)
    amqp_vhost.assert_no_findings()
    publish(amqp_vhost.url, durable=False)
    assert [finding.rule for finding in amqp_vhost.findings] == ["transient-queue"]
    amqp_vhost.broker.clear_findings()

def test_a_broker_that_was_reset_has_nothing_to_take_away(amqp_vhost):
    amqp_vhost.broker.reset()
""",
    )
    result.assert_outcomes(passed=4)


def test_a_fault_ends_with_its_test_and_one_that_never_fired_is_complained_of(pytester: pytest.Pytester) -> None:
    tests = """
def test_unused(amqp_vhost):
    amqp_vhost.faults.refuse_connections(times=1)

def test_after(amqp_vhost):
    publish(amqp_vhost.url)
"""
    result = run(pytester, tests, warnings="default")
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(["*UnusedFaultWarning*"])
    run(pytester, tests).assert_outcomes(passed=2, errors=1)
    result = run(pytester, tests.replace("times=1)", "times=1); assert False"))
    result.assert_outcomes(passed=1, failed=1)
