"""Replies without a queue: amq.rabbitmq.reply-to [rabbitmq.com/docs/direct-reply-to]."""

from __future__ import annotations

from typing import Any

from interop.differential.channel import Channel
from interop.differential.scenario import Stage, cases, scenario

NAME = "amq.rabbitmq.reply-to"
ASKING = {"reply_to": NAME, "correlation_id": "1"}


def requester(s: Stage) -> Channel:
    """Open a channel that consumes replies, unseen."""
    a = s.channel()
    a.call_unseen("basic.consume", queue=NAME, consumer_tag="replies", no_ack=True)
    return a


def asked(s: Stage, a: Channel) -> tuple[Channel, str]:
    """Ask something on a channel; return the channel of who has to answer and the name to answer to."""
    b = s.channel()
    q = s.declared_queue(b)
    a.publish("question", to=q, properties=ASKING)
    b.settle(q, ready=1)
    return b, _got(b, q)


def _got(b: Channel, queue: str) -> str:
    reply = b.call("basic.get", queue=queue, no_ack=True)
    assert reply is not None
    assert reply.content is not None
    return str(reply.content.properties["reply_to"])


@scenario
def question_and_answer(s: Stage) -> None:
    a = s.channel()
    a.call("basic.consume", queue=NAME, consumer_tag="replies", no_ack=True)
    b, name = asked(s, a)
    b.publish("answer", to=name, properties={"correlation_id": "1"})
    a.deliveries(1)


@scenario
def several_answers_to_one_question(s: Stage) -> None:
    a = requester(s)
    b, name = asked(s, a)
    for number in range(1, 4):
        b.publish(f"answer {number}", to=name)
    a.deliveries(3)


@scenario
def the_name_stays_the_same_for_a_channel(s: Stage) -> None:
    a = requester(s)
    b = s.channel()
    q = s.declared_queue(b)
    for _ in range(2):
        a.publish("question", to=q, properties=ASKING)
        b.settle(q, ready=1)
        _got(b, q)


@scenario
def another_channel_and_a_new_consumer_have_other_names(s: Stage) -> None:
    a, other = requester(s), requester(s)
    b = s.channel()
    q = s.declared_queue(b)
    for channel in (a, other):
        channel.publish("question", to=q, properties=ASKING)
        b.settle(q, ready=1)
        _got(b, q)
    a.call("basic.cancel", consumer_tag="replies")
    a.call("basic.consume", queue=NAME, consumer_tag="again", no_ack=True)
    a.publish("question", to=q, properties=ASKING)
    b.settle(q, ready=1)
    _got(b, q)


@scenario
def the_other_properties_of_a_question_stay(s: Stage) -> None:
    a = requester(s)
    b = s.channel()
    q = s.declared_queue(b)
    properties = ASKING | {"content_type": "a/b", "headers": {"own": 1}, "delivery_mode": 2, "expiration": "60000"}
    a.publish("question", to=q, properties=properties)
    b.settle(q, ready=1)
    _got(b, q)


@scenario
def a_question_through_another_exchange(s: Stage) -> None:
    a = requester(s)
    b = s.channel()
    x = s.declared_exchange(b, "fanout")
    q, r = s.bound_queue(b, x), s.bound_queue(b, x, label="r")
    a.publish("question", exchange=x, properties=ASKING)
    for queue in (q, r):
        b.settle(queue, ready=1)
        b.publish("answer", to=_got(b, queue))
    a.deliveries(2)


@scenario
def an_answer_keeps_its_properties(s: Stage) -> None:
    a = requester(s)
    b, name = asked(s, a)
    properties: dict[str, Any] = {"headers": {"own": 1}, "delivery_mode": 2, "expiration": "0", "reply_to": "elsewhere"}
    b.publish("answer", to=name, properties=properties)
    a.deliveries(1)


@scenario
def an_answer_may_ask_back(s: Stage) -> None:
    a = requester(s)
    b, name = asked(s, a)
    b.call("basic.consume", queue=NAME, consumer_tag="b's replies", no_ack=True)
    b.publish("answer and question", to=name, properties=ASKING)
    (delivery,) = a.deliveries(1)
    assert delivery.content is not None
    a.publish("answer", to=str(delivery.content.properties["reply_to"]))
    b.deliveries(1)


