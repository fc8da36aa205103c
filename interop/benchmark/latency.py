"""Round trips of single messages at a low rate, when nothing queues: what a broker adds to every request."""

from __future__ import annotations

import time
from collections.abc import Callable

from interop.benchmark import wire
from interop.benchmark.cases import Latency, Load
from interop.benchmark.client import Client, delete_quietly
from interop.benchmark.messages import make_pool

_QUEUE = "benchmark.latency"


def measure(port: int, work: Latency, seconds: float) -> dict[str, float]:
    """Publish one message at a time for so long, first for its delivery, then for its confirm."""
    publisher, consumer = Client(port), Client(port)
    try:
        consumer.call(wire.declare_queue(1, _QUEUE, durable=work.persistent), wire.QUEUE_DECLARE_OK)
        consumer.call(wire.consume(1, _QUEUE, no_ack=True), wire.BASIC_CONSUME_OK)
        load = Load(body_size=work.body_size, persistent=work.persistent)
        message = make_pool(load, "", _QUEUE, publisher.frame_max).cut(1)[0]
        count = max(20, int(work.rate_per_s * seconds))

        def deliver() -> None:
            publisher.send(message)
            consumer.read_delivery()

        def confirm() -> None:
            publisher.send(message)
            publisher.expect(wire.BASIC_ACK)

        delivery_us = _times_us(deliver, lambda: None, count, work.rate_per_s)
        publisher.call(wire.method(1, wire.CONFIRM_SELECT, b"\0"), wire.CONFIRM_SELECT_OK)
        confirm_us = _times_us(confirm, lambda: consumer.read_delivery(), count, work.rate_per_s)
    finally:
        publisher.close()
        consumer.close()
        delete_quietly(port, [_QUEUE])
    return {
        "delivery_p50_us": _percentile(delivery_us, 0.50),
        "delivery_p99_us": _percentile(delivery_us, 0.99),
        "confirm_p50_us": _percentile(confirm_us, 0.50),
        "confirm_p99_us": _percentile(confirm_us, 0.99),
    }


def _times_us(once: Callable[[], None], after: Callable[[], object], count: int, rate_per_s: int) -> list[float]:
    """Return the sorted times of a step done at a fixed rate; `after` follows each outside the time."""
    times = []
    due = time.perf_counter()
    for _ in range(count):
        began = time.perf_counter()
        once()
        times.append((time.perf_counter() - began) * 1e6)
        after()
        due += 1 / rate_per_s
        time.sleep(max(0.0, due - time.perf_counter()))
    return sorted(times[len(times) // 10 :])


def _percentile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
