"""Consumers that take too much, too little, or do not see what happens to them."""

from __future__ import annotations

from typing import ClassVar, Final

from amqpy_broker.testing.conversation.events import Said
from amqpy_broker.testing.strict.rules.base import Rule, Surroundings, is_private
from amqpy_broker.testing.strict.talk import Talk, is_persistent, text

# Times that a queue was empty which make it polling.
_POLLS: Final = 10
# Methods that a client says after its consumer was cancelled, and nothing that shows that it saw.
_UNMOVED_METHODS: Final = 20


class UnlimitedPrefetch(Rule):
    """A consumer that is sent everything that waits."""

    name: ClassVar[str] = "unlimited-prefetch"
    fix: ClassVar[str] = (
        "set a prefetch count before consuming (basic.qos; aio-pika: await channel.set_qos(prefetch_count=10); pika:"
        " channel.basic_qos(prefetch_count=10)): else one consumer gets the whole backlog into its memory, and others"
        " nothing"
    )

    def server_said(self, talk: Talk, said: Said) -> None:
        """Look at deliveries."""
        if said.name != "basic.deliver":
            return
        channel = talk.channel(said.channel)
        consumer = channel.consumers.get(text(said, "consumer_tag"))
        if consumer is None or consumer.no_ack or consumer.prefetch_count or channel.shared_prefetch_count:
            return
        queue = self.surroundings.find_queue(talk, consumer.queue)
        if queue is not None and not is_private(queue):
            late = " (a prefetch count was set, but after it began)" if channel.prefetch_count else ""
            self.report(talk, said.channel, f"a consumer of queue '{consumer.queue}' has no prefetch count{late}")


class AutomaticAck(Rule):
    """Persistent messages to a consumer that does not acknowledge them."""

    name: ClassVar[str] = "persistent-without-ack"
    fix: ClassVar[str] = (
        "consume with acknowledgements and acknowledge when the work is done: with no_ack a message is gone as soon as"
        " it is sent, whatever happens to the consumer"
    )

    def server_said(self, talk: Talk, said: Said) -> None:
        """Look at deliveries."""
        if said.name != "basic.deliver" or not is_persistent(said.content):
            return
        consumer = talk.channel(said.channel).consumers.get(text(said, "consumer_tag"))
        if consumer is None or not consumer.no_ack:
            return
        queue = self.surroundings.find_queue(talk, consumer.queue)
        if queue is not None and queue.durable and not is_private(queue):
            self.report(
                talk, said.channel, f"a consumer of queue '{consumer.queue}' gets persistent messages with no_ack"
            )


class PollingGet(Rule):
    """Asking again and again instead of consuming."""

    name: ClassVar[str] = "polling-get"
    fix: ClassVar[str] = "consume (basic.consume): the broker sends each message as soon as it is there"

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._empty_counts: dict[tuple[Talk, str], int] = {}

    def server_said(self, talk: Talk, said: Said) -> None:
        """Count empty answers."""
        channel = talk.channel(said.channel)
        if said.name != "basic.get-empty" or not channel.gets:
            return
        queue = channel.queue_of(channel.gets[0])
        count = self._empty_counts[talk, queue] = self._empty_counts.get((talk, queue), 0) + 1
        if count == _POLLS:
            self.report(talk, said.channel, f"queue '{queue}' was polled with basic.get: it was empty {_POLLS} times")

    def ended(self, talk: Talk) -> None:
        """Forget a connection."""
        self._empty_counts = {key: count for key, count in self._empty_counts.items() if key[0] is not talk}


class UnhandledCancel(Rule):
    """A client that goes on as if its consumer were there."""

    name: ClassVar[str] = "unhandled-cancel"
    fix: ClassVar[str] = (
        "handle basic.cancel (pika: channel.add_on_cancel_callback; aio-pika: channel.close_callbacks or the end of the"
        " iterator): declare the queue and consume again, or end; else the consumer waits for ever"
    )

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        # What was cancelled, and how much the client has said since; by connection.
        self._cancelled: dict[Talk, tuple[int, str, int]] = {}
        # What it has deleted itself: it knows of that.
        self._deleted: set[tuple[Talk, str]] = set()

    def server_said(self, talk: Talk, said: Said) -> None:
        """Remember a cancel."""
        if said.name != "basic.cancel":
            return
        consumer = talk.channel(said.channel).consumers.get(text(said, "consumer_tag"))
        if consumer is not None and (talk, consumer.queue) not in self._deleted:
            self._cancelled[talk] = said.channel, consumer.queue, 0

    def client_said(self, talk: Talk, said: Said) -> None:
        """Look whether the client acts on it."""
        if said.name == "queue.delete":
            self._deleted.add((talk, talk.channel(said.channel).queue_of(said)))
        if talk not in self._cancelled:
            return
        if said.name in ("basic.consume", "channel.close", "connection.close", "basic.cancel-ok", "queue.declare"):
            del self._cancelled[talk]
            return
        channel, queue, count = self._cancelled[talk]
        self._cancelled[talk] = channel, queue, count + 1
        if count + 1 == _UNMOVED_METHODS:
            self.report(
                talk, channel, f"the consumer of queue '{queue}' was cancelled by the broker, and the client goes on"
            )

    def ended(self, talk: Talk) -> None:
        """Forget a connection."""
        self._cancelled.pop(talk, None)
        self._deleted = {one for one in self._deleted if one[0] is not talk}


class UnnoticedCancel(Rule):
    """A client that would not be told of a cancel."""

    name: ClassVar[str] = "no-cancel-notify"
    fix: ClassVar[str] = (
        'send the capability "consumer_cancel_notify" in the client properties: else a consumer whose queue is deleted'
        " is never told"
    )

    def client_said(self, talk: Talk, said: Said) -> None:
        """Look at the first consumer of a connection."""
        if said.name == "basic.consume" and not talk.notices_cancel and not talk.consumed:
            self.report(talk, 0, "the client consumes, but does not want to know when its consumer is cancelled")


class ReusedConsumerTag(Rule):
    """Two consumers of one name."""

    name: ClassVar[str] = "reused-consumer-tag"
    fix: ClassVar[str] = "leave the consumer tag empty: the broker makes a new one for each consumer"

    def server_said(self, talk: Talk, said: Said) -> None:
        """Look for the broker's refusal."""
        if said.name == "connection.close" and "attempt to reuse consumer tag" in text(said, "reply_text"):
            self.report(talk, said.channel, f"the connection was closed: {text(said, 'reply_text')}")


class NoHeartbeat(Rule):
    """A consumer that does not notice when the broker is gone."""

    name: ClassVar[str] = "no-heartbeat"
    fix: ClassVar[str] = (
        "leave the heartbeat on (the broker proposes 60 s; kombu: Connection(…, heartbeat=60) and heartbeat_check):"
        " else a consumer behind a dead network waits for ever"
    )

    def server_said(self, talk: Talk, said: Said) -> None:
        """Look at consumers that begin."""
        channel = talk.channel(said.channel)
        if said.name != "basic.consume-ok" or talk.heartbeat_s != 0 or not channel.consumes:
            return
        queue = self.surroundings.find_queue(talk, channel.queue_of(channel.consumes[0]))
        if queue is not None and not is_private(queue):
            self.report(talk, 0, f"queue '{queue.name}' is consumed over a connection without heartbeats")
