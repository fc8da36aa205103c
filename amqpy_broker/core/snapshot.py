"""Snapshots: what a broker holds, taken down, and made so again in place.

Rule 1: a snapshot never changes. It shares the messages with the queues, which do not change either.
Rule 2: what is exclusive to a connection is neither in a snapshot nor touched by one.
Rule 3: what is handed out and not settled is ready in a snapshot, as if it had come back: marked redelivered, and
        counted where that is done. Whoever has it when a snapshot is restored keeps it, as after its queue was deleted:
        what becomes of it changes nothing any more.
Rule 4: what is the same stays, and so do the consumers of a queue that stays. A queue, an exchange or a binding that is
        not in the snapshot, or that is another one there, goes.
Rule 5: time stands still for a snapshot: what had a minute to live has a minute to live, whenever it is restored.
Rule 6: nobody is told of anything before everything is in its place.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.exchanges.base import Exchange, KeptByExchange
from amqpy_broker.core.exchanges.bindings import Binding, Destination
from amqpy_broker.core.names import DEFAULT_EXCHANGE, RESERVED_PREFIX
from amqpy_broker.core.policies import Policy
from amqpy_broker.core.queues.base import Queue, QueuedMessage
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.contents import Contents
from amqpy_broker.core.queues.properties import QueueProperties
from amqpy_broker.core.users import Permissions, User
from amqpy_broker.core.vhost import VirtualHost

_NEVER: Final = float("inf")
_NOTHING: Final = Contents((), 0, {}, 0)


class SavedUser(NamedTuple):
    """A user."""

    name: str
    password_hash: bytes | None
    tags: tuple[str, ...]
    permissions: tuple[tuple[str, Permissions], ...]


class SavedExchange(NamedTuple):
    """An exchange that was declared like this."""

    type: str
    durable: bool
    auto_delete: bool
    internal: bool
    arguments: Arguments


class SavedQueue(NamedTuple):
    """A queue that was declared like this."""

    durable: bool
    auto_delete: bool
    arguments: Arguments


class SavedBinding(NamedTuple):
    """A binding to a queue or an exchange."""

    kind: str
    destination: str
    key: str
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class SavedVhost:
    """What a vhost holds, by name."""

    policies: tuple[Policy, ...]
    operator_policies: tuple[Policy, ...]
    exchanges: Mapping[str, SavedExchange]
    # What exchanges keep for themselves.
    kept: Mapping[str, tuple[KeptByExchange, ...]]
    queues: Mapping[str, SavedQueue]
    contents: Mapping[str, Contents]
    # By source, the oldest first: to some exchanges the order matters.
    bindings: Mapping[str, tuple[SavedBinding, ...]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a broker held at a time of its clock."""

    taken_at_s: float
    users: tuple[SavedUser, ...]
    vhosts: Mapping[str, SavedVhost]

    @property
    def bare(self) -> "Snapshot":
        """The same users and vhosts, with nothing in these but what every vhost begins with."""
        return replace(self, vhosts={name: _bare(vhost) for name, vhost in self.vhosts.items()})


def take(core: BrokerCore, *, durable_only: bool = False) -> Snapshot:
    """Take down what a broker holds.

    Args:
        core: the broker.
        durable_only: leave out what does not outlive a restart: messages that are not persistent or not in a durable
            queue, exchanges and queues that are not durable, and bindings of these. Quorum queues keep all messages.

    Raises:
        ValueError: the broker keeps a journal, which would not know of it.
    """
    _refuse_journal(core)
    vhosts = {name: _take_vhost(vhost) for name, vhost in core.vhosts.items()}
    if durable_only:
        vhosts = {name: _durable(vhost) for name, vhost in vhosts.items()}
    return Snapshot(core.timers.now_s, tuple(map(_save_user, core.users)), vhosts)


