"""A blocking AMQP client for everything outside the measured time: connect, declare, bind, and read one delivery.

Every wait ends: `StalledError` when the broker says nothing, `RefusedError` with its words when it closes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable
from typing import Final

from interop.benchmark import wire

WAIT_S: Final = 10.0
CLEANUP_WAIT_S: Final = 2.0
FRAME_SIZE_MAX: Final = 131_072
_CLOSE_OK: Final = wire.method(0, wire.CONNECTION_CLOSE_OK)


class StalledError(Exception):
    """The broker made no progress for as long as we are ready to wait."""


class RefusedError(Exception):
    """The broker closed the channel or the connection, or answered what it should not."""


class Client:
    """One connection with as many channels as asked for, opened in the constructor; no heartbeats."""

    def __init__(self, port: int, channels: Iterable[int] = (1,), *, wait_s: float = WAIT_S) -> None:
        self.frame_max = FRAME_SIZE_MAX
        self.server_properties = b""
        self._input = bytearray()
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout=wait_s)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open()
            for channel in channels:
                self.call(wire.method(channel, wire.CHANNEL_OPEN, wire.short_string("")), wire.CHANNEL_OPEN_OK)
        except TimeoutError as error:
            raise StalledError(f"no answer to opening a connection in {wait_s:.0f} s") from error
        except OSError as error:
            raise RefusedError(f"cannot connect: {error}") from error

    def _open(self) -> None:
        self.socket.sendall(wire.PROTOCOL_HEADER)
        start = self.expect(wire.CONNECTION_START)
        self.server_properties = start[6:]
        capabilities = wire.table({"product": "amqpy-broker benchmark"})
        login = wire.short_string("PLAIN") + wire.long_string(b"\0guest\0guest") + wire.short_string("en_US")
        self.socket.sendall(wire.method(0, wire.CONNECTION_START_OK, capabilities, login))
        channel_max, frame_max = struct.unpack_from(">HI", self.expect(wire.CONNECTION_TUNE), 4)
        self.frame_max = min(frame_max or FRAME_SIZE_MAX, FRAME_SIZE_MAX)
        tune = struct.pack(">HIH", channel_max, self.frame_max, 0)
        open_frame = wire.method(0, wire.CONNECTION_OPEN, wire.short_string("/"), b"\x00\x00")
        self.socket.sendall(wire.method(0, wire.CONNECTION_TUNE_OK, tune) + open_frame)
        self.expect(wire.CONNECTION_OPEN_OK)

    def call(self, request: bytes, answer: tuple[int, int]) -> bytes:
        """Send a request and return the payload of its answer."""
        self.send(request)
        return self.expect(answer)

    def call_many(self, requests: list[bytes], answer: tuple[int, int]) -> None:
        """Send requests of one kind, a hundred ahead of their answers."""
        for start in range(0, len(requests), 100):
            batch = requests[start : start + 100]
            self.send(b"".join(batch))
            for _ in batch:
                self.expect(answer)

    def send(self, data: bytes | memoryview) -> None:
        try:
            self.socket.sendall(data)
        except TimeoutError as error:
            raise StalledError("the broker does not read") from error
        except OSError as error:
            raise RefusedError(f"connection lost: {error}") from error

    def expect(self, ids: tuple[int, int]) -> bytes:
        """Return the payload of the next method frame, which has to be this method."""
        _, payload, _ = self.read_frame()
        got = struct.unpack_from(">HH", payload)
        if got != ids:
            raise RefusedError(f"expected method {ids}, got {got}")
        return payload

    def read_frame(self) -> tuple[int, bytes, int]:
        """Return the kind, payload and whole size of the next frame; a close from the broker is raised."""
        while True:
            head = self._take(7)
            kind, _, size = struct.unpack(">BHI", head)
            payload = self._take(size + 1)[:-1]
            if kind == wire.METHOD:
                raise_if_close(payload)
            if kind != wire.HEARTBEAT:
                return kind, payload, size + wire.FRAME_OVERHEAD

    def read_delivery(self) -> int:
        """Read one delivery with its content and return the number of bytes that it took."""
        kind, payload, total = self.read_frame()
        if kind != wire.METHOD or struct.unpack_from(">HH", payload) != wire.BASIC_DELIVER:
            raise RefusedError(f"expected a delivery, got a frame of kind {kind}")
        _, header, size = self.read_frame()
        total += size
        (body_left,) = struct.unpack_from(">Q", header, 4)
        while body_left > 0:
            _, body, size = self.read_frame()
            total += size
            body_left -= len(body)
        return total

    def read_confirm(self) -> int:
        """Read one basic.ack and return the number up to which it confirms."""
        return int(struct.unpack_from(">Q", self.expect(wire.BASIC_ACK), 4)[0])

    def read_bytes(self) -> int:
        """Read whatever there is, forget it, and return how many bytes it was."""
        size = len(self._input)
        self._input.clear()
        try:
            return size or len(self.socket.recv(1 << 18))
        except TimeoutError as error:
            raise StalledError("no delivery") from error

    def nothing_is_buffered(self) -> bool:
        return not self._input

    def close(self) -> None:
        """Close politely where possible, and the socket in any case."""
        with contextlib.suppress(OSError, StalledError, RefusedError):
            self.socket.settimeout(2)
            closing = struct.pack(">HBHH", 200, 0, 0, 0)
            self.socket.sendall(wire.method(0, wire.CONNECTION_CLOSE, closing))
            tail = b""
            while not tail.endswith(_CLOSE_OK) and (data := self.socket.recv(1 << 16)):
                tail = (tail + data)[-len(_CLOSE_OK) :]
        self.socket.close()

    def _take(self, size: int) -> bytes:
        while len(self._input) < size:
            try:
                data = self.socket.recv(1 << 16)
            except TimeoutError as error:
                raise StalledError("no answer") from error
            except OSError as error:
                raise RefusedError(f"connection lost: {error}") from error
            if not data:
                raise RefusedError("the broker closed the socket")
            self._input += data
        taken = bytes(self._input[:size])
        del self._input[:size]
        return taken


def delete_quietly(port: int, queues: Iterable[str], exchange: str = "") -> None:
    """Delete queues and an exchange, if the broker still answers."""
    with contextlib.suppress(StalledError, RefusedError):
        client = Client(port, wait_s=CLEANUP_WAIT_S)
        for queue in queues:
            client.call(wire.delete_queue(1, queue), wire.QUEUE_DELETE_OK)
        if exchange:
            client.call(wire.delete_exchange(1, exchange), wire.EXCHANGE_DELETE_OK)
        client.close()


def raise_if_close(payload: bytes) -> None:
    """Raise the broker's words if this method is a close of a channel or of the connection."""
    if struct.unpack_from(">HH", payload) in (wire.CONNECTION_CLOSE, wire.CHANNEL_CLOSE):
        code, size = struct.unpack_from(">HB", payload, 4)
        raise RefusedError(f"{code} {payload[7 : 7 + size].decode(errors='replace')}")


def text_property(server_properties: bytes, name: str) -> str:
    """Find a string in the encoded server-properties, or return nothing."""
    at = server_properties.find(wire.short_string(name) + b"S")
    if at < 0:
        return ""
    at += len(name) + 2
    (size,) = struct.unpack_from(">I", server_properties, at)
    return server_properties[at + 4 : at + 4 + size].decode(errors="replace")
