"""One channel: contents are put together here, and published; methods act on it through `methods/`.

Contents arrive as a method, a header and bodies, in that order, whatever other channels send in between
[AMQP 0-9-1 4.2.6]:

    METHOD --publish--> HEADER --header--> BODY --last body--> METHOD
                               --header of an empty body----> METHOD
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final

from pamqp import commands

from amqpy_broker.core.access import Actor
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.errors import (
    FrameError,
    InternalError,
    NotFound,
    UnexpectedFrame,
)
from amqpy_broker.core.firehose import Firehose, Source
from amqpy_broker.core.limits import (
    FRAME_OVERHEAD_BYTES,
    HEADER_MEMO_MAX,
    MEMO_KEY_MAX_BYTES,
    UNFINISHED_CONTENT_MAX_BYTES,
)
from amqpy_broker.core.message import Message
from amqpy_broker.core.queues.base import Consumer, Queue, QueuedMessage
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.protocols.amqp091.admission import admit, passes_limit
from amqpy_broker.protocols.amqp091.closing import ClosingChannel
from amqpy_broker.protocols.amqp091.codec import method_frame
from amqpy_broker.protocols.amqp091.confirms import Confirms
from amqpy_broker.protocols.amqp091.content import ContentHeader, FramedMessage, MalformedContent
from amqpy_broker.protocols.amqp091.deliveries import Deliveries, Fate
from amqpy_broker.protocols.amqp091.direct_reply_to import ReplyConsumer
from amqpy_broker.protocols.amqp091.frames import BODY, FRAME_END, FRAME_HEAD, HEAD_SIZE, HEADER, HEADER_PAYLOAD_MIN
from amqpy_broker.protocols.amqp091.output import Output
from amqpy_broker.protocols.amqp091.publishes import Publish
from amqpy_broker.protocols.amqp091.tables import MalformedTable, check_table
from amqpy_broker.protocols.amqp091.timeouts import Marks
from amqpy_broker.protocols.amqp091.transactions import PendingPublish, PendingSettlement, Transaction

logger = logging.getLogger(__name__)

BASIC: Final = 60
BASIC_PUBLISH: Final = 40
NO_ROUTE: Final = 312
_NO_WEIGHT: Final = bytes(2)
_unpack_head = FRAME_HEAD.unpack_from


class Session:
    """What all channels of one connection share: who it is, where, and how to talk to it."""

    __slots__ = (
        "actor",
        "broker",
        "confirming",
        "connection_name",
        "header_memo",
        "notifies_cancel",
        "output",
        "payload_max",
        "unfinished_bytes",
        "vhost",
        "watch",
    )

    def __init__(self, broker: BrokerCore, vhost: VirtualHost, actor: Actor, output: Output, payload_max: int) -> None:
        self.broker = broker
        self.vhost = vhost
        self.actor = actor
        self.output = output
        self.payload_max = payload_max
        self.connection_name = ""
        self.notifies_cancel = False
        # Told of every new consumer: some acknowledge too late.
        self.watch: Callable[[Consumer], None] = _nobody
        # Channels that have confirms to send at the end of this read.
        self.confirming: list[Channel] = []
        self.header_memo: dict[bytes, ContentHeader] = {}
        # Octets of contents that are not complete.
        self.unfinished_bytes = 0


def _nobody(consumer: Consumer) -> None:
    """Nobody wants to know."""


class Channel:
    """An open channel."""

    __slots__ = (
        "_frames",
        "_header",
        "_missing_bytes",
        "confirms",
        "deliveries",
        "last_queue",
        "marks",
        "number",
        "publishing",
        "reply_consumer",
        "session",
        "transaction",
        "vhost",
    )

    def __init__(self, number: int, session: Session) -> None:
        self.number = number
        self.session = session
        self.vhost = session.vhost
        self.deliveries = Deliveries(
            number, session.output, session.payload_max, notifies_cancel=session.notifies_cancel
        )
        # The queue that "" means [queue.bind.queue:queue-known].
        self.last_queue = ""
        self.confirms: Confirms | None = None
        # How old unacknowledged deliveries are.
        self.marks = Marks()
        self.transaction: Transaction | None = None
        # The content being received: its publish, its header, its frames so far.
        self.publishing: Publish | None = None
        # Who gets the replies to this channel's requests.
        self.reply_consumer: ReplyConsumer | None = None
        self._header: ContentHeader | None = None
        self._frames: list[bytes | memoryview] = []
        self._missing_bytes = 0
        self.vhost.channels[self] = None
        if self.vhost.firehose is not None or self.vhost.witness is not None:
            self.trace(self.vhost.firehose)

    # --- what methods need ------------------------------------------------------------------------------------------

    def reply(self, shape: type, *values: object) -> None:
        """Send a method."""
        self.session.output.write(method_frame(self.number, shape, *values))

    def queue_name(self, name: str) -> str:
        """Return the name, or for an empty one the last queue declared on this channel.

        Raises:
            NotFound: none was.
        """
        if name:
            return name
        if not self.last_queue:
            raise NotFound("no previously declared queue")
        return self.last_queue

    # --- contents ---------------------------------------------------------------------------------------------------

    def take_content(self, publish: Publish, buffer: bytes, at: int, end: int) -> tuple[int, FramedMessage | None]:
        """Take the content of a publish if all of it follows in the buffer in one piece; say where to go on.

        The shortcut takes a header frame and at most one body frame. Everything else arrives frame by frame.
        """
        self.publishing = publish
        if end - at < HEAD_SIZE:
            return at, None
        number, largest = self.number, self.session.payload_max
        kind, channel, size = _unpack_head(buffer, at)
        header_end = at + HEAD_SIZE + size
        if (
            kind != HEADER
            or channel != number
            or header_end >= end
            or buffer[header_end] != FRAME_END
            or not HEADER_PAYLOAD_MIN <= size <= largest
        ):
            return at, None
        payload = buffer[at + HEAD_SIZE : header_end]
        header = self.session.header_memo.get(payload) or self._read_header(payload)
        content_end = header_end + 1
        if header.body_size:
            if end - content_end < HEAD_SIZE:
                return at, None
            kind, channel, size = _unpack_head(buffer, content_end)
            body_end = content_end + HEAD_SIZE + size
            if kind != BODY or channel != number or size != header.body_size or body_end >= end or size > largest:
                return at, None
            if buffer[body_end] != FRAME_END:
                return at, None
            content_end = body_end + 1
        self.publishing = None
        return content_end, FramedMessage(publish, header, buffer[at:content_end], number)

    def receive_header(self, payload: bytes, frame: bytes) -> None:
        """Take the header frame of a content."""
        if self.publishing is None:
            raise UnexpectedFrame("expected method frame, got non method frame instead")
        if self._header is not None:
            raise self.expected_content()
        header = self.session.header_memo.get(payload) or self._read_header(payload)
        if header.body_size == 0:
            self._finish(header, frame)
            return
        self._header = header
        self._missing_bytes = header.body_size
        self._keep(frame)

    def receive_body(self, payload_size: int, frame: bytes | memoryview) -> None:
        """Take a body frame of a content."""
        if self.publishing is None:
            raise UnexpectedFrame("expected method frame, got non method frame instead")
        header = self._header
        if header is None:
            raise self.expected_content()
        if not payload_size:
            return
        self._missing_bytes -= payload_size
        if self._missing_bytes < 0:
            raise self.expected_content()
        if self._missing_bytes:
            self._keep(frame)
            return
        self._finish(header, b"".join((*self._frames, frame)))

    def expected_content(self) -> UnexpectedFrame:
        """Complain that something came in the middle of a content."""
        if self._header is not None:
            return UnexpectedFrame("expected content body, got non content body frame instead")
        return UnexpectedFrame(f"expected content header for class {BASIC}, got non content header frame instead")

    def _keep(self, frame: bytes | memoryview) -> None:
        """Keep a frame of a content that is not complete; what is too large anyway is read, but not kept."""
        header = self._header
        assert header is not None
        if header.body_size > self.session.broker.profile.message_size_max:
            return
        self.session.unfinished_bytes += len(frame) + FRAME_OVERHEAD_BYTES
        if self.session.unfinished_bytes > UNFINISHED_CONTENT_MAX_BYTES:
            raise FrameError(f"unfinished contents of more than {UNFINISHED_CONTENT_MAX_BYTES} octets on a connection")
        self._frames.append(frame)

    def _finish(self, header: ContentHeader, frames: bytes) -> None:
        publish = self.publishing
        assert publish is not None
        self._forget_content()
        self.publish(publish, FramedMessage(publish, header, frames, self.number))

    def _forget_content(self) -> None:
        self.session.unfinished_bytes -= sum(map(len, self._frames)) + FRAME_OVERHEAD_BYTES * len(self._frames)
        self.publishing = self._header = None
        self._frames = []

    def _read_header(self, payload: bytes) -> ContentHeader:
        """Scan a content header, and remember it if another message may well have the same."""
        session = self.session
        try:
            header = ContentHeader(payload)
            if header.headers_at:
                check_table(payload, header.headers_at)
        except (MalformedContent, MalformedTable):
            # RabbitMQ's process dies of it.
            raise InternalError("") from None
        if header.class_id != BASIC:
            raise UnexpectedFrame(
                f"expected content header for class {BASIC}, got one for class {header.class_id} instead"
            )
        if payload[2:4] != _NO_WEIGHT:
            raise self.expected_content()
        if passes_limit(header, session.broker.profile):
            header.suspect = True
        if header.repeats and len(payload) <= MEMO_KEY_MAX_BYTES:
            if len(session.header_memo) >= HEADER_MEMO_MAX:
                session.header_memo.clear()
            session.header_memo[payload] = header
        return header

    # --- publishing -------------------------------------------------------------------------------------------------

    def publish(self, publish: Publish, message: FramedMessage) -> None:
        """Route a message, and hand it to its queues."""
        if message.header.suspect:
            message = self._admit(publish, message)
            publish = message.publish
        queues = self.queues_for(publish, message)
        if publish.aside:
            self._tell_others(publish, message, queues)
        if self.transaction is not None:
            self.transaction.add_publish(PendingPublish(message, queues))
            return
        accepted = True
        if message.header.suspect:
            for queue in queues:
                accepted &= queue.enqueue(message)
        else:
            for queue in queues:
                accepted &= queue.enqueue_lasting(message)
        if not queues and publish.mandatory:
            self.return_unroutable(message)
        if self.confirms is not None:
            self.count_publishes(1)
            if not accepted:
                self.confirms.refuse_last()

    def _tell_others(self, publish: Publish, message: FramedMessage, queues: tuple[Queue, ...]) -> None:
        """Hand a message to requesters, and show it to who watches: not even a transaction holds them back."""
        if self.vhost.witness is not None:
            self.vhost.witness.published(message, queues, self._source, mandatory=publish.mandatory)
        if publish.replies:
            self.session.broker.replies.deliver(publish.replies, message)
        if self.vhost.firehose is not None:
            # RabbitMQ's default exchange routes to names, whether there are such queues or not.
            names = (message.routing_key, *message.copies) if not message.exchange else (queue.name for queue in queues)
            self.vhost.firehose.published(message, sorted(set(names) - set(publish.replies)), self._source)

    @property
    def _source(self) -> Source:
        session = self.session
        return Source(session.connection_name, self.number, session.actor.user.name)

    def trace(self, firehose: Firehose | None) -> None:
        """Tell the firehose of deliveries from now on, and who watches; or nobody."""
        witness = self.vhost.witness
        if firehose is None and witness is None:
            self.deliveries.trace(None)
            return
        source = self._source

        def tell(
            message: Message,
            queue: Queue,
            *,
            redelivered: bool,
            queued: QueuedMessage | None,
            consumer: Consumer | None,
        ) -> None:
            if witness is not None:
                witness.delivered(message, queue, source, redelivered=redelivered, queued=queued, consumer=consumer)
            if firehose is not None:
                firehose.delivered(message, queue.name, source, redelivered=redelivered)

        self.deliveries.trace(tell)

    def queues_for(self, publish: Publish, message: FramedMessage) -> tuple[Queue, ...]:
        """Find the queues that a message goes to.

        Raises:
            AmqpError: it may not be published.
        """
        vhost = self.vhost
        if publish.generation != vhost.generation:
            publish.resolve(vhost, self.session.actor)
        queues = publish.queues
        return self._route_by_itself(publish, message) if queues is None else queues

    def route_repeats(self, publish: Publish, header: ContentHeader) -> tuple[Queue, ...] | None:
        """Find the queues of any message with this publish and header; None if each must be looked at by itself.

        Raises:
            AmqpError: there is no way for it any more.
        """
        if self.publishing is not None or self.transaction is not None or header.suspect:
            return None
        if publish.generation != self.vhost.generation:
            publish.resolve(self.vhost, self.session.actor)
        # What must be returned, or may be refused, is not worth a short way.
        return None if publish.may_fail else publish.queues

    def count_publishes(self, count: int) -> None:
        """Remember how many publishes are to be confirmed."""
        confirms = self.confirms
        if confirms is None or not count:
            return
        if not confirms.pending:
            confirms.pending = True
            self.session.confirming.append(self)
        confirms.published += count

    def _admit(self, publish: Publish, message: FramedMessage) -> FramedMessage:
        """Check a message that may have to be refused or changed; that its exchange is there comes first.

        Raises:
            AmqpError: it may not be published.
        """
        session = self.session
        if publish.generation != self.vhost.generation:
            publish.resolve(self.vhost, session.actor)
        return admit(message, session.broker.profile, session.actor.user.name, self.reply_consumer)

    def _route_by_itself(self, publish: Publish, message: FramedMessage) -> tuple[Queue, ...]:
        assert publish.exchange is not None
        try:
            queues = self.vhost.route_message(publish.exchange, message)
        except MalformedTable:
            raise InternalError("") from None
        publish.target = queues[0] if queues else None
        return queues

    def return_unroutable(self, message: FramedMessage) -> None:
        """Return an unroutable message to its publisher [basic.publish.mandatory]."""
        if message.publish.replies and self.session.broker.profile.reply_to_is_a_queue:
            return
        self.reply(commands.Basic.Return, NO_ROUTE, "NO_ROUTE", message.exchange, message.routing_key)
        self.session.output.write(message.frames_for(self.number, self.session.payload_max))

    def send_confirms(self) -> None:
        """Confirm what was published since the last time."""
        if self.confirms is not None:
            octets = self.confirms.take()
            if octets:
                self.session.output.write(octets)

    # --- settling ---------------------------------------------------------------------------------------------------

    def settle(self, tag: int, *, multiple: bool, fate: Fate = Fate.SETTLE) -> None:
        """Acknowledge deliveries, return them to their queues, or drop them.

        Raises:
            PreconditionFailed: there is no such delivery.
        """
        if not multiple and fate is Fate.SETTLE and self.transaction is None:
            self.deliveries.settle_one(tag)
            self.deliveries.resume_settled()
            return
        deliveries = self.deliveries.take(tag, multiple=multiple)
        if self.transaction is not None:
            self.transaction.add_settlement(PendingSettlement(deliveries, fate))
        else:
            self.deliveries.apply(deliveries, fate)

    def unacked(self) -> Iterator[QueuedMessage]:
        """Show what is handed out and not settled; what waits for a commit is not settled yet."""
        yield from self.deliveries.unacked.values()
        for settlement in () if self.transaction is None else self.transaction.settlements:
            yield from (queued for _, queued in settlement.deliveries)

    def closing(self) -> ClosingChannel:
        """Return what is left of the channel once it is refused: the content that may be under way."""
        if self.publishing is None:
            return ClosingChannel()
        return ClosingChannel(self._missing_bytes, expects_header=self._header is None)

    # --- the end ----------------------------------------------------------------------------------------------------

    def remove_consumers(self) -> None:
        """Stop all deliveries; auto-delete queues without consumers go."""
        self.remove_reply_consumer()
        queues = [consumer.queue for consumer in self.deliveries.consumers.values()]
        for tag in tuple(self.deliveries.consumers):
            self.deliveries.remove_consumer(tag)
        for queue in queues:
            self.vhost.consumer_gone(queue)

    def remove_reply_consumer(self) -> None:
        """Take no replies any more."""
        if self.reply_consumer is not None:
            self.reply_consumer.close()
            self.reply_consumer = None

    def release(self) -> None:
        """Return all that is unacknowledged, and forget what was not committed or not complete."""
        self.vhost.channels.pop(self, None)
        self._forget_content()
        if self.transaction is not None:
            for settlement in self.transaction.settlements:
                self.deliveries.put_back(settlement.deliveries)
            self.transaction.clear()
        # What waits for the journal finds nobody to be told.
        self.confirms = self.transaction = None
        self.deliveries.requeue_all()