def restore(core: BrokerCore, snapshot: Snapshot, *, time_stood_still: bool = True) -> list[str]:
    """Make a broker hold what a snapshot holds, and nothing else but what is exclusive to connections.

    Consumers of queues that go are told.

    Args:
        core: the broker; the snapshot may be of another one with the same profile.
        snapshot: what it shall hold.
        time_stood_still: messages live as long as they had to live when it was taken; else until the time they had.

    Returns:
        The vhosts that are gone: whoever knows their connections closes them.

    Raises:
        ValueError: the broker keeps a journal.
    """
    _refuse_journal(core)
    shift_s = core.timers.now_s - snapshot.taken_at_s if time_stood_still else 0.0
    # Nothing of this is news: what listens to events would put messages into what was just restored.
    told, core.events.wanted = core.events.wanted, False
    try:
        gone = [name for name in core.vhosts if name not in snapshot.vhosts]
        for name in gone:
            _remove_vhost(core, name)
        _restore_users(core, snapshot.users)
        changed: list[ClassicQueue] = []
        for name, saved in snapshot.vhosts.items():
            changed += _Restoring(core.add_vhost(name), saved, shift_s).run()
        for queue in changed:
            if not queue.deleted:
                queue.go_on()
    finally:
        core.events.wanted = told
    core.memory.measure()
    return gone


def _refuse_journal(core: BrokerCore) -> None:
    if core.journal is not None:
        raise ValueError("a broker that keeps a journal has no snapshots")


# Taking ---------------------------------------------------------------------------------------------------------------


def _save_user(user: User) -> SavedUser:
    return SavedUser(user.name, user.password_hash, user.tags, tuple(user.permissions.items()))


def _take_vhost(vhost: VirtualHost) -> SavedVhost:
    unacked = _unacked_by_queue(vhost)
    queues = {name: queue for name, queue in vhost.queues.items() if queue.owner is None}
    exchanges = {name: exchange for name, exchange in vhost.exchanges.items() if name != DEFAULT_EXCHANGE}
    return SavedVhost(
        policies=tuple(vhost.policies.users),
        operator_policies=tuple(vhost.policies.operators),
        exchanges={name: _save_exchange(exchange) for name, exchange in exchanges.items()},
        kept={name: kept for name, exchange in exchanges.items() if (kept := exchange.kept)},
        queues={name: _save_queue(queue) for name, queue in queues.items()},
        contents={name: _classic(queue).contents(unacked.get(queue, ())) for name, queue in queues.items()},
        bindings={
            name: saved
            for name, exchange in exchanges.items()
            if exchange.in_use and (saved := tuple(map(_save_binding, _shared(exchange))))
        },
    )


def _unacked_by_queue(vhost: VirtualHost) -> dict[Queue, list[QueuedMessage]]:
    by_queue: dict[Queue, list[QueuedMessage]] = {}
    for channel in vhost.channels:
        for queued in channel.unacked():
            by_queue.setdefault(queued.queue, []).append(queued)
    return by_queue


def _classic(queue: Queue) -> ClassicQueue:
    """All queues are, so far."""
    assert isinstance(queue, ClassicQueue)
    return queue


def _save_exchange(exchange: Exchange) -> SavedExchange:
    return SavedExchange(exchange.type, exchange.durable, exchange.auto_delete, exchange.internal, exchange.arguments)


def _save_queue(queue: Queue) -> SavedQueue:
    return SavedQueue(queue.durable, queue.auto_delete, queue.arguments)


def _save_binding(binding: Binding) -> SavedBinding:
    to = binding.destination
    return SavedBinding(to.kind, to.name, binding.key, binding.arguments)


def _shared(exchange: Exchange) -> Iterator[Binding]:
    """List the bindings of an exchange that do not lead to what is exclusive."""
    for binding in exchange.bindings:
        to = binding.destination
        if not (isinstance(to, Queue) and to.owner is not None):
            yield binding


