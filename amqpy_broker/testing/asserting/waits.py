"""What a test may wait for: anything, a queue's counts, a publish. Awaited in an event loop, blocking elsewhere."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Self, TypeVar

from amqpy_broker.testing.asserting.assertions import Assertions
from amqpy_broker.testing.asserting.matching import ANYTHING, Wanted, nearest
from amqpy_broker.testing.asserting.waiting import Waiter
from amqpy_broker.testing.history.records import Published
from amqpy_broker.testing.looking.inspection import Inspection
from amqpy_broker.testing.looking.messages import Message
from amqpy_broker.testing.looking.near import near_matches
from amqpy_broker.testing.looking.viewing import view_queue, view_vhost
from amqpy_broker.testing.looking.views import QueueView

T = TypeVar("T")

WAIT_S: Final = 5.0
_RECORDS_SHOWN_MAX: Final = 10


class Conditions(Assertions, Inspection):
    """What is waited for. All of this runs in the broker's thread."""

    def _queue_as_wanted(
        self, name: str, vhost: str | None, ready: object, unacked: object, consumers: object
    ) -> QueueView | None:
        """View a queue if it is there, and as it is wanted."""
        there = self._find_vhost(vhost)
        queue = there.queues.get(name)
        if queue is None:
            return None
        # A view of all messages costs too much to be made in vain.
        if any(
            wanted is not ANYTHING and wanted != count
            for wanted, count in ((ready, queue.ready_count), (unacked, queue.unacked_count))
        ):
            return None
        view = view_queue(there, queue, self.inside().history)
        return view if consumers is ANYTHING or consumers == len(view.consumers) else None

    def _seen_queue(self, name: str, vhost: str | None, **wanted: object) -> str:
        counts = ", ".join(f"{word}={value!r}" for word, value in wanted.items() if value is not ANYTHING)
        there = self._find_vhost(vhost)
        if name not in there.queues:
            return f"Wanted queue {name!r}{' with ' * bool(counts)}{counts}; there is no such queue" + near_matches(
                name, there.queues
            )
        return f"Wanted queue {name!r} with {counts or 'anything'}; there is\n{self._told_queue(name, vhost)}"

    def _when_published(self, wanted: Wanted, vhost: str | None, count: int) -> Callable[[], list[Message]]:
        """Make a predicate that lists the messages that are wanted when there are so many. It looks at each once."""
        where = self._where(vhost)
        found: list[Message] = []
        seen_number = 0

        def find() -> list[Message]:
            nonlocal seen_number
            history = self.inside().history
            newer = history.after(seen_number, Published, where)
            seen_number = history.last_number
            found.extend(record.message for record in newer if wanted.fits(record.message))
            return found if len(found) >= count else []

        return find

    def _seen_published(self, wanted: Wanted, vhost: str | None, count: int) -> str:
        records = self._published(None, None, None, None, vhost)
        found = sum(wanted.fits(record.message) for record in records)
        near = nearest(wanted, [(record.message, record.more) for record in records])
        times = "" if count == 1 else f"{count} times "
        return f"Wanted {times}published\n{wanted}\nof {len(records)} messages {found} were like this:\n{near}"

    def _seen(self) -> str:
        """Tell what there is, for any predicate."""
        lines = ["There is:"]
        for vhost in self.inside().core.vhosts.values():
            view = view_vhost(vhost)
            lines.append(f"  vhost {vhost.name!r}: {view.ready} ready, {view.unacked} unacked")
            lines += (
                f"    queue {queue.name!r}: {queue.ready_count} ready, {queue.unacked_count} unacked,"
                f" {queue.consumer_count} consumers"
                for queue in vhost.queues.values()
            )
        lines.append(f"  {len(list(self.inside().connections))} connections")
        latest = self._latest(_RECORDS_SHOWN_MAX, None)
        lines.append("and happened last:" if latest else "and nothing has happened to any message")
        lines += (f"  {record}" for record in latest)
        return "\n".join(lines)


