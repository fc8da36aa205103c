"""What changes from version to version, as a client sees it: each test is a row of the table in docs/profiles.md."""

from typing import Any

import pytest
from pamqp.commands import Basic, Channel, Connection, Exchange, Queue

from amqpy_broker.core.profile import PROFILES
from amqpy_broker.core.users import Permissions, User
from tests.wire import Client, handshake, new_broker, refusal

BEFORE_4_3 = ("3.10", "4.0", "4.1", "4.2")


def client_of(profile: str, **options: Any) -> Client:
    return Client(new_broker(profile)).open(**options)


@pytest.mark.parametrize("profile", PROFILES)
def test_clients_are_told_the_version(profile: str) -> None:
    client = Client(new_broker(profile))
    client.feed(b"AMQP\x00\x00\x09\x01")

    properties = client.heard_one()["server_properties"]

    assert (properties["product"], properties["version"]) == ("RabbitMQ", PROFILES[profile].version)
    assert properties["version"].startswith(profile)


@pytest.mark.parametrize(("profile", "least"), [("3.10", 4096), ("4.0", 4096), ("4.1", 8192), ("4.3", 8192)])
def test_the_smallest_frame_max(profile: str, least: int) -> None:
    assert client_of(profile, frame_max=least).is_usable()

    refused = Client(new_broker(profile))
    for octets in handshake(frame_max=least - 1):
        refused.feed(octets)
    assert "Connection.OpenOk" not in refused.names()


@pytest.mark.parametrize("profile", BEFORE_4_3)
def test_transient_queues_may_be_shared_before_4_3(profile: str) -> None:
    assert client_of(profile).call(Queue.Declare, queue="q").name == "Queue.DeclareOk"


def test_4_3_closes_the_connection_of_who_declares_a_transient_shared_queue() -> None:
    closed = client_of("4.3").call(Queue.Declare, queue="q")

    what, code, text, *_ = refusal(closed)
    assert (what, code) == ("connection", 541)
    assert text.startswith(
        "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.\nBy default, this feature"
    )
    assert len(text.encode()) == 255


@pytest.mark.parametrize("declared", [{"durable": True}, {"exclusive": True}])
def test_4_3_takes_durable_and_exclusive_queues(declared: dict[str, bool]) -> None:
    assert client_of("4.3").call(Queue.Declare, queue="q", **declared).name == "Queue.DeclareOk"


@pytest.mark.parametrize(("profile", "delivered"), [*((profile, 1) for profile in BEFORE_4_3), ("4.3", 2)])
def test_a_prefetch_count_for_the_channel_is_one_for_each_consumer_in_4_3(profile: str, delivered: int) -> None:
    client = client_of(profile)
    client.call(Basic.Qos, prefetch_count=1, global_=True)
    for name in ("a", "b"):
        client.call(Queue.Declare, queue=name, durable=True)
        client.call(Basic.Consume, queue=name, consumer_tag=name)
    for name in ("a", "b"):
        client.publish("", name, b"m")

    deliveries = [said for said in client.heard() if said.name == "Basic.Deliver"]

    assert len(deliveries) == delivered


@pytest.mark.parametrize("profile", BEFORE_4_3)
def test_topic_keys_may_have_any_number_of_hashes_before_4_3(profile: str) -> None:
    client = client_of(profile)
    client.call(Queue.Declare, queue="q", exclusive=True)

    assert client.call(Queue.Bind, queue="q", exchange="amq.topic", routing_key="#.a.#.b.#").name == "Queue.BindOk"


def test_4_3_takes_two_hashes_in_a_topic_key() -> None:
    client = client_of("4.3")
    client.call(Queue.Declare, queue="q", exclusive=True)
    assert client.call(Queue.Bind, queue="q", exchange="amq.topic", routing_key="#.a.#").name == "Queue.BindOk"

    refused = refusal(client.call(Queue.Bind, queue="q", exchange="amq.topic", routing_key="#.a.#.b.#"))

    text = "PRECONDITION_FAILED - Topic binding key '#.a.#.b.#' uses 3 '#' wildcards, at most 2 are allowed"
    assert refused == ("channel", 406, text, 50, 20)


@pytest.mark.parametrize(("profile", "is_fine"), [*((profile, True) for profile in BEFORE_4_3), ("4.3", False)])
def test_4_3_knows_no_first_version_of_classic_queues(profile: str, is_fine: bool) -> None:
    answer = client_of(profile).call(Queue.Declare, queue="q", durable=True, arguments={"x-queue-version": 1})

    assert (answer.name == "Queue.DeclareOk") is is_fine
    if not is_fine:
        assert refusal(answer)[2].endswith("'/': \"unsupported queue version '1'\"")


def test_4_3_lets_only_those_look_who_have_a_permission() -> None:
    nobody = User("guest", Client().broker.users.find("guest").password_hash, (), {"/": Permissions("", "", "")})
    answers = {}
    for profile in ("4.2", "4.3"):
        broker = new_broker(profile)
        broker.users.add(nobody)
        client = Client(broker).open()
        answers[profile] = client.call(Exchange.Declare, exchange="amq.topic", passive=True).name

    assert answers == {"4.2": "Exchange.DeclareOk", "4.3": "Channel.Close"}


@pytest.mark.parametrize(("profile", "closes"), [("3.10", "connection"), ("4.0", "channel"), ("4.3", "channel")])
def test_an_unknown_exchange_type_costs_the_connection_in_3_x(profile: str, closes: str) -> None:
    closed = client_of(profile).call(Exchange.Declare, exchange="x", exchange_type="x-nope")

    assert closed.name == ("Connection.Close" if closes == "connection" else "Channel.Close")


@pytest.mark.parametrize(("profile", "limit"), [("3.10", None), ("4.0", 20), ("4.3", 20)])
def test_quorum_queues_give_up_on_a_message_after_20_returns_since_4_0(profile: str, limit: int | None) -> None:
    client = client_of(profile)
    client.call(Queue.Declare, queue="q", durable=True, arguments={"x-queue-type": "quorum"})
    client.publish("", "q", b"poison")
    returns = 0
    while returns < 30:
        got = client.call(Basic.Get, queue="q")
        if got.name == "Basic.GetEmpty":
            break
        client.send(Basic.Reject, delivery_tag=got["delivery_tag"], requeue=True)
        returns += 1

    assert returns == (30 if limit is None else limit + 1)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_opens_channels(profile: str) -> None:
    client = client_of(profile, channels=2)

    assert client.call(Channel.Flow, active=True).name == "Channel.FlowOk"
    assert client.call(Connection.Close, channel=0, reply_code=200).name == "Connection.CloseOk"


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        ("4.2", [{"x-delivery-count": 1}, {"x-delivery-count": 2}]),
        ("4.3", [{"x-acquired-count": 1}, {"x-acquired-count": 2, "x-delivery-count": 1}]),
    ],
)
def test_4_3_counts_failures_apart_from_returns(profile: str, told: list[dict[str, int]]) -> None:
    client = client_of(profile)
    client.call(Queue.Declare, queue="q", durable=True, arguments={"x-queue-type": "quorum"})
    client.publish("", "q", b"m")

    client.call(Basic.Get, queue="q")
    client.send(Basic.Nack, delivery_tag=1, requeue=True)
    first = client.call(Basic.Get, queue="q")
    client.send(Basic.Reject, delivery_tag=2, requeue=True)
    second = client.call(Basic.Get, queue="q")

    assert [said.property_values["headers"] for said in (first, second)] == told
