"""What the test kit takes, in the test's own process: start, stop, a vhost for each test, snapshots, virtual time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

from amqpy_broker.testing import BrokerThread
from interop.benchmark.cases import Kit


def measure(work: Kit) -> dict[str, float]:
    """Do each of them so many times, and return the medians."""
    with BrokerThread():
        # Imports are not measured.
        pass
    starts, stops = [], []
    for _ in range(work.count):
        broker = BrokerThread()
        starts.append(_ms(broker.start))
        stops.append(_ms(broker.stop))
    with BrokerThread(virtual_time=True) as broker:
        for number in range(10):
            broker.declare_queue(f"q{number}")
            broker.bind(f"q{number}", "amq.topic", f"key.{number}")
        for number in range(20):
            broker.publish("amq.topic", f"key.{number % 10}", b"message")
        snapshot = broker.snapshot()

        def change() -> None:
            broker.take("q0")
            broker.publish("amq.topic", "key.1", b"another")

        snapshots, restores = [], []
        for _ in range(work.count):
            change()
            restores.append(_ms(lambda: broker.restore(snapshot)))
            snapshots.append(_ms(broker.snapshot))
        settled = [_ms(broker.settled) for _ in range(work.count)]
        vhosts = [_ms(partial(_use_vhost, broker, number)) for number in range(work.count)]
        broker.declare_queue("expiring", arguments={"x-message-ttl": 1_800_000})
        hours = []
        for _ in range(5):
            for _ in range(1000):
                broker.publish("", "expiring", b"message")
            hours.append(_ms(lambda: broker.clock.advance(hours=1)))
    return {
        "start_ms": statistics.median(starts),
        "stop_ms": statistics.median(stops),
        "vhost_ms": statistics.median(vhosts),
        "snapshot_ms": statistics.median(snapshots),
        "restore_ms": statistics.median(restores),
        "settled_ms": statistics.median(settled),
        "hour_ms": statistics.median(hours),
    }


def _use_vhost(broker: BrokerThread, number: int) -> None:
    broker.add_vhost(f"test-{number}")
    broker.remove_vhost(f"test-{number}")


def _ms(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1e3
