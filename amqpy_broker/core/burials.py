"""Dead messages on their way to their dead-letter exchanges (https://www.rabbitmq.com/docs/dlx).

Rule 1: what dies of a dead letter is published after it: a chain of queues that overflow into each other is a loop
        here, not a recursion.
Rule 2: with 3.x's way of telling of deaths a message can go round for ever, as in RabbitMQ: not at others' cost. After
        so many dead letters at once the rest waits for a timer.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from amqpy_broker.core.exchanges.copies import CC
from amqpy_broker.core.limits import DEATHS_AT_ONCE_MAX, DEATHS_PAUSE_S
from amqpy_broker.core.message import Message
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.base import Queue, Reason
from amqpy_broker.core.queues.dead_letter import Death, headers_after, would_cycle
from amqpy_broker.core.queues.settings import QueueSettings
from amqpy_broker.core.timers import Timers


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message that died in a queue with a dead-letter exchange."""

    queue: Queue
    # What the queue did when it died: a policy may change that before its turn comes.
    settings: QueueSettings
    message: Message
    reason: Reason
    # Called when the dead letter is where it belongs: only now the dead message may be forgotten.
    buried: Callable[[], None] | None = None

    def letter(self, unix_s: int, profile: Profile) -> Message:
        """Make its dead letter, addressed to the dead-letter exchange."""
        settings = self.settings
        headers = headers_after(self.message, Death(self.queue.name, self.reason, unix_s), profile)
        key = settings.dead_letter_routing_key
        if key is not None and profile.tells_deaths_as_3_x:
            headers.pop(CC, None)
        return self.message.edited(
            exchange=settings.dead_letter_exchange, routing_key=key, headers=headers, drop_expiration=True, died=True
        )

    def would_cycle(self, letter: Message, target: Queue) -> bool:
        """Say whether the letter would go round without anybody having rejected it."""
        return self.reason is not Reason.REJECTED and would_cycle(letter.headers, target.name)


class Burials:
    """Dead messages that are still to be published, in the order of their deaths."""

    def __init__(self, timers: Timers, publish: Callable[[DeadMessage], None]) -> None:
        self._timers = timers
        self._publish = publish
        self._dead: deque[DeadMessage] = deque()
        self._busy = False
        # Goes on when others had their turn.
        self._later = timers.timer(self._publish_some)

    def add(self, dead: DeadMessage) -> None:
        """Take in a dead message, and publish it if no other is being published."""
        self._dead.append(dead)
        if not self._busy and not self._later.is_set:
            self._publish_some()

    def forget(self) -> None:
        """Forget who is still to be published."""
        self._dead.clear()
        self._later.stop()

    def _publish_some(self) -> None:
        self._busy = True
        try:
            for _ in range(DEATHS_AT_ONCE_MAX):
                if not self._dead:
                    return
                dead = self._dead.popleft()
                self._publish(dead)
                if dead.buried is not None:
                    dead.buried()
        finally:
            self._busy = False
        self._later.set(self._timers.now_s + DEATHS_PAUSE_S)
