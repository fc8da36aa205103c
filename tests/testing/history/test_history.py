"""What the kit remembers of messages."""

from __future__ import annotations

from typing import Any

import pytest
from pamqp.commands import Basic, Channel, Queue, Tx

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.queues.classic import ClassicQueue
from amqpy_broker.core.queues.journaled import Journaled
from amqpy_broker.core.queues.types import QUEUE_TYPES
from amqpy_broker.testing import THE_TEST, Broker
from amqpy_broker.testing.history.history import History
from amqpy_broker.testing.history.records import Delivered, Published
from amqpy_broker.testing.history.witness import VhostWitness
from tests.memory_journal import MemoryJournal
from tests.server.loops import on_each_loop
from tests.testing.brokers import consume, declare, get, new_broker, new_client, pass_time
from tests.testing.faults.clients import named
from tests.wire import Client, ManualClock, publish

KINDS: dict[str, dict[str, Any]] = {
    "classic": {},
    "quorum": {"x_queue_type": "quorum"},
    "priority": {"x_max_priority": 5},
    "last value": {"x_last_value_key": "k"},
    "groups": {"x_message_groups": True},
    "retry": {"x_delayed_retry_type": "failed", "x_delayed_retry_min": 1000},
}


def bodies(records: list[Any]) -> list[bytes]:
    return [record.message.body for record in records]


def one_queue(**arguments: Any) -> tuple[Broker, Client]:
    broker = new_broker()
    client = new_client(broker)
    declare(client, "q", **arguments)
    return broker, client


# --- publishes --------------------------------------------------------------------------------------------------------


def test_a_publish_is_remembered_with_where_it_went_and_who_it_was() -> None:
    broker, client = one_queue()
    declare(client, "r")
    client.call(Queue.Bind, queue="q", exchange="amq.fanout")
    client.call(Queue.Bind, queue="r", exchange="amq.fanout")
    client.publish("amq.fanout", "key", b"1", app_id="app")
    (record,) = broker.published()
    assert (record.message.exchange, record.message.routing_key, record.message.body) == ("amq.fanout", "key", b"1")
    assert record.message.properties.app_id == "app"
    assert sorted(record.queues) == ["q", "r"]
    assert (record.channel, record.user, record.vhost, record.mandatory) == (1, "guest", "/", False)
    assert record.at == broker.clock.now
    assert (record.returned, record.unrouted) == (False, False)


def test_publishes_that_repeat_are_all_remembered() -> None:
    broker, client = one_queue()
    client.feed(b"".join(publish(1, "", "q", b"%d" % number) for number in range(10)))
    assert bodies(broker.published()) == [b"%d" % number for number in range(10)]


def test_publishes_are_found_by_what_they_are() -> None:
    broker, client = one_queue()
    client.publish("", "q", b"1")
    client.publish("amq.topic", "q", b"2")
    client.publish("amq.topic", "x", b"3", headers={"CC": ["y"]})
    broker.publish("", "q", b"4")
    assert bodies(broker.published("amq.topic")) == [b"2", b"3"]
    assert bodies(broker.published("")) == [b"1", b"4"]
    assert bodies(broker.published(routing_key="y")) == [b"3"]
    assert bodies(broker.published(queue="q")) == [b"1", b"4"]
    assert bodies(broker.published(connection=THE_TEST)) == [b"4"]
    assert bodies(broker.published(vhost="elsewhere")) == []


@on_each_loop
async def test_publishes_are_found_by_the_name_that_a_client_gave_its_connection() -> None:
    async with Broker() as broker, named(broker, "one") as one, named(broker, "two") as two:
        await one.send(publish(1, "", "x", b"1"))
        await two.send(publish(1, "", "x", b"2"))
        await broker.wait_for(lambda broker: len(broker.published()) == 2)
        assert bodies(broker.published(connection="one")) == [b"1"]
        (record,) = broker.published(connection="two")
        assert record.client_name == "two"
        assert broker.published(connection=record.connection) == [record]


