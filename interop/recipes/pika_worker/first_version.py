"""The worker as one writes it at first. It works, on the machine of who wrote it."""

import json
from collections.abc import Callable

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic, BasicProperties


def work(url: str, handle: Callable[[object], str]) -> None:
    """Handle orders, and publish a receipt for each."""
    parameters = pika.URLParameters(url)
    # It kept losing its connection during long orders, and this helped.
    parameters.heartbeat = 0
    channel = pika.BlockingConnection(parameters).channel()
    channel.queue_declare("orders")

    def on_order(channel: BlockingChannel, method: Basic.Deliver, _: BasicProperties, body: bytes) -> None:
        try:
            receipt = handle(json.loads(body))
        except Exception:
            channel.basic_nack(method.delivery_tag)
        else:
            publish(url, receipt)
            channel.basic_ack(method.delivery_tag)

    channel.basic_consume("orders", on_order)
    channel.start_consuming()


def publish(url: str, receipt: str) -> None:
    """Publish a receipt."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    connection.channel().basic_publish("", "receipt", receipt.encode(), pika.BasicProperties(delivery_mode=2))
    connection.close()
