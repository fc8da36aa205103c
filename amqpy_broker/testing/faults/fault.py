"""A fault: what it is about, how often it happened, and when it ends.

A fault is in force from when it is made. It ends with its scope, if it has one, after so many `times`, by `stop`, or
with the broker. Some act at once, on what is there; with a scope or `times` they stay for what comes later.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from types import TracebackType
from typing import ClassVar, Final, Protocol, Self, TypeVar

from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.faults.ends import End
from amqpy_broker.testing.faults.errors import FaultNeverFired
from amqpy_broker.testing.faults.line import Line
from amqpy_broker.testing.faults.seen import Seen
from amqpy_broker.testing.faults.selection import Selection
from amqpy_broker.testing.link.link import PASS, Verdict

logger = logging.getLogger(__name__)

T = TypeVar("T")
# What a complaint lists of what passed.
_LISTED_MAX: Final = 8


class RunsInBroker(Protocol):
    """Does things in the broker's own thread."""

    def run_in_broker(self, action: Callable[[], T]) -> T:
        """Do something between the broker's steps, and return what comes of it."""
        ...


class Fault:
    """Something that goes wrong. Use it in a `with`, or give it a number of `times`."""

    name: ClassVar[str]
    # Whether only a broker of ours can have it: a proxy sees frames, and nothing behind them.
    needs_broker: bool = False
    # Whether it happens to the parts of a message, too, and not to methods alone.
    takes_content: ClassVar[bool] = False
    # Whether it has happened though the frame passes.
    counts_passing: ClassVar[bool] = False

    def __init__(self, selection: Selection | None = None, *, details: str = "", is_random: bool = False) -> None:
        self.selection = selection or Selection()
        self.times: int | None = None
        self.may_not_fire = False
        # How often it happened.
        self.fired = 0
        self.is_over = False
        # What the predicate raised.
        self.failure: Exception | None = None
        self.is_random = is_random or self.selection.probability < 1
        self.seed = 0
        self.random = Random(0)
        self._details = details
        self._passed: Counter[str] = Counter()
        self._has_scope = False
        self._runner: RunsInBroker | None = None
        self._on_change: Callable[[], None] = _nobody

    # --- for tests --------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._run(self._enter)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        # What went wrong first is what is to be seen.
        if error is None and self.failure is not None:
            raise Misuse(self.complaint) from self.failure
        if error is None and self.is_to_be_complained_of:
            raise FaultNeverFired(self.complaint)

    def stop(self) -> None:
        """End the fault. What it did stays done; what it holds back without a time goes on. Stopping twice is fine."""
        self._run(self._stop)

    @property
    def is_to_be_complained_of(self) -> bool:
        """Whether it never happened, though it should have."""
        return self.failure is not None or (not self.fired and not self.may_not_fire)

    @property
    def is_left_unused(self) -> bool:
        """Whether nobody has complained yet of what is to be complained of: it has no scope, and was not stopped."""
        return self.is_to_be_complained_of and not self._has_scope and (not self.is_over or self.failure is not None)

    @property
    def complaint(self) -> str:
        """Say that it never happened, and what there was instead."""
        if self.failure is not None:
            return f"{self!r} ended, because its predicate failed: {self.failure!r}"
        passed = ", ".join(f"{name} ({count})" for name, count in self._passed.most_common(_LISTED_MAX))
        return (
            f"{self!r} never fired. On the connections that it is about "
            + (f"these frames passed: {passed}" if passed else "nothing passed")
            + ". If that may be, pass may_not_fire=True"
        )

    def __repr__(self) -> str:
        told = list(self.selection.told())
        if self._details:
            told.insert(0, self._details)
        if self.times is not None:
            told.append(f"times={self.times}")
        if self.is_random:
            told.append(f"seed={self.seed}")
        return f"<fault {self.name}({', '.join(told)}): fired {self.fired} times>"

    # --- for whoever has it -----------------------------------------------------------------------------------------

    @property
    def is_in_force(self) -> bool:
        """Whether it may happen to frames or connections to come."""
        return not self.is_over

    def belong_to(self, runner: RunsInBroker, on_change: Callable[[], None], seed: int) -> None:
        """Learn whose fault it is, who wants to know when it comes into force or ends, and what its dice are."""
        self._runner, self._on_change, self.seed = runner, on_change, seed
        self.random = Random(seed)

    def act_now(self, ends: Sequence[End]) -> None:
        """Do what is to be done at once, to the connections that are there."""

    def connected(self, end: End) -> None:
        """Learn of a connection that begins."""

    def filter(self, line: Line, seen: Seen) -> Verdict:
        """Say what becomes of a frame."""
        if self.is_over or (seen.is_part_of_content and not self.takes_content):
            return PASS
        if self.selection.wants_connection(seen.connection_names):
            self._passed[seen.method] += 1
        if not self._wants(line, seen) or not self.by_chance():
            return PASS
        verdict = self.happen(line, seen)
        if verdict is not PASS or self.counts_passing:
            self.note_fired(str(seen))
        return verdict

    def wants(self, line: Line, seen: Seen) -> bool:
        """Say whether it would happen to a frame, chance aside."""
        return self.selection.wants(seen)

    def happen(self, line: Line, seen: Seen) -> Verdict:
        """Happen to a frame."""
        return PASS

    def _wants(self, line: Line, seen: Seen) -> bool:
        try:
            return self.wants(line, seen)
        except Exception as failure:
            self.failure = failure
            self.end()
            return False

    def by_chance(self) -> bool:
        """Throw the dice."""
        return self.selection.probability >= 1 or self.random.random() < self.selection.probability

    def note_fired(self, to_what: str) -> None:
        """Count that it happened, and end after the last time."""
        self.fired += 1
        logger.info("%r: %s", self, to_what)
        if self.times is not None and self.fired >= self.times:
            self.end()

    def end(self) -> None:
        """End it, in the broker's thread."""
        if self.is_over:
            return
        self.is_over = True
        self.ended()
        self._on_change()

    def entered(self) -> None:
        """Learn that it has a scope."""

    def ended(self) -> None:
        """Undo what is to be undone, after the last time or at the end of the scope."""

    def stopped(self) -> None:
        """Let go what waits for the end of the scope."""

    def release(self) -> None:
        """Let go everything: the broker stops."""

    def _enter(self) -> None:
        if self._has_scope or (self.is_over and not self.fired):
            raise Misuse(f"{self!r} {'has a scope already' if self._has_scope else 'is over already'}")
        self._has_scope = True
        self.entered()
        self._on_change()

    def _stop(self) -> None:
        self.end()
        self.stopped()

    def _run(self, action: Callable[[], T]) -> T:
        return action() if self._runner is None else self._runner.run_in_broker(action)


class ImmediateFault(Fault):
    """A fault that is about connections, or what is on them: it happens at once to those that are there.

    With a scope or `times` it stays, for what comes later. If it is to wait for frames it is as any other.
    """

    counts_passing = True

    def __init__(self, selection: Selection, *, details: str = "", is_random: bool = False) -> None:
        super().__init__(selection, details=details, is_random=is_random)
        self._rests = False

    def act_now(self, ends: Sequence[End]) -> None:
        """Happen to what is there, unless it is to wait for frames."""
        if self.selection.is_about_frames:
            return
        for end in ends:
            if not self.is_over and self.selection.wants_connection(end.learned().names(end.peer)):
                self.happen_at_once(end)
        # Without `times` it goes on only if there is a scope.
        self._rests = self.times is None

    def entered(self) -> None:
        """Stay, for what comes later."""
        self._rests = False

    @property
    def is_in_force(self) -> bool:
        """Whether it may happen to what comes later."""
        return not self._rests and super().is_in_force

    def happen_at_once(self, end: End) -> None:
        """Happen to a connection that is there."""


def _nobody() -> None:
    """Nobody wants to know."""
