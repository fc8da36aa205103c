"""What strict mode knows of a connection: who the client is, and what is open on its channels."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from amqpy_broker.core.arguments import Argument, plain
from amqpy_broker.core.message import Message
from amqpy_broker.testing.conversation.events import Content, Event, Said
from amqpy_broker.testing.conversation.frames import Direction

# What a client said at once may be more than one reads, and what is found may be in the middle of it.
_SAID_KEPT: Final = 256
# As many lines as one reads.
_SAID_SHOWN: Final = 8


class ConsumerTalk:
    """A consumer, as its client sees it."""

    def __init__(self, tag: str, queue: str, *, no_ack: bool, prefetch_count: int) -> None:
        self.tag = tag
        self.queue = queue
        self.no_ack = no_ack
        self.prefetch_count = prefetch_count
        # The highest delivery tag that it settled; 0 if it settled none.
        self.settled_tag = 0


class Handed:
    """A message that was handed out and is not settled. `consumer` is None for basic.get."""

    def __init__(self, queue: str, consumer: ConsumerTalk | None, said: Said) -> None:
        self.queue = queue
        self.consumer = consumer
        self.content = said.content
        self.redelivered = flag(said, "redelivered")


class ChannelTalk:
    """A channel, as its client sees it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.confirms = False
        self.in_transactions = False
        # Of consumers that begin from now on; 0 is no limit.
        self.prefetch_count = 0
        # Of all consumers together.
        self.shared_prefetch_count = 0
        self.consumers: dict[str, ConsumerTalk] = {}
        self.unacked: dict[int, Handed] = {}
        # The queue that an empty name means.
        self.last_queue = ""
        # What the server has still to answer.
        self.consumes: deque[Said] = deque()
        self.gets: deque[Said] = deque()

    def queue_of(self, said: Said) -> str:
        """Name the queue that a method is about."""
        return text(said, "queue") or self.last_queue

    def settled_by(self, said: Said) -> list[tuple[int, Handed]]:
        """Find what an ack, a nack or a reject settles, with its delivery tags."""
        tag = number(said, "delivery_tag")
        if flag(said, "multiple"):
            return [(one, handed) for one, handed in self.unacked.items() if one <= tag or not tag]
        return [(tag, self.unacked[tag])] if tag in self.unacked else []


