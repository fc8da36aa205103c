"""The kit's look into the past: what was published, delivered, acknowledged, and what became of the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from amqpy_broker.testing.history.records import (
    Acked,
    DeadLettered,
    Delivered,
    Dropped,
    Expired,
    Published,
    Record,
    Rejected,
    Requeued,
    SentOn,
    Settled,
)
from amqpy_broker.testing.in_broker import in_broker
from amqpy_broker.testing.in_vhost import InVhost

R = TypeVar("R", bound=Record)
S = TypeVar("S", bound=Settled)


class Past(InVhost):
    """What happened, the oldest first. Each method takes conditions: None does not matter.

    There is room for 100,000 records of each kind in each vhost, and for 64 MiB of messages; the oldest are forgotten
    (`forgotten_count`).
    """

    @in_broker
    def published(
        self,
        exchange: str | None = None,
        routing_key: str | None = None,
        *,
        queue: str | None = None,
        connection: str | None = None,
        vhost: str | None = None,
    ) -> list[Published]:
        """List what was published.

        Args:
            exchange: only to this exchange; `""` is the default exchange.
            routing_key: only with this routing key, or with this in the headers CC or BCC.
            queue: only what was routed to this queue, perhaps among others.
            connection: only over the connection of this name, the client's or the broker's; `records.THE_TEST` is the
                test itself.
            vhost: only in this vhost.
        """
        return self._published(exchange, routing_key, queue, connection, vhost)

    @in_broker
    def returned(
        self, exchange: str | None = None, routing_key: str | None = None, *, vhost: str | None = None
    ) -> list[Published]:
        """List what was published as mandatory and went back to its publisher."""
        return [record for record in self._published(exchange, routing_key, None, None, vhost) if record.returned]

    @in_broker
    def unrouted(
        self, exchange: str | None = None, routing_key: str | None = None, *, vhost: str | None = None
    ) -> list[Published]:
        """List what was published, reached nobody, and was dropped without a word to anybody."""
        return [record for record in self._published(exchange, routing_key, None, None, vhost) if record.unrouted]

    @in_broker
    def delivered(
        self,
        queue: str | None = None,
        *,
        consumer_tag: str | None = None,
        connection: str | None = None,
        vhost: str | None = None,
    ) -> list[Delivered]:
        """List what was handed out, to consumers and for basic.get."""
        return self._records(
            Delivered,
            vhost,
            lambda record: queue in (None, record.queue),
            lambda record: consumer_tag in (None, record.consumer_tag),
            lambda record: connection in (None, record.connection, record.client_name),
        )

    @in_broker
    def acked(
        self, queue: str | None = None, *, consumer_tag: str | None = None, vhost: str | None = None
    ) -> list[Acked]:
        """List the deliveries that were acknowledged. What needs no acknowledgement has none."""
        return self._settled(Acked, queue, consumer_tag, vhost)

    @in_broker
    def rejected(
        self, queue: str | None = None, *, consumer_tag: str | None = None, vhost: str | None = None
    ) -> list[Rejected]:
        """List the deliveries that were rejected, not to be requeued."""
        return self._settled(Rejected, queue, consumer_tag, vhost)

    @in_broker
    def requeued(
        self, queue: str | None = None, *, consumer_tag: str | None = None, vhost: str | None = None
    ) -> list[Requeued]:
        """List the deliveries that went back to their queues: given back, or left by a channel that ended."""
        return self._settled(Requeued, queue, consumer_tag, vhost)

    @in_broker
    def expired(self, queue: str | None = None, *, vhost: str | None = None) -> list[Expired]:
        """List the messages whose time to live passed in a queue."""
        return self._records(Expired, vhost, lambda record: queue in (None, record.queue))

    @in_broker
    def dead_lettered(
        self,
        queue: str | None = None,
        *,
        reason: str | None = None,
        exchange: str | None = None,
        vhost: str | None = None,
    ) -> list[DeadLettered]:
        """List the dead letters.

        Args:
            queue: only of messages that died in this queue.
            reason: only of those that died of this: "rejected", "expired", "maxlen" or "delivery_limit".
            exchange: only those for this dead-letter exchange.
            vhost: only in this vhost.
        """
        return self._dead_lettered(queue, reason, exchange, vhost)

    @in_broker
    def dropped(
        self, queue: str | None = None, *, reason: str | None = None, vhost: str | None = None
    ) -> list[Dropped]:
        """List the messages that are gone though nobody acknowledged them.

        Args:
            queue: only from this queue.
            reason: only for this reason: a value of `records.Loss`.
            vhost: only in this vhost.
        """
        return self._records(
            Dropped,
            vhost,
            lambda record: queue in (None, record.queue),
            lambda record: reason in (None, record.reason),
        )

    @in_broker
    def sent_on(self, exchange: str | None = None, *, vhost: str | None = None) -> list[SentOn]:
        """List the delayed messages that came due."""
        return self._records(SentOn, vhost, lambda record: exchange in (None, record.message.exchange))

    @in_broker
    def history(self, count: int = 100, *, vhost: str | None = None) -> list[Record]:
        """List the last things that happened, whatever they were."""
        return self._latest(count, vhost)

    @in_broker
    def forgotten_count(self) -> int:
        """Say how many records were forgotten because there was no room for them."""
        return self.inside().history.forgotten_count(self.history_vhost)

    @in_broker
    def clear_history(self) -> None:
        """Forget everything that happened so far."""
        self.inside().history.clear(self.history_vhost)

    # --- steps ------------------------------------------------------------------------------------------------------

    def _published(
        self,
        exchange: str | None,
        routing_key: str | None,
        queue: str | None,
        connection: str | None,
        vhost: str | None,
    ) -> list[Published]:
        return self._records(
            Published,
            vhost,
            lambda record: exchange in (None, record.message.exchange),
            lambda record: routing_key is None or routing_key in record.message.routing_keys,
            lambda record: queue is None or queue in record.queues,
            lambda record: connection in (None, record.connection, record.client_name),
        )

    def _dead_lettered(
        self, queue: str | None, reason: str | None, exchange: str | None, vhost: str | None
    ) -> list[DeadLettered]:
        return self._records(
            DeadLettered,
            vhost,
            lambda record: queue in (None, record.queue),
            lambda record: reason in (None, record.reason),
            lambda record: exchange in (None, record.exchange),
        )

    def _settled(self, kind: type[S], queue: str | None, consumer_tag: str | None, vhost: str | None) -> list[S]:
        return self._records(
            kind,
            vhost,
            lambda record: queue in (None, record.queue),
            lambda record: consumer_tag in (None, record.consumer_tag),
        )

    def _records(self, kind: type[R], vhost: str | None, *conditions: Callable[[R], bool]) -> list[R]:
        return self.inside().history.records(kind, self._where(vhost), *conditions)

    def _latest(self, count: int, vhost: str | None) -> list[Record]:
        return self.inside().history.latest(count, self._where(vhost))

    def _where(self, vhost: str | None) -> str | None:
        """Say of which vhost the history is told."""
        return self.history_vhost if vhost is None else vhost
