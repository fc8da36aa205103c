"""Direct reply-to: replies reach the channel that asked, past all queues, and nobody else."""

from typing import Any

import pytest
from pamqp.commands import Basic, Channel, Confirm, Queue, Tx

from amqpy_broker.core.limits import MESSAGE_OVERHEAD_BYTES, OUTPUT_HIGH_WATERMARK_BYTES
from tests.wire import Client, Said, new_broker, publish, refusal

REPLY_TO = "amq.rabbitmq.reply-to"
BEFORE_4_2 = ("3.10", "4.0", "4.1")
FROM_4_2 = ("4.2", "4.3")


def a_pair(profile: str = "4.0", **options: Any) -> tuple[Client, Client]:
    """Make a requester, whose consumer is `replies`, and a responder with the queue `q`."""
    broker = new_broker(profile, **options)
    requester, responder = Client(broker).open(channels=2), Client(broker).open()
    consume(requester)
    responder.call(Queue.Declare, queue="q", durable=True)
    return requester, responder


def consume(client: Client, tag: str = "replies", **fields: Any) -> Said:
    return client.call(Basic.Consume, queue=REPLY_TO, consumer_tag=tag, **{"no_ack": True} | fields)


def ask(requester: Client, responder: Client, **options: Any) -> str:
    """Send a request; return the name it carries when it arrives."""
    requester.publish("", "q", b"question", reply_to=REPLY_TO, **options)
    name = responder.call(Basic.Get, queue="q", no_ack=True).property_values["reply_to"]
    assert isinstance(name, str)
    assert name.startswith(REPLY_TO + ".")
    return name


def properties(said: Said) -> dict[str, Any]:
    """Return the properties that are there; pamqp invents an empty cluster-id."""
    return {name: value for name, value in said.property_values.items() if value != ""}


def bodies(client: Client) -> list[bytes]:
    heard = client.heard()
    assert {said.name for said in heard} <= {"Basic.Deliver"}, heard
    return [said.body for said in heard]


@pytest.mark.parametrize("profile", [*BEFORE_4_2, *FROM_4_2])
def test_a_reply_goes_straight_to_the_channel_that_asked(profile: str) -> None:
    requester, responder = a_pair(profile)
    name = ask(requester, responder, correlation_id="1")

    responder.publish("", name, b"answer", correlation_id="1")

    reply = requester.heard_one()
    assert (reply.name, reply.channel, reply.body) == ("Basic.Deliver", 1, b"answer")
    assert properties(reply) == {"correlation_id": "1"}
    assert reply.fields == {
        "consumer_tag": "replies",
        "delivery_tag": 1,
        "redelivered": False,
        "exchange": "",
        "routing_key": name,
    }


def test_the_other_properties_of_a_request_stay_as_they_are() -> None:
    requester, responder = a_pair()

    requester.publish("", "q", reply_to=REPLY_TO, correlation_id="1", headers={"a": 1}, expiration="60000", app_id="me")

    got = properties(responder.call(Basic.Get, queue="q"))
    assert got.pop("reply_to").startswith(REPLY_TO + ".")
    assert got == {"correlation_id": "1", "headers": {"a": 1}, "expiration": "60000", "app_id": "me"}


def test_all_requests_of_a_consumer_carry_one_name_and_other_channels_have_another() -> None:
    requester, responder = a_pair()
    consume(requester, channel=2)

    names = [ask(requester, responder, channel=channel) for channel in (1, 1, 2)]

    assert names[0] == names[1] != names[2]
    responder.publish("", names[2], b"for the second")
    assert requester.heard_one().channel == 2


@pytest.mark.parametrize("reply_to", ["q", REPLY_TO + ".", REPLY_TO + ".name", REPLY_TO + "x", "AMQ.rabbitmq.reply-to"])
def test_any_other_reply_to_is_passed_on(reply_to: str) -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")

    client.publish("", "q", reply_to=reply_to)

    assert properties(client.call(Basic.Get, queue="q")) == {"reply_to": reply_to}


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_request_without_a_consumer_on_its_channel_is_refused() -> None:
    requester, responder = a_pair()

    requester.publish("", "q", reply_to=REPLY_TO, channel=2)

    assert refusal(requester.heard_one()) == (
        "channel",
        406,
        "PRECONDITION_FAILED - fast reply consumer does not exist",
        60,
        40,
    )
    assert responder.call(Basic.Get, queue="q").name == "Basic.GetEmpty"


