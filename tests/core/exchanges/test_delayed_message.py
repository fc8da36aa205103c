"""The delayed message exchange, under a clock that is turned by hand."""

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.arguments import Argument, ArgumentValue, Kind, arguments, plain
from amqpy_broker.core.errors import AmqpError, CommandInvalid, PreconditionFailed
from amqpy_broker.core.exchanges.delayed_message import DELAY_MAX_MS, DelayedMessageExchange, delay_of
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import FakeMessage, ManualClock, a_vhost, declare_exchange, declare_queue, drained, refused

DELAYED = "x-delayed-message"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def vhost(actor: Actor, clock: ManualClock) -> VirtualHost:
    """A vhost with a delayed direct exchange `x`, and a queue that is bound to it with `k`."""
    vhost = a_vhost(clock=clock)
    declare_exchange(vhost, actor, "x", DELAYED, x_delayed_type="direct")
    declare_queue(vhost, actor)
    vhost.bind_queue(actor, "q", "x", "k", {})
    return vhost


@pytest.fixture
def queue(vhost: VirtualHost) -> Queue:
    return vhost.queues["q"]


@pytest.fixture
def x(vhost: VirtualHost) -> DelayedMessageExchange:
    exchange = vhost.find_exchange("x")
    assert isinstance(exchange, DelayedMessageExchange)
    return exchange


def send(vhost: VirtualHost, text: str, delay: object = None, key: str = "k", exchange: str = "x") -> bool:
    headers = {} if delay is None else {"x-delay": delay}
    return vhost.send(vhost.find_exchange(exchange), FakeMessage(text, routing_key=key, headers=arguments(headers)))


def pass_time(vhost: VirtualHost, milliseconds: float) -> None:
    """Let time pass as a server would: every deadline is handled when it comes."""
    clock, timers = vhost.timers.clock, vhost.timers
    assert isinstance(clock, ManualClock)
    end_s = clock.now_s + milliseconds / 1000
    while timers.next_deadline_s <= end_s:
        clock.now_s = max(clock.now_s, timers.next_deadline_s)
        timers.handle_deadline()
    clock.now_s = end_s
    timers.handle_deadline()


# Declaring ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "Invalid argument, 'x-delayed-type' must be an existing exchange type"),
        ({"x_delayed_type": 5}, "Invalid argument, 'x-delayed-type' must be an existing exchange type"),
        ({"x_delayed_type": None}, "Invalid argument, 'x-delayed-type' must be an existing exchange type"),
        ({"x_delayed_type": DELAYED}, "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'"),
        ({"x_delayed_type": "x-nope"}, "unknown exchange type 'x-nope'"),
        ({"x_delayed_type": ""}, "invalid exchange type ''"),
        (
            {"x_delayed_type": "x-consistent-hash", "hash_property": "app_id"},
            "Unsupported property: app_id",
        ),
    ],
)
def test_a_type_that_cannot_be_delayed_is_refused_before_there_is_an_exchange(
    actor: Actor, values: dict[str, object], text: str
) -> None:
    vhost = a_vhost()

    with refused(PreconditionFailed, text):
        declare_exchange(vhost, actor, "x", DELAYED, **values)

    assert "x" not in vhost.exchanges


@pytest.mark.parametrize(
    ("profile", "delayed_type", "error"),
    [
        ("3.10", "x-nope", CommandInvalid),
        ("4.0", "x-nope", PreconditionFailed),
        ("3.10", "x-local-random", CommandInvalid),
    ],
)
def test_an_unknown_type_is_refused_as_the_version_does(
    actor: Actor, profile: str, delayed_type: str, error: type[AmqpError]
) -> None:
    with refused(error, f"unknown exchange type '{delayed_type}'"):
        declare_exchange(a_vhost(profile), actor, "x", DELAYED, x_delayed_type=delayed_type)


def test_the_type_may_be_given_in_octets(vhost: VirtualHost, actor: Actor) -> None:
    declare_exchange(vhost, actor, "y", DELAYED, x_delayed_type=b"fanout")


