"""Calls into the thread of an event loop, asyncio or trio, from any thread."""

import asyncio
from collections.abc import Callable


class LoopCalls:
    """Calls functions between the steps of a loop, once it is known which loop."""

    def __init__(self) -> None:
        self._from_thread: Callable[[Callable[[], None]], object] = _no_loop
        self._from_loop: Callable[[Callable[[], None]], object] = _no_loop

    def begin(self) -> None:
        """Take the loop that runs here."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            import trio  # noqa: PLC0415 - only where it runs already

            self._from_thread = self._from_loop = trio.lowlevel.current_trio_token().run_sync_soon
        else:
            self._from_thread, self._from_loop = loop.call_soon_threadsafe, loop.call_soon

    def soon(self, function: Callable[[], None]) -> None:
        """Call a function in the loop's thread, from another thread.

        Raises:
            RuntimeError: there is no loop, or no longer.
        """
        self._from_thread(function)

    def after_this_step(self, function: Callable[[], None]) -> None:
        """Call a function when what runs in the loop now has ended."""
        self._from_loop(function)


def _no_loop(function: Callable[[], None]) -> None:
    raise RuntimeError("no event loop runs")
