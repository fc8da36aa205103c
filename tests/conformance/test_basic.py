"""Rules of the specification for the classes basic, confirm and tx, each by its name, with RabbitMQ's texts."""

import pytest
from pamqp.commands import Basic, Confirm, Queue, Tx

from tests.wire import Client, Said, refusal


@pytest.fixture
def client() -> Client:
    client = Client().open()
    client.call(Queue.Declare, queue="q")
    return client


def text(said: Said) -> tuple[int, str]:
    _, code, reply_text, _, _ = refusal(said)
    return code, reply_text


# --- consume and cancel -----------------------------------------------------------------------------------------------


def test_consume_generates_a_tag(client: Client) -> None:
    """[basic.consume.consumer-tag] An empty tag asks for a new one, which the answer tells."""
    tags = {client.call(Basic.Consume, queue="q")["consumer_tag"] for _ in range(2)}

    assert len(tags) == 2
    assert all(tag.startswith("amq.ctag-") for tag in tags)


def test_consume_consumer_tag_unique(client: Client) -> None:
    """[basic.consume.consumer-tag:unique] A tag may be used once on a channel: 530."""
    client.call(Basic.Consume, queue="q", consumer_tag="c")

    answer = client.call(Basic.Consume, queue="q", consumer_tag="c")

    assert refusal(answer)[:3] == ("connection", 530, "NOT_ALLOWED - attempt to reuse consumer tag 'c'")


def test_consumer_tags_are_local_to_a_channel(client: Client) -> None:
    """[basic.consume.consumer-tag] Another channel may use the same one."""
    from pamqp.commands import Channel

    client.call(Channel.Open, channel=2)
    client.call(Basic.Consume, queue="q", consumer_tag="c")

    assert client.call(Basic.Consume, channel=2, queue="q", consumer_tag="c").name == "Basic.ConsumeOk"


