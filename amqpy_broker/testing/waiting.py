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


class Waiter(Generic[T]):
    """Waits until a predicate says something true."""

    def __init__(self, inside: Callable[[], Inside], predicate: Callable[[], T]) -> None:
        self._inside = inside
        self._predicate = predicate
        self._found: T | None = None
        self._failure: Exception | None = None
        # What the predicate did not find when it was asked last.
        self._missing: LookupError | None = None
        self._is_looking = False
        self._is_over = False
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
            self._look()
            with anyio.move_on_after(timeout_s):
                while not self._is_over:
                    self._woken = anyio.Event()
                    with anyio.move_on_after(self._until_due_s()):
                        await self._woken.wait()
                    self._look()
        finally:
            settling.unwatch(self._look)
        if self._failure is not None:
            raise self._failure
        if not self._is_over or self._found is None:
            missing = "" if self._missing is None else f" It found {self._missing}."
            raise NotSeen(f"not so after {timeout_s:g} s.{missing} {seen()}")
        return self._found

    def _look(self) -> None:
        """Ask the predicate, unless it is all over."""
        self._woken.set()
        # A predicate that does something would be asked about it, again and again.
        if self._is_over or self._is_looking:
            return
        self._is_looking, self._missing = True, None
        try:
            found = self._predicate()
        except (NoSuchThing, NoMessage) as missing:
            # It may come yet.
            self._missing = missing
            return
        except Exception as failure:
            self._failure, self._is_over = failure, True
            return
        finally:
            self._is_looking = False
        if found:
            self._found, self._is_over = found, True

    def _until_due_s(self) -> float:
        """Say in how many real seconds the broker has something to do by itself."""
        inside = self._inside()
        return max(inside.core.clock.delay_until_s(inside.server.next_deadline_s), _MOMENT_S)
