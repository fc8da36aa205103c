"""Waiting for something to become so: it is looked at after every step of the broker, and never by the clock alone.

A step is whatever the broker does at once: take in what a client sent, send something, let time pass, do what a test
asks of it. What becomes so only in the middle of a step is not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import anyio

from amqpy_broker.testing.errors import NoMessage, NoSuchThing, NotSeen
from amqpy_broker.testing.inside import Inside

T = TypeVar("T")

# Timers that are due act when the event loop comes to them: how long to give it.
_MOMENT_S: Final = 0.001
_NEVER: Final = float("inf")


class Waiter(Generic[T]):
    """Waits until a predicate says something true."""

    def __init__(self, inside: Callable[[], Inside], predicate: Callable[[], T]) -> None:
        self._inside = inside
        self._predicate = predicate
        self._found: T | None = None
        self._failure: Exception | None = None
        # What the predicate did not find when it was asked last.
        self._missing: LookupError | None = None
        self._is_over = False
        # When the broker has something to do by itself, as far as is known, and what ends the sleep until then.
        self._due_s = _NEVER
        self._woken = anyio.Event()

    async def wait(self, *, timeout_s: float, seen: Callable[[], str]) -> T:
        """Wait, and return what the predicate said.

        Args:
            timeout_s: how long, in real seconds.
            seen: says what there is instead.

        Raises:
            NotSeen: it did not become true in time; the text tells what there is instead.
        """
        settling = self._inside().settling
        settling.watch(self._look)
        try:
            settling.tell()
            with anyio.move_on_after(timeout_s):
                while not self._is_over:
                    await self._sleep()
                    settling.tell()
        finally:
            settling.unwatch(self._look)
        if self._failure is not None:
            raise self._failure
        if not self._is_over or self._found is None:
            missing = "" if self._missing is None else f" It found {self._missing}."
            raise NotSeen(f"not so after {timeout_s:g} s.{missing} {seen()}")
        return self._found

    async def _sleep(self) -> None:
        """Sleep until it is all over, or the broker has something to do by itself."""
        inside = self._inside()
        self._woken = anyio.Event()
        self._due_s = inside.server.next_deadline_s
        with anyio.move_on_after(max(inside.core.clock.delay_until_s(self._due_s), _MOMENT_S)):
            await self._woken.wait()

    def _look(self) -> None:
        """Ask the predicate, unless it is all over."""
        if not self._is_over:
            self._ask()
        if self._is_over or self._inside().server.next_deadline_s < self._due_s:
            self._woken.set()

    def _ask(self) -> None:
        self._missing = None
        try:
            found = self._predicate()
        except (NoSuchThing, NoMessage) as missing:
            # It may come yet.
            self._missing = missing
        except Exception as failure:
            self._failure, self._is_over = failure, True
        else:
            if found:
                self._found, self._is_over = found, True
