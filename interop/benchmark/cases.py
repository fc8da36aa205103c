"""What is measured: one row a case. A new case is a new row; a new way to measure is a new file beside `throughput`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024


@dataclass(frozen=True)
class Load:
    """Messages that flow from producers through queues to consumers.

    A lane is a set of producers and consumers that share a route; it publishes at most `window` messages ahead of its
    slowest consumer, so that queues stay short whoever is faster.
    """

    body_size: int = 100
    ack_each: bool = False
    confirm: bool = False
    persistent: bool = False
    rich: bool = False
    lanes: int = 1
    producers: int = 1
    consumers: int = 1
    window: int = 4000
    publisher_channel: int = 1
    consumer_channel: int = 1


@dataclass(frozen=True)
class Latency:
    """Single messages at a low rate: the time from publish to delivery, and from publish to confirm."""

    body_size: int = 100
    rate_per_s: int = 200
    persistent: bool = False


@dataclass(frozen=True)
class Start:
    """From starting the process to the first open connection, and its memory a second later."""


@dataclass(frozen=True)
class Waiting:
    """Memory of messages that wait in a queue without consumers."""

    body_size: int
    count: int = 200_000


@dataclass(frozen=True)
class IdleConnections:
    """Memory of connections with one open channel and nothing to do."""

    count: int = 1000


@dataclass(frozen=True)
class Declare:
    """Queues declared and bound to a direct exchange, one pipelined connection; then deleted."""

    count: int = 10_000


@dataclass(frozen=True)
class Backlog:
    """Persistent messages that gather in a durable queue without consumers, and are then consumed."""

    count: int = 1_000_000
    body_size: int = 200
    persistent: bool = True


@dataclass(frozen=True)
class Restart:
    """A start with so many persistent messages in a durable queue; only brokers that can be started again."""

    count: int
    body_size: int = 200
    persistent: bool = True


@dataclass(frozen=True)
class Kit:
    """What the test kit takes for what test suites do all the time, in this process."""

    count: int = 50


Work = Load | Latency | Start | Waiting | IdleConnections | Declare | Backlog | Restart | Kit


@dataclass(frozen=True)
class Case:
    name: str
    work: Work
    says: str


def _body(name: str, size: int, window: int) -> Case:
    return Case(f"body-{name}", Load(body_size=size, window=window), f"{name} bodies, automatic acknowledgement")


def _durable(size: int, in_flight: int, producers: int) -> Case:
    name = "100B" if size == 100 else "16KiB"
    return Case(
        f"durable-{name}-{in_flight}x{producers}",
        Load(
            body_size=size,
            ack_each=True,
            confirm=True,
            persistent=True,
            window=in_flight * producers if producers > 1 else in_flight,
            producers=producers,
        ),
        f"persistent {name} messages, {producers} publishers with {in_flight} unconfirmed each, acknowledged",
    )


CASES: Final[tuple[Case, ...]] = (
    Case("start", Start(), "start to the first open connection; idle memory"),
    Case("latency", Latency(), "round trip of single messages, 200 a second"),
    Case("auto-ack", Load(), "100-byte messages, automatic acknowledgement"),
    Case("ack-each", Load(ack_each=True), "each delivery acknowledged, prefetch 1000"),
    Case("ack-confirm", Load(ack_each=True, confirm=True), "each delivery acknowledged, publisher confirms"),
    Case(
        "rich",
        Load(ack_each=True, rich=True, publisher_channel=3, consumer_channel=7),
        "unique properties, header table, topic exchange with 300 bindings, other channel; acknowledged",
    ),
    Case(
        "persistent-confirm",
        Load(ack_each=True, confirm=True, persistent=True),
        "persistent messages, durable queue, acknowledged, publisher confirms",
    ),
    Case("latency-durable", Latency(persistent=True), "round trip of single persistent messages, 200 a second"),
    *(
        _durable(size, in_flight, producers)
        for size in (100, 16 * KIB)
        for in_flight, producers in ((1, 1), (100, 1), (2000, 1), (100, 8), (2000, 8))
    ),
    Case("backlog-1M", Backlog(), "1,000,000 persistent messages of 200 bytes gather, and are consumed"),
    Case("restart-empty", Restart(0), "start with an empty data directory"),
    Case("restart-100k", Restart(100_000), "start with 100,000 persistent messages of 200 bytes"),
    Case("restart-1M", Restart(1_000_000), "start with 1,000,000 persistent messages of 200 bytes"),
    Case("kit", Kit(), "the test kit, in the test's process, beside starting a RabbitMQ"),
    _body("1B", 1, 4000),
    _body("1KiB", KIB, 4000),
    _body("16KiB", 16 * KIB, 512),
    _body("128KiB", 128 * KIB, 64),
    _body("1MiB", KIB * KIB, 16),
    Case("fanout-10", Load(consumers=10, window=1000), "one producer, fanout to 10 queues; counted in deliveries"),
    Case("queues-10", Load(lanes=10, window=1000), "10 queues, each with its producer and its consumer"),
    Case("connections-1000", Load(producers=1000, window=2000), "1,000 connections publish single messages in turn"),
    Case("declare-10000", Declare(), "10,000 queues declared and bound, then deleted"),
    Case("waiting-100B", Waiting(100), "memory of 200,000 waiting messages of 100 bytes"),
    Case("waiting-1KiB", Waiting(KIB), "memory of 200,000 waiting messages of 1 KiB"),
    Case("connections-idle", IdleConnections(), "memory of 1,000 idle connections with a channel each"),
)

# Cases that need a broker of their own, because they look at its start or at its memory.
FRESH: Final = (Start, Waiting, IdleConnections, Backlog, Restart)


@dataclass(frozen=True)
class Metric:
    """One figure of a sample: its key, how people read it, and whether less of it is better."""

    key: str
    title: str
    unit: str
    less_is_better: bool = True


METRICS: Final[dict[type, tuple[Metric, ...]]] = {
    Load: (
        Metric("cpu_us", "broker CPU a message", "us"),
        Metric("messages_per_s", "throughput", "/s", less_is_better=False),
        Metric("written_bytes", "written to disk a message", "B"),
    ),
    Latency: (
        Metric("delivery_p50_us", "publish to delivery, p50", "us"),
        Metric("delivery_p99_us", "publish to delivery, p99", "us"),
        Metric("confirm_p50_us", "publish to confirm, p50", "us"),
        Metric("confirm_p99_us", "publish to confirm, p99", "us"),
    ),
    Start: (
        Metric("start_s", "start to first open connection", "s"),
        Metric("start_cpu_s", "CPU of the start", "s"),
        Metric("idle_rss_mib", "idle memory, RSS", "MiB"),
        Metric("idle_pss_mib", "idle memory, PSS", "MiB"),
    ),
    Waiting: (
        Metric("bytes_per_message", "memory a waiting message", "B"),
        Metric("rss_mib", "RSS with all of them", "MiB"),
    ),
    IdleConnections: (
        Metric("kib_per_connection", "memory an idle connection", "KiB"),
        Metric("open_cpu_us", "broker CPU an opening", "us"),
        Metric("opens_per_s", "openings", "/s", less_is_better=False),
    ),
    Backlog: (
        Metric("publish_cpu_us", "broker CPU a publish", "us"),
        Metric("publishes_per_s", "publishes confirmed", "/s", less_is_better=False),
        Metric("rss_mib", "RSS with all of them", "MiB"),
        Metric("drain_cpu_us", "broker CPU a delivery", "us"),
        Metric("drains_per_s", "deliveries acknowledged", "/s", less_is_better=False),
        Metric("written_bytes", "written to disk a message", "B"),
    ),
    Restart: (
        Metric("start_s", "start to first open connection", "s"),
        Metric("rss_mib", "RSS after the start", "MiB"),
    ),
    Kit: (
        Metric("start_ms", "start", "ms"),
        Metric("stop_ms", "stop", "ms"),
        Metric("vhost_ms", "vhost for a test, made and removed", "ms"),
        Metric("snapshot_ms", "snapshot of 10 queues, 10 bindings, 20 messages", "ms"),
        Metric("restore_ms", "restore of it", "ms"),
        Metric("settled_ms", "settled, with nothing to do", "ms"),
        Metric("hour_ms", "an hour of virtual time with 1,000 messages that expire", "ms"),
    ),
    Declare: (
        Metric("declare_cpu_us", "broker CPU a declare + bind", "us"),
        Metric("declares_per_s", "declares + binds", "/s", less_is_better=False),
        Metric("delete_cpu_us", "broker CPU a delete", "us"),
    ),
}
