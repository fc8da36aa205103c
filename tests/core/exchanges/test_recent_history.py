"""The recent history exchange. Texts and orders are those of RabbitMQ 3.10.8 and 4.0.5."""

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.arguments import Argument, ArgumentValue, Kind, arguments
from amqpy_broker.core.errors import InternalError, InternalRefusal, PreconditionFailed
from amqpy_broker.core.exchanges.recent_history import RecentHistoryExchange
from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import FakeMessage, a_vhost, declare_exchange, declare_queue, drained, refused

HISTORY = "x-recent-history"


@pytest.fixture
def vhost(actor: Actor) -> VirtualHost:
    vhost = a_vhost()
    declare_exchange(vhost, actor, "x", HISTORY, x_recent_history_length=3)
    return vhost


def history_of(vhost: VirtualHost) -> RecentHistoryExchange:
    x = vhost.find_exchange("x")
    assert isinstance(x, RecentHistoryExchange)
    return x


def tell(vhost: VirtualHost, *texts: str, **headers: object) -> None:
    for text in texts:
        values = arguments({name.replace("_", "-"): value for name, value in headers.items()})
        vhost.send(vhost.find_exchange("x"), FakeMessage(text, routing_key="k", headers=values))


def newcomer(vhost: VirtualHost, actor: Actor, name: str = "q", key: str = "") -> list[str]:
    queue = declare_queue(vhost, actor, name)
    vhost.bind_queue(actor, name, "x", key, {})
    return drained(queue)


def test_a_newcomer_gets_the_last_messages_oldest_first(vhost: VirtualHost, actor: Actor) -> None:
    tell(vhost, "a", "b", "c", "d")

    assert newcomer(vhost, actor) == ["b", "c", "d"]
    assert newcomer(vhost, actor, "q2", "any key") == ["b", "c", "d"]


def test_twenty_messages_are_kept_unless_a_length_is_given(actor: Actor) -> None:
    vhost = a_vhost()
    declare_exchange(vhost, actor, "x", HISTORY)
    tell(vhost, *(str(number) for number in range(25)))

    assert newcomer(vhost, actor) == [str(number) for number in range(5, 25)]


def test_who_is_bound_gets_what_comes_whatever_the_key(vhost: VirtualHost, actor: Actor) -> None:
    queue = declare_queue(vhost, actor)
    vhost.bind_queue(actor, "q", "x", "another key", {})
    tell(vhost, "a", "b", "c", "d")

    assert drained(queue) == ["a", "b", "c", "d"]


def test_binding_again_brings_no_history_but_another_binding_does(vhost: VirtualHost, actor: Actor) -> None:
    tell(vhost, "a")
    assert newcomer(vhost, actor, key="k") == ["a"]
    assert newcomer(vhost, actor, key="k") == []
    assert newcomer(vhost, actor, key="other") == ["a"]


def test_the_answer_comes_before_the_history(vhost: VirtualHost, actor: Actor) -> None:
    tell(vhost, "a")
    queue = declare_queue(vhost, actor)
    ready_at_the_answer: list[int] = []

    vhost.bind_queue(actor, "q", "x", "", {}, lambda: ready_at_the_answer.append(queue.ready_count))

    assert ready_at_the_answer == [0]
    assert queue.ready_count == 1


@pytest.mark.parametrize(("value", "kept"), [(True, False), (False, True), ("true", True), (1, True), (None, True)])
def test_only_true_keeps_a_message_out_of_the_history(
    vhost: VirtualHost, actor: Actor, value: object, kept: bool
) -> None:
    early = declare_queue(vhost, actor, "early")
    vhost.bind_queue(actor, "early", "x", "", {})
    tell(vhost, "a", x_recent_history_no_store=value)

    assert drained(early) == ["a"]
    assert newcomer(vhost, actor) == (["a"] if kept else [])


def test_a_route_without_a_message_keeps_nothing(vhost: VirtualHost) -> None:
    vhost.route(vhost.find_exchange("x"), "k")

    assert history_of(vhost).history == ()
    assert history_of(vhost).decides_for_each_message


# Exchanges ------------------------------------------------------------------------------------------------------------


def test_an_exchange_gets_the_history_newest_first(vhost: VirtualHost, actor: Actor) -> None:
    queue = declare_queue(vhost, actor)
    vhost.bind_queue(actor, "q", "amq.topic", "k", {})
    tell(vhost, "a", "b", "c")

    vhost.bind_exchange(actor, "amq.topic", "x", "", {})

    assert drained(queue) == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("profile", "error", "text"),
    [("3.10", InternalError, ""), ("4.0", InternalRefusal, "could not find queue/exchange ''")],
)
def test_an_exchange_that_cannot_route_the_history_is_not_bound(
    actor: Actor, profile: str, error: type[InternalError], text: str
) -> None:
    vhost = a_vhost(profile)
    declare_exchange(vhost, actor, "x", HISTORY)
    tell(vhost, "a")

    with refused(error, text):
        vhost.bind_exchange(actor, "amq.fanout", "x", "", {})

    assert not vhost.find_exchange("x").in_use
    assert list(vhost.bindings) == []


def test_a_history_may_be_bound_to_itself(vhost: VirtualHost, actor: Actor) -> None:
    queue = declare_queue(vhost, actor)
    vhost.bind_queue(actor, "q", "x", "", {})
    tell(vhost, "a", "b")
    assert drained(queue) == ["a", "b"]

    vhost.bind_exchange(actor, "x", "x", "", {})

    assert drained(queue) == ["b", "a"]


# Length and memory ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("signedint", 0, "0"),
        ("signedint", -1, "-1"),
        ("unsignedint", 5, "5"),
        ("unsignedbyte", 5, "5"),
        ("unsignedshort", 5, "5"),
        ("longstr", "5", '<<"5">>'),
        ("double", 2.5, "2.5"),
        ("bool", True, "true"),
        ("void", None, "undefined"),
        ("table", {}, "[]"),
    ],
)
def test_a_length_that_is_no_positive_integer_is_refused_before_there_is_an_exchange(
    actor: Actor, kind: Kind, value: ArgumentValue, shown: str
) -> None:
    vhost = a_vhost()
    length = Argument(kind, value)

    with refused(PreconditionFailed, f"Invalid argument {shown}, 'x-recent-history-length' must be a positive integer"):
        declare_exchange(vhost, actor, "x", HISTORY, x_recent_history_length=length)

    assert "x" not in vhost.exchanges


@pytest.mark.parametrize("kind", ["byte", "short", "signedint", "long"])
def test_a_length_may_be_any_signed_integer(actor: Actor, kind: Kind) -> None:
    vhost = a_vhost()
    declare_exchange(vhost, actor, "x", HISTORY, x_recent_history_length=Argument(kind, 2))
    tell(vhost, "a", "b", "c")

    assert newcomer(vhost, actor) == ["b", "c"]


def test_a_length_may_be_as_large_as_it_can_be(actor: Actor) -> None:
    vhost = a_vhost()
    declare_exchange(vhost, actor, "x", HISTORY, x_recent_history_length=2**63 - 1)
    tell(vhost, "a")

    assert newcomer(vhost, actor) == ["a"]


def test_the_history_counts_as_memory_of_the_vhost(vhost: VirtualHost, actor: Actor) -> None:
    tell(vhost, "1", "22", "333", "4444")
    assert vhost.memory_bytes == 2 + 3 + 4 + 3 * MESSAGE_OVERHEAD_BYTES

    x = history_of(vhost)
    vhost.delete_exchange(actor, "x", if_unused=False)
    assert vhost.memory_bytes == x.memory_bytes == 0
    assert x.history == ()
