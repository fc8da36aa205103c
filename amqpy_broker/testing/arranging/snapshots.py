"""The part of the kit that takes snapshots of what the broker holds, and restores them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from amqpy_broker.core import snapshot as core_snapshot
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.snapshot import Snapshot
from amqpy_broker.testing.arranging.vhosts import close_connections_to
from amqpy_broker.testing.in_broker import InBroker, in_broker


class Snapshots(InBroker):
    """Snapshots, from the test."""

    @in_broker
    def snapshot(self) -> Snapshot:
        """Take down what the broker holds: users, vhosts, exchanges, bindings, queues and their messages.

        What clients have and did not settle yet is ready in it, marked redelivered. What is exclusive to a connection
        is not in it. A snapshot never changes, may be restored any number of times, and to another broker with the same
        profile, too.
        """
        return core_snapshot.take(self.inside().core)

    @in_broker
    def restore(self, snapshot: Snapshot) -> None:
        """Let the broker hold what a snapshot holds, and nothing else but what is exclusive to a connection.

        Connections stay, unless their vhost goes, and so do consumers, unless their queue goes. What clients have and
        did not settle yet they keep; what they do with it changes nothing any more. Messages have as long to live as
        they had when the snapshot was taken.

        What a client has sent and the broker has not read yet comes afterwards: `await broker.settled()` before.
        """
        gone = core_snapshot.restore(self.inside().core, snapshot)
        close_connections_to(gone, self.inside())

    @contextmanager
    def restored(self) -> Iterator[Snapshot]:
        """Let the broker hold afterwards what it holds now: `with broker.restored(): ...`."""
        snapshot = self.snapshot()
        try:
            yield snapshot
        finally:
            self.restore(snapshot)

    def reset(self) -> None:
        """Let the broker hold what it held when it had just started: the user guest, the vhost `/`, and nothing else.

        It is `restore` with a snapshot of that time: connections to the vhost `/` stay.
        """
        self.restore(core_snapshot.take(BrokerCore(self.inside().core.profile)))