def test_a_reply_consumer_cannot_acknowledge() -> None:
    client = Client().open()

    closed = consume(client, no_ack=False)

    assert refusal(closed)[:3] == ("channel", 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge")


def test_a_channel_has_one_reply_consumer() -> None:
    client = Client().open()
    consume(client)

    closed = consume(client, "another")

    assert refusal(closed)[:3] == ("channel", 406, "PRECONDITION_FAILED - reply consumer already set")


def test_the_tag_of_a_queues_consumer_is_taken() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    client.call(Basic.Consume, queue="q", consumer_tag="replies")

    closed = consume(client)

    assert refusal(closed)[:3] == ("connection", 530, "NOT_ALLOWED - attempt to reuse consumer tag 'replies'")


def test_a_queues_consumer_may_have_the_same_tag_and_the_reply_consumer_is_cancelled_first() -> None:
    requester, responder = a_pair()
    name = ask(requester, responder)
    responder.call(Queue.Declare, queue="other")
    requester.call(Basic.Consume, queue="other", consumer_tag="replies", no_ack=True)

    requester.call(Basic.Cancel, consumer_tag="replies")
    responder.publish("", name, b"too late")
    responder.publish("", "other", b"from the queue")

    assert bodies(requester) == [b"from the queue"]


def test_without_a_tag_the_broker_makes_one() -> None:
    client = Client().open()

    assert consume(client, "")["consumer_tag"].startswith("amq.ctag-")


def test_nobody_is_told_of_a_consumer_without_waiting() -> None:
    client = Client().open()

    client.send(Basic.Consume, queue=REPLY_TO, no_ack=True, nowait=True)

    assert client.heard() == []
    assert client.call(Queue.Declare, queue=REPLY_TO, passive=True)["consumer_count"] == 1


@pytest.mark.parametrize("profile", BEFORE_4_2)
@pytest.mark.parametrize(
    ("shape", "code"),
    [(Basic.Get, 404), (Queue.Purge, 404), (Queue.Bind, 404), (Queue.Unbind, None), (Queue.Delete, None)],
)
def test_to_everything_else_there_is_no_such_queue(profile: str, shape: Any, code: int | None) -> None:
    requester, responder = a_pair(profile)
    name = ask(requester, responder)
    fields = {"exchange": "amq.direct"} if shape in (Queue.Bind, Queue.Unbind) else {}

    for queue in (REPLY_TO, name):
        client = Client(requester.broker).open()
        said = client.call(shape, queue=queue, **fields)
        if code is None:
            assert said.name == f"{shape.name}Ok"
        else:
            assert refusal(said)[:3] == ("channel", code, f"NOT_FOUND - no queue '{queue}' in vhost '/'")

    responder.publish("", name, b"still there")
    assert bodies(requester) == [b"still there"]


@pytest.mark.parametrize("profile", FROM_4_2)
@pytest.mark.parametrize("shape", [Queue.Bind, Queue.Unbind])
def test_from_4_2_on_binding_is_forbidden(profile: str, shape: Any) -> None:
    closed = Client(new_broker(profile)).open().call(shape, queue=REPLY_TO, exchange="amq.direct")

    assert refusal(closed)[:3] == (
        "channel",
        403,
        "ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) queue",
    )


# --- is the requester still there? ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"passive": True}, {"passive": False}, {"durable": True, "exclusive": True}])
def test_declaring_tells_whether_the_requester_is_there(fields: dict[str, bool]) -> None:
    requester, responder = a_pair()
    name = ask(requester, responder)

    for queue in (REPLY_TO, name):
        declared = responder.call(Queue.Declare, queue=queue, **fields)
        assert (declared["queue"], declared["message_count"], declared["consumer_count"]) == (queue, 0, 1)

    requester.call(Channel.Close)
    closed = responder.call(Queue.Declare, queue=name, **fields)
    assert refusal(closed) == ("channel", 404, f"NOT_FOUND - no queue '{name}' in vhost '/'", 50, 10)


@pytest.mark.parametrize("name", [".", ".name", "x", ".a.b"])
def test_a_name_that_nobody_has_is_not_found(name: str) -> None:
    closed = Client().open().call(Queue.Declare, queue=REPLY_TO + name)

    assert refusal(closed)[:3] == ("channel", 404, f"NOT_FOUND - no queue '{REPLY_TO}{name}' in vhost '/'")


def test_the_general_name_can_be_the_last_queue_declared() -> None:
    client = Client().open()
    client.call(Queue.Declare, queue=REPLY_TO + "\n")

    assert client.call(Basic.Consume, no_ack=True, consumer_tag="c").name == "Basic.ConsumeOk"
    assert client.broker.replies.memory_bytes == 0


def gone_by(how: str, requester: Client) -> None:
    match how:
        case "cancel":
            requester.call(Basic.Cancel, consumer_tag="replies")
        case "close":
            requester.call(Channel.Close)
        case "refusal":
            assert requester.call(Queue.Declare, queue="none", passive=True).name == "Channel.Close"
        case "lost":
            requester.connection.lost()
        case _:
            requester.connection.shut_down()


@pytest.mark.parametrize("how", ["cancel", "close", "refusal", "lost", "shutdown"])
def test_whoever_is_gone_gets_nothing_and_leaves_nothing(how: str) -> None:
    requester, responder = a_pair()
    name = ask(requester, responder)

    gone_by(how, requester)
    requester.heard()
    responder.publish("", name, b"answer")

    assert requester.heard() == []
    assert responder.heard() == []
    assert not requester.broker.replies.exists(name)


def test_who_consumes_again_has_another_name() -> None:
    requester, responder = a_pair()
    old = ask(requester, responder)
    requester.call(Basic.Cancel, consumer_tag="replies")
    consume(requester)
    new = ask(requester, responder)

    responder.publish("", old, b"old")
    responder.publish("", new, b"new")

    assert bodies(requester) == [b"new"]


# --- replies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", BEFORE_4_2)
def test_before_4_2_a_mandatory_reply_is_delivered_and_returned(profile: str) -> None:
    requester, responder = a_pair(profile)
    name = ask(requester, responder)
    responder.call(Confirm.Select)

    responder.publish("", name, b"answer", mandatory=True)

    assert bodies(requester) == [b"answer"]
    returned, confirmed = responder.heard()
    assert (returned.name, returned["reply_code"], returned.body) == ("Basic.Return", 312, b"answer")
    assert (confirmed.name, confirmed["delivery_tag"]) == ("Basic.Ack", 1)


@pytest.mark.parametrize("profile", FROM_4_2)
def test_from_4_2_on_a_mandatory_reply_counts_as_routed_whoever_is_there(profile: str) -> None:
    requester, responder = a_pair(profile)
    name = ask(requester, responder)
    responder.call(Confirm.Select)

    responder.publish("", name, b"answer", mandatory=True)
    assert bodies(requester) == [b"answer"]
    requester.call(Channel.Close)
    responder.publish("", name, b"answer", mandatory=True)

    assert responder.names() == ["Basic.Ack", "Basic.Ack"]


@pytest.mark.parametrize(
    ("profile", "tags"), [*((p, [1, 2, 2, 2]) for p in BEFORE_4_2), *((p, [1, 2, 3, 4]) for p in FROM_4_2)]
)
def test_replies_use_up_delivery_tags_from_4_2_on(profile: str, tags: list[int]) -> None:
    requester, responder = a_pair(profile)
    name = ask(requester, responder)
    requester.call(Basic.Consume, queue="q", consumer_tag="c", no_ack=True)

    for key in ("q", name, name, "q"):
        responder.publish("", key)

    assert [said["delivery_tag"] for said in requester.heard()] == tags


def test_no_prefetch_count_holds_replies_back() -> None:
    requester, responder = a_pair()
    name = ask(requester, responder)
    requester.call(Basic.Qos, prefetch_count=1, global_=True)
    requester.call(Basic.Consume, queue="q", consumer_tag="c")
    for _ in range(2):
        responder.publish("", "q", b"held")

    for _ in range(3):
        responder.publish("", name, b"answer")

    assert bodies(requester) == [b"held", b"answer", b"answer", b"answer"]


def test_a_transaction_does_not_hold_replies_back() -> None:
    requester, responder = a_pair()
    name = ask(requester, responder)
    responder.call(Tx.Select)

    responder.publish("", name, b"answer")
    assert bodies(requester) == [b"answer"]
    responder.call(Tx.Commit)

    assert requester.heard() == []


@pytest.mark.parametrize("profile", ["3.10", "4.0"])
def test_a_commit_does_not_miss_a_requester_that_went(profile: str) -> None:
    requester, responder = a_pair(profile)
    name = ask(requester, responder)
    responder.call(Tx.Select)
    responder.publish("", name, b"answer")
    requester.heard()
    requester.call(Channel.Close)

    assert responder.call(Tx.Commit).name == "Tx.CommitOk"


def test_a_request_in_a_transaction_names_the_consumer_it_was_published_with() -> None:
    requester, responder = a_pair()
    requester.call(Tx.Select)
    requester.publish("", "q", reply_to=REPLY_TO)
    requester.call(Basic.Cancel, consumer_tag="replies")
    requester.call(Tx.Commit)

    name = responder.call(Basic.Get, queue="q").property_values["reply_to"]
    assert name.startswith(REPLY_TO + ".")


def test_a_name_is_good_in_every_vhost() -> None:
    broker = new_broker()
    broker.add_vhost("other")
    broker.users.find("guest").permissions["other"] = broker.users.find("guest").permissions["/"]
    requester, responder = Client(broker).open(), Client(broker).open(vhost="other")
    consume(requester)
    local = Client(broker).open()
    local.call(Queue.Declare, queue="q")

    responder.publish("", ask(requester, local), b"from afar")

    assert bodies(requester) == [b"from afar"]


def test_a_name_means_nothing_to_another_exchange() -> None:
    requester, responder = a_pair()
    name = ask(requester, responder)

    responder.publish("amq.direct", name, b"lost", mandatory=True)

    assert responder.heard_one()["reply_text"] == "NO_ROUTE"
    assert requester.heard() == []


def test_copies_reach_requesters_once() -> None:
    requester, responder = a_pair()
    name = ask(requester, responder)

    responder.publish("", name, b"answer", headers={"CC": ["q", name], "BCC": [name]})

    assert bodies(requester) == [b"answer"]
    assert responder.call(Basic.Get, queue="q").body == b"answer"


def test_replies_that_repeat_arrive_in_order() -> None:
    requester, responder = a_pair()
    name = ask(requester, responder)

    responder.feed(b"".join(publish(1, "", name, b"%03d" % number) for number in range(200)))

    assert bodies(requester) == [b"%03d" % number for number in range(200)]


# --- a requester that does not read -----------------------------------------------------------------------------------


def test_replies_wait_for_a_slow_requester_and_count_as_memory() -> None:
    requester, responder = a_pair()
    name = ask(requester, responder)
    body = bytes(OUTPUT_HIGH_WATERMARK_BYTES // 4)
    for number in range(20):
        responder.publish("", name, body + bytes((number,)))

    assert requester.output.size < 2 * OUTPUT_HIGH_WATERMARK_BYTES
    waiting_bytes = requester.broker.memory.used_bytes
    assert waiting_bytes > 15 * (len(body) + MESSAGE_OVERHEAD_BYTES)

    assert [reply[-1] for reply in bodies(requester)] == list(range(20))
    assert requester.broker.memory.used_bytes == 0


def test_a_slow_requester_that_goes_frees_what_waited() -> None:
    requester, responder = a_pair()
    name = ask(requester, responder)
    for _ in range(3):
        responder.publish("", name, bytes(OUTPUT_HIGH_WATERMARK_BYTES))
    assert requester.broker.memory.used_bytes > 0

    requester.connection.lost()

    assert requester.broker.memory.used_bytes == 0


def test_a_flood_of_replies_raises_the_memory_alarm() -> None:
    requester, responder = a_pair(memory_watermark_bytes=4 * OUTPUT_HIGH_WATERMARK_BYTES)
    name = ask(requester, responder)

    for _ in range(8):
        responder.publish("", name, bytes(OUTPUT_HIGH_WATERMARK_BYTES))
    assert requester.broker.memory.alarm

    requester.heard()
    requester.broker.memory.measure()
    assert not requester.broker.memory.alarm
