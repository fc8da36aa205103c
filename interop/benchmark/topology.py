"""Topology changes in bulk: queues declared, bound and deleted, with a hundred requests ahead of their answers."""

from __future__ import annotations

import contextlib
import time

from interop.benchmark import process, wire
from interop.benchmark.cases import Declare
from interop.benchmark.client import Client, StalledError

_EXCHANGE = "benchmark.declare"


def measure(port: int, pid: int, work: Declare) -> dict[str, float]:
    """Declare and bind so many queues, then delete them, and return seconds and CPU time of each."""
    queues = [f"benchmark.declare.{number}" for number in range(work.count)]
    declares = [wire.declare_queue(1, queue) for queue in queues]
    binds = [wire.bind_queue(1, queue, _EXCHANGE, queue) for queue in queues]
    deletes = [wire.delete_queue(1, queue) for queue in queues]
    client = Client(port)
    pids = process.tree(pid)
    try:
        client.call(wire.declare_exchange(1, _EXCHANGE, "direct"), wire.EXCHANGE_DECLARE_OK)
        began, cpu_s = time.perf_counter(), process.cpu_s(pids)
        client.call_many(declares, wire.QUEUE_DECLARE_OK)
        client.call_many(binds, wire.QUEUE_BIND_OK)
        declare_s, declare_cpu_s = time.perf_counter() - began, process.cpu_s(pids) - cpu_s
        sample = {
            "declares_per_s": work.count / declare_s,
            "declare_s": declare_s,
            "declare_cpu_us": declare_cpu_s / work.count * 1e6,
        }
        # A broker that cannot delete (garagemq) has declared all the same.
        with contextlib.suppress(StalledError):
            cpu_s = process.cpu_s(pids)
            client.call_many(deletes, wire.QUEUE_DELETE_OK)
            sample["delete_cpu_us"] = (process.cpu_s(pids) - cpu_s) / work.count * 1e6
            client.call(wire.delete_exchange(1, _EXCHANGE), wire.EXCHANGE_DELETE_OK)
    finally:
        client.close()
    return sample
