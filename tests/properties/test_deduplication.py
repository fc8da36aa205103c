"""Deduplication against a naive oracle: a list of keys with the times they are forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from amqpy_broker.core.arguments import arguments
from amqpy_broker.core.queues.deduplication import Deduplication
from amqpy_broker.core.queues.settings import DEDUPLICATION_HEADER, DeduplicationSettings
from amqpy_broker.core.timers import Timers
from tests.fakes import FakeMessage, ManualClock

TTL_MS = 1000


@given(
    steps=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 600))),
    cache_size=st.integers(0, 5),
    ttl_ms=st.sampled_from((None, TTL_MS)),
)
def test_the_cache_is_bounded_and_tells_exactly_the_duplicates_it_remembers(
    steps: list[tuple[str, int]], cache_size: int, ttl_ms: int | None
) -> None:
    clock = ManualClock(0)
    cache = Deduplication(DeduplicationSettings(cache_size=cache_size, cache_ttl_ms=ttl_ms), "q", Timers(clock))
    remembered: list[tuple[str, float]] = []
    now_ms = 0
    for key, wait_ms in steps:
        now_ms += wait_ms
        clock.now_s = now_ms / 1000
        duplicate = any(known == key and expiry_ms > now_ms for known, expiry_ms in remembered)
        if not duplicate:
            remembered = [entry for entry in remembered if entry[0] != key]
            remembered.append((key, float("inf") if ttl_ms is None else now_ms + ttl_ms))
            remembered = remembered[-cache_size:] if cache_size else []

        assert cache.seen(FakeMessage(headers=arguments({DEDUPLICATION_HEADER: key}))) is duplicate
        assert len(cache) <= cache_size
