"""Persistent messages that gather in a durable queue, and are consumed later: rates, CPU, memory and bytes on disk."""

from __future__ import annotations

import time

from interop.benchmark import process, wire
from interop.benchmark.cases import Backlog, Load
from interop.benchmark.client import Client, delete_quietly
from interop.benchmark.messages import make_pool

_QUEUE = "benchmark.backlog"
_MIB = 1024 * 1024
# Publishes in one piece, each confirmed before the next but one.
_BLOCK_COUNT = 1000
_PREFETCH_COUNT = 1000
_SETTLE_S = 1.0


def measure(port: int, pid: int, work: Backlog) -> dict[str, float]:
    """Fill the queue, look at the memory, and drain it."""
    pids = process.tree(pid)
    written = process.written_bytes(pids)
    cpu_s, began = process.cpu_s(pids), time.perf_counter()
    fill(port, work.count, work.body_size)
    publish_s, publish_cpu_s = time.perf_counter() - began, process.cpu_s(pids) - cpu_s
    time.sleep(_SETTLE_S)
    rss = process.memory(pid).rss
    cpu_s, began = process.cpu_s(pids), time.perf_counter()
    drain(port, work.count)
    drain_s, drain_cpu_s = time.perf_counter() - began, process.cpu_s(pids) - cpu_s
    delete_quietly(port, [_QUEUE])
    return {
        "publishes_per_s": work.count / publish_s,
        "publish_cpu_us": publish_cpu_s / work.count * 1e6,
        "rss_mib": rss / _MIB,
        "drains_per_s": work.count / drain_s,
        "drain_cpu_us": drain_cpu_s / work.count * 1e6,
        "written_bytes": (process.written_bytes(pids) - written) / work.count,
    }


def fill(port: int, count: int, body_size: int) -> None:
    """Publish so many persistent messages, and wait for their confirms."""
    client = Client(port)
    client.call(wire.declare_queue(1, _QUEUE, durable=True), wire.QUEUE_DECLARE_OK)
    client.call(wire.method(1, wire.CONFIRM_SELECT, b"\0"), wire.CONFIRM_SELECT_OK)
    pool = make_pool(Load(body_size=body_size, persistent=True), "", _QUEUE, client.frame_max)
    published = confirmed = 0
    while confirmed < count:
        while published < count and published - confirmed < 2 * _BLOCK_COUNT:
            block, cut_count = pool.cut(min(_BLOCK_COUNT, count - published))
            client.send(block)
            published += cut_count
        confirmed = max(confirmed, client.read_confirm())
    client.close()


def drain(port: int, count: int) -> None:
    """Consume so many messages, and acknowledge them, a block at a time."""
    client = Client(port)
    client.call(wire.qos(1, _PREFETCH_COUNT), wire.BASIC_QOS_OK)
    client.call(wire.consume(1, _QUEUE, no_ack=False), wire.BASIC_CONSUME_OK)
    # All deliveries have the size of the first; from then on bytes are counted.
    size = client.read_delivery()
    received, acked, rest = 1, 0, 0
    while received < count:
        messages, rest = divmod(rest + client.read_bytes(), size)
        received += messages
        if received - acked >= _PREFETCH_COUNT // 4 or received == count:
            client.send(wire.ack_up_to(1, received))
            acked = received
    # The broker answers a close when it has read the acknowledgements.
    client.close()
