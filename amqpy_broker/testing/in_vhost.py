"""Where a part of the kit acts: in one vhost, of a broker that may live in another thread; and finding things there."""

from __future__ import annotations

from amqpy_broker.core.exchanges.base import Exchange
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.testing.errors import NoSuchThing
from amqpy_broker.testing.in_broker import InBroker
from amqpy_broker.testing.looking.near import near_matches


class InVhost(InBroker):
    """Something whose methods act in a vhost: the one that they are given, or else the one that they are at home in."""

    # Where methods act that are not told where.
    home_vhost: str = "/"
    # The only vhost whose history is told, unless another is asked for; None: the history of all of them.
    history_vhost: str | None = None

    def _find_vhost(self, name: str | None) -> VirtualHost:
        __tracebackhide__ = True
        vhosts = self.inside().core.vhosts
        name = self.home_vhost if name is None else name
        if name not in vhosts:
            raise NoSuchThing(f"no vhost {name!r}{near_matches(name, vhosts)}")
        return vhosts[name]

    def _find_queue(self, name: str, vhost: str | None) -> Queue:
        __tracebackhide__ = True
        there = self._find_vhost(vhost)
        queue = there.queues.get(name)
        if queue is None:
            raise NoSuchThing(f"no queue {name!r} in vhost {there.name!r}{near_matches(name, there.queues)}")
        return queue

    def _find_exchange(self, name: str, vhost: str | None) -> Exchange:
        __tracebackhide__ = True
        there = self._find_vhost(vhost)
        exchange = there.exchanges.get(name)
        if exchange is None:
            names = [known for known in there.exchanges if known]
            raise NoSuchThing(f"no exchange {name!r} in vhost {there.name!r}{near_matches(name, names)}")
        return exchange
