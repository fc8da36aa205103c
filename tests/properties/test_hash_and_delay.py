"""The hash exchanges spread as they should, whatever the weights; the delayed one loses nothing and keeps the order."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.bindings import Binding
from amqpy_broker.core.exchanges.delayed_message import DELAY_MAX_MS, DelayedMessageExchange
from tests.fakes import (
    FakeDestination,
    FakeMessage,
    ManualClock,
    a_vhost,
    an_actor,
    an_exchange,
    bind,
    declare_exchange,
    declare_queue,
    drained,
    matched_by,
)

KEYS = [f"order.{number}" for number in range(1500)]
weights = st.lists(st.integers(1, 20), min_size=1, max_size=6)


def spread(x: Exchange) -> dict[str, str]:
    """Where each key leads."""
    return {key: name for key in KEYS for name in matched_by(x, key)}


def bound(x: Exchange, numbers: list[int], prefix: str = "q") -> list[Binding]:
    return [bind(x, FakeDestination(f"{prefix}{number}"), str(weight)) for number, weight in enumerate(numbers)]


# Consistent hash ------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(weights)
def test_each_queue_gets_the_share_of_its_weight(numbers: list[int]) -> None:
    x = an_exchange("x-consistent-hash")
    bound(x, numbers)

    places = list(spread(x).values())

    assert len(places) == len(KEYS)
    for number, weight in enumerate(numbers):
        # Six standard deviations and more: the keys are always the same, but the weights are not.
        assert abs(places.count(f"q{number}") / len(KEYS) - weight / sum(numbers)) < 0.08


@settings(max_examples=25, deadline=None)
@given(weights, st.integers(1, 20))
def test_a_new_queue_takes_its_share_and_moves_nothing_between_the_others(numbers: list[int], weight: int) -> None:
    x = an_exchange("x-consistent-hash")
    bound(x, numbers)
    before = spread(x)
    (new,) = bound(x, [weight], "new")
    after = spread(x)

    assert {after[key] for key in KEYS if after[key] != before[key]} <= {"new0"}
    x.remove_binding(new)
    assert spread(x) == before


@settings(max_examples=25, deadline=None)
@given(weights, st.data())
def test_bindings_that_went_leave_no_trace(numbers: list[int], data: st.DataObject) -> None:
    x, y = an_exchange("x-consistent-hash"), an_exchange("x-consistent-hash")
    bindings = bound(x, numbers)
    gone = data.draw(st.sets(st.sampled_from(bindings)))
    for binding in gone:
        x.remove_binding(binding)
    for binding in bindings:
        if binding not in gone:
            y.add_binding(binding)

    assert [matched_by(x, key) for key in KEYS[:300]] == [matched_by(y, key) for key in KEYS[:300]]


# Delayed messages -----------------------------------------------------------------------------------------------------

# How long until it is published, its delay, and whether it is cancelled if it still waits at the next one.
published = st.tuples(
    st.integers(0, 50),
    st.none() | st.integers(-5, 120) | st.just(DELAY_MAX_MS + 1),
    st.integers(0, 4).map(lambda n: not n),
)


@settings(deadline=None)
@given(st.lists(published, max_size=40))
def test_every_message_leaves_when_it_is_due_in_order_unless_it_was_cancelled(
    plan: list[tuple[int, int | None, bool]],
) -> None:
    clock = ManualClock(5.0)
    vhost, actor = a_vhost(clock=clock), an_actor()
    declare_exchange(vhost, actor, "x", "x-delayed-message", x_delayed_type="fanout")
    x = vhost.find_exchange("x")
    assert isinstance(x, DelayedMessageExchange)
    queue = declare_queue(vhost, actor)
    vhost.bind_queue(actor, "q", "x", "", {})
    left: list[tuple[int, str]] = []

    def turn_to(now_ms: int) -> None:
        while vhost.timers.next_deadline_s * 1000 <= 5000 + now_ms:
            clock.now_s = vhost.timers.next_deadline_s
            vhost.timers.handle_deadline()
            left.extend((round(clock.now_s * 1000) - 5000, text) for text in drained(queue))
        clock.now_s = 5.0 + now_ms / 1000

    waiting: list[tuple[int, int]] = []
    expected: list[tuple[int, int]] = []
    times = list(accumulate(gap for gap, _, _ in plan))
    for number, (now_ms, (_, delay, cancelled)) in enumerate(zip(times, plan, strict=True)):
        turn_to(now_ms)
        headers = arguments({} if delay is None else {"x-delay": delay})
        vhost.send(x, FakeMessage(str(number), headers=headers))
        is_delayed = delay is not None and 0 < delay <= DELAY_MAX_MS
        assert drained(queue) == ([] if is_delayed else [str(number)])
        if not is_delayed:
            continue
        assert delay is not None
        due = (now_ms + delay, number)
        waiting = [other for other in waiting if other[0] > now_ms]
        if cancelled:
            delayed = next(delayed for delayed in x.pending() if delayed.message.body == str(number).encode())
            assert x.cancel(delayed)
        else:
            waiting.append(due)
            expected.append(due)
        assert [delayed.message.body for delayed in x.pending()] == [str(n).encode() for _, n in sorted(waiting)]
    turn_to(10_000)

    assert left == [(due_ms, str(number)) for due_ms, number in sorted(expected)]
    assert x.pending_count == x.memory_bytes == 0
