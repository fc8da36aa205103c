"""`python manage.py work_orders`: a worker that blocks, and comes back whatever happens to its connection."""

import json
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError
from pika.spec import Basic, BasicProperties

logger = logging.getLogger(__name__)


class Command:
    """Handles orders one at a time, and publishes a receipt for each. What cannot be handled is put aside."""

    def __init__(self, url: str, handle: Callable[[object], str], reconnect_after_s: float = 5) -> None:
        self._parameters = pika.URLParameters(url)
        self._parameters.client_properties = {"connection_name": "work_orders"}
        self._handle = handle
        self._reconnect_after_s = reconnect_after_s
        self._stopping = threading.Event()
        self._connection: pika.BlockingConnection | None = None

    def run(self) -> None:
        """Work until somebody calls `stop`."""
        while not self._stopping.is_set():
            try:
                self._work()
            # A connection that broke, could not be made, or was closed; or a channel that was.
            except AMQPError as error:
                logger.warning("%r: connecting again in %g s", error, self._reconnect_after_s)
                self._stopping.wait(self._reconnect_after_s)

    def stop(self) -> None:
        """Finish the order at hand, and end; from any thread, or a signal handler."""
        self._stopping.set()
        connection = self._connection
        if connection is not None:
            with suppress(AMQPError):
                # Wakes it up.
                connection.add_callback_threadsafe(lambda: None)

    def _work(self) -> None:
        with pika.BlockingConnection(self._parameters) as self._connection:
            channel = self._connection.channel()
            self._declare(channel)
            channel.confirm_delivery()
            channel.basic_qos(prefetch_count=1)
            channel.basic_consume("orders", self._on_order)
            while channel.consumer_tags and not self._stopping.is_set():
                self._connection.process_data_events(time_limit=None)

    def _declare(self, channel: BlockingChannel) -> None:
        channel.queue_declare("receipts", durable=True)
        channel.queue_declare("orders.failed", durable=True)
        dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "orders.failed"}
        channel.queue_declare("orders", durable=True, arguments=dead_letters)

    def _on_order(self, channel: BlockingChannel, method: Basic.Deliver, _: BasicProperties, body: bytes) -> None:
        try:
            receipt = self._handle(json.loads(body))
        except Exception:
            logger.exception("order %d is put aside", method.delivery_tag)
            channel.basic_reject(method.delivery_tag, requeue=False)
        else:
            persistent = pika.BasicProperties(delivery_mode=2)
            channel.basic_publish("", "receipts", receipt.encode(), persistent, mandatory=True)
            channel.basic_ack(method.delivery_tag)
