"""Throughput cases: set up the topology, let messages flow, and divide the broker's CPU time by their number."""

from __future__ import annotations

import contextlib
import itertools
import select
import time
from collections.abc import Iterator
from contextlib import ExitStack

from interop.benchmark import process, wire
from interop.benchmark.cases import Load
from interop.benchmark.client import Client, RefusedError, StalledError, delete_quietly
from interop.benchmark.load import Consumer, Lane, Producer, Pump
from interop.benchmark.messages import make_pool, topic_patterns

PREFETCH_COUNT = 1000
SETUP_WAIT_S = 5.0
_SERIAL = itertools.count()


def measure(port: int, pid: int, load: Load, seconds: float) -> dict[str, float]:
    """Run a load for so long, after a warm-up, and return its sample; every message has to arrive in the end."""
    with _rig(port, load) as pump:
        pump.run_for(min(0.5, seconds / 3))
        pids = process.tree(pid)
        began, received, used = time.perf_counter(), pump.received, _cpu_s(pids)
        written = process.written_bytes(pids)
        pump.run_for(seconds)
        took, messages_count, pause_s = time.perf_counter() - began, pump.received - received, pump.longest_pause_s
        written = process.written_bytes(pids) - written
        broker_s, load_s, all_s = (after - before for after, before in zip(_cpu_s(pids), used, strict=True))
        pump.drain()
    if not messages_count:
        raise StalledError("no message arrived")
    return {
        **({"written_bytes": written / messages_count} if load.persistent else {}),
        "messages_per_s": messages_count / took,
        "cpu_us": broker_s / messages_count * 1e6,
        "broker_cores": broker_s / took,
        "load_cores": load_s / took,
        # What the rest of the machine did meanwhile; the kernel's work on the sockets of both sides is in it too.
        "other_cores": max(0.0, all_s - broker_s - load_s) / took,
        "longest_pause_ms": pause_s * 1e3,
    }


def _cpu_s(pids: list[int]) -> tuple[float, float, float]:
    """Return the CPU seconds used so far by the broker, by this load, and by everybody."""
    return process.cpu_s(pids), time.process_time(), process.machine_cpu_s()


@contextlib.contextmanager
def _rig(port: int, load: Load) -> Iterator[Pump]:
    """Open everything that the load needs; afterwards close and delete it."""
    with ExitStack() as stack:
        poller = stack.enter_context(select.epoll())
        lanes = [_lane(stack, port, load, number, poller) for number in range(load.lanes)]
        yield Pump(lanes, poller)


def _lane(stack: ExitStack, port: int, load: Load, number: int, poller: select.epoll) -> Lane:
    queues = [f"benchmark.{next(_SERIAL)}.{number}.{each}" for each in range(load.consumers)]
    setup = Client(port, wait_s=SETUP_WAIT_S)
    stack.callback(delete_quietly, port, queues, _exchange(load))
    stack.callback(setup.close)
    _declare(setup, load, queues)
    producers = [_client(stack, port, load.publisher_channel) for _ in range(load.producers)]
    consumers = [_client(stack, port, load.consumer_channel) for _ in queues]
    pool = make_pool(load, _exchange(load), queues[0], producers[0].frame_max)
    for client, queue in zip(consumers, queues, strict=True):
        if load.ack_each:
            client.call(wire.qos(load.consumer_channel, PREFETCH_COUNT), wire.BASIC_QOS_OK)
        client.call(wire.consume(load.consumer_channel, queue, no_ack=not load.ack_each), wire.BASIC_CONSUME_OK)
    if load.confirm:
        for client in producers:
            client.call(wire.method(load.publisher_channel, wire.CONFIRM_SELECT, b"\0"), wire.CONFIRM_SELECT_OK)

    # The first message shows how large a delivery is.
    producers[0].send(pool.cut(1)[0])
    sizes = {client.read_delivery() for client in consumers}
    if len(sizes) != 1:
        raise RefusedError(f"deliveries of one message differ in size: {sizes}")
    if load.confirm:
        producers[0].expect(wire.BASIC_ACK)
    for client in consumers:
        if load.ack_each:
            client.send(wire.ack(load.consumer_channel, 1))
    size = sizes.pop()
    return Lane(
        [
            Producer(client, poller, pool, confirm=load.confirm, published=int(client is producers[0]))
            for client in producers
        ],
        [
            Consumer(
                client,
                poller,
                delivery_size=size,
                acks=wire.AckBlocks(load.consumer_channel) if load.ack_each else None,
                received=1,
            )
            for client in consumers
        ],
        load.window,
        published=1,
    )


def _client(stack: ExitStack, port: int, channel: int) -> Client:
    client = Client(port, (channel,), wait_s=SETUP_WAIT_S)
    stack.callback(client.close)
    return client


def _exchange(load: Load) -> str:
    if load.rich:
        return "benchmark.topic"
    return "benchmark.fanout" if load.consumers > 1 else ""


def _declare(client: Client, load: Load, queues: list[str]) -> None:
    """Declare the queues and bind them."""
    exchange = _exchange(load)
    for queue in queues:
        client.call(wire.declare_queue(1, queue, durable=load.persistent), wire.QUEUE_DECLARE_OK)
    if exchange:
        client.call(
            wire.declare_exchange(1, exchange, exchange.removeprefix("benchmark.")),
            wire.EXCHANGE_DECLARE_OK,
        )
    keys = topic_patterns() if load.rich else [""]
    if exchange:
        for queue in queues:
            client.call_many([wire.bind_queue(1, queue, exchange, key) for key in keys], wire.QUEUE_BIND_OK)
