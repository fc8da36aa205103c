"""What a channel hands out: its consumers, its delivery tags and its unacknowledged deliveries.

Rule 1: delivery tags count from 1 for each channel [basic.delivery-tag:channel-local].
Rule 2: unacknowledged deliveries are kept in the order of their tags; a `multiple` takes them from the oldest.
Rule 3: a consumer takes no more than its prefetch count, nor all consumers together more than the channel's
        (https://www.rabbitmq.com/docs/consumer-prefetch); basic.get counts only for the channel's.

`ChannelConsumer.deliver` is the hot path: see docs/internals/performance.md before touching it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from struct import Struct
from typing import Final, Protocol, TypeAlias

from pamqp import commands

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Consumer, Queue, QueuedMessage
from amqpy_broker.protocols.amqp091.codec import method_frame, short_string
from amqpy_broker.protocols.amqp091.content import FramedMessage
from amqpy_broker.protocols.amqp091.frames import FRAME_HEAD, METHOD
from amqpy_broker.protocols.amqp091.output import HIGH_WATERMARK_BYTES, Output

# A delivery tag and what was handed out with it.
Delivery: TypeAlias = tuple[int, QueuedMessage]

_BASIC_DELIVER: Final = b"\x00\x3c\x00\x3c"
# delivery tag, redelivered
_TAG: Final = Struct(">Q?")
_pack_tag: Final = _TAG.pack
# About what stands before the content: counted, so that tiny messages count too.
_HEAD_BYTES: Final = 64


class Fate(Enum):
    """What becomes of a delivery."""

    # Acknowledged.
    SETTLE = "settle"
    # Rejected: gone, or dead-lettered.
    DISCARD = "discard"
    # Rejected, and back in its queue.
    REQUEUE = "requeue"
    # The same, though nobody failed with it.
    RELEASE = "release"


class Tap(Protocol):
    """Who is told of deliveries; see `Witness.delivered` for what is told."""

    def __call__(
        self,
        message: Message,
        queue: Queue,
        *,
        redelivered: bool,
        queued: QueuedMessage | None,
        consumer: Consumer | None,
    ) -> None:
        """Learn of one."""
        ...


class Deliveries:
    """The consumers and the unacknowledged deliveries of one channel."""

    __slots__ = (
        "channel",
        "consumers",
        "global_prefetch_count",
        "got_count",
        "held_back",
        "last_tag",
        "notifies_cancel",
        "output",
        "payload_max",
        "prefetch_count",
        "tap",
        "unacked",
    )

    def __init__(self, channel: int, output: Output, payload_max: int, *, notifies_cancel: bool) -> None:
        self.channel = channel
        self.output = output
        # The largest payload the client takes in a frame.
        self.payload_max = payload_max
        # Whether the client wants to be told of cancelled consumers.
        self.notifies_cancel = notifies_cancel
        self.last_tag = 0
        self.consumers: dict[str, ChannelConsumer] = {}
        self.unacked: dict[int, QueuedMessage] = {}
        # Consumers that waited when something of theirs was settled: they have room now.
        self.held_back: dict[Consumer, None] = {}
        # Told of everything that is delivered, while the firehose is on, or somebody watches.
        self.tap: Tap | None = None
        # What the next consumers may have unacknowledged, and what all of them together may; 0 is no limit.
        self.prefetch_count = 0
        self.global_prefetch_count = 0
        # Unacknowledged ones that were asked for with basic.get.
        self.got_count = 0

    @property
    def full(self) -> bool:
        """Whether the channel's own prefetch count is used up."""
        return 0 < self.global_prefetch_count <= len(self.unacked) - self.got_count

    def hand_out(self, queued: QueuedMessage | None) -> int:
        """Give the next tag to a delivery; one that needs no acknowledgement is not kept."""
        self.last_tag += 1
        if queued is not None:
            self.unacked[self.last_tag] = queued
            self.got_count += 1
        return self.last_tag

    # --- acknowledgements -------------------------------------------------------------------------------------------

    def take(self, tag: int, *, multiple: bool) -> Sequence[Delivery]:
        """Take the deliveries that an acknowledgement means out of the unacknowledged ones.

        Raises:
            PreconditionFailed: there is no such delivery [basic.ack.delivery-tag].
        """
        unacked = self.unacked
        if multiple and tag == 0:
            taken = list(unacked.items())
            unacked.clear()
            return taken
        if tag not in unacked:
            raise unknown_tag(tag)
        if not multiple:
            return ((tag, unacked.pop(tag)),)
        taken = []
        for unacked_tag in unacked:
            if unacked_tag > tag:
                break
            taken.append((unacked_tag, unacked[unacked_tag]))
        for unacked_tag, _ in taken:
            del unacked[unacked_tag]
        return taken

    def settle_one(self, tag: int) -> None:
        """Settle one delivery: what `take` and `apply` do, in one step, for the hot path.

        Its consumer goes on with the next `resume_settled`: acknowledgements come in flocks, and make room together.

        Raises:
            PreconditionFailed: there is no such delivery.
        """
        queued = self.unacked.pop(tag, None)
        if queued is None:
            raise unknown_tag(tag)
        queued.queue.settle(queued)
        consumer = queued.consumer
        if consumer is None:
            self.got_count -= 1
        else:
            consumer.unacked_count -= 1
            if consumer.waiting:
                self.held_back[consumer] = None

    def resume_settled(self) -> None:
        """Let those go on that have room again, after `settle_one`."""
        if self.global_prefetch_count:
            self.held_back.clear()
            self.resume_all()
        elif self.held_back:
            consumers = tuple(self.held_back)
            self.held_back.clear()
            for consumer in consumers:
                consumer.resume_if_waiting()

    def apply(self, deliveries: Sequence[Delivery], fate: Fate) -> None:
        """Do with deliveries that were taken what was asked for, and let their consumers go on."""
        if fate in (Fate.REQUEUE, Fate.RELEASE):
            self.requeue(deliveries, failed=fate is Fate.REQUEUE)
            return
        holders = [queued.consumer for _, queued in deliveries]
        self._count_down(holders)
        for _, queued in deliveries:
            if fate is Fate.SETTLE:
                queued.queue.settle(queued)
            else:
                queued.queue.discard(queued)
        self._resume(holders)

    def requeue(self, deliveries: Sequence[Delivery], *, failed: bool = True) -> None:
        """Return deliveries that were taken to their queues, and let their consumers go on."""
        by_queue: dict[Queue, list[QueuedMessage]] = {}
        holders = [queued.consumer for _, queued in deliveries]
        for _, queued in deliveries:
            by_queue.setdefault(queued.queue, []).append(queued)
        self._count_down(holders)
        for queue, returned in by_queue.items():
            queue.requeue(returned, failed=failed)
        self._resume(holders)

    def put_back(self, deliveries: Iterable[Delivery]) -> None:
        """Undo `take`: the deliveries are unacknowledged again, in their places."""
        self.unacked = dict(sorted([*self.unacked.items(), *deliveries]))

    def _count_down(self, holders: Iterable[Consumer | None]) -> None:
        for consumer in holders:
            if consumer is None:
                self.got_count -= 1
            else:
                consumer.unacked_count -= 1

    def _resume(self, holders: Iterable[Consumer | None]) -> None:
        # Room under the channel's own limit is room for any of its consumers.
        candidates = tuple(self.consumers.values()) if self.global_prefetch_count else dict.fromkeys(holders)
        for consumer in candidates:
            if consumer is not None:
                consumer.resume_if_waiting()

    def resume_all(self) -> None:
        """Let every consumer that waits go on, if it can: after a limit was raised."""
        for consumer in tuple(self.consumers.values()):
            consumer.resume_if_waiting()

    def pause_all_but(self, asked: ChannelConsumer | None) -> None:
        """Let every consumer wait, those that do not acknowledge too: the channel's own prefetch count is used up.

        The one that was just asked says so itself.
        """
        for consumer in self.consumers.values():
            if consumer is not asked:
                consumer.queue.pause(consumer)

    def trace(self, tap: Tap | None) -> None:
        """Tell somebody of deliveries, or nobody: consumers change their kind, so that nobody asks when it is off."""
        self.tap = tap
        for consumer in self.consumers.values():
            consumer.__class__ = self.kind_of_consumer

    @property
    def kind_of_consumer(self) -> type[ChannelConsumer]:
        """What consumers are now."""
        return ChannelConsumer if self.tap is None else TracedConsumer

    # --- consumers --------------------------------------------------------------------------------------------------

    def add_consumer(self, consumer: ChannelConsumer) -> None:
        """Take in a consumer that its queue has accepted."""
        self.consumers[consumer.tag] = consumer
        self.output.consumers[consumer] = None

    def remove_consumer(self, tag: str) -> ChannelConsumer | None:
        """Take a consumer from its queue and from the channel; what it has unacknowledged stays."""
        consumer = self.consumers.pop(tag, None)
        if consumer is not None:
            self.output.forget(consumer)
            consumer.queue.remove_consumer(consumer)
        return consumer

    def cancel(self, consumer: Consumer) -> None:
        """End a consumer from our side: what it has returns to its queue, and the client is told."""
        self.remove_consumer(consumer.tag)
        held = [(tag, queued) for tag, queued in self.unacked.items() if queued.consumer is consumer]
        for tag, _ in held:
            del self.unacked[tag]
        self.requeue(held, failed=False)
        self.output.write(method_frame(self.channel, commands.Basic.Cancel, consumer.tag, True))

    def requeue_all(self) -> None:
        """Return everything, as when the channel ends."""
        deliveries = tuple(self.unacked.items())
        self.unacked.clear()
        self.requeue(deliveries)


