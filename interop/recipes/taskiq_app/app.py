"""Reminders with Taskiq: tasks for later wait in a queue of the broker, and tasks that fail are tried again."""

from typing import Annotated, Final, Protocol

from taskiq import Context, SmartRetryMiddleware, TaskiqDepends
from taskiq_aio_pika import AioPikaBroker, Queue, QueueType

TASKS: Final = Queue(name="reminders", type=QueueType.QUORUM)
LATER: Final = Queue(name="reminders.later", type=QueueType.CLASSIC)
FAILED: Final = Queue(name="reminders.failed", type=QueueType.CLASSIC)
RETRY_AFTER_S: Final = 600


class Phone(Protocol):
    """How people are reminded."""

    async def ring(self, who: str) -> None:
        """Ring somebody up, or raise ConnectionError."""


def make_broker(url: str) -> AioPikaBroker:
    """Make the broker object; the task is `broker.find_task("remind")`."""
    broker = AioPikaBroker(
        url,
        qos=1,
        task_queues=[TASKS],
        delay_queue=LATER,
        dead_letter_queue=FAILED,
        reconnect_interval=0.01,
    ).with_middlewares(SmartRetryMiddleware(default_retry_count=3, default_delay=RETRY_AFTER_S))

    @broker.task("remind", retry_on_error=True)
    async def remind(who: str, context: Annotated[Context, TaskiqDepends()]) -> None:
        phone: Phone = context.state.phone
        await phone.ring(who)

    return broker
