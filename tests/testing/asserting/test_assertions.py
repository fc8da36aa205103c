"""Assertions, and what they say when they fail."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import ANY

import pytest
from pamqp.commands import Basic

from amqpy_broker.testing import Broker, Misuse, NoSuchThing
from tests.testing.brokers import consume, declare, get, new_broker, new_client


class Above:
    """Equal to every larger number, as matchers of libraries are."""

    def __init__(self, least: int) -> None:
        self.least = least

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and other > self.least

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Above({self.least})"


def failure(assertion: Callable[[], object]) -> str:
    with pytest.raises(AssertionError) as caught:
        assertion()
    return str(caught.value)


@pytest.fixture
def broker() -> Broker:
    """A broker with two orders in a queue."""
    broker = new_broker()
    broker.declare_exchange("orders", "topic")
    broker.declare_queue("q")
    broker.bind("q", "orders", "order.*.eu")
    broker.publish("orders", "order.new.eu", {"id": 1, "lines": [{"sku": "a"}]}, headers={"n": 1, "who": "x"})
    broker.publish("orders", "order.paid.eu", b"paid", properties={"message_id": "m2", "priority": 4})
    return broker


# --- published --------------------------------------------------------------------------------------------------------


def test_a_message_that_was_published_is_found_and_returned(broker: Broker) -> None:
    assert broker.assert_published("orders", "order.paid.eu").properties.message_id == "m2"
    assert broker.assert_published("orders", body=b"paid", times=1).text == "paid"
    assert broker.assert_published(body="paid")
    assert broker.assert_published(json={"id": 1, "lines": [{"sku": "a"}]})
    assert broker.assert_published(headers={"n": 1})
    assert broker.assert_published(properties={"priority": 4})
    assert broker.assert_published("orders", times=2).routing_key == "order.new.eu"


def test_matchers_match(broker: Broker) -> None:
    broker.assert_published(ANY, ANY, body=ANY, headers={"n": Above(0)}, times=1)
    broker.assert_published(json={"id": Above(0), "lines": ANY})
    broker.assert_published(properties={"priority": Above(3), "message_id": ANY})
    text = failure(lambda: broker.assert_published(json={"id": Above(1), "lines": ANY}))
    assert "json['id'] is 1, not Above(1)" in text


def test_none_wants_a_header_or_property_to_be_missing(broker: Broker) -> None:
    assert broker.assert_published(properties={"priority": None}).json()["id"] == 1
    assert "header 'n' is 1, not None" in failure(lambda: broker.assert_published(json=ANY, headers={"n": None}))


def test_a_routing_key_in_cc_counts(broker: Broker) -> None:
    broker.publish("orders", "a", b"1", headers={"CC": ["b"]})
    assert broker.assert_published("orders", "b").body == b"1"


def test_a_failure_tells_what_was_wanted_and_what_came_nearest(broker: Broker) -> None:
    text = failure(lambda: broker.assert_published("orders", json={"id": 2, "lines": [{"sku": "b"}], "x": 1}))
    assert text == (
        "no such message was published:\n"
        "    exchange = 'orders'\n"
        "    json = {'id': 2, 'lines': [{'sku': 'b'}], 'x': 1}\n"
        "nearest of 2:\n"
        "  exchange='orders' routing_key='order.new.eu' headers={'n': 1, 'who': 'x'} content_type='application/json'"
        ' body=\'{"id":1,"lines":[{"sku":"a"}]}\' -> q\n'
        "      json['id'] is 1, not 2\n"
        "      json['lines'][0]['sku'] is 'a', not 'b'\n"
        "      json['x'] is missing\n"
        "  exchange='orders' routing_key='order.paid.eu' priority=4 message_id='m2' body='paid' -> q\n"
        "      body is no JSON: 'paid' (Expecting value: line 1 column 1 (char 0))"
    )


@pytest.mark.parametrize(
    ("wanted", "difference"),
    [
        ({"exchange": "order"}, "exchange is 'orders', not 'order'"),
        ({"routing_key": "x"}, "routing_key is 'order.new.eu', not 'x'"),
        ({"body": "payed"}, "body is 'paid', not 'payed'"),
        ({"body": b"payed"}, "body is 'paid', not 'payed'"),
        ({"headers": {"m": 1}}, "header 'm' is missing; there is: 'n', 'who'"),
        ({"headers": {"n": "1"}}, "header 'n' is 1, not '1'"),
        ({"properties": {"message_id": "m1"}}, "property 'message_id' is 'm2', not 'm1'"),
        ({"json": {"id": 1}}, "json['lines'] is [{'sku': 'a'}], and should not be there"),
        ({"json": {"id": 1, "lines": []}}, "json['lines'] has 1 items, not 0"),
    ],
)
def test_a_failure_tells_each_difference(broker: Broker, wanted: dict[str, object], difference: str) -> None:
    assert f"      {difference}\n" in failure(lambda: broker.assert_published(**wanted)) + "\n"  # type: ignore[arg-type]


def test_a_failure_tells_how_many_there_were(broker: Broker) -> None:
    text = failure(lambda: broker.assert_published("orders", times=3))
    assert text.startswith("published: 2 messages like this, not 3:\n    exchange = 'orders'\nthere:\n  #1 published")


def test_a_failure_shows_no_more_than_can_be_read(broker: Broker) -> None:
    for number in range(50):
        broker.publish("", "x", {str(key): key for key in range(number)})
    text = failure(lambda: broker.assert_published("", json={"a": "b" * 1000}))
    assert len(text) < 3000
    assert "others" in text


def test_a_failure_tells_that_nothing_was_published() -> None:
    assert failure(lambda: new_broker().assert_published("e")) == "nothing was published; wanted\n    exchange = 'e'"


def test_nothing_published_is_nothing_like_this(broker: Broker) -> None:
    broker.assert_nothing_published("elsewhere")
    broker.assert_nothing_published(body=b"lost")
    new_broker().assert_nothing_published()
    text = failure(lambda: broker.assert_nothing_published("orders", body=b"paid"))
    assert text.startswith("published, though it should not be:\n  #2 published exchange='orders'")
    assert text.endswith("-> q\nwanted none of\n    exchange = 'orders'\n    body = b'paid'")


def test_what_can_never_match_is_misuse(broker: Broker) -> None:
    with pytest.raises(Misuse, match="no property 'mesage_id'; near: 'message_id'"):
        broker.assert_published(properties={"mesage_id": "1"})
    with pytest.raises(Misuse, match="no property"):
        broker.assert_nothing_published(properties={"x": "1"})
    with pytest.raises(Misuse, match="assert_nothing_published"):
        broker.assert_published(times=0)


# --- queues -----------------------------------------------------------------------------------------------------------


def test_a_queue_is_asserted_by_its_counts(broker: Broker) -> None:
    broker.assert_queue("q", ready=2, unacked=0, consumers=0)
    broker.assert_queue("q", ready=Above(1))
    text = failure(lambda: broker.assert_queue("q", ready=1, unacked=0, consumers=1))
    assert text.startswith("queue 'q': ready is 2, not 1; consumers is 0, not 1\n  queue 'q': 2 ready, 0 unacked")
    assert "  ready: exchange='orders' routing_key='order.new.eu'" in text
    with pytest.raises(NoSuchThing, match="no queue 'Q'"):
        broker.assert_queue("Q", ready=0)


def test_an_empty_queue_has_nothing_ready_and_nothing_unacknowledged(broker: Broker) -> None:
    client = new_client(broker)
    broker.declare_queue("r")
    broker.assert_queue_empty("r")
    assert failure(lambda: broker.assert_queue_empty("q")).startswith("queue 'q' is not empty:\n  queue 'q': 2 ready")
    broker.publish("", "r", b"held")
    consume(client, "r", "tag")
    text = failure(lambda: broker.assert_queue_empty("r"))
    assert "1 unacked" in text
    assert "consumer 'tag' of connection channel 1: 1 unacked, prefetch unlimited" in text
    assert "delivered exchange='' routing_key='r' body='held'" in text
    broker.assert_queue_empty("r", unacked_ok=True)


# --- acknowledged -----------------------------------------------------------------------------------------------------


def test_all_is_acked_when_every_delivery_is(broker: Broker) -> None:
    client = new_client(broker)
    consume(client, "q")
    text = failure(broker.assert_all_acked)
    assert text.startswith("not all was acknowledged:\nqueue 'q' in vhost '/': 2 unacknowledged:\n  #3 delivered")
    client.send(Basic.Ack, delivery_tag=0, multiple=True)
    broker.assert_all_acked()
    broker.assert_all_acked("q")


def test_what_was_rejected_was_not_acked(broker: Broker) -> None:
    client = new_client(broker)
    client.send(Basic.Reject, delivery_tag=get(client, "q")["delivery_tag"], requeue=False)
    assert failure(broker.assert_all_acked).startswith("not all was acknowledged:\n1 rejected:\n  #4 rejected")


def test_what_came_back_is_acked_when_it_is_acked_the_next_time(broker: Broker) -> None:
    client = new_client(broker)
    client.send(Basic.Reject, delivery_tag=get(client, "q")["delivery_tag"], requeue=True)
    assert "queue 'q' in vhost '/': 1 came back, and are ready again:" in failure(broker.assert_all_acked)
    client.send(Basic.Ack, delivery_tag=get(client, "q")["delivery_tag"])
    broker.assert_all_acked()


def test_where_nothing_was_delivered_nothing_was_acked(broker: Broker) -> None:
    assert failure(lambda: broker.assert_all_acked("q")) == (
        "nothing was delivered by queue 'q', so nothing acknowledged; 2 messages ready"
    )


def test_one_queue_does_not_answer_for_another(broker: Broker) -> None:
    client = new_client(broker)
    declare(client, "r")
    broker.publish("", "r")
    client.send(Basic.Ack, delivery_tag=get(client, "q")["delivery_tag"])
    client.send(Basic.Reject, delivery_tag=get(client, "r")["delivery_tag"], requeue=False)
    broker.assert_all_acked("q")
    assert "rejected" in failure(lambda: broker.assert_all_acked("r"))


# --- lost -------------------------------------------------------------------------------------------------------------


def test_returns_are_told_with_why(broker: Broker) -> None:
    broker.assert_no_returns()
    broker.assert_nothing_unrouted()
    client = new_client(broker)
    client.publish("orders", "order.new.us", b"1", mandatory=True)
    client.publish("orders", "x", b"2")
    returned, unrouted = failure(broker.assert_no_returns), failure(broker.assert_nothing_unrouted)
    assert returned.startswith("1 message returned as unroutable:\n  #3 published exchange='orders'")
    assert "word 3 'us' != 'eu'" in returned
    assert unrouted.startswith("1 message reached no queue, and dropped without a word:\n  #4 published")
    assert "word 1 'x' != 'order'" in unrouted


def test_dead_letters_are_found_by_queue_and_reason() -> None:
    broker = new_broker()
    assert failure(broker.assert_dead_lettered).startswith("nothing was dead-lettered; wanted")
    broker.declare_queue("graves")
    broker.declare_queue(
        "q", arguments={"x-max-length": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "graves"}
    )
    for body in ("1", "2"):
        broker.publish("", "q", body)
    assert broker.assert_dead_lettered("q", reason="maxlen", body="1", times=1).deaths[0]["queue"] == "q"
    text = failure(lambda: broker.assert_dead_lettered("q", reason="expired"))
    assert text.startswith("nothing was dead-lettered in queue 'q' of 'expired'; dead-lettered was\n  #")
    assert "of q (maxlen) -> graves" in text
    assert "body is '1', not '2'" in failure(lambda: broker.assert_dead_lettered("q", body="2"))
