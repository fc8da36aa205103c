"""Overload: publishers at full speed, nobody consumes, and the broker has little memory.

    python -m interop.overload [--seconds 60] [--publishers 4] [--watermark 200MB] [--durable]

What must be so, or the exit code is 1: the broker's memory stays bounded, every message that was confirmed is in its
queue, once and in order; with `--durable` after the broker was killed, too. What is only told: how many were published,
and how long others waited for an answer meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from amqpy_broker.config import parse_size
from interop.peers.amqpy import amqpy
from interop.peers.peer import Peer

_QUEUE = "overload.{}"
_BODY_BYTES = 1000
_BLOCK_COUNT = 100
_OTHERS_COUNT = 20
_OTHERS_PAUSE_S = 0.1
_MIB = 1 << 20
# Python itself, what it keeps for later, and what was read when the alarm came: beside the messages that are counted.
_BESIDES_BYTES = 150 * _MIB
_DRAIN_PATIENCE_S = 10.0


@dataclass
class Publisher:
    """What one publisher has sent, and how much of it is confirmed."""

    number: int
    sent: int = 0
    confirmed: int = 0
    blocked_count: int = 0
    reasons: set[str] = field(default_factory=set)


class Wire:
    """One connection with one channel, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[Wire]:
        """Connect, log in, open channel 1."""
        wire = cls(*await asyncio.open_connection("127.0.0.1", port, limit=_MIB))
        wire.writer.write(b"AMQP\x00\x00\x09\x01")
        await wire.hear()
        properties = {"capabilities": {"connection.blocked": True}}
        wire.say(commands.Connection.StartOk(properties, "PLAIN", "\0guest\0guest", "en_US"), 0)
        await wire.hear()
        wire.say(commands.Connection.TuneOk(2047, 131_072, 0), 0)
        wire.say(commands.Connection.Open("/"), 0)
        await wire.hear()
        await wire.call(commands.Channel.Open())
        try:
            yield wire
        finally:
            wire.writer.close()

    def say(self, method: Frame, channel: int = 1) -> None:
        self.writer.write(frame.marshal(method, channel))

    async def call(self, method: Frame) -> object:
        self.say(method)
        return await self.hear()

    async def hear(self) -> object:
        """The next frame that is no heartbeat."""
        while True:
            head = await self._reader.readexactly(7)
            rest = await self._reader.readexactly(int.from_bytes(head[3:], "big") + 1)
            heard = frame.unmarshal(head + rest)[2]
            if not isinstance(heard, Heartbeat):
                return heard


def block(publisher: Publisher, *, persistent: bool) -> bytes:
    """Write the next messages: who published each, and its number."""
    queue = _QUEUE.format(publisher.number)
    properties = commands.Basic.Properties(delivery_mode=2 if persistent else 1)
    before = frame.marshal(commands.Basic.Publish(routing_key=queue), 1)
    before += frame.marshal(ContentHeader(0, _BODY_BYTES, properties), 1)
    pieces = []
    for number in range(publisher.sent + 1, publisher.sent + _BLOCK_COUNT + 1):
        body = struct.pack(">IQ", publisher.number, number).ljust(_BODY_BYTES, b"x")
        pieces.append(before + frame.marshal(ContentBody(body), 1))
    publisher.sent += _BLOCK_COUNT
    return b"".join(pieces)


async def publish(port: int, publisher: Publisher, end_s: float, *, durable: bool) -> None:
    """Publish as fast as the broker lets one, until the end."""
    async with Wire.open(port) as wire:
        await wire.call(commands.Queue.Declare(queue=_QUEUE.format(publisher.number), durable=durable))
        await wire.call(commands.Confirm.Select())
        listening = asyncio.create_task(listen(wire, publisher))
        while time.monotonic() < end_s and not listening.done():
            wire.writer.write(block(publisher, persistent=durable))
            try:
                await asyncio.wait_for(wire.writer.drain(), max(end_s - time.monotonic(), 0.01))
            except TimeoutError:
                break
        listening.cancel()


async def listen(wire: Wire, publisher: Publisher) -> None:
    """Note what is confirmed, and when the broker says that publishers wait."""
    while True:
        heard = await wire.hear()
        if isinstance(heard, commands.Basic.Ack):
            assert heard.delivery_tag is not None
            publisher.confirmed = heard.delivery_tag
        elif isinstance(heard, commands.Connection.Blocked):
            publisher.blocked_count += 1
            publisher.reasons.add(heard.reason)
        elif not isinstance(heard, commands.Connection.Unblocked):
            raise RuntimeError(f"the broker said {heard}")


async def ask(port: int, end_s: float, took_s: list[float]) -> None:
    """Ask a small question now and then, as everybody else does meanwhile."""
    async with Wire.open(port) as wire:
        while time.monotonic() < end_s:
            began_s = time.monotonic()
            await wire.call(commands.Basic.Qos(prefetch_count=1))
            took_s.append(time.monotonic() - began_s)
            await asyncio.sleep(_OTHERS_PAUSE_S)


