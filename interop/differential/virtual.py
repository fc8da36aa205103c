"""Plays scenarios against our broker in virtual time: what expires after 150 ms does so at once, and on any machine.

Each worker has a broker of its own, in this process, because a scenario that waits turns its broker's clock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue

from amqpy_broker.protocols.amqp091.own_messages import make_message
from amqpy_broker.testing import BrokerThread
from interop.differential.administration import InThread
from interop.differential.pace import VirtualTime
from interop.differential.player import Player, Transcripts
from interop.differential.scenario import Scenario

# What scenarios provoke is of no interest.
logging.getLogger("amqpy_broker").setLevel(logging.ERROR)

# They share this process, and so one core; but mostly clients wait.
BROKERS_COUNT = 6


def play_in_virtual_time(profile: str, scenarios: Iterable[Scenario]) -> Transcripts:
    """Play scenarios against our broker, several at a time."""
    chosen = list(scenarios)
    idle: SimpleQueue[Player] = SimpleQueue()

    def play(scenario: Scenario) -> list[str]:
        player = idle.get()
        try:
            return player.play(scenario)
        finally:
            idle.put(player)

    with ExitStack() as stack:
        for _ in range(BROKERS_COUNT):
            broker = stack.enter_context(BrokerThread(profile=profile, virtual_time=True, quiet_s=0.001))
            broker.run_in_broker(partial(broker.core.publish_events, make_message))
            player = Player(broker.url, InThread(broker), VirtualTime(broker))
            stack.callback(player.close)
            idle.put(player)
        with ThreadPoolExecutor(BROKERS_COUNT) as pool:
            names = (scenario.name for scenario in chosen)
            return dict(zip(names, pool.map(play, chosen), strict=True))