class ChannelConsumer(Consumer):
    """A consumer on a channel: deliveries become bytes here."""

    __slots__ = ("_deliveries", "_heads", "_output")

    def __init__(
        self,
        deliveries: Deliveries,
        tag: str,
        queue: Queue,
        *,
        no_ack: bool,
        exclusive: bool,
        arguments: Arguments,
    ) -> None:
        super().__init__(
            tag,
            queue,
            no_ack=no_ack,
            exclusive=exclusive,
            prefetch_count=0 if no_ack else deliveries.prefetch_count,
            arguments=arguments,
        )
        self._deliveries = deliveries
        self._output = deliveries.output
        self._heads = _Heads(deliveries.channel, tag)

    def can_take(self) -> bool:
        """Say whether prefetch and the connection's output leave room for a delivery."""
        if self._output.congested:
            self._output.park(self)
            return False
        if self._deliveries.full:
            return False
        return not self.prefetch_count or self.unacked_count < self.prefetch_count

    def deliver(self, message: Message, redelivered: bool, queued: QueuedMessage | None) -> bool:
        """Send a delivery; say whether there is room for another."""
        assert isinstance(message, FramedMessage)
        deliveries, output = self._deliveries, self._output
        deliveries.last_tag = tag = deliveries.last_tag + 1
        frames, frames_size = message.frames, message.memory_size
        if message.channel != deliveries.channel or frames_size > deliveries.payload_max:
            frames = message.frames_for(deliveries.channel, deliveries.payload_max)
        address = message.publish.address
        pieces = output.pieces
        if not pieces:
            output.wake()
        pieces += (self._heads[len(address)], _pack_tag(tag, redelivered), address, frames)
        output.size = size = output.size + frames_size + _HEAD_BYTES
        if size > HIGH_WATERMARK_BYTES:
            output.congest(self)
        if queued is None:
            return size <= HIGH_WATERMARK_BYTES
        deliveries.unacked[tag] = queued
        self.unacked_count = count = self.unacked_count + 1
        if deliveries.global_prefetch_count and deliveries.full:
            deliveries.pause_all_but(self)
            return False
        return size <= HIGH_WATERMARK_BYTES and count != self.prefetch_count

    def cancelled(self) -> None:
        """Learn that the queue is gone, and say so if the client understands it."""
        deliveries = self._deliveries
        deliveries.consumers.pop(self.tag, None)
        self._output.forget(self)
        if deliveries.notifies_cancel:
            self._output.write(method_frame(deliveries.channel, commands.Basic.Cancel, self.tag, True))