def test_what_is_returned_is_not_what_is_dropped() -> None:
    broker, client = one_queue()
    client.publish("", "x", b"1", mandatory=True)
    client.publish("", "x", b"2")
    client.publish("", "q", b"3", mandatory=True)
    assert bodies(broker.returned()) == [b"1"]
    assert bodies(broker.unrouted()) == [b"2"]
    assert client.names() == ["Basic.Return"]


def test_what_waits_in_an_exchange_is_neither_and_is_remembered_when_it_is_sent_on() -> None:
    broker, client = one_queue()
    broker.declare_exchange("later", "x-delayed-message", arguments={"x-delayed-type": "direct"})
    broker.bind("q", "later", "q")
    client.publish("later", "q", b"1", headers={"x-delay": 1000})
    client.publish("later", "x", b"2", headers={"x-delay": 1000})
    client.publish("later", "x", b"3")
    assert [record.delayed for record in broker.published()] == [True, True, False]
    assert bodies(broker.unrouted()) == [b"3"]
    assert broker.sent_on() == []
    pass_time(broker, 1)
    assert [(record.message.body, record.queues) for record in broker.sent_on("later")] == [(b"1", ("q",)), (b"2", ())]
    assert bodies(broker.dropped(reason="unroutable")) == [b"2"]


@pytest.mark.parametrize("profile", ["4.0", "4.2"])
def test_a_direct_reply_is_not_dropped(profile: str) -> None:
    broker = new_broker(profile=profile)
    client = new_client(broker)
    consume(client, "amq.rabbitmq.reply-to", no_ack=True)
    client.heard()
    client.publish("", "requests", b"?", reply_to="amq.rabbitmq.reply-to")
    name = broker.published()[0].message.properties.reply_to
    assert name is not None
    client.publish("", name, b"!")
    client.publish("", name + "x", b"lost")
    assert [record.reply for record in broker.published()] == [False, True, False]
    assert bodies(broker.unrouted()) == [b"?", b"lost"]
    assert client.heard_one().body == b"!"


def test_a_publish_in_a_transaction_is_told_of_at_once() -> None:
    broker, client = one_queue()
    client.call(Tx.Select)
    client.publish("", "q", b"1")
    assert bodies(broker.published()) == [b"1"]
    client.call(Tx.Rollback)
    assert broker.queue("q").ready == 0


# --- deliveries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_delivery_and_its_end_are_remembered_by_every_kind_of_queue(kind: str) -> None:
    broker, client = one_queue(**KINDS[kind])
    for body in (b"ack", b"reject", b"requeue"):
        client.publish("", "q", body)
        tag = get(client, "q")["delivery_tag"]
        match body:
            case b"ack":
                client.send(Basic.Ack, delivery_tag=tag)
            case b"reject":
                client.send(Basic.Reject, delivery_tag=tag, requeue=False)
            case _:
                client.send(Basic.Reject, delivery_tag=tag, requeue=True)
    assert bodies(broker.delivered("q")) == [b"ack", b"reject", b"requeue"]
    assert bodies(broker.acked("q")) == [b"ack"]
    assert bodies(broker.rejected("q")) == [b"reject"]
    assert bodies(broker.requeued("q")) == [b"requeue"]
    assert [(record.message.body, record.reason) for record in broker.dropped("q")] == [(b"reject", "rejected")]
    assert broker.acked("other") == []


def test_a_delivery_is_remembered_with_who_got_it() -> None:
    broker, client = one_queue()
    consume(client, "q", "tag")
    client.publish("", "q", b"1")
    client.send(Basic.Ack, delivery_tag=0, multiple=True)
    (delivery,) = broker.delivered()
    assert (delivery.queue, delivery.consumer_tag, delivery.channel, delivery.user) == ("q", "tag", 1, "guest")
    assert (delivery.no_ack, delivery.redelivered) == (False, False)
    (acked,) = broker.acked(consumer_tag="tag")
    assert acked.delivery is delivery
    assert (acked.queue, acked.consumer_tag, acked.connection) == ("q", "tag", delivery.connection)


