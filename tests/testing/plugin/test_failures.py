import pytest

from tests.testing.plugin.inner import run

pytest_plugins = ["pytester"]


def test_the_report_of_a_failed_test_tells_what_was_said_and_how_the_queues_are(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_before(amqp_url):
    publish(amqp_url, "before")

def test_fails(amqp_url):
    publish(amqp_url, "orders")
    assert False
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.re_match_lines(
        [
            r"-+ amqp-broker: last frames \\(shared broker, RabbitMQ 4.0\\) -+".replace("\\\\", "\\"),
            r"\\d\\d:\\d\\d:\\d\\d\\.\\d\\d\\d #2 client -> connection.open virtual_host='test_fails-2'".replace(
                "\\\\", "\\"
            ),
            r".* client -> queue.declare queue='orders' durable",
            r".* client -> basic.publish exchange='' routing_key='orders' 'hello'",
            r"-+ amqp-broker: queues .*",
            r"queue 'orders' in vhost 'test_fails-2': 1 ready, 0 unacked, 0 consumers",
        ]
    )
    result.stdout.no_fnmatch_line("*'before'*")


def test_a_broker_of_the_tests_own_is_told_of_as_it_was_before_it_stopped(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
from amqpy_broker.testing import BrokerThread
left = []

def test_fails():
    with BrokerThread() as broker:
        connection = connect(broker.url)
        channel = connection.channel()
        channel.queue_declare("orders", durable=True)
        channel.basic_publish("", "orders", b"hello")
        channel.basic_get("orders")
        left.append(connection)
        assert False

def test_closed():
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker):
        left[0].process_data_events(None)
    left[0]._impl.ioloop.close()
""",
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*amqp-broker: last frames (broker started at *test_it.py:20)*",
            "*server -> basic.get-ok*",
            "*amqp-broker: queues (broker started at *test_it.py:20)*",
            "queue 'orders': 0 ready, 1 unacked, 0 consumers",
        ]
    )


def test_a_fixture_that_fails_is_told_of_too_and_a_refusal_stands_out(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.fixture
def channel(amqp_url):
    connection = connect(amqp_url)
    try:
        connection.channel().queue_declare("nowhere", passive=True)
    finally:
        connection.close()

def test_it(channel): ...
""",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*amqp-broker: last frames*", "*server -> !! channel.close 404 NOT_FOUND - no queue 'nowhere' in vhost*"]
    )


def test_a_long_conversation_is_cut_to_its_end(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_fails(amqp_url):
    connection = connect(amqp_url)
    channel = connection.channel()
    for number in range(100):
        channel.queue_declare(f"q{number}", durable=True)
    connection.close()
    assert False
""",
    )
    result.stdout.fnmatch_lines(["(168 before these)", "*queue='q82'*", "*connection.close-ok"])
    result.stdout.no_fnmatch_line("*client -> queue.declare queue='q80'*")


def test_a_failure_without_a_broker_and_a_test_that_passes_have_no_such_sections(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_passes(amqp_url):
    publish(amqp_url)

def test_fails():
    assert False
""",
        "-rA",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*amqp-broker*")


@pytest.mark.timeout(300)
def test_sections_come_from_workers_of_xdist_too(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    result = run(pytester, "\ndef test_fails(amqp_url):\n    publish(amqp_url)\n    assert False\n", "-n1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*amqp-broker: last frames*", "queue 'q' in vhost *: 1 ready*"])


def test_a_test_that_fails_is_not_failed_once_more_by_strict_mode(pytester: pytest.Pytester) -> None:
    tests = "\ndef test_fails(amqp_url):\n    publish(amqp_url, durable=False)\n    assert False\n"
    result = run(pytester, tests, "--amqp-strict", "--amqp-report")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["transient-queue: 1 time in 1 test"])
