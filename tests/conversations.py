"""Conversations made up by Hypothesis: what clients say on a few channels about a few queues and exchanges.

A conversation is a list of steps, each of them octets: frames that belong together. It begins after the handshake, with
channels 1 to 3 open. Most of what is said makes sense; some of it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

from hypothesis import strategies as st
from pamqp import base, commands
from pamqp.commands import Basic, Channel, Confirm, Connection, Exchange, Queue, Tx

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.ready import FifoReady
from amqpy_broker.protocols.amqp091.content import FramedMessage
from tests.wire import Client, content, frame, handshake, method, publish, split

Steps: TypeAlias = Sequence[bytes]
Chunker: TypeAlias = Callable[[bytes], Iterable[bytes]]

CHANNELS = (1, 2, 3)
QUEUES = ("q0", "q1", "q2")
EXCHANGES = ("", "amq.direct", "amq.fanout", "amq.headers", "x0", "x1")
# Smaller frames than any real client's make contents of many frames cheap.
# And small bodies keep the output below its watermark, which would make it matter when it is taken.
BODY_SIZES = (0, 1, 2, 100, 4_088, 4_089, 9_000)

# The last queue drops its oldest message for the fourth, and sends what it drops to the first.
SHORT_QUEUE = {"x-max-length": 3, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q0"}

channels = st.sampled_from(CHANNELS)
queues = st.sampled_from(QUEUES)
exchanges = st.sampled_from(EXCHANGES)
keys = st.sampled_from((*QUEUES, "key", ""))
tags = st.integers(0, 6)
properties = st.fixed_dictionaries(
    {},
    optional={
        "delivery_mode": st.sampled_from((1, 2)),
        "message_id": st.sampled_from(("a", "b")),
        "headers": st.just({"k": "v"}),
        "user_id": st.sampled_from(("guest", "guest", "bob")),
        "content_type": st.just("text/plain"),
        "expiration": st.sampled_from(("0", "1000", "soon")),
    },
)


def _said(shape: type[base.Frame], **fields: st.SearchStrategy[object]) -> st.SearchStrategy[bytes]:
    return st.builds(lambda channel, **values: method(channel, shape, **values), channels, **fields)


@st.composite
def publishes(draw: st.DrawFn) -> bytes:
    """One message, sent once or several times; the bodies are of one size, or of two."""
    channel, exchange, key = draw(channels), draw(exchanges), draw(keys)
    sizes = draw(st.lists(st.sampled_from(BODY_SIZES), min_size=1, max_size=2))
    options: dict[str, object] = dict(draw(properties))
    options["mandatory"] = draw(st.booleans())
    options["body_frame_size"] = draw(st.sampled_from((50, 4_088, 100_000)))
    octet = draw(st.sampled_from((b"a", b"\xce", b"\x00")))
    once = b"".join(publish(channel, exchange, key, octet * size, **options) for size in sizes)  # type: ignore[arg-type]
    return once * draw(st.sampled_from((1, 1, 2, 5)))


@st.composite
def interleaved_publishes(draw: st.DrawFn) -> bytes:
    """Two contents on two channels, frame by frame in turn."""
    first, second = draw(st.permutations(CHANNELS))[:2]
    key = draw(queues)
    streams = [
        [
            frame(*parts)
            for parts in split(publish(channel, "", key, b"i" * draw(st.integers(0, 200)), body_frame_size=60))
        ]
        for channel in (first, second)
    ]
    octets = b""
    while any(streams):
        stream = draw(st.sampled_from([stream for stream in streams if stream]))
        octets += stream.pop(0)
    return octets


sensible = st.one_of(
    publishes(),
    publishes(),
    interleaved_publishes(),
    _said(Queue.Declare, queue=st.sampled_from(QUEUES[:2]), nowait=st.booleans()),
    _said(Queue.Declare, queue=st.just("q2"), arguments=st.just(SHORT_QUEUE)),
    _said(Queue.Declare, queue=st.just("")),
    _said(Queue.Bind, queue=queues, exchange=exchanges, routing_key=keys, nowait=st.booleans()),
    _said(Queue.Unbind, queue=queues, exchange=exchanges, routing_key=keys),
    _said(Queue.Purge, queue=queues),
    _said(Queue.Delete, queue=queues, if_empty=st.booleans()),
    _said(
        Exchange.Declare,
        exchange=st.sampled_from(EXCHANGES[4:]),
        exchange_type=st.sampled_from(("direct", "fanout", "topic", "headers")),
    ),
    _said(Exchange.Delete, exchange=st.sampled_from(EXCHANGES[4:])),
    _said(Basic.Consume, queue=queues, consumer_tag=st.sampled_from(("c", "d", "")), no_ack=st.booleans()),
    _said(Basic.Consume, queue=queues, consumer_tag=st.sampled_from(("c", "d", "")), no_ack=st.booleans()),
    _said(Basic.Cancel, consumer_tag=st.sampled_from(("c", "d")), nowait=st.booleans()),
    _said(Basic.Get, queue=queues, no_ack=st.booleans()),
    _said(Basic.Ack, delivery_tag=tags, multiple=st.booleans()),
    _said(Basic.Nack, delivery_tag=tags, multiple=st.booleans(), requeue=st.booleans()),
    _said(Basic.Reject, delivery_tag=tags, requeue=st.booleans()),
    _said(Basic.Recover, requeue=st.just(True)),
    _said(Basic.Qos, prefetch_count=st.integers(0, 3), global_=st.booleans()),
    _said(Confirm.Select),
    _said(Tx.Select),
    _said(Tx.Commit),
    _said(Tx.Rollback),
    _said(Channel.Close),
    _said(Channel.CloseOk),
    _said(Channel.Open),
    st.builds(lambda number, count: b"".join(_acks(number, range(1, count + 1))), channels, st.integers(1, 8)),
    st.just(frame(8, 0)),
)


def _acks(channel: int, delivery_tags: Iterable[int]) -> Iterable[bytes]:
    return (method(channel, Basic.Ack, delivery_tag=tag) for tag in delivery_tags)


# Each of these ends the connection, or is refused for sure.
mistakes = st.one_of(
    st.builds(lambda channel: frame(3, channel, b"body"), channels),
    st.builds(lambda channel: content(channel, b"body"), channels),
    st.builds(lambda channel: method(channel, Basic.Publish, exchange="", routing_key="q0"), channels),
    st.builds(lambda channel: publish(channel, "", "q0", b"xxxx")[:-12] + frame(3, channel, b"too long"), channels),
    st.builds(lambda kind, channel: frame(kind, channel), st.sampled_from((0, 4, 8, 9)), st.sampled_from((0, 1, 9))),
    st.builds(lambda kind: frame(kind, 1, b"\x00\x3c"), st.sampled_from((1, 2))),
    st.builds(lambda channel: method(channel, Queue.Declare, queue="q9"), st.sampled_from((0, 9))),
    st.just(method(1, Connection.Close)),
    st.just(method(0, Connection.Close)),
    st.just(method(0, Connection.CloseOk)),
    st.just(method(0, Connection.Open, virtual_host="/")),
    st.just(publish(1, "missing", "key", b"body")),
    st.just(publish(1, "", "q0", b"body", immediate=True)),
    st.just(frame(1, 1, b"\x00\x3c\x27\x0f")),
    st.just(frame(1, 1, commands.Basic.Ack.index.to_bytes(4, "big"))),
    st.just(frame(2, 1, b"x" * 14)),
    st.just(b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x0a!"),
    st.just(b"\x03\x00\x01\x00\x03\x00\x00"),
)


def conversations(*, mistakes_too: bool = True, max_size: int = 30) -> st.SearchStrategy[Steps]:
    """Make up conversations; queues that are talked of mostly exist."""
    step = st.one_of(sensible, sensible, sensible, mistakes) if mistakes_too else sensible
    return st.lists(step, max_size=max_size).map(lambda steps: [*PREPARATION, *steps])


def publishers() -> st.SearchStrategy[Steps]:
    """Make up what loops of publishers say: few messages, many times, and in between what changes their fate."""
    message = st.sampled_from(
        [
            publish(1, "", "q0", b"same"),
            publish(1, "", "q0", b"size"),
            publish(1, "", "q0", b"another size"),
            publish(1, "x0", "", b"", mandatory=True),
            publish(1, "x0", "", b"fan", body_frame_size=2),
            publish(2, "", "q0", b"same"),
            publish(1, "amq.headers", "", b"same", headers={"k": "v"}),
            publish(1, "", "q0", b"same", user_id="bob"),
            publish(1, "", "q2", b"same"),
            publish(1, "", "q0", b"same", expiration="0"),
        ]
    )
    runs = st.builds(lambda octets, count: octets * count, message, st.integers(1, 4))
    loop = st.just(publish(1, "", "q0", b"same") * 3)
    cut_short = st.builds(lambda octets, at: octets[: at % len(octets)], message, st.integers(1, 100))
    change_of_channel = st.sampled_from(
        [
            method(1, Channel.Close) + method(1, Channel.Open),
            method(1, Channel.Close),
            method(1, Channel.Open),
            method(1, Tx.Select),
            method(1, Tx.Commit),
            method(1, Tx.Rollback),
            method(1, Confirm.Select),
            method(1, Basic.Publish, exchange="", routing_key="q0"),
            method(1, Basic.Consume, queue="q0", consumer_tag="e"),
        ]
    )
    change_elsewhere = st.sampled_from(
        [
            method(2, Queue.Delete, queue="q0"),
            method(2, Queue.Declare, queue="q0"),
            method(2, Exchange.Delete, exchange="x0"),
            method(2, Exchange.Declare, exchange="x0", exchange_type="fanout"),
            method(2, Queue.Bind, queue="q0", exchange="x0"),
            method(2, Queue.Unbind, queue="q0", exchange="x0"),
            method(2, Basic.Consume, queue="q0", consumer_tag="c", no_ack=True),
            method(2, Basic.Consume, queue="q0", consumer_tag="d"),
            method(2, Basic.Cancel, consumer_tag="c"),
            method(2, Basic.Ack, delivery_tag=1),
            method(2, Basic.Ack, delivery_tag=2, multiple=True),
            method(0, Connection.Close),
            method(0, Connection.Open, virtual_host="/"),
        ]
    )
    steps = st.lists(
        st.one_of(loop, loop, runs, change_of_channel, change_of_channel, change_elsewhere, cut_short), max_size=20
    )
    return steps.map(lambda steps: [*PREPARATION, *steps])


PREPARATION: Steps = [
    *(method(number, Channel.Open) for number in CHANNELS),
    *(method(1, Queue.Declare, queue=name) for name in QUEUES[:2]),
    method(1, Queue.Declare, queue="q2", arguments=SHORT_QUEUE),
    method(1, Exchange.Declare, exchange="x0", exchange_type="fanout"),
    method(1, Queue.Bind, queue="q0", exchange="x0"),
    method(1, Queue.Bind, queue="q1", exchange="x0"),
    method(1, Queue.Bind, queue="q1", exchange="amq.headers", arguments={"k": "v"}),
]


# --- playing them -----------------------------------------------------------------------------------------------------


def at_once(octets: bytes) -> Iterable[bytes]:
    """Do not divide at all."""
    return (octets,)


def octet_by_octet(octets: bytes) -> Iterable[bytes]:
    """Divide as much as possible."""
    return (octets[at : at + 1] for at in range(len(octets)))


def divided_at(cuts: Iterable[int]) -> Chunker:
    """Divide at these places."""

    def chunks(octets: bytes) -> Iterable[bytes]:
        places = [0, *sorted(cut % (len(octets) + 1) for cut in cuts), len(octets)]
        return (octets[start:stop] for start, stop in pairwise(places))

    return chunks


class Forgetful(dict[bytes, object]):
    """A memo that remembers nothing."""

    def __setitem__(self, key: bytes, value: object) -> None:
        """Forget."""


def play(broker: BrokerCore, steps: Steps, chunker: Chunker | None = at_once, *, memos: bool = True) -> Client:
    """Have a conversation, in chunks or step by step; without memos nothing is recognised."""
    client = Client(broker)
    for octets in handshake(frame_max=131_072):
        client.feed(octets)
    if not memos:
        assert client.connection._session is not None
        client.connection._publish_memo = Forgetful()  # type: ignore[assignment]
        client.connection._session.header_memo = Forgetful()  # type: ignore[assignment]
    for chunk in steps if chunker is None else chunker(b"".join(steps)):
        client.feed(chunk)
    return client


def outcome(client: Client) -> dict[str, object]:
    """Sum up all that one can see: what was said, and what became of queues, exchanges and the connection."""
    vhost = client.broker.vhosts["/"]
    said, confirmed = _what_was_said(client.output.pieces)
    return {
        "said": said,
        "confirmed": confirmed,
        "state": client.state,
        "queues": {name: _queue(queue) for name, queue in vhost.queues.items() if isinstance(queue, ClassicQueue)},
        "exchanges": {
            name: sorted((binding.destination.name, binding.key) for binding in exchange.bindings)
            for name, exchange in vhost.exchanges.items()
        },
    }


def _what_was_said(pieces: list[bytes]) -> tuple[list[tuple[int, int, bytes]], dict[int, list[int]]]:
    """Tell frames and confirms: how confirms coalesce depends on what comes in one read, and is nobody's promise."""
    said: list[tuple[int, int, bytes]] = []
    confirmed: dict[int, list[int]] = {}
    for frame_type, channel, payload in split(b"".join(pieces)):
        if frame_type != 1 or not payload.startswith(b"\x00\x3c\x00\x50"):
            said.append((frame_type, channel, payload))
            continue
        tag, multiple = int.from_bytes(payload[4:12], "big"), payload[12]
        done = confirmed.setdefault(channel, [])
        first = done[-1] + 1 if multiple and done and done[-1] < tag else 1 if multiple else tag
        done += range(first, tag + 1)
    return said, confirmed


def _queue(queue: ClassicQueue) -> tuple[object, ...]:
    ready = queue._ready
    assert isinstance(ready, FifoReady)
    waiting = [*sorted(ready._returned), *ready._fresh]
    contents = [
        (queued.position, queued.redelivered, queued.message.properties, queued.message.body)
        for queued in waiting
        if isinstance(queued.message, FramedMessage)
    ]
    return (contents, queue.ready_count, queue.unacked_count, queue.consumer_count, queue.memory_bytes)
