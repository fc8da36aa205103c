"""A broker is made again of what its journal holds: documents first, then the messages of each queue.

Rule 1: what is in the journal wins: a default that was deleted stays deleted.
Rule 2: nobody is told of anything before everything is there: only then what is too old, or too much, dies.
Rule 3: what cannot be made again is said, and nothing is made: a broker that quietly lacks a queue loses messages.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from amqpy_broker.core.documents import About, Document, Documents, damaged, read_documents
from amqpy_broker.core.errors import AmqpError
from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.exchanges.bindings import Binding, Destination
from amqpy_broker.core.exchanges.types import EXCHANGE_TYPES
from amqpy_broker.core.journal import JournalFailed, JournalWriter, Page, Recovered, queue_of
from amqpy_broker.core.policies import Policy
from amqpy_broker.core.queues.journaled import Journaled
from amqpy_broker.core.users import Permissions, User, Users
from amqpy_broker.core.vhost import VirtualHost


@dataclass(frozen=True, slots=True)
class Found:
    """What a journal held."""

    # No broker wrote to it before.
    is_new: bool
    closed_cleanly: bool
    queues_count: int = 0
    messages_count: int = 0


class Recovery:
    """Makes vhosts, users, exchanges, queues and bindings, and fills the queues."""

    def __init__(
        self, recovered: Recovered, documents: Documents, users: Users, add_vhost: Callable[[str], VirtualHost]
    ) -> None:
        self._recovered = recovered
        self._documents = documents
        self._users = users
        self._add_vhost = add_vhost
        self._vhosts: dict[str, VirtualHost] = {}
        # By their names in the journal: a queue, and up to which place it had handed out messages.
        self._queues: dict[int, tuple[Journaled, int]] = {}
        self._exchanges: dict[int, Exchange] = {}

    def run(self) -> Found:
        """Make everything.

        Raises:
            JournalFailed: something cannot be made again; the text says what.
        """
        found = read_documents(self._recovered.documents)
        if not self._recovered.documents:
            return Found(is_new=True, closed_cleanly=True)
        self._documents.recovering = True
        self._documents.last_number = max((numbers.number("last") for numbers in found[About.NUMBERS]), default=0)
        steps: tuple[tuple[About, Callable[[Document], None]], ...] = (
            (About.VHOST, self._make_vhost),
            (About.USER, self._make_user),
            # What is made after them stands under them.
            (About.POLICY, self._make_policy),
            (About.OPERATOR_POLICY, self._make_operator_policy),
            (About.EXCHANGE, self._make_exchange),
            (About.QUEUE, self._make_queue),
        )
        for about, make in steps:
            for document in found[about]:
                self._make(about, document, make)
        # In the order in which they were made: to some exchanges it matters.
        for document in sorted(found[About.BINDING], key=lambda document: document.number("number")):
            self._make(About.BINDING, document, self._make_binding)
        messages_count = self._fill_queues()
        self._documents.recovering = False
        return Found(False, self._recovered.closed_cleanly, len(self._queues), messages_count)

    def _make(self, about: About, document: Document, make: Callable[[Document], None]) -> None:
        try:
            make(document)
        except AmqpError as refusal:
            what = f"{about} {', '.join(document.names)}"
            raise JournalFailed(f"{what} is in the journal, but cannot be made again: {refusal.text}") from refusal
        except (KeyError, ValueError) as failure:
            raise damaged(f"{about} {', '.join(document.names)}: {failure!r}") from failure

    # --- topology ---------------------------------------------------------------------------------------------------

    def _make_vhost(self, document: Document) -> None:
        (name,) = document.names
        self._vhosts[name] = self._add_vhost(name)

    def _make_user(self, document: Document) -> None:
        (name,) = document.names
        permissions = {vhost: Permissions(*patterns) for vhost, patterns in document.lists("permissions")}
        self._users.add(User(name, document.octets("password_hash"), document.texts("tags"), permissions))

    def _make_policy(self, document: Document) -> None:
        self._vhosts[document.names[0]].policies.put_back(_policy(document), operators=False)

    def _make_operator_policy(self, document: Document) -> None:
        self._vhosts[document.names[0]].policies.put_back(_policy(document), operators=True)

    def _make_exchange(self, document: Document) -> None:
        vhost, name = document.names
        if document.text("type") not in EXCHANGE_TYPES:
            raise damaged(f"exchange {name} has a type that nobody knows: {document.text('type')}")
        journal_id = document.optional_number("id")
        exchange = self._vhosts[vhost].create_exchange(
            name,
            document.text("type"),
            durable=True,
            auto_delete=document.flag("auto_delete"),
            internal=document.flag("internal"),
            arguments=document.arguments,
            journal_id=journal_id,
        )
        if journal_id is not None:
            self._exchanges[journal_id] = exchange

    def _make_queue(self, document: Document) -> None:
        vhost, name = document.names
        queue = self._vhosts[vhost].create_queue(
            name,
            durable=True,
            auto_delete=document.flag("auto_delete"),
            arguments=document.arguments,
            journal_id=document.number("id"),
        )
        assert isinstance(queue, Journaled)
        self._queues[document.number("id")] = queue, document.number("delivered")

    def _make_binding(self, document: Document) -> None:
        vhost_name, source, kind, name, key, *_ = document.names
        vhost = self._vhosts[vhost_name]
        to: Destination = vhost.queues[name] if kind == "queue" else vhost.exchanges[name]
        binding = Binding(vhost.exchanges[source].name, to, key, document.arguments)
        vhost.create_binding(binding)

    # --- messages ---------------------------------------------------------------------------------------------------

    def _fill_queues(self) -> int:
        pages: dict[int, list[Page]] = {}
        for page in self._recovered.pages:
            pages.setdefault(queue_of(page.queue), []).append(page)
        crashed = not self._recovered.closed_cleanly
        for name, (queue, delivered_place) in self._queues.items():
            queue.take_back(pages.get(name, []), delivered_place, crashed=crashed)
        for name, exchange in self._exchanges.items():
            exchange.take_back(pages.get(name, []))
        self._drop_unknown({page.queue for several in pages.values() for page in several})
        for queue, _ in self._queues.values():
            queue.wake_up()
        return sum(page.count for several in pages.values() for page in several)

    def _drop_unknown(self, names: Iterable[int]) -> None:
        """Let the journal forget messages of queues that are not there: they were in memory only."""
        journal: JournalWriter | None = self._documents.journal
        assert journal is not None
        for name in names:
            if queue_of(name) not in self._queues and queue_of(name) not in self._exchanges:
                journal.drop_queue(name)


def _policy(document: Document) -> Policy:
    _, name = document.names
    return Policy(
        name,
        document.text("pattern"),
        document.object("definition"),
        document.amount("priority"),
        document.text("apply_to"),
    )
