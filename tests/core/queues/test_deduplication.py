"""Message deduplication (https://lavinmq.com/documentation/message-deduplication)."""

import pytest

from amqpy_broker.core.arguments import Argument, arguments
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.queues.settings import DeduplicationSettings, Overflow, QueueSettings
from tests.fakes import (
    FakeConsumer,
    FakeMessage,
    FakeSurroundings,
    ManualClock,
    a_queue,
    a_vhost,
    an_actor,
    declare_queue,
    drained,
    refused,
)

HEADER = "x-deduplication-header"


def message(text: str, key: object = None, **headers: object) -> FakeMessage:
    values = headers if key is None else {HEADER: key, **headers}
    return FakeMessage(text, headers=arguments({name.replace("_", "-"): value for name, value in values.items()}))


def asked(cache_size: int = 128, cache_ttl_ms: int | None = None, header: str = HEADER) -> QueueSettings:
    return QueueSettings(deduplication=DeduplicationSettings(header, cache_size, cache_ttl_ms))


def test_a_duplicate_is_accepted_and_dropped() -> None:
    queue = a_queue(settings=asked())

    assert queue.enqueue_lasting(message("1", "a"))
    assert queue.enqueue_lasting(message("2", "a"))
    assert queue.enqueue_lasting(message("3", "b"))

    assert drained(queue) == ["1", "3"]


def test_a_message_that_was_consumed_is_still_remembered() -> None:
    queue = a_queue(settings=asked())
    consumer = FakeConsumer(queue, no_ack=True).start()

    for text in ("1", "2"):
        queue.enqueue(message(text, "a"))

    assert consumer.got == ["1"]


def test_messages_without_the_header_are_never_duplicates() -> None:
    queue = a_queue(settings=asked())
    for _ in range(2):
        queue.enqueue(message("x"))
        queue.enqueue(message("y", {"a": "table"}))

    assert drained(queue) == ["x", "y", "x", "y"]


def test_the_header_may_have_another_name() -> None:
    queue = a_queue(settings=asked(header="id"))
    for text in ("1", "2"):
        queue.enqueue(message(text, id="a"))
    for text in ("3", "4"):
        queue.enqueue(message(text, "a"))

    assert drained(queue) == ["1", "3", "4"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a", b"a", True),
        (Argument("short", 1), Argument("long", 1), True),
        (1, "1", False),
        (True, 1, False),
        ("x" * 1000, "x" * 1000, True),
        ("x" * 1000, "x" * 999 + "y", False),
    ],
)
def test_keys_are_the_same_whatever_their_size_on_the_wire(one: object, other: object, same: bool) -> None:
    queue = a_queue(settings=asked())
    queue.enqueue(message("1", one))
    queue.enqueue(message("2", other))

    assert drained(queue) == (["1"] if same else ["1", "2"])


def test_the_oldest_key_makes_room() -> None:
    queue = a_queue(settings=asked(cache_size=2))
    for text in "abcab":
        queue.enqueue(message(text, text))

    assert drained(queue) == ["a", "b", "c", "a", "b"]


def test_a_cache_without_places_remembers_nothing() -> None:
    queue = a_queue(settings=asked(cache_size=0))
    for text in "aa":
        queue.enqueue(message(text, text))

    assert drained(queue) == ["a", "a"]


def test_a_key_is_forgotten_when_its_time_is_over_however_often_it_came() -> None:
    clock = ManualClock()
    queue = a_queue(settings=asked(cache_ttl_ms=1000), around=FakeSurroundings(clock))
    for text, now_s in (("1", 0.0), ("2", 0.9), ("3", 1.0), ("4", 1.9), ("5", 2.0)):
        clock.now_s = now_s
        queue.enqueue(message(text, "a"))

    assert drained(queue) == ["1", "3", "5"]


def test_a_message_may_bring_the_time_its_key_is_remembered() -> None:
    clock = ManualClock(0)
    queue = a_queue(settings=asked(cache_ttl_ms=1000), around=FakeSurroundings(clock))
    queue.enqueue(message("1", "a", x_cache_ttl=5000))
    clock.now_s = 4.9
    queue.enqueue(message("2", "a"))
    clock.now_s = 5
    queue.enqueue(message("3", "a"))

    assert drained(queue) == ["1", "3"]


def test_a_message_that_was_refused_is_no_duplicate_when_it_comes_again() -> None:
    settings = QueueSettings(max_length=1, overflow=Overflow.REJECT_PUBLISH, deduplication=DeduplicationSettings())
    queue = a_queue(settings=settings)
    queue.enqueue(message("1", "a"))
    assert not queue.enqueue(message("2", "b"))
    assert drained(queue) == ["1"]

    assert queue.enqueue(message("2 again", "b"))
    assert drained(queue) == ["2 again"]


def test_a_requeued_message_is_no_duplicate() -> None:
    queue = a_queue(settings=asked())
    queue.enqueue(message("1", "a"))
    queued = queue.get()
    assert queued is not None
    queue.requeue([queued])

    assert drained(queue) == ["1*"]


@pytest.mark.parametrize(("died_in", "returns"), [("q", True), ("other", False)])
def test_a_dead_letter_that_returns_to_its_queue_is_no_duplicate(died_in: str, returns: bool) -> None:
    queue = a_queue("q", settings=asked())
    queue.enqueue(message("1", "a"))
    assert drained(queue) == ["1"]
    headers = arguments({HEADER: "a", "x-death": [{"queue": died_in, "reason": "expired"}]})

    queue.enqueue(FakeMessage("1 again").edited(headers=headers, died=True))

    assert drained(queue) == ["1 again"] * returns


def test_nobody_can_pretend_to_be_a_dead_letter() -> None:
    queue = a_queue("q", settings=asked())
    queue.enqueue(message("1", "a"))
    queue.enqueue(message("2", "a", x_death=[{"queue": "q", "reason": "expired"}]))

    assert drained(queue) == ["1"]


# Arguments ------------------------------------------------------------------------------------------------------------


def test_the_arguments_are_read() -> None:
    queue = declare_queue(
        a_vhost(),
        an_actor(),
        x_message_deduplication=True,
        x_cache_size=7,
        x_cache_ttl=60_000,
        x_deduplication_header="id",
    )

    assert queue.settings.deduplication == DeduplicationSettings("id", 7, 60_000)


def test_the_defaults_are_those_of_lavinmq() -> None:
    queue = declare_queue(a_vhost(), an_actor(), x_message_deduplication=True)

    assert queue.settings.deduplication == DeduplicationSettings("x-deduplication-header", 128, None)


@pytest.mark.parametrize("values", [{}, {"x_message_deduplication": False}, {"x_cache_size": 5}])
def test_nothing_is_deduplicated_unless_asked_for(values: dict[str, object]) -> None:
    queue = declare_queue(a_vhost(), an_actor(), "q", **values)

    assert queue.settings.is_plain


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("x_message_deduplication", "yes", "{unacceptable_type,longstr}"),
        ("x_cache_size", -1, "{value_negative,-1}"),
        ("x_cache_size", 1_000_001, "{max_value_exceeded,1000001}"),
        ("x_cache_ttl", -1, "{value_negative,-1}"),
        ("x_deduplication_header", 5, "{unacceptable_type,signedint}"),
    ],
)
def test_a_wrong_argument_is_refused(name: str, value: object, reason: str) -> None:
    vhost = a_vhost()
    with refused(PreconditionFailed, f"invalid arg '{name.replace('_', '-')}' for queue 'q' in vhost '/': {reason}"):
        declare_queue(vhost, an_actor(), "q", **{name: value})
    assert not vhost.queues