class Waits(Conditions):
    """Waiting in the broker's own event loop."""

    async def wait_for(self, predicate: Callable[[Self], T], *, timeout_s: float = WAIT_S) -> T:
        """Wait until a predicate of the broker returns something true, and return that.

        It is called after every step of the broker, and must not change anything. What is not there yet (`NoSuchThing`,
        `NoMessage`) may come; any other exception ends the wait.

            record, *_ = await broker.wait_for(lambda broker: broker.acked("orders"))

        Args:
            predicate: gets this broker.
            timeout_s: how long, in real seconds.

        Raises:
            NotSeen: it did not become true in time; the text tells what there is instead.
        """
        return await self._wait_until(lambda: predicate(self), self._seen, timeout_s)

    async def wait_for_queue(
        self,
        name: str,
        *,
        ready: object = ANYTHING,
        unacked: object = ANYTHING,
        consumers: object = ANYTHING,
        vhost: str | None = None,
        timeout_s: float = WAIT_S,
    ) -> QueueView:
        """Wait until there is a queue, with so many messages and consumers; return it as it was then.

        Raises:
            NotSeen: that did not come in time; the text tells what the queue has.
        """
        return await self._wait_until(
            lambda: self._queue_as_wanted(name, vhost, ready, unacked, consumers),
            lambda: self._seen_queue(name, vhost, ready=ready, unacked=unacked, consumers=consumers),
            timeout_s,
        )

    async def wait_for_published(
        self,
        exchange: object = ANYTHING,
        routing_key: object = ANYTHING,
        *,
        body: object = ANYTHING,
        json: object = ANYTHING,
        headers: Mapping[str, object] | None = None,
        properties: Mapping[str, object] | None = None,
        count: int = 1,
        vhost: str | None = None,
        timeout_s: float = WAIT_S,
    ) -> list[Message]:
        """Wait until such messages were published, at least so many; return all of them. What was before counts.

        Args:
            exchange: the first of what `assert_published` takes.
            routing_key: its routing key.
            body: its body.
            json: what is in its body.
            headers: headers that it has, perhaps among others.
            properties: properties that it has, perhaps among others.
            count: how many.
            vhost: where.
            timeout_s: how long, in real seconds.

        Raises:
            NotSeen: that did not come in time; the text tells what came near.
            Misuse: there can be no such message.
        """
        wanted = Wanted(exchange, routing_key, body, json, headers, properties)
        wanted.check()
        return await self._wait_until(
            self._when_published(wanted, vhost, count),
            lambda: self._seen_published(wanted, vhost, count),
            timeout_s,
        )

    async def _wait_until(self, find: Callable[[], T | None], seen: Callable[[], str], timeout_s: float) -> T:
        found = await Waiter(self.inside, find).wait(timeout_s=timeout_s, seen=seen)
        assert found is not None
        return found


class BlockingWaits(Conditions):
    """The same for a broker in another thread: what is awaited there blocks here."""

    @abstractmethod
    def block_on(self, action: Callable[[], Awaitable[T]]) -> T:
        """Await something in the broker's event loop, and return what comes of it."""

    def wait_for(self, predicate: Callable[[Self], T], *, timeout_s: float = WAIT_S) -> T:
        """Wait until a predicate of the broker returns something true; see `Waits.wait_for`.

        The predicate is called in the broker's thread.

        Raises:
            NotSeen: it did not become true in time; the text tells what there is instead.
        """
        return self._block_until(lambda: predicate(self), self._seen, timeout_s)

    def wait_for_queue(
        self,
        name: str,
        *,
        ready: object = ANYTHING,
        unacked: object = ANYTHING,
        consumers: object = ANYTHING,
        vhost: str | None = None,
        timeout_s: float = WAIT_S,
    ) -> QueueView:
        """Wait until there is a queue, with so many messages and consumers; return it as it was then.

        Raises:
            NotSeen: that did not come in time; the text tells what the queue has.
        """
        return self._block_until(
            lambda: self._queue_as_wanted(name, vhost, ready, unacked, consumers),
            lambda: self._seen_queue(name, vhost, ready=ready, unacked=unacked, consumers=consumers),
            timeout_s,
        )

    def wait_for_published(
        self,
        exchange: object = ANYTHING,
        routing_key: object = ANYTHING,
        *,
        body: object = ANYTHING,
        json: object = ANYTHING,
        headers: Mapping[str, object] | None = None,
        properties: Mapping[str, object] | None = None,
        count: int = 1,
        vhost: str | None = None,
        timeout_s: float = WAIT_S,
    ) -> list[Message]:
        """Wait until such messages were published, at least so many; see `Waits.wait_for_published`.

        Raises:
            NotSeen: that did not come in time; the text tells what came near.
            Misuse: there can be no such message.
        """
        wanted = Wanted(exchange, routing_key, body, json, headers, properties)
        wanted.check()
        return self._block_until(
            self._when_published(wanted, vhost, count),
            lambda: self._seen_published(wanted, vhost, count),
            timeout_s,
        )

    def _block_until(self, find: Callable[[], T | None], seen: Callable[[], str], timeout_s: float) -> T:
        async def wait() -> T | None:
            return await Waiter(self.inside, find).wait(timeout_s=timeout_s, seen=seen)

        found = self.block_on(wait)
        assert found is not None
        return found
