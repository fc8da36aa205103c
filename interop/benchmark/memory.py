"""Memory: what one waiting message and one idle connection cost, as the difference to the same broker before them."""

from __future__ import annotations

import struct
import time

from interop.benchmark import process, wire
from interop.benchmark.cases import IdleConnections, Load, Waiting
from interop.benchmark.client import Client, StalledError
from interop.benchmark.messages import make_pool

SETTLE_S = 1.0
ARRIVE_S = 60.0
_QUEUE = "benchmark.waiting"
_MIB = 1024 * 1024


def measure_waiting(port: int, pid: int, work: Waiting) -> dict[str, float]:
    """Publish messages that nobody consumes, and divide the growth of the broker by their number."""
    client = Client(port)
    try:
        client.call(wire.declare_queue(1, _QUEUE), wire.QUEUE_DECLARE_OK)
        pool = make_pool(Load(body_size=work.body_size), "", _QUEUE, client.frame_max)
        time.sleep(SETTLE_S)
        before = process.memory(pid)
        left = work.count
        while left:
            block, count = pool.cut(left)
            client.send(block)
            left -= count
        _await_count(client, work.count)
        time.sleep(SETTLE_S)
        after = process.memory(pid)
    finally:
        client.close()
    grown = after.rss - before.rss
    return {
        "bytes_per_message": grown / work.count,
        "overhead_bytes": grown / work.count - work.body_size,
        "rss_mib": after.rss / _MIB,
        "pss_mib": after.pss / _MIB,
    }


def measure_connections(port: int, pid: int, work: IdleConnections) -> dict[str, float]:
    """Open connections with one channel each, and divide the growth of the broker by their number."""
    clients = [Client(port)]
    try:
        time.sleep(SETTLE_S)
        before, pids = process.memory(pid), process.tree(pid)
        cpu_s, began = process.cpu_s(pids), time.perf_counter()
        clients.extend(Client(port) for _ in range(work.count))
        took, cpu_s = time.perf_counter() - began, process.cpu_s(pids) - cpu_s
        time.sleep(SETTLE_S)
        after = process.memory(pid)
    finally:
        for client in clients:
            client.close()
    return {
        "kib_per_connection": (after.rss - before.rss) / work.count / 1024,
        "open_cpu_us": cpu_s / work.count * 1e6,
        "opens_per_s": work.count / took,
        "rss_mib": after.rss / _MIB,
    }


def _await_count(client: Client, count: int) -> None:
    """Return when so many messages are ready in the queue."""
    deadline = time.monotonic() + ARRIVE_S
    ready = 0
    while time.monotonic() < deadline:
        answer = client.call(wire.declare_queue(1, _QUEUE, passive=True), wire.QUEUE_DECLARE_OK)
        ready = struct.unpack(">II", answer[-8:])[0]
        if ready >= count:
            return
        time.sleep(0.1)
    raise StalledError(f"{ready} of {count} messages in the queue after {ARRIVE_S:.0f} s")