class TracedConsumer(ChannelConsumer):
    """A consumer while the firehose is on, or somebody watches."""

    __slots__ = ()

    def deliver(self, message: Message, redelivered: bool, queued: QueuedMessage | None) -> bool:
        """Send a delivery, and tell of it; say whether there is room for another."""
        has_room = super().deliver(message, redelivered, queued)
        if self._deliveries.tap is not None:
            self._deliveries.tap(message, self.queue, redelivered=redelivered, queued=queued, consumer=self)
        return has_room


def unknown_tag(tag: int) -> PreconditionFailed:
    """RabbitMQ's refusal of an acknowledgement of nothing."""
    return PreconditionFailed(f"unknown delivery tag {tag}")


class _Heads(dict[int, bytes]):
    """How basic.deliver begins for one consumer: it depends on nothing but the size of the address that follows."""

    __slots__ = ("_channel", "_start")

    def __init__(self, channel: int, tag: str) -> None:
        super().__init__()
        self._channel = channel
        self._start = _BASIC_DELIVER + short_string(tag)

    def __missing__(self, address_size: int) -> bytes:
        # The address ends with the octet that ends the frame, which does not count.
        size = len(self._start) + _TAG.size + address_size - 1
        head = self[address_size] = FRAME_HEAD.pack(METHOD, self._channel, size) + self._start
        return head
