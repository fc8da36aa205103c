"""What the broker in an event loop and the broker in a thread have in common: the same things to do with it in a test.

Every public method runs between two steps of the broker, in its own thread: what it sees and changes is whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class InBroker(ABC):
    """Something whose methods act on a broker that may live in another thread."""

    @abstractmethod
    def run_in_broker(self, action: Callable[[], T]) -> T:
        """Do something in the broker's thread, between its steps, and return what comes of it."""


K = TypeVar("K", bound=InBroker)


def in_broker(method: Callable[Concatenate[K, P], T]) -> Callable[Concatenate[K, P], T]:
    """Let a method do its work in the broker's thread, wherever it is called."""

    @wraps(method)
    def call(self: K, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run_in_broker(lambda: method(self, *args, **kwargs))

    return call


class Kit(InBroker):
    """What a test can know of a broker, and do to it."""