@scenario
def a_mandatory_answer_is_delivered_and_returned_nonetheless(s: Stage) -> None:
    a = requester(s)
    b, name = asked(s, a)
    b.call("confirm.select")
    b.publish("answer", to=name, mandatory=True)
    b.confirms()
    a.deliveries(1)


@cases(connection="connection", channel="channel", cancelled="cancelled")
def an_answer_to_somebody_who_is_gone(s: Stage, how: str) -> None:
    a = requester(s)
    b, name = asked(s, a)
    if how == "connection":
        a.connection.close()
    elif how == "channel":
        other = a.connection.channel()
        a.call("queue.declare", queue=s.queue("nope"), passive=True)
        other.barrier()
    else:
        a.call("basic.cancel", consumer_tag="replies")
    s.wait(30)
    b.call("confirm.select")
    b.publish("answer", to=name)
    b.publish("mandatory answer", to=name, mandatory=True)
    b.confirms()


@scenario
def an_answer_to_a_new_consumer_of_the_same_channel(s: Stage) -> None:
    """The name of before is nobody's any more."""
    a = requester(s)
    b, name = asked(s, a)
    a.call("basic.cancel", consumer_tag="replies")
    a.call("basic.consume", queue=NAME, consumer_tag="again", no_ack=True)
    b.publish("answer", to=name, mandatory=True)
    b.barrier()
    a.barrier()


@scenario
def answering_oneself(s: Stage) -> None:
    a = requester(s)
    q = s.declared_queue(a)
    a.publish("question", to=q, properties=ASKING)
    a.publish("answer", to=_got(a, q))
    a.deliveries(1)


@scenario
def an_answer_through_another_exchange_is_unroutable(s: Stage) -> None:
    a = requester(s)
    b, name = asked(s, a)
    b.publish("answer", exchange="amq.direct", to=name, mandatory=True)
    b.expect("basic.return")
    a.barrier()


@scenario
def an_answer_by_cc(s: Stage) -> None:
    a = requester(s)
    b, name = asked(s, a)
    b.publish("answer", to=s.queue("nope"), properties={"headers": {"BCC": [name]}}, mandatory=True)
    a.deliveries(1)
    b.barrier()


@scenario
def an_answer_does_not_wait_for_the_commit(s: Stage) -> None:
    a = requester(s)
    b, name = asked(s, a)
    b.call("tx.select")
    b.publish("answer", to=name)
    a.deliveries(1)
    b.call("tx.commit")
    a.barrier()


@scenario
def an_answer_by_dead_lettering(s: Stage) -> None:
    a = requester(s)
    b, name = asked(s, a)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name, "x-message-ttl": 0}
    q = s.queue("dying")
    b.call_unseen("queue.declare", queue=q, arguments=arguments)
    b.publish("answer", to=q)
    s.wait(50)
    a.barrier()


@cases(plain=NAME, made_up=NAME + ".made-up", empty=NAME + ".", dots=NAME + ".a.b.c")
def a_message_to_a_name_that_nobody_has(s: Stage, name: str) -> None:
    a = s.channel()
    a.call("confirm.select")
    a.publish("answer", to=name)
    a.publish("mandatory answer", to=name, mandatory=True)
    a.confirms()


@cases(made_up=NAME + ".made-up", prefix="amq.rabbitmq.reply", longer=NAME + "s")
def another_reply_to_is_passed_on(s: Stage, name: str) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("question", to=q, properties={"reply_to": name})
    a.call("basic.get", queue=q, no_ack=True)


@cases(routed=True, unroutable=False)
def asking_without_a_consumer_is_refused(s: Stage, is_routed: bool) -> None:
    a = s.channel()
    q = s.declared_queue(a) if is_routed else s.queue("nope")
    a.publish("question", to=q, properties=ASKING)
    a.expect("channel.close")


@scenario
def a_consumer_on_another_channel_does_not_help(s: Stage) -> None:
    a = requester(s)
    b = a.connection.channel()
    b.publish("question", to=s.queue("nope"), properties=ASKING)
    b.expect("channel.close")
    a.barrier()


