"""All faults of a broker or proxy, and the links that they have a hand in.

Links are left alone while there are no faults, and again when there are none any more.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from random import Random, SystemRandom
from typing import Final

from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.faults.ends import End, Surroundings
from amqpy_broker.testing.faults.errors import UnusedFaultWarning
from amqpy_broker.testing.faults.fault import Fault, RunsInBroker
from amqpy_broker.testing.faults.line import Line
from amqpy_broker.testing.link.link import Link

logger = logging.getLogger(__name__)

_SEED_BITS: Final = 32


class Desk:
    """Begins faults, shows them what passes, and complains of those that were for nothing. In the broker's thread."""

    def __init__(self, around: Surroundings, seed: int | None = None) -> None:
        self.around = around
        self._seeds: Random = SystemRandom() if seed is None else Random(seed)
        # All that there were, the oldest first.
        self.faults: list[Fault] = []
        self._in_force: tuple[Fault, ...] = ()
        self._lines: dict[Link, Line] = {}
        self._unused: list[Fault] = []

    def begin(self, fault: Fault, runner: RunsInBroker, *, seed: int | None) -> None:
        """Let a fault come into force.

        Raises:
            Misuse: it cannot be had here.
        """
        if fault.needs_broker and not self.around.has_broker:
            raise Misuse(
                f"a proxy cannot do {fault!r}: that takes a broker of ours"
                + ("; it can for frames, as in method='queue.declare'" if fault.name.startswith("close_") else "")
            )
        fault.belong_to(runner, self._changed, self._seeds.getrandbits(_SEED_BITS) if seed is None else seed)
        if fault.is_random:
            # Loud enough to be in the report of a test that fails.
            logger.warning("%r begins", fault)
        self.faults.append(fault)
        fault.act_now(self.around.ends())
        self._changed()

    def connected(self, find_end: Callable[[], End]) -> None:
        """Learn of a connection that begins; while there are no faults, nothing is asked about it."""
        if not self._in_force:
            return
        end = find_end()
        for fault in self._in_force:
            fault.connected(end)
        if self._in_force:
            self._attach(end)

    def clear(self) -> None:
        """End all faults, and complain of none."""
        for fault in tuple(self.faults):
            fault.may_not_fire = True
            fault.stop()

    def forgive(self) -> None:
        """Complain of nothing in the end: something else has gone wrong."""
        for fault in self.faults:
            fault.may_not_fire = True

    def close(self) -> None:
        """End all faults with the broker, and hold nothing back any more."""
        faults, self.faults = self.faults, []
        self._unused += [fault for fault in faults if fault.is_left_unused]
        for fault in faults:
            fault.end()
            fault.release()

    def complain(self) -> None:
        """Warn of the faults that were in force to the end, and never happened."""
        unused, self._unused = self._unused, []
        for fault in unused:
            warnings.warn(fault.complaint, UnusedFaultWarning, stacklevel=2)

    def _changed(self) -> None:
        """Have a hand in all links while there are faults, and in those that need it when there are none."""
        self._in_force = tuple(fault for fault in self.faults if fault.is_in_force)
        ends = self.around.ends()
        there = {end.link for end in ends}
        for link, line in tuple(self._lines.items()):
            if link not in there or not (self._in_force or line.is_needed):
                link.remove(line)
                del self._lines[link]
        if self._in_force:
            for end in ends:
                self._attach(end)

    def _attach(self, end: End) -> None:
        if end.link not in self._lines:
            line = self._lines[end.link] = Line(end, self._asked, self._changed)
            end.link.add(line)

    def _asked(self) -> Sequence[Fault]:
        return self._in_force
