"""Where a connection published to in its last read, and what it holds that is not complete: for who counts reads."""

from __future__ import annotations

import pytest
from pamqp.commands import Basic, Exchange, Queue

from tests.wire import Client, frame, method, publish


@pytest.fixture
def client() -> Client:
    client = Client().open()
    for name in ("q", "other"):
        client.call(Queue.Declare, queue=name)
    client.call(Exchange.Declare, exchange="by headers", exchange_type="headers")
    client.call(Queue.Bind, queue="q", exchange="by headers", arguments={"x-match": "all"})
    return client


def target(client: Client) -> str | None:
    queue = client.connection.published_to
    return None if queue is None else queue.name


@pytest.mark.parametrize("count", [1, 2, 50])
def test_it_is_the_queue_of_the_last_publish_in_the_read(client: Client, count: int) -> None:
    for name in ("q", "other", "q"):
        client.feed(publish(1, "", name, b"x") * count)
        assert target(client) == name
    client.feed(publish(1, "", "q") * count + publish(1, "", "other"))
    assert target(client) == "other"


def test_a_read_without_a_publish_is_for_no_queue(client: Client) -> None:
    client.feed(publish(1, "", "q") * 5)
    client.feed(method(1, Basic.Get, queue="q"))

    assert target(client) is None


def test_what_is_not_routed_is_for_no_queue(client: Client) -> None:
    client.feed(publish(1, "", "nowhere"))

    assert target(client) is None


def test_a_message_that_is_routed_by_itself_is_for_its_queue(client: Client) -> None:
    client.feed(publish(1, "by headers", "", b"x", headers={"any": "thing"}))

    assert target(client) == "q"


def test_a_content_that_goes_on_is_for_the_queue_of_its_publish(client: Client) -> None:
    octets = publish(1, "", "q", b"x" * 1000, body_frame_size=400)
    client.feed(publish(1, "", "q"))
    client.feed(octets[:-500])
    assert target(client) == "q"

    client.feed(octets[-500:])

    assert target(client) == "q"


def test_what_a_message_waits_with_is_held_until_it_is_complete(client: Client) -> None:
    octets = publish(1, "", "q", b"x" * 1000, body_frame_size=400)
    assert client.connection.held_bytes == 0

    client.feed(octets[:-500])
    assert client.connection.held_bytes >= 500

    client.feed(octets[-500:])
    assert client.connection.held_bytes == 0


def test_part_of_a_frame_is_held(client: Client) -> None:
    octets = frame(8, 0)

    client.feed(octets[:5])

    assert client.connection.held_bytes == 5
