"""CC and BCC: a message reaches the queues of all its routing keys, and nobody sees BCC."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic, Confirm, Exchange, Queue, Tx

from amqpy_broker.core.arguments import Argument
from amqpy_broker.protocols.amqp091.tables import write_table
from tests.wire import Client, content, method, new_broker, publish, refusal

QUEUES = ("a", "b", "c")


def a_client(profile: str = "4.0") -> Client:
    client = Client(new_broker(profile)).open()
    for queue in QUEUES:
        client.call(Queue.Declare, queue=queue)
    return client


def got(client: Client, *, queues: tuple[str, ...] = QUEUES) -> dict[str, list[bytes]]:
    """Take all messages of all queues."""
    found: dict[str, list[bytes]] = {}
    for queue in queues:
        while (said := client.call(Basic.Get, queue=queue, no_ack=True)).name == "Basic.GetOk":
            found.setdefault(queue, []).append(said.body)
    return found


@given(
    st.sampled_from(QUEUES),
    st.none() | st.lists(st.sampled_from((*QUEUES, "nowhere"))),
    st.none() | st.lists(st.sampled_from((*QUEUES, "nowhere"))),
)
def test_a_message_reaches_the_queue_of_each_of_its_keys_once(
    key: str, cc: list[str] | None, bcc: list[str] | None
) -> None:
    client = a_client()
    headers = {"more": 1} | {name: keys for name, keys in (("CC", cc), ("BCC", bcc)) if keys is not None}

    client.publish("", key, b"message", headers=headers)

    for queue in QUEUES:
        said = client.call(Basic.Get, queue=queue, no_ack=True)
        if queue in (key, *(cc or ()), *(bcc or ())):
            assert (said["routing_key"], said.body) == (key, b"message")
            assert said.property_values["headers"] == {name: headers[name] for name in headers if name != "BCC"}
            assert client.call(Basic.Get, queue=queue).name == "Basic.GetEmpty"
        else:
            assert said.name == "Basic.GetEmpty"


def test_without_bcc_the_properties_stay_byte_for_byte() -> None:
    client = a_client()
    table = write_table({"CC": Argument("array", [Argument("longstr", "b")]), "x": Argument("unsignedbyte", 7)})
    raw = b"\x30\x00" + table + b"\x05"

    client.feed(method(1, Basic.Publish, routing_key="a") + content(1, b"", raw_properties=raw))

    assert client.call(Basic.Get, queue="b").properties == raw


def test_bcc_is_cut_out_and_the_rest_stays_byte_for_byte() -> None:
    client = a_client()
    bcc = {"BCC": Argument("array", [Argument("longstr", "b")])}
    before, after = {"y": Argument("unsignedbyte", 7)}, {"x": Argument("long", 1)}
    written = b"\x30\x00" + write_table({**before, **bcc, **after}) + b"\x05"

    client.feed(method(1, Basic.Publish, routing_key="a") + content(1, b"body", raw_properties=written))

    for queue in ("a", "b"):
        assert (
            client.call(Basic.Get, queue=queue).properties == b"\x30\x00" + write_table({**before, **after}) + b"\x05"
        )


def test_a_table_with_nothing_but_bcc_stays_as_an_empty_one() -> None:
    client = a_client()

    client.publish("", "a", headers={"BCC": ["b"]})

    assert client.call(Basic.Get, queue="a").properties == b"\x20\x00\x00\x00\x00\x00"


def test_what_is_no_text_in_the_array_counts_for_nothing() -> None:
    client = a_client()

    client.publish("", "a", b"m", headers={"CC": ["b", 1, None, True, {"c": "c"}, ["c"]]})

    assert got(client) == {"a": [b"m"], "b": [b"m"]}


@pytest.mark.parametrize("name", ["cc", "Cc", "bcc", "CCX", "XCC"])
def test_other_names_mean_nothing(name: str) -> None:
    client = a_client()

    client.publish("", "a", b"m", headers={name: ["b"]})

    assert client.call(Basic.Get, queue="a", no_ack=True).property_values["headers"] == {name: ["b"]}
    assert got(client) == {}


@pytest.mark.parametrize("name", ["CC", "BCC"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("b", "longstr"),
        (1, "byte"),
        (40000, "unsignedshort"),
        (True, "bool"),
        (1.5, "float"),
        ({}, "table"),
        (None, "void"),
    ],
)
def test_anything_but_an_array_is_refused(name: str, value: object, kind: str) -> None:
    client = a_client()

    client.publish("", "a", b"m", headers={name: value})

    closed = client.heard_one()
    code, text = closed["reply_code"], closed["reply_text"]
    assert (code, text) == (
        406,
        f'PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,"{name}",{kind}}}',
    )
    assert client.is_usable()


def test_nothing_of_a_refused_message_is_routed() -> None:
    client = a_client()
    client.publish("", "a", b"m", headers={"CC": ["b"], "BCC": "c"})
    client.heard()

    other = Client(client.broker).open()
    assert got(other) == {}


@pytest.mark.parametrize(
    ("profile", "order"),
    [
        ("3.10", ["no exchange", "fast reply", "user_id", "invalid expiration", "unacceptable_type"]),
        ("4.0", ["no exchange", "fast reply", "invalid expiration", "unacceptable_type", "user_id"]),
        ("4.3", ["no exchange", "fast reply", "invalid expiration", "unacceptable_type", "user_id"]),
    ],
)
def test_of_many_mistakes_the_first_in_rabbitmqs_order_is_told(profile: str, order: list[str]) -> None:
    mistakes: dict[str, dict[str, Any]] = {
        "no exchange": {"exchange": "none"},
        "fast reply": {"reply_to": "amq.rabbitmq.reply-to"},
        "user_id": {"user_id": "somebody"},
        "invalid expiration": {"expiration": "never"},
        "unacceptable_type": {"headers": {"CC": 1}},
    }
    for at, first in enumerate(order):
        client = Client(new_broker(profile)).open()
        options = {name: value for word in order[at:] for name, value in mistakes[word].items()}
        client.publish(options.pop("exchange", ""), "a", **options)
        assert first in refusal(client.heard_one())[2]


@pytest.mark.parametrize("exchange_type", ["direct", "topic", "fanout"])
def test_exchanges_route_all_keys_and_hand_them_on(exchange_type: str) -> None:
    client = a_client()
    client.call(Exchange.Declare, exchange="x", exchange_type=exchange_type)
    client.call(Exchange.Declare, exchange="y", exchange_type="direct")
    client.call(Queue.Bind, queue="a", exchange="x", routing_key="one")
    client.call(Exchange.Bind, destination="y", source="x", routing_key="two")
    client.call(Queue.Bind, queue="b", exchange="y", routing_key="two")
    client.call(Queue.Bind, queue="c", exchange="y", routing_key="three")

    client.publish("x", "none", b"m", headers={"CC": ["one", "two"], "BCC": ["three"]})

    assert got(client) == {queue: [b"m"] for queue in QUEUES}


def test_a_headers_exchange_sees_cc_and_not_bcc() -> None:
    client = a_client()
    client.call(Exchange.Declare, exchange="x", exchange_type="headers")
    client.call(Queue.Bind, queue="a", exchange="x", arguments={"CC": None})
    client.call(Queue.Bind, queue="b", exchange="x", arguments={"BCC": None})

    client.publish("x", "", b"m", headers={"CC": ["x"], "BCC": ["y"]})

    assert got(client) == {"a": [b"m"]}


def test_the_alternate_exchange_gets_what_no_key_leads_anywhere() -> None:
    client = a_client()
    client.call(Exchange.Declare, exchange="ae", exchange_type="fanout")
    client.call(Exchange.Declare, exchange="x", exchange_type="direct", arguments={"alternate-exchange": "ae"})
    client.call(Queue.Bind, queue="a", exchange="x", routing_key="one")
    client.call(Queue.Bind, queue="b", exchange="ae")

    client.publish("x", "none", b"copied", headers={"CC": ["one"]})
    client.publish("x", "none", b"lost", headers={"CC": ["none"]})

    assert got(client) == {"a": [b"copied"], "b": [b"lost"]}


def test_a_mandatory_message_whose_keys_all_lead_nowhere_returns_without_bcc() -> None:
    client = a_client()
    client.call(Confirm.Select)

    client.publish("", "none", b"m", headers={"CC": ["none"], "BCC": ["nobody"]}, mandatory=True)
    client.publish("", "none", b"m", headers={"BCC": ["a"]}, mandatory=True)

    returned, *confirms = client.heard()
    assert (returned["routing_key"], returned.property_values["headers"]) == ("none", {"CC": ["none"]})
    assert [said.name for said in confirms] == ["Basic.Ack"] * len(confirms)
    assert got(client) == {"a": [b"m"]}


@pytest.mark.parametrize("profile", ["3.10", "4.0"])
def test_copies_wait_for_the_commit(profile: str) -> None:
    client = a_client(profile)
    client.call(Tx.Select)
    client.publish("", "a", b"m", headers={"CC": ["b"], "BCC": ["c"]})
    assert got(client) == {}

    client.call(Tx.Commit)

    assert got(client) == {queue: [b"m"] for queue in QUEUES}


def test_a_header_that_repeats_is_looked_at_each_time() -> None:
    client = a_client()

    client.feed(b"".join(publish(1, "", "a", b"%d" % number, headers={"CC": ["b"]}) for number in range(5)))
    client.call(Queue.Delete, queue="b")
    client.call(Queue.Declare, queue="b")
    client.feed(publish(1, "", "a", b"5", headers={"CC": ["b"]}))

    assert got(client) == {"a": [b"0", b"1", b"2", b"3", b"4", b"5"], "b": [b"5"]}


def test_a_message_that_expires_by_itself_expires_in_the_queues_of_its_copies_too() -> None:
    client = a_client()
    client.publish("", "a", b"m", headers={"CC": ["b"], "BCC": ["c"]}, expiration="1000")

    client.pass_time(1.1)

    assert got(client) == {}


# --- dead letters: https://www.rabbitmq.com/docs/dlx#effects ----------------------------------------------------------


def a_dying_queue(client: Client, **arguments: str) -> None:
    client.call(Exchange.Declare, exchange="dlx", exchange_type="direct")
    for queue in QUEUES:
        client.call(Queue.Bind, queue=queue, exchange="dlx", routing_key=queue)
    client.call(Queue.Declare, queue="dying", arguments={"x-dead-letter-exchange": "dlx", **arguments})
    client.call(Exchange.Declare, exchange="x", exchange_type="fanout")
    client.call(Queue.Bind, queue="dying", exchange="x")


def die(client: Client) -> None:
    tag = client.call(Basic.Get, queue="dying")["delivery_tag"]
    client.send(Basic.Reject, delivery_tag=tag, requeue=False)


@pytest.mark.parametrize("profile", ["3.10", "4.0"])
def test_a_dead_letter_goes_where_cc_and_bcc_lead_too(profile: str) -> None:
    client = a_client(profile)
    a_dying_queue(client)
    client.publish("x", "a", b"m", headers={"CC": ["b"], "BCC": ["c"]})

    die(client)

    said = client.call(Basic.Get, queue="c", no_ack=True)
    assert said.property_values["headers"]["x-death"][0]["routing-keys"] == ["a", "b"]
    assert got(client) == {"a": [b"m"], "b": [b"m"]}


@pytest.mark.parametrize(("profile", "keeps_cc"), [("3.10", False), ("4.0", True)])
def test_a_dead_letter_with_a_key_of_its_queue_has_no_copies(profile: str, keeps_cc: bool) -> None:
    client = a_client(profile)
    a_dying_queue(client, **{"x-dead-letter-routing-key": "c"})
    client.publish("x", "a", b"m", headers={"CC": ["b"]})

    die(client)

    said = client.call(Basic.Get, queue="c", no_ack=True)
    assert ("CC" in said.property_values["headers"]) == keeps_cc
    assert got(client) == {}
