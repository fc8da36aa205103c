"""The load generator: one thread, non-blocking sockets, frames made beforehand, deliveries counted in bytes.

Rule 1: all messages of a case have the same size, so a delivery's size is measured once and afterwards only bytes are
counted; at each read one frame boundary is checked to be a delivery, so that a miscount or a close cannot pass.
Rule 2: a lane is never more than its window ahead of its slowest consumer (and of its confirms).
Rule 3: the load sends when an eighth of the window is free, not for every single delivery: the broker sees full reads,
as it does from any busy publisher.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Callable
from typing import Final

from interop.benchmark import wire
from interop.benchmark.client import Client, RefusedError, StalledError, raise_if_close
from interop.benchmark.messages import Pool

STALL_S: Final = 5.0
SEND_BYTES_MAX: Final = 128 * 1024
_INPUT = memoryview(bytearray(512 * 1024))
_DELIVER_IDS: Final = struct.pack(">HH", *wire.BASIC_DELIVER)
_ACK_IDS: Final = struct.pack(">HH", *wire.BASIC_ACK)
_TAG = struct.Struct(">Q")


class Endpoint:
    """One side's socket, with the output that the broker has not taken yet."""

    def __init__(self, client: Client, poller: select.epoll) -> None:
        assert client.nothing_is_buffered()
        self.client = client
        self.socket = client.socket
        self.socket.setblocking(False)
        self.rest = memoryview(b"")
        self._poller = poller
        poller.register(self.socket.fileno(), select.EPOLLIN)

    def send(self, data: bytes | memoryview) -> None:
        """Send as much as the socket takes and keep the rest; only to be called when nothing is left over."""
        view = memoryview(data)
        try:
            sent = self.socket.send(view)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise RefusedError(f"connection lost: {error}") from error
        if sent < len(view):
            if not self.rest:
                self._poller.modify(self.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
            self.rest = view[sent:]
        elif self.rest:
            self.rest = memoryview(b"")
            self._poller.modify(self.socket.fileno(), select.EPOLLIN)

    def receive(self) -> int:
        """Read into the common buffer and return the number of bytes."""
        try:
            size = self.socket.recv_into(_INPUT)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise RefusedError(f"connection lost: {error}") from error
        if not size:
            raise RefusedError("the broker closed the socket")
        return size

    def on_writable(self) -> None:
        self.send(self.rest)

    def on_readable(self) -> None:
        raise NotImplementedError


class Producer(Endpoint):
    """Publishes from a pool; what it receives are confirms, of which the last of each read counts."""

    def __init__(self, client: Client, poller: select.epoll, pool: Pool, *, confirm: bool, published: int) -> None:
        super().__init__(client, poller)
        self.pool = pool
        self.confirm = confirm
        self.published = published
        self.confirmed = published
        self._part = b""

    def publish(self, count_max: int) -> int:
        """Send up to so many messages with one call and return how many."""
        block, count = self.pool.cut(count_max)
        self.published += count
        self.send(block)
        return count

    def on_readable(self) -> None:
        size = self.receive()
        if not size:
            return
        data = self._part + bytes(_INPUT[:size])
        whole = len(data) - len(data) % wire.ACK_SIZE
        self._part = data[whole:]
        last = data[whole - wire.ACK_SIZE : whole]
        if not self.confirm or (last and last[7:11] != _ACK_IDS):
            _raise_unexpected(data)
        if last:
            self.confirmed = max(self.confirmed, _TAG.unpack_from(last, 11)[0])


class Consumer(Endpoint):
    """Counts deliveries of a known size and acknowledges each if asked to."""

    def __init__(
        self, client: Client, poller: select.epoll, *, delivery_size: int, acks: wire.AckBlocks | None, received: int
    ) -> None:
        super().__init__(client, poller)
        self.received = received
        self._first = received
        self._size = delivery_size
        self._bytes = 0
        self._acks = acks
        self._acked = received

    def on_readable(self) -> None:
        size = self.receive()
        boundary = -self._bytes % self._size
        if boundary + 11 <= size and _INPUT[boundary + 7 : boundary + 11] != _DELIVER_IDS:
            _raise_unexpected(bytes(_INPUT[boundary:size]))
        self._bytes += size
        self.received = self._first + self._bytes // self._size
        if self._acks is not None and self.received > self._acked and not self.rest:
            self._acknowledge()

    def on_writable(self) -> None:
        super().on_writable()
        if not self.rest and self.received > self._acked:
            self._acknowledge()

    def _acknowledge(self) -> None:
        assert self._acks is not None
        block = self._acks.take(self._acked + 1, self.received)
        self._acked = self.received
        self.send(block)

    @property
    def settled(self) -> bool:
        return not self.rest and (self._acks is None or self._acked == self.received)


class Lane:
    """Producers and consumers of one route, and how far the former may be ahead of the latter."""

    def __init__(self, producers: list[Producer], consumers: list[Consumer], window: int, published: int) -> None:
        self.producers = producers
        self.consumers = consumers
        self.published = published
        self._window = window
        self._turn = 0
        single = len(producers) == 1
        self._burst = max(1, SEND_BYTES_MAX // producers[0].pool.message_size) if single else 1

    def fill(self) -> None:
        """Publish what the window has room for."""
        credit = self._window - self._outstanding()
        if credit * 8 < self._window:
            return
        blocked = 0
        while credit > 0 and blocked < len(self.producers):
            producer = self.producers[self._turn]
            self._turn = (self._turn + 1) % len(self.producers)
            if producer.rest:
                blocked += 1
                continue
            count = producer.publish(min(credit, self._burst))
            self.published += count
            credit -= count

    @property
    def finished(self) -> bool:
        return self._outstanding() == 0 and all(consumer.settled for consumer in self.consumers)

    def _outstanding(self) -> int:
        slowest = min([consumer.received for consumer in self.consumers])
        outstanding = self.published - slowest
        if self.producers[0].confirm:
            outstanding = max(outstanding, *[each.published - each.confirmed for each in self.producers], 0)
        return outstanding


class Pump:
    """Moves messages through all lanes until a time or an end."""

    def __init__(self, lanes: list[Lane], poller: select.epoll) -> None:
        self.longest_pause_s = 0.0
        self._lanes = lanes
        self._poller = poller
        self._consumers = [consumer for lane in lanes for consumer in lane.consumers]
        self._endpoints: dict[int, Endpoint] = {
            end.socket.fileno(): end for lane in lanes for end in (*lane.producers, *lane.consumers)
        }

    @property
    def received(self) -> int:
        """Deliveries so far, all consumers together."""
        return sum([consumer.received for consumer in self._consumers])

    def run_for(self, seconds: float) -> None:
        """Keep every lane full for so long, and note the longest time without a delivery."""
        self.longest_pause_s = 0.0
        end = time.perf_counter() + seconds
        self._run(lambda: time.perf_counter() >= end, publishing=True)

    def drain(self) -> None:
        """Stop publishing and wait until everything has arrived, and is acknowledged and confirmed."""
        self._run(lambda: all(lane.finished for lane in self._lanes), publishing=False)

    def _run(self, done: Callable[[], bool], *, publishing: bool) -> None:
        progress_at = time.perf_counter()
        before = self.received
        while not done():
            if publishing:
                for lane in self._lanes:
                    lane.fill()
            for fileno, mask in self._poller.poll(0.1):
                endpoint = self._endpoints[fileno]
                if mask & ~select.EPOLLOUT:
                    endpoint.on_readable()
                if mask & select.EPOLLOUT:
                    endpoint.on_writable()
            received, now = self.received, time.perf_counter()
            if received != before:
                self.longest_pause_s = max(self.longest_pause_s, now - progress_at)
                before, progress_at = received, now
            elif now - progress_at > STALL_S:
                raise StalledError(f"no delivery for {STALL_S:.0f} s after {before} messages")


def _raise_unexpected(data: bytes) -> None:
    """Raise the broker's words if it closes, and otherwise that it sent what we did not expect."""
    if len(data) > 12 and data[0] == wire.METHOD:
        raise_if_close(data[7:])
    raise RefusedError(f"unexpected frame {data[:12].hex()}")
