"""Kill a durable broker amid traffic, start it again, and see whether it kept its promises.

    python -m interop.crash                20 rounds, as CI does
    python -m interop.crash --rounds 200   the long run
    python -m interop.crash --seed 7       the same moments again, as far as time allows

pika and aio-pika publish persistent messages with confirms to a classic and a quorum queue; consumers acknowledge. The
exit code is 1 if a confirmed message was lost, or came twice unmarked, or out of order.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import signal
import tempfile
import threading
import time

from interop.crash.ledger import Ledger
from interop.crash.load import NAMES, Numbers, consume, declare, publish_many, publish_one_by_one
from interop.peers import Peer, amqpy

# When to kill, after the first client has connected, in seconds.
LIFE_MIN_S, LIFE_MAX_S = 0.05, 0.6


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m interop.crash", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    # Clients are loud about brokers that die.
    logging.disable()
    print(f"{arguments.rounds} rounds, --seed {arguments.seed}", flush=True)
    test = CrashTest(random.Random(arguments.seed))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="amqpy-crash-") as folder:
        mistakes = test.run(folder, arguments.rounds)
    print("\n".join(mistakes[:50]))
    print(f"{test.summary()}; {len(mistakes)} mistakes; {time.monotonic() - began:.0f} s")
    return 1 if mistakes else 0


class CrashTest:
    """Several lives of one data directory."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.ledger = Ledger()
        self._lock = threading.Lock()
        self._publishers = [Numbers("pika", rng), Numbers("aio-pika", rng)]

    def run(self, folder: str, rounds: int) -> list[str]:
        """Play the rounds, drain the queues, and return what was wrong."""
        for number in range(rounds):
            with amqpy(arguments=("--data-dir", folder, "--log-level", "warning")) as broker:
                asyncio.run(self._live(broker, is_first=number == 0))
            if self.ledger.mistakes():
                return self.ledger.mistakes()
        with amqpy(arguments=("--data-dir", folder)) as broker:
            asyncio.run(self._drain(broker))
        return self.ledger.mistakes() + self.ledger.losses()

    async def _live(self, broker: Peer, *, is_first: bool) -> None:
        """Let a broker work for a while, and kill it."""
        if is_first:
            await declare(broker.url)
        one_by_one, many = self._publishers
        for queue in self.ledger.queues.values():
            queue.broker_started()
        thread = threading.Thread(
            target=publish_one_by_one, args=(broker.url, one_by_one, self.ledger, self._lock), daemon=True
        )
        thread.start()
        publisher = asyncio.create_task(publish_many(broker.url, many, self.ledger))
        # Now and then a queue has no consumer, and grows.
        consumers = [
            asyncio.create_task(consume(broker.url, name, self.ledger)) for name in NAMES if self._rng.random() < 0.7
        ]
        await asyncio.sleep(self._rng.uniform(LIFE_MIN_S, LIFE_MAX_S))
        os.kill(broker.pid, signal.SIGKILL)
        await asyncio.wait([publisher], timeout=20)
        for task in consumers:
            task.cancel()
        await asyncio.gather(publisher, *consumers, return_exceptions=True)
        thread.join(20)

    async def _drain(self, broker: Peer) -> None:
        for queue in self.ledger.queues.values():
            queue.broker_started()
        async with asyncio.TaskGroup() as tasks:
            for name in NAMES:
                tasks.create_task(consume(broker.url, name, self.ledger, until_empty=True))

    def summary(self) -> str:
        """Tell how much was tried."""
        return "; ".join(
            f"{queue.name}: {len(queue.confirmed)} confirmed, {len(queue.delivered)} delivered,"
            f" {queue.redelivered_count} of them again"
            for queue in self.ledger.queues.values()
        )


if __name__ == "__main__":
    raise SystemExit(main())
