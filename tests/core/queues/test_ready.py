"""What waits leaves in order: by position, and by priority before that."""

import pytest

from amqpy_broker.core.queues.base import ExpiringMessage, QueuedMessage
from amqpy_broker.core.queues.ready import FifoReady, PriorityReady, Ready
from tests.fakes import FakeMessage, a_queue

NEVER = float("inf")
QUEUE = a_queue()


def queued(position: int, priority: int = 0, expires_at_s: float | None = None) -> QueuedMessage:
    message = FakeMessage(str(position), priority=priority)
    if expires_at_s is None:
        return QueuedMessage(message, QUEUE, position)
    return ExpiringMessage(message, QUEUE, position, expires_at_s)


def positions(ready: Ready) -> list[int]:
    return [message.position for message in ready.drain()]


@pytest.fixture(params=[FifoReady, lambda: PriorityReady(0), lambda: PriorityReady(9)])
def ready(request: pytest.FixtureRequest) -> Ready:
    made = request.param()
    assert isinstance(made, Ready)
    return made


def test_an_empty_one_gives_nothing(ready: Ready) -> None:
    assert len(ready) == 0
    assert ready.pop() is None
    assert ready.pop_expired(NEVER) is None or ready.next_expiry_s == NEVER
    assert ready.next_expiry_s == NEVER
    assert positions(ready) == []


def test_messages_leave_in_the_order_they_came(ready: Ready) -> None:
    for position in (1, 2, 3):
        ready.append(queued(position))

    assert len(ready) == 3
    assert positions(ready) == [1, 2, 3]
    assert len(ready) == 0


def test_what_is_put_back_goes_before_what_was_never_taken(ready: Ready) -> None:
    for position in (1, 2, 3, 4):
        ready.append(queued(position))
    taken = [ready.pop(), ready.pop(), ready.pop()]
    for at in (2, 0, 1):
        message = taken[at]
        assert message is not None
        ready.put_back(message)

    assert len(ready) == 4
    assert positions(ready) == [1, 2, 3, 4]


def test_only_the_first_expires(ready: Ready) -> None:
    for position, expires_at_s in ((1, 5.0), (2, 3.0), (3, None)):
        ready.append(queued(position, expires_at_s=expires_at_s))

    assert ready.next_expiry_s == 5.0
    assert ready.pop_expired(4.9) is None
    expired = [ready.pop_expired(5.0), ready.pop_expired(5.0)]
    assert [message.position for message in expired if message is not None] == [1, 2]
    assert ready.pop_expired(1e9) is None
    assert ready.next_expiry_s == NEVER
    assert positions(ready) == [3]


def test_what_is_put_back_can_expire(ready: Ready) -> None:
    ready.append(queued(1, expires_at_s=5.0))
    ready.append(queued(2))
    first = ready.pop()
    assert first is not None
    assert ready.next_expiry_s == NEVER

    ready.put_back(first)

    assert ready.next_expiry_s == 5.0
    assert ready.pop_expired(5.0) is first


def test_the_highest_priority_leaves_first_and_each_in_its_order() -> None:
    ready = PriorityReady(9)
    for position, priority in enumerate((1, 5, 9, 5, 0), 1):
        ready.append(queued(position, priority))

    assert positions(ready) == [3, 2, 4, 1, 5]


def test_a_priority_that_is_too_high_counts_as_the_highest() -> None:
    ready = PriorityReady(2)
    for position, priority in enumerate((2, 200, 1, 255), 1):
        ready.append(queued(position, priority))

    assert positions(ready) == [1, 2, 4, 3]


def test_what_is_put_back_returns_to_its_priority() -> None:
    ready = PriorityReady(9)
    for position, priority in enumerate((1, 5, 5), 1):
        ready.append(queued(position, priority))
    for message in (ready.pop(), ready.pop()):
        assert message is not None
        ready.put_back(message)

    assert positions(ready) == [2, 3, 1]


def test_a_lower_priority_does_not_expire_behind_a_higher_one() -> None:
    # https://www.rabbitmq.com/docs/priority#interaction-with-other-features
    ready = PriorityReady(9)
    ready.append(queued(1, 1, expires_at_s=1.0))
    ready.append(queued(2, 9))

    assert ready.next_expiry_s == NEVER
    assert ready.pop_expired(2.0) is None
    assert ready.pop() is not None
    assert ready.next_expiry_s == 1.0
    expired = ready.pop_expired(2.0)
    assert expired is not None
    assert expired.position == 1