def _durable(vhost: SavedVhost) -> SavedVhost:
    """Leave out what does not outlive a restart."""
    exchanges = {name: exchange for name, exchange in vhost.exchanges.items() if exchange.durable}
    queues = {name: queue for name, queue in vhost.queues.items() if queue.durable}
    ends: Mapping[str, Mapping[str, object]] = {"queue": queues, "exchange": exchanges}
    return replace(
        vhost,
        exchanges=exchanges,
        # What is delayed is on disk; a recent history is not.
        kept={
            name: tuple(message for message in kept if message.due_s != _NEVER)
            for name, kept in vhost.kept.items()
            if name in exchanges
        },
        queues=queues,
        contents={name: _persistent(queue, vhost.contents[name]) for name, queue in queues.items()},
        bindings={
            name: tuple(binding for binding in bindings if binding.destination in ends[binding.kind])
            for name, bindings in vhost.bindings.items()
            if name in exchanges
        },
    )


def _persistent(queue: SavedQueue, contents: Contents) -> Contents:
    queue_type = queue.arguments.get("x-queue-type")
    stores_all = queue_type is not None and queue_type.value == "quorum"
    messages = tuple(kept for kept in contents.messages if stores_all or kept.message.persistent)
    return contents._replace(messages=messages, seen={})


def _bare(vhost: SavedVhost) -> SavedVhost:
    exchanges = {name: exchange for name, exchange in vhost.exchanges.items() if name.startswith(RESERVED_PREFIX)}
    return SavedVhost((), (), exchanges, {}, {}, {}, {})


# Restoring ------------------------------------------------------------------------------------------------------------


def _restore_users(core: BrokerCore, users: Iterable[SavedUser]) -> None:
    saved = {user.name: user for user in users}
    for user in core.users:
        if user.name not in saved:
            core.users.remove(user.name)
        elif _save_user(user) == saved[user.name]:
            del saved[user.name]
    for name, password_hash, tags, permissions in saved.values():
        core.users.add(User(name, password_hash, tags, dict(permissions)))


def _remove_vhost(core: BrokerCore, name: str) -> None:
    vhost = core.vhosts.pop(name)
    vhost.forget_deaths()
    for queue in tuple(vhost.queues.values()):
        if queue.owner is None:
            _drop_queue(vhost, queue)
    for exchange in vhost.exchanges.values():
        exchange.close()


def _drop_queue(vhost: VirtualHost, queue: Queue) -> None:
    for consumer in vhost.drop_queue(queue):
        consumer.cancelled()


