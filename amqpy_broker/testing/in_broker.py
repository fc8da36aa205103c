"""Where the test kit's methods run: between two steps of the broker, in its own thread, wherever they are called.

What a method sees and changes is whole then.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from amqpy_broker.testing.inside import Inside

P = ParamSpec("P")
T = TypeVar("T")


class InBroker(ABC):
    """Something whose methods act on a broker that may live in another thread."""

    @abstractmethod
    def inside(self) -> Inside:
        """Return what is inside the broker, which is touched in the broker's thread only."""

    @abstractmethod
    def run_in_broker(self, action: Callable[[], T]) -> T:
        """Do something in the broker's thread, between its steps, and return what comes of it."""


K = TypeVar("K", bound=InBroker)


def in_broker(method: Callable[Concatenate[K, P], T]) -> Callable[Concatenate[K, P], T]:
    """Let a method do its work in the broker's thread, wherever it is called."""

    @wraps(method)
    def call(self: K, /, *args: P.args, **kwargs: P.kwargs) -> T:
        # Failures are shown where the test called, not here.
        __tracebackhide__ = True

        def act() -> T:
            __tracebackhide__ = True
            return method(self, *args, **kwargs)

        return self.run_in_broker(act)

    return call
