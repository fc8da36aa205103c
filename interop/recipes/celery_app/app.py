"""A Celery app that charges cards: what the bank refuses for a moment is tried again, nothing is lost on the way."""

from typing import Protocol

from celery import Celery, Task


class Bank(Protocol):
    """Where the money is."""

    def charge(self, card: str, cents: int) -> str:
        """Charge a card and return the receipt; raises ConnectionError if the bank cannot be reached."""


def make_app(url: str, bank: Bank, retry_after_s: float = 60) -> Celery:
    """Make the app; the tasks are `app.tasks["charge"]` and `app.tasks["remind"]`."""
    app = Celery(
        "shop",
        broker=url,
        backend="rpc://",
        set_as_current=False,
        # A task is acknowledged when it is done: a worker that dies has not lost it.
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        # And it is published for sure: without confirms a broken connection may lose it.
        broker_transport_options={"confirm_publish": True},
        broker_connection_retry_on_startup=True,
        # What the lost connection delivered will be delivered again.
        worker_cancel_long_running_tasks_on_connection_loss=True,
    )

    # Not shared: these tasks are this app's, though there may be another app with another bank.
    @app.task(name="charge", bind=True, max_retries=3, shared=False)
    def charge(self: Task, card: str, cents: int) -> str:
        try:
            return bank.charge(card, cents)
        except ConnectionError as error:
            raise self.retry(exc=error, countdown=retry_after_s * 2**self.request.retries) from error

    @app.task(name="remind", shared=False)
    def remind(card: str) -> None:
        bank.charge(card, 0)

    return app