@scenario
def asking_after_cancelling_is_refused(s: Stage) -> None:
    a = requester(s)
    a.call("basic.cancel", consumer_tag="replies")
    a.publish("question", to=s.queue("nope"), properties=ASKING)
    a.expect("channel.close")


@scenario
def asking_a_missing_exchange_without_a_consumer(s: Stage) -> None:
    a = s.channel()
    a.publish("question", exchange=s.exchange("nope"), properties=ASKING)
    a.expect("channel.close")


@cases(
    with_acknowledgement={},
    exclusive={"no_ack": True, "exclusive": True},
    no_local={"no_ack": True, "no_local": True},
    with_arguments={"no_ack": True, "arguments": {"x-priority": 5}},
    with_bad_arguments={"no_ack": True, "arguments": {"x-priority": "high"}},
    without_a_tag={"no_ack": True, "consumer_tag": ""},
)
def ways_to_consume(s: Stage, fields: dict[str, Any]) -> None:
    a = s.channel()
    a.call("basic.consume", **({"queue": NAME, "consumer_tag": "c"} | fields))


@scenario
def consuming_without_waiting(s: Stage) -> None:
    a = s.channel()
    a.call("basic.consume", queue=NAME, consumer_tag="c", no_ack=True, nowait=True)
    b, name = asked(s, a)
    b.publish("answer", to=name)
    a.deliveries(1)


@cases(other_tag="other", same_tag="replies")
def a_second_consumer_is_refused(s: Stage, tag: str) -> None:
    a = requester(s)
    a.call("basic.consume", queue=NAME, consumer_tag=tag, no_ack=True)


@scenario
def consuming_from_the_name_itself(s: Stage) -> None:
    a = requester(s)
    b, name = asked(s, a)
    b.call("basic.consume", queue=name, consumer_tag="c", no_ack=True)


@cases(
    passive={"passive": True},
    active={},
    durable={"durable": True},
    exclusive={"exclusive": True},
    with_arguments={"arguments": {"x-message-ttl": 5}},
)
def declaring_it(s: Stage, fields: dict[str, Any]) -> None:
    s.channel().call("queue.declare", queue=NAME, **fields)


@cases(passive=True, active=False)
def declaring_a_name_that_somebody_has(s: Stage, passive: bool) -> None:
    """The way to find out whether the requester still waits."""
    a = requester(s)
    b, name = asked(s, a)
    b.call("queue.declare", queue=name, passive=passive)
    c = s.channel()
    a.connection.close()
    s.wait(30)
    c.call("queue.declare", queue=name, passive=passive)


@cases(made_up=NAME + ".made-up", empty=NAME + ".")
def declaring_a_name_that_nobody_has(s: Stage, name: str) -> None:
    s.channel().call("queue.declare", queue=name, passive=True)
    s.channel().call("queue.declare", queue=name)


@cases(
    get=("basic.get", {}),
    purge=("queue.purge", {}),
    delete=("queue.delete", {}),
    bind=("queue.bind", {"exchange": "amq.direct", "routing_key": "k"}),
    unbind=("queue.unbind", {"exchange": "amq.direct", "routing_key": "k"}),
)
def what_is_done_with_queues(s: Stage, step: tuple[str, dict[str, Any]]) -> None:
    name, fields = step
    a = requester(s)
    a.call(name, queue=NAME, **fields)


@cases(get=("basic.get", {}), purge=("queue.purge", {}), delete=("queue.delete", {}))
def what_is_done_with_a_name_that_somebody_has(s: Stage, step: tuple[str, dict[str, Any]]) -> None:
    name, fields = step
    a = requester(s)
    b, token = asked(s, a)
    b.call(name, queue=token, **fields)
    a.barrier()


@scenario
def prefetch_does_not_hold_replies(s: Stage) -> None:
    a = s.channel()
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.qos", prefetch_count=1, global_=True)
    a.call("basic.consume", queue=NAME, consumer_tag="replies", no_ack=True)
    b, name = asked(s, a)
    b.publish("answer 1", to=name)
    b.publish("answer 2", to=name)
    a.deliveries(2)