def test_what_needs_no_acknowledgement_has_none() -> None:
    broker, client = one_queue()
    client.publish("", "q", b"1")
    get(client, "q", no_ack=True)
    consume(client, "q", no_ack=True)
    client.publish("", "q", b"2")
    assert [(record.message.body, record.no_ack) for record in broker.delivered()] == [(b"1", True), (b"2", True)]
    assert broker.acked() == []
    assert broker.delivered(consumer_tag="c") == broker.delivered()[1:]


def test_what_is_only_browsed_is_not_delivered() -> None:
    broker, client = one_queue()
    client.publish("", "q", b"1")
    consume(client, "q", no_ack=True, arguments={"x-queue-browse": True})
    assert "Basic.Deliver" in client.names()
    assert broker.delivered() == []


def test_what_a_channel_leaves_is_requeued() -> None:
    broker, client = one_queue()
    client.publish("", "q", b"1")
    get(client, "q")
    client.call(Channel.Close, reply_code=200)
    assert bodies(broker.requeued()) == [b"1"]
    assert broker.acked() == []
    client.call(Channel.Open)
    assert get(client, "q")["redelivered"]
    assert [record.redelivered for record in broker.delivered()] == [False, True]


@pytest.mark.parametrize("kind", KINDS)
def test_durable_queues_of_a_broker_with_a_journal_tell_as_much(kind: str) -> None:
    journal = MemoryJournal()
    core = BrokerCore(clock=ManualClock(), journal=journal)
    history = History()
    core.watch(lambda vhost: VhostWitness(core, vhost, history, [], lambda name: ""))
    client = Client(core).open()
    declare(client, "q", **KINDS[kind])
    for body in (b"acked", b"rejected", b"expired", b"purged"):
        client.publish("", "q", body, delivery_mode=2, expiration="1000" if body == b"expired" else None)
        if body == b"expired":
            client.pass_time(2)
        elif body == b"purged":
            client.call(Queue.Purge, queue="q")
        else:
            tag = get(client, "q")["delivery_tag"]
            client.send(Basic.Ack if body == b"acked" else Basic.Reject, delivery_tag=tag)
    told = [(type(record).__name__, record.message.body) for record in history.latest(100, None)]
    assert isinstance(core.vhosts["/"].queues["q"], Journaled)
    assert [one for one in told if one[0] not in ("Published", "Delivered")] == [
        ("Acked", b"acked"),
        ("Rejected", b"rejected"),
        ("Dropped", b"rejected"),
        ("Expired", b"expired"),
        ("Dropped", b"expired"),
        ("Dropped", b"purged"),
    ]


def test_a_channel_that_was_open_before_the_kit_watched_is_told_of_too() -> None:
    core = BrokerCore()
    client = Client(core).open()
    declare(client, "q")
    consume(client, "q")
    history = History()
    core.watch(lambda vhost: VhostWitness(core, vhost, history, [], lambda name: ""))
    client.publish("", "q", b"1")
    client.send(Basic.Ack, delivery_tag=0, multiple=True)
    kinds = [type(record).__name__ for record in history.latest(10, None)]
    assert kinds == ["Published", "Delivered", "Acked"]


# --- deaths and losses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["classic", "quorum", "priority"])
def test_a_dead_letter_is_remembered_with_whence_why_and_where_to(kind: str) -> None:
    broker, client = one_queue(
        **KINDS[kind], x_dead_letter_exchange="amq.fanout", x_dead_letter_routing_key="dead", x_message_ttl=1000
    )
    declare(client, "graves")
    client.call(Queue.Bind, queue="graves", exchange="amq.fanout")
    client.publish("", "q", b"expired")
    pass_time(broker, 1)
    client.publish("", "q", b"rejected")
    client.send(Basic.Nack, delivery_tag=get(client, "q")["delivery_tag"], requeue=False)
    first, second = broker.dead_lettered("q")
    assert (first.message.body, first.reason, first.queue, first.queues) == (b"expired", "expired", "q", ("graves",))
    assert (first.exchange, first.message.routing_key) == ("amq.fanout", "dead")
    assert first.message.deaths[0]["reason"] == "expired"
    assert second.reason == "rejected"
    assert broker.dead_lettered(reason="rejected") == [second]
    assert broker.dead_lettered(exchange="elsewhere") == []
    assert bodies(broker.expired("q")) == [b"expired"]
    assert broker.dropped() == []