def test_bindings_are_checked_by_the_type_that_is_delayed(vhost: VirtualHost, actor: Actor) -> None:
    declare_exchange(vhost, actor, "y", DELAYED, x_delayed_type="x-consistent-hash")

    with refused(PreconditionFailed, "The binding key must be greater than 0"):
        vhost.bind_queue(actor, "q", "y", "0", {})


# Waiting --------------------------------------------------------------------------------------------------------------


def test_a_message_waits_as_long_as_it_says_and_no_longer(vhost: VirtualHost, queue: Queue) -> None:
    assert not send(vhost, "a", 500)
    pass_time(vhost, 499)
    assert drained(queue) == []
    pass_time(vhost, 1)
    assert drained(queue) == ["a"]


def test_messages_leave_in_the_order_they_are_due(vhost: VirtualHost, queue: Queue) -> None:
    for delay in (500, 100, 300, 200, 100, 400):
        send(vhost, f"{delay}", delay)
    send(vhost, "now")
    pass_time(vhost, 1000)

    assert drained(queue) == ["now", "100", "100", "200", "300", "400", "500"]


def test_messages_due_at_once_leave_in_the_order_they_came(vhost: VirtualHost, queue: Queue) -> None:
    send(vhost, "a", 300)
    pass_time(vhost, 100)
    send(vhost, "b", 200)
    pass_time(vhost, 100)
    send(vhost, "c", 100)
    send(vhost, "d", 99)
    pass_time(vhost, 100)

    assert drained(queue) == ["d", "a", "b", "c"]


def test_a_message_that_was_delayed_shows_the_delay_negative_and_is_else_the_same(
    vhost: VirtualHost, queue: Queue
) -> None:
    headers = {"a": Argument("short", 1), "x-delay": Argument("longstr", "250"), "z": Argument("bool", True)}
    vhost.send(vhost.find_exchange("x"), FakeMessage("m", exchange="x", routing_key="k", headers=headers, priority=7))
    pass_time(vhost, 250)

    queued = queue.get()
    assert queued is not None
    assert queued.message.headers == {**headers, "x-delay": Argument("signedint", -250)}
    assert list(queued.message.headers) == ["a", "x-delay", "z"]
    assert (queued.message.exchange, queued.message.routing_key, queued.message.priority) == ("x", "k", 7)


@pytest.mark.parametrize(
    ("kind", "value", "delay_ms"),
    [
        ("signedint", 5, 5),
        ("byte", 5, 5),
        ("unsignedint", 5, 5),
        ("long", 5, 5),
        ("longstr", "5", 5),
        ("longstr", "+5", 5),
        ("longstr", "-5", -5),
        ("double", 5.9, 5),
        ("longstr", "5s", None),
        ("longstr", "", None),
        ("longstr", "\u0665", None),
        ("longstr", "9" * 100, None),
        ("binary", b"5", None),
        ("bool", True, None),
        ("timestamp", 5, None),
        ("decimal", (0, 5), None),
        ("void", None, None),
        ("table", {}, None),
        ("array", [], None),
    ],
)
def test_a_delay_may_have_the_types_that_the_plugin_takes(
    kind: Kind, value: ArgumentValue, delay_ms: int | None
) -> None:
    assert delay_of({"x-delay": Argument(kind, value)}) == delay_ms


@pytest.mark.parametrize("delay", [0, -1, DELAY_MAX_MS + 1, "soon", True, -(2**62)])
def test_what_cannot_be_waited_for_is_sent_at_once_as_it_is(vhost: VirtualHost, queue: Queue, delay: object) -> None:
    assert send(vhost, "a", delay)

    queued = queue.get()
    assert queued is not None
    assert plain(queued.message.headers) == {"x-delay": delay}


def test_the_longest_delay_is_49_days(vhost: VirtualHost, queue: Queue) -> None:
    send(vhost, "a", DELAY_MAX_MS)
    pass_time(vhost, DELAY_MAX_MS - 1)
    assert drained(queue) == []
    pass_time(vhost, 1)

    queued = queue.get()
    assert queued is not None
    assert plain(queued.message.headers) == {"x-delay": -DELAY_MAX_MS}


def test_all_that_waits_takes_one_timer(vhost: VirtualHost) -> None:
    for number in range(1000):
        send(vhost, "a", 10_000 + number)

    assert len(vhost.timers._heap) == 1


