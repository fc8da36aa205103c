"""A client that does what it is told and writes down what it sees: one socket, blocking, no threads.

Frames are read only while a scenario waits for something, and each channel has its own inbox, so that what stands in a
transcript, and where, does not depend on how two channels' frames happened to be interleaved.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import sys
import termios

from interop.differential import wire
from interop.differential.channel import PATIENCE_S, PROBE_CHANNEL, Channel
from interop.differential.pace import Pace, RealTime
from interop.differential.transcript import Transcript, show_received
from interop.differential.wire import FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD, Method

# RabbitMQ closes some sockets only after 3 s.
CLOSE_PATIENCE_S = 8.0

CAPABILITIES = {
    "publisher_confirms": True,
    "exchange_exchange_bindings": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "authentication_failure_close": True,
}


class Connection:
    """A TCP connection, from bare socket to open AMQP connection."""

    def __init__(self, label: str, address: tuple[str, int], transcript: Transcript, pace: Pace | None = None) -> None:
        self.label = label
        self.pace = pace or RealTime()
        self.transcript = transcript
        self.socket = socket.create_connection(address, timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.frame_max = 131072
        self.channels: dict[int, Channel] = {}
        self.is_closed = False
        self.is_ending = False
        self.saw_close = False
        self.answers_close = True
        self.shows_framing = False
        self.shows_heartbeats = False
        self._buffer = bytearray()
        self._contents: dict[int, Method] = {}

    # Opening and closing

    def channel(self, number: int | None = None) -> Channel:
        """Open a channel, unseen; the lowest number that was not used yet."""
        channel = self.bare_channel(number)
        channel.call_unseen("channel.open")
        return channel

    def bare_channel(self, number: int | None = None) -> Channel:
        """Return a channel that nobody has opened."""
        number = number or max([number for number in self.channels if number < PROBE_CHANNEL], default=0) + 1
        self.channels[number] = Channel(self, number)
        return self.channels[number]

    def probe_channel(self) -> Channel:
        """Return an open channel to ask about queues with, unseen."""
        probe = self.channels.get(PROBE_CHANNEL)
        return probe if probe is not None and probe.is_open else self.channel(PROBE_CHANNEL)

    @property
    def zero(self) -> Channel:
        """Channel 0, where `connection` methods go."""
        return self.channels.setdefault(0, Channel(self, 0))

    def handshake(
        self,
        *,
        user: str = "guest",
        password: str = "guest",
        virtual_host: str = "/",
        capabilities: dict[str, bool] | None = None,
        channel_max: int = 2047,
        frame_max: int = 131072,
        heartbeat: int = 0,
    ) -> Connection:
        """Open the connection, unseen."""
        properties = {"capabilities": CAPABILITIES if capabilities is None else capabilities, "product": "differential"}
        response = f"\0{user}\0{password}"
        self.raw(wire.PROTOCOL_HEADER)
        self.zero.expect_unseen("connection.start")
        self.zero.send_unseen(
            "connection.start-ok", client_properties=properties, mechanism="PLAIN", response=response, locale="en_US"
        )
        self.zero.expect_unseen("connection.tune")
        self.frame_max = frame_max
        self.zero.send_unseen("connection.tune-ok", channel_max=channel_max, frame_max=frame_max, heartbeat=heartbeat)
        self.zero.call_unseen("connection.open", virtual_host=virtual_host)
        return self

    def close(self) -> None:
        """Close the connection as a client should, in the transcript."""
        self.zero.call("connection.close", reply_code=200, reply_text="bye")
        self.drop()

    def leave(self) -> None:
        """Close the connection as a client should, unseen."""
        if not self.is_closed and 0 in self.channels:
            self.zero.call_unseen("connection.close", reply_code=200)
        self.drop()

    def drop(self) -> None:
        """Close the socket without a word."""
        self.is_closed = True
        self.socket.close()

    # Sending

    def raw(self, data: bytes) -> None:
        """Send bytes as they are, unseen."""
        if self.is_closed:
            return
        # If the server has closed, what it said before is still to be read.
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def raw_seen(self, data: bytes, remark: str = "") -> None:
        """Send bytes as they are and write them down."""
        if self.is_closed:
            return
        shown = data if len(data) <= 60 else data[:60] + b"..."
        self.transcript.add(self.label, ">", f"bytes {shown!r}{remark and ' # ' + remark}")
        self.raw(data)

    def frame(self, kind: int, channel: int, payload: bytes) -> None:
        """Send a frame and write it down."""
        if self.is_closed:
            return
        shown = repr(payload) if len(payload) <= 60 else f"{len(payload)} bytes"
        self.transcript.add(f"{self.label}.{channel}", ">", f"frame type {kind} {shown}")
        self.raw(wire.frame(kind, channel, payload))

    # Receiving

    def read_one(self, deadline: float) -> bool:
        """Read one frame and sort it into its channel's inbox; false when there is none before the deadline."""
        try:
            found = self._read_frame(deadline)
        except TimeoutError:
            return False
        except OSError:
            found = None
        if found is None:
            self._saw_end("closed without a frame")
            return True
        self._take_frame(*found)
        return True

    def await_close_method(self) -> None:
        """Wait for connection.close, when the scenario itself will answer it."""
        deadline = self.pace.now_s() + CLOSE_PATIENCE_S
        while not self.saw_close and not self.is_closed and self.read_one(deadline):
            pass

    def await_closed(self) -> None:
        """Write down everything until the server closes the socket."""
        deadline = self.pace.now_s() + CLOSE_PATIENCE_S
        while not self.is_closed and self.read_one(deadline):
            for channel in list(self.channels.values()):
                channel.record_inbox()
        if not self.is_closed:
            self.transcript.remark(f"{self.label} is still open")

    def _take_frame(self, kind: int, number: int, payload: bytes) -> None:
        if kind == FRAME_HEARTBEAT:
            if self.shows_heartbeats:
                self.transcript.add(f"{self.label}.{number}", "<", f"heartbeat {payload!r}".replace(" b''", ""))
            return
        if kind == FRAME_METHOD:
            method = wire.decode_method(payload, number)
            if method.name in ("basic.deliver", "basic.get-ok", "basic.return"):
                self._contents[number] = method
            else:
                self._deliver(method)
            return
        method = self._contents[number]
        if kind == FRAME_HEADER:
            method.content = wire.Content(payload)
        elif kind == FRAME_BODY and method.content is not None:
            method.content.body += payload
            method.content.frame_sizes.append(len(payload))
        if method.content is not None and len(method.content.body) >= method.content.body_size:
            self._deliver(self._contents.pop(number))

    def _deliver(self, method: Method) -> None:
        if method.name == "connection.close":
            self._saw_connection_close(method)
            return
        channel = self.channels.get(method.channel)
        if channel is None:
            self.transcript.add(f"{self.label}.{method.channel}", "<", show_received(method) + " # unexpected channel")
        else:
            channel.inbox.append(method)

    def _saw_connection_close(self, method: Method) -> None:
        """Write down what came before it, answer, and see whether the server then closes the socket."""
        for channel in list(self.channels.values()):
            channel.record_inbox()
        self.transcript.add(f"{self.label}.{method.channel}", "<", show_received(method))
        self.saw_close = True
        if not self.answers_close:
            return
        self.raw(wire.frame(FRAME_METHOD, 0, wire.method_payload("connection.close-ok")))
        deadline = self.pace.now_s() + CLOSE_PATIENCE_S
        try:
            while (found := self._read_frame(deadline)) is not None:
                self.transcript.add(self.label, "<", f"frame type {found[0]} after connection.close")
            self._saw_end("closed")
        except TimeoutError:
            self._saw_end("left open after close-ok")
        except OSError:
            self._saw_end("closed")

    def _saw_end(self, how: str) -> None:
        for channel in list(self.channels.values()):
            channel.record_inbox()
        self.transcript.add(self.label, "<", how)
        self.is_closed = True
        self.socket.close()

    def _read_frame(self, deadline: float) -> tuple[int, int, bytes] | None:
        """Return type, channel and payload of the next frame, or None at the end of the stream."""
        if not self._fill(1, deadline):
            return None
        if self._buffer[:1] == b"A":
            if not self._fill(8, deadline):
                return None
            header = bytes(self._buffer[:8])
            del self._buffer[:8]
            self.transcript.add(self.label, "<", f"protocol header {header!r}")
            return self._read_frame(deadline)
        if not self._fill(7, deadline):
            return None
        kind, number, size = struct.unpack_from(">BHI", self._buffer)
        if not self._fill(7 + size + 1, deadline):
            return None
        payload = bytes(self._buffer[7 : 7 + size])
        end = bytes(self._buffer[7 + size : 8 + size])
        del self._buffer[: 8 + size]
        if end != FRAME_END:
            self.transcript.remark(f"{self.label} frame ends with {end!r}")
        if size + 8 > max(self.frame_max, 4096) and self.frame_max:
            self.transcript.remark(f"{self.label} frame of {size + 8} bytes is larger than negotiated")
        return kind, number, payload

    @property
    def _undelivered_bytes(self) -> int:
        """What was sent and has not reached the broker's machine yet; only Linux tells."""
        if sys.platform != "linux":
            return 0
        return int(struct.unpack("i", fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, bytes(4)))[0])

    def _fill(self, size: int, deadline: float) -> bool:
        """Read until the buffer has so many bytes; false at the end of the stream."""
        while len(self._buffer) < size:
            patience_s = self.pace.patience_s(deadline)
            if patience_s <= 0:
                raise TimeoutError
            self.socket.settimeout(patience_s)
            try:
                data = self.socket.recv(262144)
            except TimeoutError:
                if not self._undelivered_bytes:
                    self.pace.nothing_came()
                continue
            self.pace.something_came()
            if not data:
                return False
            self._buffer += data
        return True
