"""Newsletters with Dramatiq: what the mail server refuses is tried again, and kept for a week after the last try."""

from typing import Final, Protocol

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import Callbacks, Retries, ShutdownNotifications

MINUTE_MS: Final = 60_000


class MailServer(Protocol):
    """Where letters go."""

    def send(self, address: str, text: str) -> None:
        """Send a letter, or raise OSError."""


class Newsletter:
    """The actors, with their broker and the mail server they talk to."""

    def __init__(self, url: str, mail_server: MailServer) -> None:
        # With confirms nothing is lost on the way, and an enqueue fails if the queue is not there.
        self.broker = RabbitmqBroker(
            url=url, confirm_delivery=True, middleware=[Callbacks(), ShutdownNotifications(), Retries()]
        )
        self._mail_server = mail_server
        self.send = dramatiq.actor(
            self._send, actor_name="send", broker=self.broker, max_retries=2, min_backoff=MINUTE_MS
        )

    def _send(self, address: str, text: str) -> None:
        self._mail_server.send(address, text)