class _Restoring:
    """Makes one vhost what it was."""

    def __init__(self, vhost: VirtualHost, saved: SavedVhost, shift_s: float) -> None:
        self._vhost = vhost
        self._saved = saved
        self._shift_s = shift_s

    def run(self) -> list[ClassicQueue]:
        """Do it; return the queues whose messages have changed, and which are to go on when everything is done."""
        self._vhost.forget_deaths()
        self._drop_what_is_not_saved()
        self._restore_policies()
        self._create_what_is_missing()
        for name, exchange in self._vhost.exchanges.items():
            self._refill_exchange(exchange, self._saved.kept.get(name, ()))
        unacked = _unacked_by_queue(self._vhost)
        queues = [(_classic(self._vhost.queues[name]), contents) for name, contents in self._saved.contents.items()]
        return [queue for queue, contents in queues if self._refill_queue(queue, contents, unacked.get(queue, ()))]

    def _drop_what_is_not_saved(self) -> None:
        vhost, saved = self._vhost, self._saved
        for name, queue in tuple(vhost.queues.items()):
            if queue.owner is None and saved.queues.get(name) != _save_queue(queue):
                _drop_queue(vhost, queue)
        for name, exchange in tuple(vhost.exchanges.items()):
            if name == DEFAULT_EXCHANGE or vhost.exchanges.get(name) is not exchange:
                continue
            if saved.exchanges.get(name) != _save_exchange(exchange):
                vhost.drop_exchange(exchange)
            elif exchange.in_use:
                self._drop_bindings(exchange, saved.bindings.get(name, ()))

    def _drop_bindings(self, exchange: Exchange, saved: tuple[SavedBinding, ...]) -> None:
        """Drop the bindings of an exchange from the first one on that differs."""
        bindings = tuple(_shared(exchange))
        same = 0
        while same < len(bindings) and same < len(saved) and _save_binding(bindings[same]) == saved[same]:
            same += 1
        for binding in bindings[same:]:
            self._vhost.drop_binding(binding)

    def _restore_policies(self) -> None:
        policies, saved = self._vhost.policies, self._saved
        if (tuple(policies.users), tuple(policies.operators)) == (saved.policies, saved.operator_policies):
            return
        for queue in self._vhost.queues.values():
            if queue.owner is None:
                # What it holds goes anyway. It must not die of a policy before that.
                _classic(queue).refill(_NOTHING)
        for policy in tuple(policies.users):
            if policy not in saved.policies:
                policies.clear(policy.name)
        for policy in tuple(policies.operators):
            if policy not in saved.operator_policies:
                policies.clear_operator(policy.name)
        for policy in saved.policies:
            policies.put_back(policy, operators=False)
        for policy in saved.operator_policies:
            policies.put_back(policy, operators=True)

    def _create_what_is_missing(self) -> None:
        vhost, saved = self._vhost, self._saved
        for name, exchange in saved.exchanges.items():
            if name not in vhost.exchanges:
                vhost.create_exchange(
                    name,
                    exchange.type,
                    durable=exchange.durable,
                    auto_delete=exchange.auto_delete,
                    internal=exchange.internal,
                    arguments=exchange.arguments,
                )
        for name, queue in saved.queues.items():
            if name not in vhost.queues:
                vhost.create_queue(
                    name, durable=queue.durable, auto_delete=queue.auto_delete, arguments=queue.arguments
                )
        for source, bindings in saved.bindings.items():
            there = sum(1 for _ in _shared(vhost.exchanges[source]))
            for binding in bindings[there:]:
                self._bind(source, binding)

    def _bind(self, source: str, saved: SavedBinding) -> None:
        ends: Mapping[str, Destination] = self._vhost.queues if saved.kind == "queue" else self._vhost.exchanges
        self._vhost.create_binding(Binding(source, ends[saved.destination], saved.key, saved.arguments))

    def _refill_exchange(self, exchange: Exchange, kept: tuple[KeptByExchange, ...]) -> None:
        moved = tuple(message._replace(due_s=message.due_s + self._shift_s) for message in kept)
        if exchange.kept != moved:
            exchange.refill(moved)

    def _refill_queue(self, queue: ClassicQueue, contents: Contents, unacked: Iterable[QueuedMessage]) -> bool:
        """Give a queue its messages; False if it has them."""
        held = tuple(unacked)
        if not held and self._has(queue, contents):
            return False
        if held:
            forgotten = _ForgottenDeliveries(queue, self._vhost)
            for queued in held:
                queued.queue = forgotten
        queue.refill(contents, self._shift_s)
        return True

    def _has(self, queue: ClassicQueue, contents: Contents) -> bool:
        if self._shift_s and contents.is_timed:
            return False
        found = queue.contents(())
        return found._replace(last_position=contents.last_position) == contents


class _ForgottenDeliveries(ClassicQueue):
    """Where deliveries belong of which their queue knows nothing any more: nothing comes of what is done with them."""

    __slots__ = ()

    def __init__(self, queue: Queue, vhost: VirtualHost) -> None:
        super().__init__(QueueProperties(queue.name, queue.vhost, arguments=queue.arguments), vhost)
        self.deleted = True

    def settle(self, queued: QueuedMessage) -> None:
        """Do nothing."""

    def discard(self, queued: QueuedMessage) -> None:
        """Do nothing."""

    def requeue(self, returned: Iterable[QueuedMessage], *, failed: bool = True) -> None:
        """Do nothing."""