def test_a_dead_letter_that_reaches_no_queue_is_dropped() -> None:
    broker, client = one_queue(x_dead_letter_exchange="missing", x_message_ttl=0)
    client.publish("", "q", b"1")
    assert [record.queues for record in broker.dead_lettered()] == [()]
    assert [(record.queue, record.reason) for record in broker.dropped()] == [("q", "unroutable")]


def test_a_message_that_came_back_too_often_is_dropped_with_its_reason() -> None:
    broker, client = one_queue(x_queue_type="quorum", x_delivery_limit=1)
    client.publish("", "q", b"1")
    for _ in range(2):
        client.send(Basic.Reject, delivery_tag=get(client, "q")["delivery_tag"], requeue=True)
    assert [record.reason for record in broker.dropped("q")] == ["delivery_limit"]
    assert len(broker.requeued()) == 2


@pytest.mark.parametrize(
    ("arguments", "headers", "lost"),
    [
        ({"x_max_length": 1}, [{}, {}], [(b"0", "maxlen")]),
        ({"x_max_length": 1, "x_overflow": "reject-publish"}, [{}, {}], [(b"1", "refused")]),
        ({"x_max_length": 1, "x_overflow": "reject-publish-dlx"}, [{}, {}], [(b"1", "refused")]),
        ({"x_message_ttl": 0}, [{}], [(b"0", "expired")]),
        ({"x_message_deduplication": True}, [{"x-deduplication-header": "a"}] * 2, [(b"1", "duplicate")]),
        ({"x_last_value_key": "k"}, [{"k": "a"}, {"k": "b"}, {"k": "a"}], [(b"0", "replaced")]),
    ],
)
def test_what_a_queue_drops_is_remembered_with_its_reason(
    arguments: dict[str, Any], headers: list[dict[str, Any]], lost: list[tuple[bytes, str]]
) -> None:
    broker, client = one_queue(**arguments)
    for number, table in enumerate(headers):
        client.publish("", "q", b"%d" % number, headers=table)
    assert [(record.message.body, record.reason) for record in broker.dropped("q")] == lost
    assert broker.dropped("q", reason=lost[0][1]) == broker.dropped()
    assert broker.dropped(reason="purged") == []


def test_what_is_refused_and_dead_lettered_is_not_lost() -> None:
    broker, client = one_queue(
        x_max_length=1, x_overflow="reject-publish-dlx", x_dead_letter_exchange="", x_dead_letter_routing_key="graves"
    )
    declare(client, "graves")
    for body in (b"1", b"2"):
        client.publish("", "q", body)
    assert broker.dropped() == []
    assert [(record.message.body, record.reason) for record in broker.dead_lettered()] == [(b"2", "maxlen")]


def test_a_value_that_comes_back_too_late_is_replaced() -> None:
    broker, client = one_queue(x_last_value_key="k")
    client.publish("", "q", b"1", headers={"k": "a"})
    tag = get(client, "q")["delivery_tag"]
    client.publish("", "q", b"2", headers={"k": "a"})
    client.send(Basic.Reject, delivery_tag=tag, requeue=True)
    assert [(record.message.body, record.reason) for record in broker.dropped()] == [(b"1", "replaced")]


def test_what_is_purged_and_what_goes_with_its_queue_is_remembered() -> None:
    broker, client = one_queue()
    client.publish("", "q", b"1")
    client.call(Queue.Purge, queue="q")
    client.publish("", "q", b"2")
    get(client, "q")
    client.publish("", "q", b"3")
    client.call(Queue.Delete, queue="q")
    client.call(Channel.Close, reply_code=200)
    assert [(record.message.body, record.reason) for record in broker.dropped("q")] == [
        (b"1", "purged"),
        (b"3", "queue deleted"),
        (b"2", "queue deleted"),
    ]
    assert broker.acked() == []


# --- all of it --------------------------------------------------------------------------------------------------------


def test_vhosts_that_are_made_later_are_watched_too() -> None:
    broker = new_broker()
    broker.add_vhost("later")
    client = new_client(broker, vhost="later")
    declare(client, "q")
    client.publish("", "q", b"1")
    get(client, "q")
    assert [record.vhost for record in broker.history()] == ["later", "later"]
    assert broker.published(vhost="/") == []