def test_a_route_without_a_message_keeps_nothing(vhost: VirtualHost, x: DelayedMessageExchange) -> None:
    assert x.decides_for_each_message
    assert not vhost.route(x, "k", arguments({"x-delay": 5})).for_any_message
    assert x.pending_count == 0


# Routing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delayed_type", "binding_key", "values", "reached"),
    [
        ("direct", "k", {}, True),
        ("direct", "other", {}, False),
        ("topic", "#", {}, True),
        ("topic", "*.*", {}, False),
        ("fanout", "", {}, True),
        ("headers", "", {"h": 1}, True),
        ("headers", "", {"h": 2}, False),
        ("x-consistent-hash", "1", {}, True),
        ("x-modulus-hash", "", {}, True),
        ("x-random", "", {}, True),
        ("x-local-random", "", {}, True),
        ("x-recent-history", "", {}, True),
    ],
)
@pytest.mark.parametrize("delay", [0, 100])
def test_routing_is_that_of_the_type_that_is_delayed(
    actor: Actor,
    delayed_type: str,
    binding_key: str,
    values: dict[str, object],
    reached: bool,
    delay: int,
) -> None:
    vhost = a_vhost()
    declare_exchange(vhost, actor, "x", DELAYED, x_delayed_type=delayed_type)
    queue = declare_queue(vhost, actor)
    vhost.bind_queue(actor, "q", "x", binding_key, arguments(values))

    headers = arguments({"x-delay": delay, "h": 1})
    vhost.send(vhost.find_exchange("x"), FakeMessage("m", routing_key="k", headers=headers))
    pass_time(vhost, delay)

    assert drained(queue) == (["m"] if reached else [])


def test_the_bindings_of_the_moment_decide(vhost: VirtualHost, actor: Actor, queue: Queue) -> None:
    late = declare_queue(vhost, actor, "late")
    send(vhost, "a", 100)
    vhost.unbind_queue(actor, "q", "x", "k", {})
    vhost.bind_queue(actor, "late", "x", "k", {})
    pass_time(vhost, 100)

    assert drained(queue) == []
    assert drained(late) == ["a"]


def test_a_message_that_no_binding_fits_is_dropped_when_it_is_due(
    vhost: VirtualHost, x: DelayedMessageExchange
) -> None:
    send(vhost, "a", 100, "other")
    assert x.pending_count == 1
    pass_time(vhost, 100)
    assert x.pending_count == 0


def test_an_alternate_exchange_is_asked_when_the_message_is_due_and_only_then(actor: Actor) -> None:
    vhost = a_vhost()
    declare_exchange(vhost, actor, "x", DELAYED, x_delayed_type="direct", alternate_exchange="amq.fanout")
    queue, lost = declare_queue(vhost, actor, "q"), declare_queue(vhost, actor, "lost")
    vhost.bind_queue(actor, "q", "x", "k", {})
    vhost.bind_queue(actor, "lost", "amq.fanout", "", {})

    send(vhost, "routed", 100, "k")
    send(vhost, "unroutable", 100, "other")
    assert drained(lost) == []
    pass_time(vhost, 100)
    assert drained(queue) == ["routed"]
    assert drained(lost) == ["unroutable"]
    send(vhost, "at once", 0, "other")
    assert drained(lost) == ["at once"]


def test_a_message_may_come_to_wait_through_another_exchange_and_go_on_through_a_third(
    vhost: VirtualHost, actor: Actor
) -> None:
    end = declare_queue(vhost, actor, "end")
    declare_exchange(vhost, actor, "after", DELAYED, x_delayed_type="fanout")
    vhost.bind_exchange(actor, "x", "amq.fanout", "", {})
    vhost.bind_exchange(actor, "after", "x", "k", {})
    vhost.bind_queue(actor, "end", "after", "", {})

    send(vhost, "a", 100, exchange="amq.fanout")
    pass_time(vhost, 99)
    assert drained(end) == []
    pass_time(vhost, 1)
    # The delay is negative by now: the second exchange does not wait again.
    assert drained(end) == ["a"]


