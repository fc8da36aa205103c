"""What is known of a conversation beside the frame that passes just now: who is it, and which queue is it about.

It is learned from the frames. Who comes in the middle is told the beginning, if anybody knows it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from amqpy_broker.core.arguments import Argument
from amqpy_broker.testing.conversation.frames import Direction, WireFrame
from amqpy_broker.testing.faults.confirm_book import ConfirmBook

_SETTLING: Final = frozenset(("basic.ack", "basic.nack", "basic.reject"))


class KnownConsumer(NamedTuple):
    """A consumer, as its channel knows it."""

    queue: str
    no_ack: bool


class KnownChannel:
    """What is known of an open channel."""

    def __init__(self) -> None:
        # The queue that "" means.
        self.last_queue = ""
        self.consumers: dict[str, KnownConsumer] = {}
        # Delivery tags that are not settled, and their queues.
        self.unacked: dict[int, str] = {}
        # What was asked for and is not answered yet.
        self.consuming: deque[KnownConsumer] = deque()
        self.getting: deque[KnownConsumer] = deque()
        self.confirms: ConfirmBook | None = None


class Knowledge:
    """What is known of one client's conversation."""

    def __init__(self) -> None:
        self.connection_name = ""
        self.channels: dict[int, KnownChannel] = {}

    def names(self, peer: str) -> tuple[str, ...]:
        """All that it may be called: the client's name for it, both ends of its socket, the client's end."""
        return tuple(filter(None, (self.connection_name, peer, peer.partition(" -> ")[0])))

    def channel(self, number: int) -> KnownChannel:
        """Return what is known of a channel; it may be nothing yet."""
        if number not in self.channels:
            self.channels[number] = KnownChannel()
        return self.channels[number]

    def queue_of(self, frame: WireFrame) -> str:
        """Say which queue a method is about; "" for none, or if that cannot be known."""
        arguments, known = frame.arguments, self.channel(frame.channel)
        if frame.name in ("basic.publish", "basic.return"):
            return "" if arguments.get("exchange") else _text(arguments.get("routing_key"))
        if frame.name == "basic.get-ok":
            return known.getting[0].queue if known.getting else ""
        if "queue" in arguments:
            return _text(arguments["queue"]) or known.last_queue
        if "consumer_tag" in arguments:
            consumer = known.consumers.get(_text(arguments["consumer_tag"]))
            return consumer.queue if consumer else ""
        if frame.direction is Direction.TO_SERVER and frame.name in _SETTLING:
            return known.unacked.get(_number(arguments.get("delivery_tag")), "")
        return ""

    def learn(self, frame: WireFrame) -> None:
        """Learn from a method that passes."""
        lesson = _LESSONS.get(frame.name)
        if lesson is not None and frame.method is not None:
            lesson(self, frame)

    # --- lessons ----------------------------------------------------------------------------------------------------

    def _start_ok(self, frame: WireFrame) -> None:
        self.connection_name = connection_name(frame.arguments.get("client_properties"))

    def _forget_channel(self, frame: WireFrame) -> None:
        self.channels.pop(frame.channel, None)

    def _queue_declared(self, frame: WireFrame) -> None:
        self.channel(frame.channel).last_queue = _text(frame.arguments.get("queue"))

    def _consume(self, frame: WireFrame) -> None:
        consumer = KnownConsumer(self.queue_of(frame), bool(frame.arguments.get("no_ack")))
        if frame.arguments.get("nowait"):
            self.channel(frame.channel).consumers[_text(frame.arguments.get("consumer_tag"))] = consumer
        else:
            self.channel(frame.channel).consuming.append(consumer)

    def _consume_ok(self, frame: WireFrame) -> None:
        known = self.channel(frame.channel)
        if known.consuming:
            known.consumers[_text(frame.arguments.get("consumer_tag"))] = known.consuming.popleft()

    def _cancelled(self, frame: WireFrame) -> None:
        self.channel(frame.channel).consumers.pop(_text(frame.arguments.get("consumer_tag")), None)

    def _get(self, frame: WireFrame) -> None:
        consumer = KnownConsumer(self.queue_of(frame), bool(frame.arguments.get("no_ack")))
        self.channel(frame.channel).getting.append(consumer)

    def _got(self, frame: WireFrame) -> None:
        known = self.channel(frame.channel)
        if known.getting:
            got = known.getting.popleft()
            if frame.name == "basic.get-ok" and not got.no_ack:
                known.unacked[_number(frame.arguments.get("delivery_tag"))] = got.queue

    def _delivered(self, frame: WireFrame) -> None:
        known = self.channel(frame.channel)
        consumer = known.consumers.get(_text(frame.arguments.get("consumer_tag")))
        if consumer is not None and not consumer.no_ack:
            known.unacked[_number(frame.arguments.get("delivery_tag"))] = consumer.queue

    def _settled(self, frame: WireFrame) -> None:
        if frame.direction is Direction.TO_CLIENT:
            return
        unacked = self.channel(frame.channel).unacked
        tag = _number(frame.arguments.get("delivery_tag"))
        if not frame.arguments.get("multiple"):
            unacked.pop(tag, None)
            return
        for settled in [unacked_tag for unacked_tag in unacked if unacked_tag <= tag or tag == 0]:
            del unacked[settled]

    def _recovered(self, frame: WireFrame) -> None:
        self.channel(frame.channel).unacked.clear()

    def _confirms_selected(self, frame: WireFrame) -> None:
        known = self.channel(frame.channel)
        if known.confirms is None:
            known.confirms = ConfirmBook()


_LESSONS: Final[Mapping[str, Callable[[Knowledge, WireFrame], None]]] = {
    "connection.start-ok": Knowledge._start_ok,
    "channel.open": Knowledge._forget_channel,
    "channel.close": Knowledge._forget_channel,
    "queue.declare-ok": Knowledge._queue_declared,
    "basic.consume": Knowledge._consume,
    "basic.consume-ok": Knowledge._consume_ok,
    "basic.cancel": Knowledge._cancelled,
    "basic.get": Knowledge._get,
    "basic.get-ok": Knowledge._got,
    "basic.get-empty": Knowledge._got,
    "basic.deliver": Knowledge._delivered,
    "basic.ack": Knowledge._settled,
    "basic.nack": Knowledge._settled,
    "basic.reject": Knowledge._settled,
    "basic.recover": Knowledge._recovered,
    "confirm.select": Knowledge._confirms_selected,
}


def connection_name(client_properties: object) -> str:
    """Read the name that a client gave its connection; "" for none."""
    if not isinstance(client_properties, Mapping):
        return ""
    name = client_properties.get("connection_name")
    value = name.value if isinstance(name, Argument) else name
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
