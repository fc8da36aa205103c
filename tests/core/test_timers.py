"""Timers on a clock that the test turns."""

from collections.abc import Callable

import pytest

from amqpy_broker.core.timers import Timers
from tests.fakes import ManualClock

NEVER = float("inf")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(0.0)


@pytest.fixture
def timers(clock: ManualClock) -> Timers:
    return Timers(clock)


@pytest.fixture
def called() -> list[str]:
    return []


@pytest.fixture
def turn(clock: ManualClock, timers: Timers) -> Callable[[float], None]:
    def turn_to(now_s: float) -> None:
        clock.now_s = now_s
        timers.handle_deadline()

    return turn_to


def test_a_timer_calls_once_at_its_time(timers: Timers, turn: Callable[[float], None], called: list[str]) -> None:
    timers.timer(lambda: called.append("a")).set(2.0)

    turn(1.9)
    assert called == []
    turn(2.0)
    assert called == ["a"]
    turn(9.0)
    assert called == ["a"]
    assert timers.next_deadline_s == NEVER


def test_timers_call_in_the_order_of_their_times_and_then_of_their_setting(
    timers: Timers, turn: Callable[[float], None], called: list[str]
) -> None:
    for name, due_s in (("c", 3.0), ("a", 1.0), ("b1", 2.0), ("b2", 2.0)):
        timers.timer(lambda name=name: called.append(name)).set(due_s)  # type: ignore[misc]

    turn(5.0)

    assert called == ["a", "b1", "b2", "c"]


def test_a_timer_that_is_set_later_waits_until_then(
    timers: Timers, turn: Callable[[float], None], called: list[str]
) -> None:
    timer = timers.timer(lambda: called.append("a"))
    timer.set(1.0)
    timer.set(3.0)

    turn(2.0)
    assert called == []
    turn(3.0)
    assert called == ["a"]


def test_setting_a_timer_later_makes_no_further_entry(timers: Timers, turn: Callable[[float], None]) -> None:
    timer = timers.timer(lambda: None)
    for due_s in range(1, 1001):
        timer.set(float(due_s))
    assert len(timers._heap) == 1

    turn(500.0)

    assert len(timers._heap) == 1
    assert timers.next_deadline_s == 1000.0


def test_a_timer_that_is_set_earlier_calls_then_and_only_then(
    timers: Timers, turn: Callable[[float], None], called: list[str]
) -> None:
    timer = timers.timer(lambda: called.append("a"))
    timer.set(3.0)
    timer.set(1.0)

    turn(1.0)
    assert called == ["a"]
    turn(9.0)
    assert called == ["a"]


def test_a_timer_that_is_stopped_does_not_call(
    timers: Timers, turn: Callable[[float], None], called: list[str]
) -> None:
    timer = timers.timer(lambda: called.append("a"))
    timer.set(1.0)
    timer.stop()

    turn(2.0)

    assert called == []
    assert timers.next_deadline_s == NEVER


def test_a_stopped_timer_can_be_set_again(timers: Timers, turn: Callable[[float], None], called: list[str]) -> None:
    timer = timers.timer(lambda: called.append("a"))
    timer.set(1.0)
    timer.stop()
    timer.set(2.0)

    turn(1.0)
    assert called == []
    turn(2.0)
    assert called == ["a"]


def test_a_timer_may_set_itself_again_when_it_calls(
    clock: ManualClock, timers: Timers, turn: Callable[[float], None], called: list[str]
) -> None:
    def again() -> None:
        called.append(f"{clock.now_s:.0f}")
        timer.set(clock.now_s + 1)

    timer = timers.timer(again)
    timer.set(1.0)
    for now_s in (1.0, 1.5, 2.0, 3.0):
        turn(now_s)

    assert called == ["1", "2", "3"]


def test_a_timer_may_stop_and_set_others_when_it_calls(
    timers: Timers, turn: Callable[[float], None], called: list[str]
) -> None:
    late, new = timers.timer(lambda: called.append("late")), timers.timer(lambda: called.append("new"))

    def first() -> None:
        called.append("first")
        late.stop()
        new.set(1.5)

    timers.timer(first).set(1.0)
    late.set(2.0)
    turn(3.0)

    assert called == ["first", "new"]


def test_the_server_learns_when_the_first_deadline_moves_earlier_and_only_then(timers: Timers) -> None:
    told: list[float] = []
    timers.on_sooner = lambda: told.append(timers.next_deadline_s)
    first, second = timers.timer(lambda: None), timers.timer(lambda: None)

    first.set(5.0)
    second.set(7.0)
    first.set(6.0)
    second.set(2.0)

    assert told == [5.0, 2.0]


def test_a_time_that_is_past_calls_at_the_next_look(
    timers: Timers, turn: Callable[[float], None], called: list[str]
) -> None:
    turn(10.0)
    timers.timer(lambda: called.append("a")).set(3.0)

    assert called == []
    turn(10.0)
    assert called == ["a"]
