"""Dead letters: what they tell, where they go, and that none goes round for ever (https://www.rabbitmq.com/docs/dlx)."""

import pytest

from amqpy_broker.core.access import Actor
from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.limits import DEATHS_AT_ONCE_MAX
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.queues.dead_letter import X_DEATH, deaths_of
from amqpy_broker.core.vhost import VirtualHost
from tests.fakes import FakeConsumer, FakeMessage, ManualClock, a_vhost, declare_queue, drained


def dying(vhost: VirtualHost, actor: Actor, name: str, to: str, **fields: object) -> Queue:
    """A queue whose dead letters go to another."""
    return declare_queue(vhost, actor, name, x_dead_letter_exchange="", x_dead_letter_routing_key=to, **fields)


def reject_first(queue: Queue) -> None:
    queued = queue.get()
    assert queued is not None
    queue.discard(queued)


def first(queue: Queue) -> Message:
    queued = queue.get()
    assert queued is not None
    return queued.message


def told(message: Message) -> list[tuple[object, ...]]:
    return [tuple(death[word].value for word in ("queue", "reason", "count")) for death in deaths_of(message.headers)]


def pass_s(vhost: VirtualHost, seconds: float) -> None:
    assert isinstance(vhost.timers.clock, ManualClock)
    vhost.timers.clock.now_s += seconds
    vhost.timers.handle_deadline()


@pytest.mark.parametrize("profile", ["3.10", "4.0"])
def test_a_dead_letter_tells_of_its_death(profile: str, actor: Actor) -> None:
    vhost = a_vhost(profile)
    source, target = dying(vhost, actor, "source", "target"), declare_queue(vhost, actor, "target")
    source.enqueue(FakeMessage("a", routing_key="source", expiration_ms=5))
    reject_first(source)

    message = first(target)

    [death] = deaths_of(message.headers)
    assert told(message) == [("source", "rejected", 1)]
    assert (death["time"].kind, death["exchange"].value) == ("timestamp", "")
    assert death["original-expiration"].value == "5"
    assert message.expiration_ms is None
    assert message.routing_key == "target"
    assert message.headers["x-first-death-queue"].value == "source"
    assert ("x-last-death-queue" in message.headers) == (profile == "4.0")


def test_deaths_of_one_kind_are_counted_together_the_latest_first(vhost: VirtualHost, actor: Actor) -> None:
    work, wait = dying(vhost, actor, "work", "wait"), dying(vhost, actor, "wait", "work", x_message_ttl=5)
    work.enqueue(FakeMessage("a"))
    for _ in range(3):
        reject_first(work)
        assert wait.ready_count == 1
        pass_s(vhost, 1)

    assert told(first(work)) == [("wait", "expired", 3), ("work", "rejected", 3)]


@pytest.mark.parametrize(("profile", "believed"), [("3.10", True), ("4.0", False)])
def test_who_believes_what_a_publisher_tells(profile: str, believed: bool, actor: Actor) -> None:
    vhost = a_vhost(profile)
    source, target = dying(vhost, actor, "source", "target"), declare_queue(vhost, actor, "target")
    story = arguments({X_DEATH: [{"queue": "other", "reason": "expired", "count": 7}]})
    source.enqueue(FakeMessage("a", headers=story))
    reject_first(source)

    assert (("other", "expired", 7) in told(first(target))) == believed


def test_without_the_exchange_or_a_queue_behind_it_a_message_is_gone(vhost: VirtualHost, actor: Actor) -> None:
    for queue in (dying(vhost, actor, "a", "nowhere"), declare_queue(vhost, actor, "b", x_dead_letter_exchange="no")):
        queue.enqueue(FakeMessage("a"))
        reject_first(queue)
        assert queue.memory_bytes == 0


def test_a_message_that_dies_by_itself_does_not_go_round(vhost: VirtualHost, actor: Actor) -> None:
    queues = [dying(vhost, actor, name, to, x_max_length=0) for name, to in (("a", "b"), ("b", "c"), ("c", "a"))]
    queues[0].enqueue(FakeMessage("a"))

    assert [queue.memory_bytes for queue in queues] == [0, 0, 0]


def test_a_message_that_goes_round_for_ever_does_so_between_others(actor: Actor) -> None:
    # 3.x turns the order of deaths round: an old rejection hides the cycle.
    vhost = a_vhost("3.10")
    one, _ = (dying(vhost, actor, name, to, x_max_length=0) for name, to in (("a", "b"), ("b", "a")))
    one.enqueue(FakeMessage("a", headers=arguments({X_DEATH: [{"queue": "x", "reason": "rejected"}]})))
    other, target = dying(vhost, actor, "other", "target"), declare_queue(vhost, actor, "target")
    other.enqueue(FakeMessage("b"))
    reject_first(other)

    for _ in range(3):
        pass_s(vhost, 0.01)

    assert drained(target) == ["b"]
    assert DEATHS_AT_ONCE_MAX < 10_000


def test_a_dead_letter_may_come_back_to_the_queue_that_hands_out(vhost: VirtualHost, actor: Actor) -> None:
    full = dying(vhost, actor, "full", "busy", x_max_length=1)
    busy = dying(vhost, actor, "busy", "full")
    full.enqueue(FakeMessage("from full"))
    busy.enqueue(FakeMessage("expired", expiration_ms=10))
    busy.enqueue(FakeMessage("next"))
    assert isinstance(vhost.timers.clock, ManualClock)
    vhost.timers.clock.now_s += 1

    consumer = FakeConsumer(busy, prefetch_count=1).start()

    assert consumer.got == ["next"]
    assert drained(busy) == ["from full"]
    assert drained(full) == ["expired"]