def test_records_are_told_in_the_order_in_which_things_happened() -> None:
    broker, client = one_queue()
    client.publish("", "q", b"1")
    client.send(Basic.Ack, delivery_tag=get(client, "q")["delivery_tag"])
    numbers = [record.number for record in broker.history()]
    assert numbers == [1, 2, 3]
    assert [str(record).split()[1] for record in broker.history()] == ["published", "delivered", "acked"]
    assert [record.number for record in broker.history(2)] == [2, 3]


def test_history_that_is_cleared_goes_on_and_knows_what_is_unsettled() -> None:
    broker, client = one_queue()
    client.publish("", "q", b"1")
    tag = get(client, "q")["delivery_tag"]
    broker.clear_history()
    assert broker.history() == []
    client.send(Basic.Ack, delivery_tag=tag)
    assert bodies(broker.acked()) == [b"1"]


def test_the_history_of_all_vhosts_is_told_in_order() -> None:
    broker = new_broker()
    broker.add_vhost("other")
    for body, vhost in ((b"1", "/"), (b"2", "other"), (b"3", "/")):
        broker.publish("", "x", body, vhost=vhost)
    assert bodies(broker.published()) == bodies(broker.history()) == [b"1", b"2", b"3"]
    assert bodies(broker.history(2)) == [b"2", b"3"]
    assert bodies(broker.vhost("other").history()) == [b"2"]
    broker.vhost("other").clear_history()
    assert bodies(broker.published()) == [b"1", b"3"]


def test_the_history_of_a_vhost_goes_with_it() -> None:
    broker = new_broker()
    broker.add_vhost("other")
    broker.publish("", "x", vhost="other")
    broker.remove_vhost("other")
    assert broker.history() == []


def test_copies_that_the_broker_makes_of_messages_are_no_history() -> None:
    broker, client = one_queue()
    broker.trace_on()
    broker.bind("q", "amq.rabbitmq.trace", "#")
    client.publish("", "x", b"1")
    broker.publish("", "y", b"2")
    pass_time(broker, 0)
    assert [message.routing_key for message in broker.queue("q").messages] == ["publish.", "publish."]
    assert bodies(broker.history()) == [b"1", b"2"]
    assert broker.queue("q").messages[1].headers["connection"] == THE_TEST


def test_history_keeps_as_much_as_there_is_room_for_and_says_what_it_forgot() -> None:
    broker = new_broker()
    history = History(records_max=2, messages_max_bytes=1_000_000)
    for _ in range(3):
        broker.publish("", "x", b"1")
    for record in broker.published():
        history.add(record, 1)
    assert history.records(Published, "/") == broker.published()[1:]
    assert history.forgotten_count("/") == history.forgotten_count(None) == 1


def test_large_messages_are_forgotten_sooner() -> None:
    broker = new_broker()
    broker.publish("", "x", b"1")
    (record,) = broker.published()
    history = History(records_max=100, messages_max_bytes=10)
    history.add(record, 8)
    history.add(record, 8)
    assert len(history.records(Published, None)) == 1
    history.add(record, 100)
    # The last one is kept however large it is.
    assert len(history.records(Published, None)) == 1
    assert history.forgotten_count("/", Published) == 2
    assert history.forgotten_count("/", Delivered) == 0


def test_queues_that_nobody_watches_are_plain() -> None:
    core = BrokerCore()
    client = Client(core).open()
    declare(client, "q")
    assert type(core.vhosts["/"].queues["q"]) is ClassicQueue


@pytest.mark.parametrize("kind", QUEUE_TYPES)
def test_there_is_one_telling_class_of_each_kind_in_a_vhost(kind: str) -> None:
    broker = new_broker()
    for name in ("q", "r"):
        broker.declare_queue(name, arguments={"x-queue-type": kind})
    first, second = broker.core.vhosts["/"].queues.values()
    assert type(first) is type(second)
    assert isinstance(first, QUEUE_TYPES[kind])
    assert not hasattr(first, "__dict__")
