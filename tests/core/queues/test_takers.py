"""Whose turn it is: rings of consumers, the one with the highest priority first."""

from itertools import permutations

import pytest

from amqpy_broker.core.queues.takers import Takers
from tests.fakes import FakeConsumer, a_queue

QUEUE = a_queue()


def consumer(priority: int = 0, tag: str | None = None) -> FakeConsumer:
    return FakeConsumer(QUEUE, tag or f"c{priority}", priority=priority)


def added(*priorities: int) -> tuple[Takers, list[FakeConsumer]]:
    takers = Takers()
    consumers = [consumer(priority, f"c{at}") for at, priority in enumerate(priorities)]
    for one in consumers:
        takers.add(one)
    return takers, consumers


def order(takers: Takers) -> list[str]:
    """Let one after another leave."""
    tags = []
    while takers.ring:
        tags.append(takers.ring[0].tag)
        takers.leave()
    return tags


def test_nobody_can_take_at_first() -> None:
    assert not Takers().ring


def test_equals_stand_in_one_ring_in_the_order_they_came() -> None:
    takers, _ = added(0, 0, 0)
    assert [one.tag for one in takers.ring] == ["c0", "c1", "c2"]


@pytest.mark.parametrize("priorities", list(permutations((-1, 0, 0, 7))))
def test_the_highest_priority_comes_first_whenever_it_came(priorities: tuple[int, ...]) -> None:
    takers, consumers = added(*priorities)
    expected = sorted(consumers, key=lambda one: -one.priority)

    assert order(takers) == [one.tag for one in expected]
    assert all(one.waiting for one in consumers)


@pytest.mark.parametrize("gone", range(4))
def test_anybody_can_be_removed(gone: int) -> None:
    takers, consumers = added(5, 0, -3, 5)
    takers.remove(consumers[gone])

    assert order(takers) == [tag for tag in ("c0", "c3", "c1", "c2") if tag != f"c{gone}"]


def test_a_ring_that_emptied_can_be_joined_again() -> None:
    takers, consumers = added(5, 0)
    takers.leave()
    assert takers.ring[0] is consumers[1]

    takers.add(consumers[0])

    assert order(takers) == ["c0", "c1"]


def test_rings_that_nobody_is_in_are_not_kept() -> None:
    takers = Takers()
    for priority in range(1000):
        takers.add(consumer(priority))
        takers.leave()

    assert len(takers._rings) == 1


def test_after_clear_nobody_can_take() -> None:
    takers, _ = added(3, 0)
    takers.clear()
    assert order(takers) == []
    takers.add(consumer(0))
    assert order(takers) == ["c0"]
