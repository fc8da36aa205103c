"""What a connection may say only when the journal holds what it stands for: confirms, and the end of a transaction.

Rule 1: if a read stored anything, all confirms of that read wait. Who publishes nothing but what may be lost is
        confirmed at once, unless something of the same channel waits: confirms keep their order.
Rule 2: a channel that ends takes with it what waits, as in RabbitMQ: its client never knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from amqpy_broker.core.journal import JournalWriter
from amqpy_broker.protocols.amqp091.channel import Channel


class Promises:
    """Keeps what one connection has to say until it is true."""

    __slots__ = ("_asked_for", "_journal", "_stored_before", "_waiting")

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self._stored_before = 0
        # Channels with confirms that wait.
        self._waiting: dict[Channel, None] = {}
        # The batch whose end we have asked to be told of.
        self._asked_for = 0

    def begin_read(self) -> None:
        """Remember what is stored before a read is acted on."""
        self._stored_before = self._journal.stored_count

    def end_read(self, channels: Iterable[Channel]) -> None:
        """Confirm what these channels have published in this read, or let it wait."""
        for channel in channels:
            if self.may_confirm(channel):
                channel.send_confirms()
            else:
                self._let_wait(channel)

    def may_confirm(self, channel: Channel) -> bool:
        """Whether what a channel has published in this read can be confirmed now."""
        return not self._has_stored and (channel.confirms is None or not channel.confirms.waits)

    @property
    def _has_stored(self) -> bool:
        return self._journal.stored_count != self._stored_before

    def _let_wait(self, channel: Channel) -> None:
        confirms = channel.confirms
        if confirms is None:
            # It was closed in the same read.
            return
        if not self._has_stored:
            confirms.wait_behind()
            return
        batch = self._journal.number
        confirms.wait_for(batch)
        self._waiting[channel] = None
        if self._asked_for != batch:
            self._asked_for = batch
            self._journal.when_synced(partial(self._synced, batch))

    def _synced(self, batch: int) -> None:
        # The number may still be that of what is gathered now: a batch that came to nothing was never handed over.
        if self._asked_for == batch:
            self._asked_for = 0
        for channel in tuple(self._waiting):
            confirms = channel.confirms
            if confirms is not None:
                channel.session.output.write(confirms.take_synced(batch))
            if confirms is None or not confirms.waits:
                del self._waiting[channel]