class Talk:
    """One connection."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.client = ""
        self.vhost = "/"
        self.heartbeat_s = -1
        self.notices_cancel = False
        self.is_open = False
        self.channels: dict[int, ChannelTalk] = {}
        self.published_count = 0
        self.consumed = False
        self._said: deque[Event] = deque(maxlen=_SAID_KEPT)

    def said_until(self, message: Message | None) -> list[Event]:
        """Return what was said last: until a message was published, if it is about one."""
        events = list(self._said)
        for at, event in enumerate(events) if message is not None else ():
            assert message is not None
            if _publishes(event, message):
                return events[: at + 1][-_SAID_SHOWN:]
        return events[-_SAID_SHOWN:]

    def channel(self, number: int) -> ChannelTalk:
        """Find a channel; one of which nothing is known is new."""
        return self.channels.setdefault(number, ChannelTalk(number))

    def note(self, event: Event) -> None:
        """Remember that something was said, for whoever wants to read what came before."""
        self._said.append(event)

    def follow(self, said: Said) -> None:
        """Learn what a method changes."""
        if said.name.startswith("connection."):
            self._follow_connection(said)
        elif said.direction is Direction.TO_SERVER:
            self._follow_client(self.channel(said.channel), said)
        else:
            self._follow_server(self.channel(said.channel), said)

    def _follow_connection(self, said: Said) -> None:
        match said.name:
            case "connection.start-ok":
                properties = plain_table(said, "client_properties")
                self.client = " ".join(str(properties[name]) for name in ("product", "version") if name in properties)
                self.name = str(properties.get("connection_name") or self.name)
                can = properties.get("capabilities")
                self.notices_cancel = isinstance(can, Mapping) and can.get("consumer_cancel_notify") is True
            case "connection.tune-ok":
                self.heartbeat_s = number(said, "heartbeat")
            case "connection.open":
                self.vhost = text(said, "virtual_host")
            case "connection.open-ok":
                self.is_open = True
            case "connection.close":
                self.is_open = False
                self.channels.clear()

    def _follow_client(self, channel: ChannelTalk, said: Said) -> None:
        match said.name:
            case "channel.open" | "channel.close":
                self.channels.pop(said.channel, None)
            case "tx.select":
                channel.in_transactions = True
            case "confirm.select":
                channel.confirms = True
            case "basic.qos" if flag(said, "global"):
                channel.shared_prefetch_count = number(said, "prefetch_count")
            case "basic.qos":
                channel.prefetch_count = number(said, "prefetch_count")
            case "basic.publish":
                self.published_count += 1
            case "basic.consume":
                self._follow_consume(channel, said)
            case "basic.get":
                channel.gets.append(said)
            case "basic.ack" | "basic.nack" | "basic.reject":
                _settle(channel, said)
            case "basic.recover" | "basic.recover-async":
                channel.unacked.clear()
            case "queue.declare" if text(said, "queue"):
                channel.last_queue = text(said, "queue")

    def _follow_consume(self, channel: ChannelTalk, said: Said) -> None:
        self.consumed = True
        if flag(said, "nowait"):
            _add_consumer(channel, said, text(said, "consumer_tag"))
        else:
            channel.consumes.append(said)

    def _follow_server(self, channel: ChannelTalk, said: Said) -> None:
        match said.name:
            case "channel.close":
                self.channels.pop(said.channel, None)
            case "queue.declare-ok":
                channel.last_queue = text(said, "queue")
            case "basic.consume-ok" if channel.consumes:
                _add_consumer(channel, channel.consumes.popleft(), text(said, "consumer_tag"))
            case "basic.cancel-ok" | "basic.cancel":
                channel.consumers.pop(text(said, "consumer_tag"), None)
            case "basic.deliver":
                consumer = channel.consumers.get(text(said, "consumer_tag"))
                if consumer is not None and not consumer.no_ack:
                    _hand_out(channel, said, Handed(consumer.queue, consumer, said))
            case "basic.get-empty" if channel.gets:
                channel.gets.popleft()
            case "basic.get-ok" if channel.gets:
                get = channel.gets.popleft()
                if not flag(get, "no_ack"):
                    _hand_out(channel, said, Handed(channel.queue_of(get), None, said))


def _publishes(event: Event, message: Message) -> bool:
    return (
        isinstance(event, Said)
        and event.name == "basic.publish"
        and (text(event, "exchange"), text(event, "routing_key")) == (message.exchange, message.routing_key)
        and event.content is not None
        and event.content.body_size == message.body_size
    )


def _hand_out(channel: ChannelTalk, said: Said, handed: Handed) -> None:
    channel.unacked[number(said, "delivery_tag")] = handed


def _settle(channel: ChannelTalk, said: Said) -> None:
    for tag, handed in channel.settled_by(said):
        del channel.unacked[tag]
        if handed.consumer is not None:
            handed.consumer.settled_tag = max(handed.consumer.settled_tag, tag)


def _add_consumer(channel: ChannelTalk, said: Said, tag: str) -> None:
    prefetch_count = channel.prefetch_count or channel.shared_prefetch_count
    channel.consumers[tag] = ConsumerTalk(
        tag, channel.queue_of(said), no_ack=flag(said, "no_ack"), prefetch_count=prefetch_count
    )


# --- arguments --------------------------------------------------------------------------------------------------------


def text(said: Said, name: str) -> str:
    """Read a text of a method."""
    value = said.arguments.get(name)
    return value if isinstance(value, str) else ""


def number(said: Said, name: str) -> int:
    """Read a number of a method."""
    value = said.arguments.get(name)
    return value if isinstance(value, int) else 0


def flag(said: Said, name: str) -> bool:
    """Read a bit of a method."""
    return said.arguments.get(name) is True


def table(said: Said, name: str = "arguments") -> Mapping[str, Argument]:
    """Read a table of a method."""
    value = said.arguments.get(name)
    return value if isinstance(value, Mapping) else {}


def plain_table(said: Said, name: str) -> Mapping[str, object]:
    """Read a table of a method as plain values."""
    return plain(table(said, name))


def is_persistent(content: Content | None) -> bool:
    """Whether a message is to survive the broker."""
    return content is not None and content.properties.get("delivery_mode") == 2
