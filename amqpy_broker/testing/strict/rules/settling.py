"""Deliveries that are not settled, or settled in a way that leads nowhere."""

from __future__ import annotations

from typing import ClassVar, Final

from amqpy_broker.testing.conversation.events import Content, Said
from amqpy_broker.testing.strict.rules.base import Rule, Surroundings
from amqpy_broker.testing.strict.talk import ChannelTalk, Handed, Talk, flag, text

# Requeues of one message in this time that are no accident.
_LOOP_COUNT: Final = 10
_LOOP_S: Final = 10.0
_MESSAGES_MAX: Final = 10_000


class UnackedAtClose(Rule):
    """Deliveries that a client has forgotten when it says goodbye.

    What a consumer had been sent in advance, after the last that it settled, is not forgotten: it was not begun.
    """

    name: ClassVar[str] = "unacked-at-close"
    fix: ClassVar[str] = (
        "acknowledge or reject every delivery, on every path of the code (aio-pika: async with message.process());"
        " RabbitMQ delivers it again, as redelivered"
    )

    def client_said(self, talk: Talk, said: Said) -> None:
        """Look at channels that their clients close."""
        if said.name == "channel.close" and said.channel in talk.channels:
            self._look_at(talk, talk.channels[said.channel])
        elif said.name == "connection.close":
            for channel in talk.channels.values():
                self._look_at(talk, channel)

    def _look_at(self, talk: Talk, channel: ChannelTalk) -> None:
        forgotten = [(tag, handed) for tag, handed in channel.unacked.items() if _is_forgotten(handed, tag, channel)]
        if not forgotten:
            return
        queues = ", ".join(sorted({f"'{handed.queue}'" for _, handed in forgotten}))
        count = len(forgotten)
        tags = ", ".join(str(tag) for tag, _ in forgotten[:5]) + (", …" if count > 5 else "")
        deliveries = "1 delivery was" if count == 1 else f"{count} deliveries were"
        self.report(
            talk, channel.number, f"{deliveries} not acknowledged before the close: queue {queues}, delivery tag {tags}"
        )


def _is_forgotten(handed: Handed, tag: int, channel: ChannelTalk) -> bool:
    consumer = handed.consumer
    return consumer is None or not consumer.settled_tag or tag < consumer.settled_tag


class RequeueLoop(Rule):
    """A message that goes back and comes again, as fast as it can."""

    name: ClassVar[str] = "requeue-loop"
    fix: ClassVar[str] = (
        "reject without requeue and let a dead-letter exchange take the message; retry later by a queue with a TTL;"
        " or use a quorum queue with a delivery limit"
    )

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        # How many messages that look alike went back for the first time, how often again, and since when.
        self._requeues: dict[tuple[str, str, object], tuple[int, int, float]] = {}

    def forget(self) -> None:
        """Count from the beginning."""
        self._requeues.clear()

    def client_said(self, talk: Talk, said: Said) -> None:
        """Count what goes back."""
        if said.name not in ("basic.nack", "basic.reject") or not flag(said, "requeue"):
            return
        for _, handed in talk.channel(said.channel).settled_by(said):
            queue = self.surroundings.find_queue(talk, handed.queue)
            if queue is None or queue.settings.retry is None:
                self._count(talk, said.channel, handed)

    def _count(self, talk: Talk, channel: int, handed: Handed) -> None:
        now_s = self.surroundings.now_s
        key = (talk.vhost, handed.queue, _identity(handed.content))
        first_count, again_count, since_s = self._requeues.get(key, (0, 0, now_s))
        if now_s - since_s > _LOOP_S:
            first_count, again_count, since_s = 0, 0, now_s
        if len(self._requeues) >= _MESSAGES_MAX:
            self._requeues.clear()
        if handed.redelivered:
            again_count += 1
        else:
            first_count += 1
        self._requeues[key] = first_count, again_count, since_s
        # Of several that look alike each has gone back so often.
        if handed.redelivered and again_count == (_LOOP_COUNT - 1) * max(first_count, 1):
            self.report(
                talk,
                channel,
                f"a message of queue '{handed.queue}' was requeued {_LOOP_COUNT} times within {_LOOP_S:g} seconds,"
                " and will be again",
            )


def _identity(content: Content | None) -> object:
    """Tell a message from others by what it is: delivery tags change with each delivery."""
    if content is None:
        return None
    properties = content.properties
    return properties.get("message_id") or properties.get("correlation_id"), content.body, content.body_size


class SettledTwice(Rule):
    """An acknowledgement of what is not to be acknowledged."""

    name: ClassVar[str] = "unknown-delivery-tag"
    fix: ClassVar[str] = (
        "settle each delivery once, on the channel that it came on, and not at all if it was consumed with no_ack"
    )

    def server_said(self, talk: Talk, said: Said) -> None:
        """Look for the broker's refusal."""
        if said.name == "channel.close" and "unknown delivery tag" in text(said, "reply_text"):
            self.report(talk, said.channel, f"the channel was closed: {text(said, 'reply_text')}")