def ask_all(port: int, seconds: float) -> list[float]:
    """Be the others, in a process of their own: who publishes at full speed has no time to look at the clock."""
    took_s: list[float] = []

    async def run() -> None:
        end_s = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_OTHERS_COUNT):
                tasks.create_task(ask(port, end_s, took_s))

    asyncio.run(run())
    return took_s


async def sample_memory(pid: int, end_s: float, samples: list[int]) -> None:
    """Look at the broker's memory now and then."""
    while time.monotonic() < end_s:
        samples.append(resident_bytes(pid))
        await asyncio.sleep(0.2)


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


async def drain(port: int, publisher: Publisher) -> str:
    """Consume what one publisher has published; say what is wrong with it."""
    expected = 1
    async with Wire.open(port) as wire:
        queue = _QUEUE.format(publisher.number)
        declared = await wire.call(commands.Queue.Declare(queue=queue, passive=True))
        if not isinstance(declared, commands.Queue.DeclareOk):
            return f"queue {queue} is gone" if publisher.confirmed else ""
        await wire.call(commands.Basic.Consume(queue=queue, no_ack=True))
        for _ in range(declared.message_count or 0):
            async with asyncio.timeout(_DRAIN_PATIENCE_S):
                _, _, body = await wire.hear(), await wire.hear(), await wire.hear()
            assert isinstance(body, ContentBody)
            _, number = struct.unpack_from(">IQ", body.value)
            if number != expected:
                return f"{queue}: message {number} where {expected} was due"
            expected += 1
    missing = publisher.confirmed - (expected - 1)
    return f"{queue}: {missing} of {publisher.confirmed} confirmed messages are missing" if missing > 0 else ""


async def overload(peer: Peer, options: argparse.Namespace) -> tuple[list[Publisher], list[str]]:
    """Let publishers flood the broker; return them, and what is wrong with the broker's memory."""
    publishers = [Publisher(number) for number in range(options.publishers)]
    end_s = time.monotonic() + options.seconds
    samples: list[int] = []
    others = ProcessPoolExecutor(1, get_context("spawn"))
    asked = asyncio.get_running_loop().run_in_executor(others, ask_all, peer.port, options.seconds)
    async with asyncio.TaskGroup() as tasks:
        for publisher in publishers:
            tasks.create_task(publish(peer.port, publisher, end_s, durable=options.durable))
        tasks.create_task(sample_memory(peer.pid, end_s, samples))
    report(publishers, await asked, samples)
    others.shutdown()
    most = parse_size(options.watermark) * 2 + _BESIDES_BYTES
    too_much = f"the broker took {max(samples) // _MIB} MiB: more than {most // _MIB}"
    return publishers, [too_much] if max(samples) > most else []


def report(publishers: list[Publisher], took_s: list[float], samples: list[int]) -> None:
    took_s.sort()
    reasons = {reason for publisher in publishers for reason in publisher.reasons}
    print(f"sent {sum(publisher.sent for publisher in publishers)}", end=", ")
    print(f"confirmed {sum(publisher.confirmed for publisher in publishers)}", end=", ")
    print(f"blocked {sum(publisher.blocked_count for publisher in publishers)} times: {', '.join(reasons) or 'never'}")
    print(f"memory of the broker: at most {max(samples) // _MIB} MiB")
    middle, last = took_s[len(took_s) // 2], took_s[len(took_s) * 99 // 100]
    print(f"answers to {_OTHERS_COUNT} others: p50 {middle * 1e3:.1f} ms, p99 {last * 1e3:.1f} ms")


async def drain_all(port: int, publishers: list[Publisher]) -> list[str]:
    found = [await drain(port, publisher) for publisher in publishers]
    return [text for text in found if text]


def run(options: argparse.Namespace) -> list[str]:
    """Overload a broker; return what was wrong."""
    with tempfile.TemporaryDirectory(prefix="amqpy-overload-") as folder:
        arguments = ["--memory-watermark", options.watermark, "--log-level", "error"]
        arguments += ["--data-dir", folder] if options.durable else []
        with amqpy(arguments=arguments) as peer:
            publishers, wrong = asyncio.run(overload(peer, options))
            if not options.durable:
                return wrong + asyncio.run(drain_all(peer.port, publishers))
            os.kill(peer.pid, signal.SIGKILL)
        with amqpy(arguments=arguments) as peer:
            return wrong + asyncio.run(drain_all(peer.port, publishers))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m interop.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--publishers", type=int, default=4)
    parser.add_argument("--watermark", default="200MB", help="the broker's memory watermark")
    parser.add_argument("--durable", action="store_true", help="persistent messages; the broker is killed at the end")
    wrong = run(parser.parse_args())
    print("\n".join(wrong) or "nothing that was confirmed is missing")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