def test_all_routing_keys_of_a_message_are_kept(vhost: VirtualHost, actor: Actor, queue: Queue) -> None:
    other = declare_queue(vhost, actor, "other")
    vhost.bind_queue(actor, "other", "x", "cc", {})
    message = FakeMessage("m", routing_key="k", headers=arguments({"x-delay": 100}), copies=("cc",))

    vhost.send(vhost.find_exchange("x"), message)
    pass_time(vhost, 100)

    assert drained(queue) == ["m"]
    assert drained(other) == ["m"]


def test_a_history_may_be_delayed(vhost: VirtualHost, actor: Actor) -> None:
    declare_exchange(vhost, actor, "h", DELAYED, x_delayed_type="x-recent-history")
    send(vhost, "a", 100, exchange="h")
    send(vhost, "b", exchange="h")
    pass_time(vhost, 100)
    late = declare_queue(vhost, actor, "late")

    vhost.bind_queue(actor, "late", "h", "", {})

    assert drained(late) == ["b", "a"]


# Listing and cancelling -----------------------------------------------------------------------------------------------


def test_what_waits_is_listed_in_the_order_it_is_due(vhost: VirtualHost, x: DelayedMessageExchange) -> None:
    send(vhost, "late", 2000)
    send(vhost, "early", 1000, "other")

    early, late = x.pending()

    assert (early.due_unix_s, early.routing_key, early.message.body) == (1001.0, "other", b"early")
    assert (late.due_unix_s, late.routing_key, late.message.body) == (1002.0, "k", b"late")
    assert x.pending_count == 2


def test_a_message_that_is_cancelled_never_comes(vhost: VirtualHost, x: DelayedMessageExchange, queue: Queue) -> None:
    for number in range(5):
        send(vhost, str(number), 1000)
    first, second, _, fourth, _ = x.pending()

    assert x.cancel(fourth)
    assert x.cancel(first)
    assert x.cancel(second)
    assert not x.cancel(second)
    assert [delayed.message.body for delayed in x.pending()] == [b"2", b"4"]
    pass_time(vhost, 1000)
    assert drained(queue) == ["2", "4"]


def test_a_message_that_was_sent_cannot_be_cancelled(vhost: VirtualHost, x: DelayedMessageExchange) -> None:
    send(vhost, "a", 10)
    (delayed,) = x.pending()
    pass_time(vhost, 10)

    assert not x.cancel(delayed)


def test_cancelled_messages_do_not_pile_up(vhost: VirtualHost, x: DelayedMessageExchange, queue: Queue) -> None:
    send(vhost, "stays", 2000)
    for _ in range(3):
        for number in range(1500):
            send(vhost, str(number), 3000 - number)
        for delayed in x.pending():
            if delayed.message.body != b"stays":
                assert x.cancel(delayed)
    assert len(x._heap) < 1500

    pass_time(vhost, 3000)
    assert drained(queue) == ["stays"]
    assert not x._heap


# The end, and memory --------------------------------------------------------------------------------------------------


def test_what_waits_counts_as_memory_of_the_vhost(
    vhost: VirtualHost, actor: Actor, x: DelayedMessageExchange, queue: Queue
) -> None:
    for text in ("1", "22", "333"):
        send(vhost, text, 100)
    assert vhost.memory_bytes == 6 + 3 * MESSAGE_OVERHEAD_BYTES
    x.cancel(x.pending()[0])
    assert vhost.memory_bytes == 5 + 2 * MESSAGE_OVERHEAD_BYTES

    pass_time(vhost, 100)
    assert (x.memory_bytes, queue.memory_bytes) == (0, 5 + 2 * MESSAGE_OVERHEAD_BYTES)

    send(vhost, "4444", 100)
    vhost.delete_exchange(actor, "x", if_unused=False)
    assert x.memory_bytes == 0


def test_what_waits_goes_with_its_exchange(vhost: VirtualHost, actor: Actor, queue: Queue) -> None:
    send(vhost, "a", 100)
    vhost.delete_exchange(actor, "x", if_unused=False)
    declare_exchange(vhost, actor, "x", DELAYED, x_delayed_type="direct")
    vhost.bind_queue(actor, "q", "x", "k", {})

    pass_time(vhost, 1000)

    assert drained(queue) == []
