"""Deliveries: tags, acknowledgements, prefetch counts, and whose turn it is."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import integers, permutations, sets
from pamqp.commands import Basic, Channel, Queue

from tests.wire import Client, Said, method, new_broker, refusal


def with_queue(channels: int = 1, **options: object) -> Client:
    client = Client().open(channels=channels)
    client.call(Queue.Declare, queue="q", **options)
    return client


def consume(client: Client, tag: str = "c", *, channel: int = 1, **options: object) -> None:
    answer = client.call(Basic.Consume, channel=channel, queue="q", consumer_tag=tag, **options)
    assert (answer.name, answer["consumer_tag"]) == ("Basic.ConsumeOk", tag)


def publish_numbers(client: Client, numbers: range, *, channel: int = 1) -> None:
    for number in numbers:
        client.publish("", "q", str(number).encode(), channel=channel)


def deliveries(heard: list[Said]) -> list[tuple[str, int, str, bool]]:
    """Sum up deliveries: consumer tag, delivery tag, body, redelivered."""
    return [
        (said["consumer_tag"], said["delivery_tag"], said.body.decode(), said["redelivered"])
        for said in heard
        if said.name == "Basic.Deliver"
    ]


def bodies(heard: list[Said]) -> list[str]:
    return [body for _, _, body, _ in deliveries(heard)]


def ready(client: Client) -> int:
    return client.broker.vhosts["/"].queues["q"].ready_count


def unacked(client: Client) -> int:
    return client.broker.vhosts["/"].queues["q"].unacked_count


# --- what is delivered ------------------------------------------------------------------------------------------------


def test_a_delivery_tells_where_it_comes_from() -> None:
    client = with_queue()
    consume(client)

    client.publish("amq.direct", "key")
    client.call(Queue.Bind, queue="q", exchange="amq.direct", routing_key="key")
    client.publish("amq.direct", "key", b"body", message_id="m")

    said = client.heard_one()
    assert dict(said.fields) == {
        "consumer_tag": "c",
        "delivery_tag": 1,
        "redelivered": False,
        "exchange": "amq.direct",
        "routing_key": "key",
    }
    assert (said.body, said.property_values) == (b"body", {"message_id": "m", "cluster_id": ""})


def test_tags_count_for_each_channel() -> None:
    client = with_queue(channels=2)
    publish_numbers(client, range(4))

    tags = [client.call(Basic.Get, channel=channel, queue="q")["delivery_tag"] for channel in (1, 2, 1, 2)]

    assert tags == [1, 1, 2, 2]


def test_tags_count_what_needs_no_acknowledgement_too() -> None:
    client = with_queue()
    consume(client, no_ack=True)

    publish_numbers(client, range(3))

    assert deliveries(client.heard()) == [("c", 1, "0", False), ("c", 2, "1", False), ("c", 3, "2", False)]
    assert (ready(client), unacked(client)) == (0, 0)


def test_a_message_with_many_frames_is_cut_to_the_size_of_its_consumer() -> None:
    broker = new_broker()
    small, large = Client(broker).open(frame_max=4096), Client(broker).open()
    small.call(Queue.Declare, queue="q")
    consume(small, no_ack=True)

    large.publish("", "q", b"x" * 10_000)

    said = small.heard_one()
    assert said.body == b"x" * 10_000
    assert said.body_frame_sizes == (4088, 4088, 1824)


def test_consumers_take_turns() -> None:
    client = with_queue(channels=2)
    consume(client, "a")
    consume(client, "b", channel=2)

    publish_numbers(client, range(6))

    assert sorted((tag, body) for tag, _, body, _ in deliveries(client.heard())) == [
        ("a", "0"),
        ("a", "2"),
        ("a", "4"),
        ("b", "1"),
        ("b", "3"),
        ("b", "5"),
    ]


# --- acknowledgements -------------------------------------------------------------------------------------------------


def test_an_acknowledgement_settles_one_delivery() -> None:
    client = with_queue()
    consume(client)
    publish_numbers(client, range(3))

    client.send(Basic.Ack, delivery_tag=2)

    assert unacked(client) == 2


def acks(*tags: int, channel: int = 1) -> bytes:
    return b"".join(method(channel, Basic.Ack, delivery_tag=tag) for tag in tags)


def test_acknowledgements_that_come_together_make_room_together() -> None:
    client = with_queue()
    client.call(Basic.Qos, prefetch_count=3)
    consume(client)
    publish_numbers(client, range(8))
    assert bodies(client.heard()) == ["0", "1", "2"]

    client.feed(acks(2, 1, 3))
    assert bodies(client.heard()) == ["3", "4", "5"]
    assert (ready(client), unacked(client)) == (2, 3)


def test_acknowledgements_that_come_together_may_be_of_several_channels() -> None:
    client = with_queue(channels=2)
    for channel in (1, 2):
        client.call(Basic.Qos, channel=channel, prefetch_count=1)
        consume(client, f"c{channel}", channel=channel)
    publish_numbers(client, range(6))
    client.heard()

    client.feed(acks(1, channel=2) + acks(1, channel=1))
    assert sorted(bodies(client.heard())) == ["2", "3"]
    assert (ready(client), unacked(client)) == (2, 2)


def test_acknowledgements_up_to_an_unknown_one_hold() -> None:
    client = with_queue()
    consume(client)
    publish_numbers(client, range(4))
    client.heard()

    client.feed(acks(1, 2, 9, 3))
    (said,) = client.heard()
    assert refusal(said) == ("channel", 406, "PRECONDITION_FAILED - unknown delivery tag 9", 60, 80)
    assert (ready(client), unacked(client)) == (2, 0)


@pytest.mark.parametrize("prefetch_is_global", [False, True])
@given(cuts=sets(integers(1, 8 * 21 - 1), max_size=4), tags=permutations(range(1, 9)))
def test_where_acknowledgements_are_cut_makes_no_difference(
    prefetch_is_global: bool, cuts: set[int], tags: list[int]
) -> None:
    client = with_queue()
    client.call(Basic.Qos, prefetch_count=8, global_=prefetch_is_global)
    consume(client)
    publish_numbers(client, range(20))
    client.heard()
    octets = acks(*tags)

    for begin, end in pairwise([0, *sorted(cuts), len(octets)]):
        client.feed(octets[begin:end])
    assert bodies(client.heard()) == [str(number) for number in range(8, 16)]
    assert (ready(client), unacked(client)) == (4, 8)


def test_a_multiple_acknowledgement_settles_all_up_to_its_tag() -> None:
    client = with_queue()
    consume(client)
    publish_numbers(client, range(5))
    client.send(Basic.Ack, delivery_tag=2)

    client.send(Basic.Ack, delivery_tag=4, multiple=True)

    assert unacked(client) == 1
    client.send(Basic.Ack, delivery_tag=5)
    assert unacked(client) == 0


def test_a_multiple_acknowledgement_of_0_settles_all() -> None:
    client = with_queue()
    consume(client)
    publish_numbers(client, range(5))

    client.send(Basic.Ack, delivery_tag=0, multiple=True)

    assert unacked(client) == 0


def test_a_multiple_acknowledgement_of_0_is_fine_without_deliveries() -> None:
    client = with_queue()

    client.send(Basic.Ack, delivery_tag=0, multiple=True)

    assert client.heard() == []


@pytest.mark.parametrize(
    ("shape", "index", "fields"),
    [
        (Basic.Ack, 80, {}),
        (Basic.Ack, 80, {"multiple": True}),
        (Basic.Nack, 120, {}),
        (Basic.Nack, 120, {"multiple": True, "requeue": True}),
        (Basic.Reject, 90, {"requeue": True}),
    ],
)
@pytest.mark.parametrize("tag", [2, 99, 2**63, 2**64 - 1])
def test_an_unknown_tag_closes_the_channel(shape: type, index: int, fields: dict[str, bool], tag: int) -> None:
    client = with_queue()
    consume(client)
    publish_numbers(client, range(1))
    client.heard()

    client.send(shape, delivery_tag=tag, **fields)

    expected = f"PRECONDITION_FAILED - unknown delivery tag {tag}"
    assert refusal(client.heard_one()) == ("channel", 406, expected, 60, index)
    assert (ready(client), unacked(client)) == (1, 0)


@pytest.mark.parametrize("shape", [Basic.Ack, Basic.Reject, Basic.Nack])
def test_a_delivery_is_settled_once(shape: type) -> None:
    client = with_queue()
    consume(client)
    publish_numbers(client, range(1))
    client.heard()
    client.send(Basic.Ack, delivery_tag=1)

    client.send(shape, delivery_tag=1)

    assert refusal(client.heard_one())[2] == "PRECONDITION_FAILED - unknown delivery tag 1"


def test_a_rejected_message_without_requeue_is_gone() -> None:
    client = with_queue()
    publish_numbers(client, range(1))
    client.call(Basic.Get, queue="q")

    client.send(Basic.Reject, delivery_tag=1, requeue=False)

    assert (ready(client), unacked(client)) == (0, 0)


def test_a_requeued_message_returns_to_its_place_and_is_marked_redelivered() -> None:
    client = with_queue()
    publish_numbers(client, range(4))
    for _ in range(3):
        client.call(Basic.Get, queue="q")
    client.send(Basic.Nack, delivery_tag=3, requeue=True)
    client.send(Basic.Reject, delivery_tag=1, requeue=True)

    client.call(Channel.Open, channel=2)
    got = [client.call(Basic.Get, channel=2, queue="q") for _ in range(3)]

    assert [(said.body, said["redelivered"]) for said in got] == [(b"0", True), (b"2", True), (b"3", False)]


def test_a_requeued_message_may_come_back_to_the_same_consumer() -> None:
    client = with_queue()
    consume(client)
    publish_numbers(client, range(1))
    client.heard()

    client.send(Basic.Reject, delivery_tag=1, requeue=True)

    assert deliveries(client.heard()) == [("c", 2, "0", True)]


def test_recover_returns_everything_after_its_answer() -> None:
    client = with_queue()
    consume(client)
    publish_numbers(client, range(2))
    client.heard()

    client.send(Basic.Recover, requeue=True)

    heard = client.heard()
    assert heard[0].name == "Basic.RecoverOk"
    assert deliveries(heard) == [("c", 3, "0", True), ("c", 4, "1", True)]


def test_recover_async_has_no_answer() -> None:
    client = with_queue()
    consume(client)
    publish_numbers(client, range(1))
    client.heard()

    client.send(Basic.RecoverAsync, requeue=True)

    assert client.names() == ["Basic.Deliver"]


def test_all_that_is_unacknowledged_returns_in_order_when_the_channel_ends() -> None:
    client = with_queue(channels=2)
    consume(client)
    publish_numbers(client, range(5))
    client.heard()
    client.send(Basic.Ack, delivery_tag=3)

    client.call(Channel.Close)

    got = [client.call(Basic.Get, channel=2, queue="q").body for _ in range(4)]
    assert got == [b"0", b"1", b"3", b"4"]


def test_all_that_is_unacknowledged_returns_when_the_socket_is_gone() -> None:
    broker = new_broker()
    gone, other = Client(broker).open(channels=2), Client(broker).open()
    gone.call(Queue.Declare, queue="q")
    consume(gone, "a")
    consume(gone, "b", channel=2)
    publish_numbers(other, range(4))

    gone.connection.lost()

    got = [other.call(Basic.Get, queue="q") for _ in range(4)]
    assert [(said.body, said["redelivered"]) for said in got] == [(str(n).encode(), True) for n in range(4)]


def test_what_a_cancelled_consumer_has_can_still_be_acknowledged() -> None:
    client = with_queue()
    consume(client)
    publish_numbers(client, range(2))
    client.heard()
    client.call(Basic.Cancel, consumer_tag="c")
    publish_numbers(client, range(2, 3))
    assert client.heard() == []

    client.send(Basic.Ack, delivery_tag=1)
    client.send(Basic.Nack, delivery_tag=2, requeue=True)

    assert (ready(client), unacked(client)) == (2, 0)


# --- prefetch ---------------------------------------------------------------------------------------------------------


def test_a_consumer_takes_no_more_than_its_prefetch_count() -> None:
    client = with_queue()
    client.call(Basic.Qos, prefetch_count=2)
    consume(client)

    publish_numbers(client, range(5))
    assert bodies(client.heard()) == ["0", "1"]

    client.send(Basic.Ack, delivery_tag=1)
    assert bodies(client.heard()) == ["2"]

    client.send(Basic.Ack, delivery_tag=3, multiple=True)
    assert bodies(client.heard()) == ["3", "4"]


def test_a_rejected_message_makes_room_as_well() -> None:
    client = with_queue()
    client.call(Basic.Qos, prefetch_count=1)
    consume(client)
    publish_numbers(client, range(2))
    client.heard()

    client.send(Basic.Reject, delivery_tag=1, requeue=False)

    assert bodies(client.heard()) == ["1"]


def test_prefetch_count_0_is_no_limit() -> None:
    client = with_queue()
    client.call(Basic.Qos, prefetch_count=0)
    consume(client)

    publish_numbers(client, range(300))

    assert len(bodies(client.heard())) == 300


def test_a_prefetch_count_is_for_consumers_that_come_later() -> None:
    client = with_queue()
    consume(client, "before")
    client.call(Basic.Qos, prefetch_count=1)
    consume(client, "after")

    publish_numbers(client, range(6))

    got = [tag for tag, *_ in deliveries(client.heard())]
    assert (got.count("before"), got.count("after")) == (5, 1)


def test_each_consumer_has_its_own_prefetch_count() -> None:
    client = with_queue()
    client.call(Basic.Qos, prefetch_count=2)
    consume(client, "a")
    consume(client, "b")

    publish_numbers(client, range(6))

    assert sorted(tag for tag, *_ in deliveries(client.heard())) == ["a", "a", "b", "b"]


def test_the_channels_prefetch_count_is_shared_by_its_consumers() -> None:
    client = with_queue()
    client.call(Basic.Qos, prefetch_count=3, global_=True)
    consume(client, "a")
    consume(client, "b")
    publish_numbers(client, range(6))
    assert bodies(client.heard()) == ["0", "1", "2"]

    client.send(Basic.Ack, delivery_tag=1)

    assert bodies(client.heard()) == ["3"]


def test_both_prefetch_counts_hold() -> None:
    client = with_queue()
    client.call(Basic.Qos, prefetch_count=3, global_=True)
    client.call(Basic.Qos, prefetch_count=2)
    consume(client, "a")
    consume(client, "b")

    publish_numbers(client, range(6))

    counts = [tag for tag, *_ in deliveries(client.heard())]
    assert len(counts) == 3
    assert max(counts.count("a"), counts.count("b")) == 2


def test_a_higher_channel_prefetch_count_lets_consumers_go_on() -> None:
    client = with_queue()
    client.call(Basic.Qos, prefetch_count=1, global_=True)
    consume(client)
    publish_numbers(client, range(4))
    client.heard()

    client.send(Basic.Qos, prefetch_count=3, global_=True)

    heard = client.heard()
    assert heard[0].name == "Basic.QosOk"
    assert bodies(heard) == ["1", "2"]


def test_a_lower_channel_prefetch_count_makes_consumers_wait() -> None:
    client = with_queue()
    consume(client)
    publish_numbers(client, range(3))
    client.heard()
    client.call(Basic.Qos, prefetch_count=2, global_=True)

    publish_numbers(client, range(3, 4))
    assert bodies(client.heard()) == []

    client.send(Basic.Ack, delivery_tag=2, multiple=True)
    assert bodies(client.heard()) == ["3"]


def test_the_channels_prefetch_count_holds_over_several_queues() -> None:
    client = with_queue()
    client.call(Queue.Declare, queue="other")
    client.call(Basic.Qos, prefetch_count=2, global_=True)
    consume(client, "a")
    consume(client, "b")
    client.call(Basic.Consume, queue="other", consumer_tag="c")
    for _ in range(3):
        client.publish("", "other", b"o")
        client.publish("", "q", b"q")
    assert len(bodies(client.heard())) == 2

    client.send(Basic.Ack, delivery_tag=2, multiple=True)

    assert len(bodies(client.heard())) == 2


def test_what_was_asked_for_does_not_count() -> None:
    client = with_queue()
    publish_numbers(client, range(3))
    for _ in range(2):
        client.call(Basic.Get, queue="q")
    client.call(Basic.Qos, prefetch_count=1, global_=True)
    client.call(Basic.Qos, prefetch_count=1)

    client.send(Basic.Consume, queue="q", consumer_tag="c")
    assert bodies(client.heard()) == ["2"]

    client.send(Basic.Reject, delivery_tag=1, requeue=True)
    client.send(Basic.Ack, delivery_tag=2)
    assert client.heard() == []
    client.send(Basic.Ack, delivery_tag=3)
    assert deliveries(client.heard()) == [("c", 4, "0", True)]


def test_the_prefetch_count_is_nothing_to_who_does_not_acknowledge() -> None:
    client = with_queue()
    client.call(Basic.Qos, prefetch_count=1)
    client.call(Basic.Qos, prefetch_count=1, global_=True)
    consume(client, no_ack=True)

    publish_numbers(client, range(5))

    assert len(bodies(client.heard())) == 5


def test_a_full_consumer_leaves_messages_to_others() -> None:
    client = with_queue(channels=2)
    client.call(Basic.Qos, prefetch_count=1)
    consume(client, "full")
    consume(client, "other", channel=2)

    publish_numbers(client, range(5))

    assert sorted(tag for tag, *_ in deliveries(client.heard())) == ["full"] + ["other"] * 4


def test_recover_makes_room_for_what_was_taken() -> None:
    client = with_queue()
    client.call(Basic.Qos, prefetch_count=1)
    consume(client)
    publish_numbers(client, range(3))
    client.heard()

    client.send(Basic.Recover, requeue=True)

    assert deliveries(client.heard()) == [("c", 2, "0", True)]


def test_a_channel_that_closes_lets_others_have_what_it_had() -> None:
    client = with_queue(channels=2)
    consume(client, "leaving")
    publish_numbers(client, range(3))
    client.heard()
    consume(client, "staying", channel=2)

    client.send(Channel.Close)

    assert deliveries(client.heard()) == [("staying", tag, str(tag - 1), True) for tag in (1, 2, 3)]
