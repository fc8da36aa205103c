"""What a test may assert of a broker. A failure tells what was wanted, what came near, and what there was.

Clients elsewhere may not have said everything yet: `settled` first, or `wait_for_published`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from amqpy_broker.core.queues.base import Queue
from amqpy_broker.testing.asserting.matching import ANYTHING, Wanted, nearest
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.history.past import Past
from amqpy_broker.testing.history.records import DeadLettered, Delivered, Published, Record, Rejected
from amqpy_broker.testing.in_broker import in_broker
from amqpy_broker.testing.looking.explanation import explain
from amqpy_broker.testing.looking.messages import Message
from amqpy_broker.testing.looking.viewing import ready_messages, view_queue

_RECORDS_SHOWN_MAX: Final = 10


class Assertions(Past):
    """Assertions about messages and queues."""

    @in_broker
    def assert_published(
        self,
        exchange: object = ANYTHING,
        routing_key: object = ANYTHING,
        *,
        body: object = ANYTHING,
        json: object = ANYTHING,
        headers: Mapping[str, object] | None = None,
        properties: Mapping[str, object] | None = None,
        times: int | None = None,
        vhost: str | None = None,
    ) -> Message:
        """Find that such a message was published, and return the first one.

        Args:
            exchange: where to; `""` is the default exchange.
            routing_key: its routing key, or one of those in its headers CC and BCC.
            body: its octets, or as text its text.
            json: what is in its body.
            headers: headers that it has, perhaps among others.
            properties: properties that it has, perhaps among others.
            times: how often exactly; None is at least once.
            vhost: where.

        Raises:
            AssertionError: there was none, or not so many.
            Misuse: there can be no such message.
        """
        __tracebackhide__ = True
        wanted = Wanted(exchange, routing_key, body, json, headers, properties)
        return self._find("published", Published, self._published(None, None, None, None, vhost), wanted, times, vhost)

    @in_broker
    def assert_nothing_published(
        self,
        exchange: object = ANYTHING,
        routing_key: object = ANYTHING,
        *,
        body: object = ANYTHING,
        json: object = ANYTHING,
        headers: Mapping[str, object] | None = None,
        properties: Mapping[str, object] | None = None,
        vhost: str | None = None,
    ) -> None:
        """Find that no such message was published; without conditions, none at all.

        Raises:
            AssertionError: one was.
            Misuse: there can be no such message.
        """
        __tracebackhide__ = True
        wanted = Wanted(exchange, routing_key, body, json, headers, properties)
        wanted.check()
        there = self._published(None, None, None, None, vhost)
        found = [record for record in there if wanted.fits(record.message)]
        if found:
            raise AssertionError(f"published, though it should not be:\n{_listed(found)}\nwanted none of\n{wanted}")

    @in_broker
    def assert_dead_lettered(
        self,
        queue: str | None = None,
        *,
        reason: str | None = None,
        exchange: object = ANYTHING,
        routing_key: object = ANYTHING,
        body: object = ANYTHING,
        json: object = ANYTHING,
        headers: Mapping[str, object] | None = None,
        properties: Mapping[str, object] | None = None,
        times: int | None = None,
        vhost: str | None = None,
    ) -> Message:
        """Find that such a message was dead-lettered, and return its first dead letter.

        Args:
            queue: where it died.
            reason: of what: "rejected", "expired", "maxlen" or "delivery_limit".
            exchange: the dead-letter exchange.
            routing_key: the dead letter's; the others as in `assert_published`.
            body: the body.
            json: what is in it.
            headers: headers of the dead letter, `x-death` and the like among them.
            properties: properties that it has.
            times: how often exactly; None is at least once.
            vhost: where.

        Raises:
            AssertionError: there was none, or not so many.
            Misuse: there can be no such message.
        """
        __tracebackhide__ = True
        wanted = Wanted(exchange, routing_key, body, json, headers, properties)
        there = self._dead_lettered(None, None, None, vhost)
        fitting = [record for record in there if queue in (None, record.queue) and reason in (None, record.reason)]
        conditions = "".join(
            f" {word} {value!r}" for word, value in (("in queue", queue), ("of", reason)) if value is not None
        )
        if there and not fitting:
            raise AssertionError(f"nothing was dead-lettered{conditions}; dead-lettered was\n{_listed(there)}")
        return self._find(f"dead-lettered{conditions}", DeadLettered, fitting, wanted, times, vhost)

    @in_broker
    def assert_queue(
        self,
        name: str,
        *,
        ready: object = ANYTHING,
        unacked: object = ANYTHING,
        consumers: object = ANYTHING,
        vhost: str | None = None,
    ) -> None:
        """Find that a queue has so many messages that are ready, so many that are unacknowledged, so many consumers.

        Raises:
            AssertionError: it has not.
            NoSuchThing: there is no such queue.
        """
        __tracebackhide__ = True
        queue = self._find_queue(name, vhost)
        view = view_queue(self._find_vhost(vhost), queue, self.inside().history)
        counts = {"ready": view.ready, "unacked": view.unacked, "consumers": len(view.consumers)}
        wrong = [
            f"{word} is {counts[word]}, not {wanted!r}"
            for word, wanted in (("ready", ready), ("unacked", unacked), ("consumers", consumers))
            if wanted is not ANYTHING and wanted != counts[word]
        ]
        if wrong:
            raise AssertionError(f"queue {name!r}: {'; '.join(wrong)}\n{self._told_queue(name, vhost)}")

    @in_broker
    def assert_queue_empty(self, name: str, *, unacked_ok: bool = False, vhost: str | None = None) -> None:
        """Find that a queue has no messages, neither ready nor, unless that is fine, unacknowledged.

        Raises:
            AssertionError: it has.
            NoSuchThing: there is no such queue.
        """
        __tracebackhide__ = True
        queue = self._find_queue(name, vhost)
        if queue.ready_count or (queue.unacked_count and not unacked_ok):
            raise AssertionError(f"queue {name!r} is not empty:\n{self._told_queue(name, vhost)}")

    @in_broker
    def assert_all_acked(self, queue: str | None = None, *, vhost: str | None = None) -> None:
        """Find that something was delivered, and all of it acknowledged, at the latest when it was delivered again.

        What needs no acknowledgement counts as delivered, and as acknowledged.

        Args:
            queue: only what this queue delivered; None is any.
            vhost: where.

        Raises:
            AssertionError: something is unacknowledged, was rejected, or came back and is ready; or nothing was
                delivered at all.
            NoSuchThing: there is no such queue.
        """
        __tracebackhide__ = True
        there = self._find_vhost(vhost)
        queues = list(there.queues.values()) if queue is None else [self._find_queue(queue, vhost)]
        wrong = [text for one in queues for text in self._not_acked(one)]
        rejected = self._settled(Rejected, queue, None, there.name)
        if rejected:
            wrong.append(f"{len(rejected)} rejected:\n{_listed(rejected)}")
        if wrong:
            raise AssertionError("not all was acknowledged:\n" + "\n".join(wrong))
        if not self._records(Delivered, there.name, lambda record: queue in (None, record.queue)):
            where = "" if queue is None else f" by queue {queue!r}"
            ready = sum(one.ready_count for one in queues)
            raise AssertionError(f"nothing was delivered{where}, so nothing acknowledged; {_messages(ready)} ready")

    def _not_acked(self, queue: Queue) -> Iterator[str]:
        """Tell of what a queue has handed out and has not got acknowledged."""
        if queue.unacked_count:
            held = _listed(self._unacked(queue.name, queue.vhost))
            yield f"{queue}: {queue.unacked_count} unacknowledged:\n{held}"
        returned = [message for message in ready_messages(queue) if message.redelivered] if queue.ready_count else []
        if returned:
            shown = "\n".join(f"  {message}" for message in returned[:_RECORDS_SHOWN_MAX])
            yield f"{queue}: {len(returned)} came back, and are ready again:\n{shown}"

    @in_broker
    def assert_no_returns(self, *, vhost: str | None = None) -> None:
        """Find that no mandatory message went back to its publisher.

        Raises:
            AssertionError: one did; the text explains why it found no queue.
        """
        __tracebackhide__ = True
        returned = [record for record in self._published(None, None, None, None, vhost) if record.returned]
        if returned:
            told = f"{_listed(returned)}\n{self._why(returned[0])}"
            raise AssertionError(f"{_messages(len(returned))} returned as unroutable:\n{told}")

    @in_broker
    def assert_nothing_unrouted(self, *, vhost: str | None = None) -> None:
        """Find that no message was dropped because it reached no queue.

        Raises:
            AssertionError: one was; the text explains why it found no queue.
        """
        __tracebackhide__ = True
        unrouted = [record for record in self._published(None, None, None, None, vhost) if record.unrouted]
        if unrouted:
            told = f"{_listed(unrouted)}\n{self._why(unrouted[0])}"
            raise AssertionError(f"{_messages(len(unrouted))} reached no queue, and dropped without a word:\n{told}")

    # --- steps ------------------------------------------------------------------------------------------------------

    def _find(
        self,
        what: str,
        kind: type[Record],
        there: Sequence[Published] | Sequence[DeadLettered],
        wanted: Wanted,
        times: int | None,
        vhost: str | None,
    ) -> Message:
        """Return the first message that is wanted."""
        __tracebackhide__ = True
        wanted.check()
        if times is not None and times < 1:
            raise Misuse(f"times={times}: use assert_nothing_published for what must not be")
        found = [record for record in there if wanted.fits(record.message)]
        if found and times in (None, len(found)):
            return found[0].message
        forgotten = self.inside().history.forgotten_count(self._where(vhost), kind)
        cut = f"\n({forgotten} older ones were forgotten: there was no room)" if forgotten else ""
        if found:
            raise AssertionError(
                f"{what}: {_messages(len(found))} like this, not {times}:\n{wanted}\nthere:\n{_listed(found)}{cut}"
            )
        if not there:
            raise AssertionError(f"nothing was {what}{cut}; wanted\n{wanted}")
        near = nearest(wanted, [(record.message, record.more) for record in there])
        raise AssertionError(f"no such message was {what}:\n{wanted}\nnearest of {len(there)}:\n{near}{cut}")

    def _why(self, record: Published) -> str:
        """Explain where a message would go as things are now."""
        vhost = self.inside().core.vhosts.get(record.vhost)
        exchange = None if vhost is None else vhost.exchanges.get(record.message.exchange)
        if vhost is None or exchange is None:
            return f"the exchange {record.message.exchange!r} is gone"
        return f"as things are now:\n{explain(vhost, exchange, record.message.routing_keys, record.message.table)}"

    def _told_queue(self, name: str, vhost: str | None) -> str:
        """Tell of a queue: counts, consumers, messages, and who has what."""
        there = self._find_vhost(vhost)
        view = view_queue(there, self._find_queue(name, vhost), self.inside().history)
        lines = [f"  {view}"]
        lines += (
            f"  consumer {consumer.tag!r} of {consumer.connection} channel {consumer.channel}:"
            f" {consumer.unacked} unacked, prefetch {consumer.prefetch_count or 'unlimited'}"
            for consumer in view.consumers
        )
        lines += (f"  ready: {message}" for message in view.messages[:_RECORDS_SHOWN_MAX])
        if len(view.messages) > _RECORDS_SHOWN_MAX:
            lines.append(f"  and {len(view.messages) - _RECORDS_SHOWN_MAX} more")
        if view.unacked:
            lines.append(_listed(self._unacked(name, there.name)))
        return "\n".join(lines)

    def _unacked(self, queue: str, vhost: str) -> list[Delivered]:
        """List the deliveries of a queue that are not settled, as far as they are remembered."""
        return [
            record for record in self.inside().history.unsettled() if record.queue == queue and record.vhost == vhost
        ]


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"


def _listed(records: Sequence[Record]) -> str:
    shown = [f"  {record}" for record in records[:_RECORDS_SHOWN_MAX]]
    if len(records) > _RECORDS_SHOWN_MAX:
        shown.append(f"  and {len(records) - _RECORDS_SHOWN_MAX} more")
    return "\n".join(shown)
