"""Messages of the broker's own: they are sent when everything else is in order, never amid the work of a queue."""

from collections import deque
from collections.abc import Callable

from amqpy_broker.core.message import Message
from amqpy_broker.core.timers import Timers


class Outbox:
    """Keeps messages until the broker looks at its timers next, which is at once."""

    __slots__ = ("_messages", "_send", "_timer", "_timers")

    def __init__(self, timers: Timers, send: Callable[[Message], None]) -> None:
        self._timers = timers
        self._timer = timers.timer(self._flow)
        self._send = send
        self._messages: deque[Message] = deque()

    def add(self, message: Message) -> None:
        """Take in a message."""
        if not self._messages:
            self._timer.set(self._timers.now_s)
        self._messages.append(message)

    def close(self) -> None:
        """Forget what was not sent."""
        self._timer.close()
        self._messages.clear()

    def _flow(self) -> None:
        messages, self._messages = self._messages, deque()
        for message in messages:
            self._send(message)