def test_consume_exclusive(client: Client) -> None:
    """[basic.consume.exclusive:error] Who is alone stays alone: 403."""
    client.call(Basic.Consume, queue="q", exclusive=True)

    answer = client.call(Basic.Consume, queue="q")

    assert text(answer) == (403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use")


def test_consume_no_wait(client: Client) -> None:
    """[basic.consume.no-wait] No answer, but deliveries."""
    client.send(Basic.Consume, queue="q", consumer_tag="c", nowait=True)
    client.publish("", "q")

    assert client.names() == ["Basic.Deliver"]


def test_cancel_confirms_the_tag(client: Client) -> None:
    """[basic.cancel-ok]"""
    client.call(Basic.Consume, queue="q", consumer_tag="c")

    answer = client.call(Basic.Cancel, consumer_tag="c")

    assert (answer.name, answer["consumer_tag"]) == ("Basic.CancelOk", "c")


def test_cancel_of_an_unknown_tag_is_no_error(client: Client) -> None:
    """[basic.cancel.consumer-tag] A queue may have gone meanwhile."""
    assert client.call(Basic.Cancel, consumer_tag="nobody").name == "Basic.CancelOk"


def test_cancel_by_the_server_wants_no_answer(client: Client) -> None:
    """[basic.cancel.no-wait] It is sent with no-wait, and who answers all the same is refused: 503."""
    client.call(Basic.Consume, queue="q", consumer_tag="c")
    Client(client.broker).open().call(Queue.Delete, queue="q")
    assert client.heard_one()["nowait"] is True

    answer = client.call(Basic.CancelOk, consumer_tag="c")

    assert refusal(answer) == ("connection", 503, "COMMAND_INVALID - unimplemented method", 60, 31)


# --- publish ----------------------------------------------------------------------------------------------------------


def test_publish_exchange_must_exist(client: Client) -> None:
    """[basic.publish.exchange:must-exist] 404 on the channel."""
    client.publish("nope", "q")

    assert refusal(client.heard_one()) == ("channel", 404, "NOT_FOUND - no exchange 'nope' in vhost '/'", 60, 40)


def test_publish_internal(client: Client) -> None:
    """[basic.publish.exchange:internal] 403 for an internal exchange."""
    from pamqp.commands import Exchange

    client.call(Exchange.Declare, exchange="ei", exchange_type="fanout", internal=True)

    client.publish("ei", "q")

    expected = (403, "ACCESS_REFUSED - cannot publish to internal exchange 'ei' in vhost '/'")
    assert text(client.heard_one()) == expected


def test_publish_mandatory(client: Client) -> None:
    """[basic.publish.mandatory] An unroutable message comes back as it was: 312."""
    client.publish("amq.direct", "nowhere", b"back", mandatory=True, content_type="text/plain")

    said = client.heard_one()

    assert dict(said.fields) == {
        "reply_code": 312,
        "reply_text": "NO_ROUTE",
        "exchange": "amq.direct",
        "routing_key": "nowhere",
    }
    assert (said.body, said.property_values["content_type"]) == (b"back", "text/plain")


def test_publish_mandatory_routed(client: Client) -> None:
    """[basic.publish.mandatory] A message that reached a queue does not come back."""
    client.publish("", "q", mandatory=True)

    assert client.heard() == []


def test_publish_immediate(client: Client) -> None:
    """[basic.publish.immediate] Not implemented since RabbitMQ 3.0: 540."""
    client.publish("", "q", immediate=True)

    assert refusal(client.heard_one()) == ("connection", 540, "NOT_IMPLEMENTED - immediate=true", 60, 40)


def test_publish_user_id(client: Client) -> None:
    """[basic.publish user-id] It must be the user's own, if it is there."""
    client.publish("", "q", user_id="guest")
    client.publish("", "q", user_id="bob")

    assert text(client.heard_one()) == (
        406,
        "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'",
    )


# --- get, ack, reject, recover ----------------------------------------------------------------------------------------


def test_get_empty(client: Client) -> None:
    """[basic.get-empty]"""
    assert client.call(Basic.Get, queue="q").name == "Basic.GetEmpty"


def test_get_tells_how_many_are_left(client: Client) -> None:
    """[basic.get-ok.message-count]"""
    for _ in range(3):
        client.publish("", "q")

    assert client.call(Basic.Get, queue="q")["message_count"] == 2


def test_get_of_a_missing_queue(client: Client) -> None:
    """[basic.get.queue] 404."""
    answer = client.call(Basic.Get, queue="nope")

    assert refusal(answer) == ("channel", 404, "NOT_FOUND - no queue 'nope' in vhost '/'", 60, 70)


def test_delivery_tag_channel_local(client: Client) -> None:
    """[delivery-tag:channel-local] A tag is good on its own channel only."""
    from pamqp.commands import Channel

    client.call(Channel.Open, channel=2)
    client.publish("", "q")
    client.call(Basic.Get, queue="q")

    answer = client.call(Basic.Ack, channel=2, delivery_tag=1)

    assert text(answer) == (406, "PRECONDITION_FAILED - unknown delivery tag 1")


def test_delivery_tag_non_zero(client: Client) -> None:
    """[delivery-tag:non-zero] 0 is no tag, but for `multiple`."""
    assert text(client.call(Basic.Ack, delivery_tag=0)) == (406, "PRECONDITION_FAILED - unknown delivery tag 0")


def test_ack_multiple_exists(client: Client) -> None:
    """[basic.ack.multiple:exists] A tag that was never given out is refused with `multiple` too."""
    answer = client.call(Basic.Ack, delivery_tag=5, multiple=True)

    assert refusal(answer) == ("channel", 406, "PRECONDITION_FAILED - unknown delivery tag 5", 60, 80)


def test_redelivered(client: Client) -> None:
    """[basic.deliver.redelivered] A message that was delivered before says so."""
    client.publish("", "q")
    first = client.call(Basic.Get, queue="q")
    client.send(Basic.Reject, delivery_tag=1, requeue=True)

    assert (first["redelivered"], client.call(Basic.Get, queue="q")["redelivered"]) == (False, True)


def test_recover_without_requeue(client: Client) -> None:
    """[basic.recover.requeue] Not implemented, as in RabbitMQ: 540."""
    answer = client.call(Basic.Recover, requeue=False)

    assert refusal(answer) == ("connection", 540, "NOT_IMPLEMENTED - requeue=false", 60, 110)


def test_qos_prefetch_size(client: Client) -> None:
    """[basic.qos.prefetch-size] Not implemented, as in RabbitMQ: 540."""
    answer = client.call(Basic.Qos, prefetch_size=10)

    assert refusal(answer) == ("connection", 540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)", 60, 10)


def test_methods_of_the_server_are_refused(client: Client) -> None:
    """[basic.get-ok] and others are the server's to say: 503."""
    from pamqp.commands import Channel

    answer = client.call(Channel.OpenOk, channel_id="")

    assert refusal(answer) == ("connection", 503, "COMMAND_INVALID - unimplemented method", 20, 11)


# --- confirm and tx ---------------------------------------------------------------------------------------------------


def test_confirm_select_no_wait(client: Client) -> None:
    """[confirm.select.nowait]"""
    client.send(Confirm.Select, nowait=True)
    client.publish("", "q")

    assert client.names() == ["Basic.Ack"]


def test_tx_then_confirm(client: Client) -> None:
    """[confirm.select] A channel is transactional or confirming, not both."""
    client.call(Tx.Select)

    answer = client.call(Confirm.Select)

    expected = "PRECONDITION_FAILED - cannot switch from tx to confirm mode"
    assert refusal(answer) == ("channel", 406, expected, 85, 10)


def test_confirm_then_tx(client: Client) -> None:
    """[tx.select] A channel is transactional or confirming, not both."""
    client.call(Confirm.Select)

    answer = client.call(Tx.Select)

    expected = "PRECONDITION_FAILED - cannot switch from confirm to tx mode"
    assert refusal(answer) == ("channel", 406, expected, 90, 10)


@pytest.mark.parametrize(("shape", "method_id"), [(Tx.Commit, 20), (Tx.Rollback, 30)])
def test_tx_transacted(client: Client, shape: type, method_id: int) -> None:
    """[tx.commit:transacted] [tx.rollback:transacted] Only on a transactional channel."""
    answer = client.call(shape)

    expected = "PRECONDITION_FAILED - channel is not transactional"
    assert refusal(answer) == ("channel", 406, expected, 90, method_id)
