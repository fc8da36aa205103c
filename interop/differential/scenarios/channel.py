"""Channels: opening and closing in every order, numbers used again, flow, and what a closing channel ignores."""

from __future__ import annotations

from typing import Any

from interop.differential import wire
from interop.differential.scenario import Stage, cases, scenario


@scenario
def open_use_close(s: Stage) -> None:
    a = s.connection().bare_channel()
    a.call("channel.open")
    a.call("basic.qos", prefetch_count=1)
    a.call("channel.close", reply_code=200, reply_text="done", class_id=1, method_id=2)


@scenario
def the_out_of_band_field_is_ignored(s: Stage) -> None:
    s.connection().bare_channel().call("channel.open", out_of_band="whatever")


@scenario
def a_number_may_be_used_again(s: Stage) -> None:
    connection = s.connection()
    a = connection.bare_channel(7)
    for _ in range(3):
        a.call("channel.open")
        a.call("queue.declare", queue="", passive=True)
        a.is_open = True


@scenario
def a_number_closed_by_the_client_may_be_used_again(s: Stage) -> None:
    a = s.connection().bare_channel(3)
    for _ in range(3):
        a.call("channel.open")
        a.call("channel.close", reply_code=200)


@scenario
def a_fresh_channel_remembers_nothing(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a, messages=2)
    a.call("confirm.select")
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(1)
    a.call("channel.close", reply_code=200)
    b = a.connection.channel(1)
    b.call("basic.get", queue="")
    c = a.connection.channel(1)
    c.call("tx.select")
    c.call("basic.consume", queue=q, consumer_tag="c")
    c.deliveries(2)


@scenario
def numbers_may_be_far_apart(s: Stage) -> None:
    connection = s.connection()
    for number in (1, 2000, 2047, 2):
        connection.bare_channel(number).call("channel.open")


@cases(just_above=2048, largest=65535)
def a_number_above_channel_max(s: Stage, number: int) -> None:
    s.connection().bare_channel(number).call("channel.open")


@scenario
def channel_max_counts_open_channels(s: Stage) -> None:
    connection = s.connection(channel_max=2)
    connection.bare_channel(1).call("channel.open")
    connection.bare_channel(2).call("channel.open")
    connection.bare_channel(2).call("channel.close", reply_code=200)
    connection.bare_channel(2).call("channel.open")
    connection.bare_channel(3).call("channel.open")


@scenario
def channel_max_does_not_limit_the_number_itself(s: Stage) -> None:
    connection = s.connection(channel_max=1)
    connection.bare_channel(5).call("channel.open")


@scenario
def opening_twice_ends_the_connection(s: Stage) -> None:
    a = s.channel()
    a.call("channel.open")


@cases(
    declare=("queue.declare", {"queue": "q"}),
    close=("channel.close", {"reply_code": 200}),
    close_ok=("channel.close-ok", {}),
    ack=("basic.ack", {"delivery_tag": 1}),
    flow=("channel.flow", {"active": True}),
)
def a_channel_that_was_never_opened(s: Stage, what: tuple[str, dict[str, Any]]) -> None:
    a = s.connection().bare_channel()
    a.send(what[0], **what[1])
    a.connection.await_closed()


@scenario
def publishing_on_a_channel_that_was_never_opened(s: Stage) -> None:
    a = s.connection().bare_channel()
    a.publish("m", to=s.queue("nope"))
    a.connection.await_closed()


@scenario
def a_channel_that_was_closed(s: Stage) -> None:
    a = s.channel()
    a.call("channel.close", reply_code=200)
    a.send("queue.declare", queue="q")
    a.connection.await_closed()


@scenario
def close_twice_ends_the_connection(s: Stage) -> None:
    a = s.channel()
    a.call("channel.close", reply_code=200)
    a.send("channel.close", reply_code=200)
    a.connection.await_closed()


@scenario
def methods_after_an_error_are_ignored_until_close_ok(s: Stage) -> None:
    a = s.channel()
    q = s.queue()
    a.answers_close = False
    a.call("queue.declare", queue=s.queue("nope"), passive=True)
    a.send("queue.declare", queue=q)
    a.send("basic.ack", delivery_tag=99)
    a.publish("ignored", to=q)
    a.send("channel.close-ok")
    b = a.connection.channel(1)
    b.call("queue.declare", queue=q, passive=True)


@scenario
def opening_a_channel_that_is_closing(s: Stage) -> None:
    a = s.channel()
    a.answers_close = False
    a.call("queue.declare", queue=s.queue("nope"), passive=True)
    a.send("channel.open")
    a.connection.await_closed()


@scenario
def frames_are_checked_even_when_the_channel_is_closing(s: Stage) -> None:
    a = s.channel()
    a.answers_close = False
    a.call("queue.declare", queue=s.queue("nope"), passive=True)
    a.connection.frame(wire.FRAME_HEADER, 1, wire.header_payload(5, b"\0\0"))
    a.connection.await_closed()


@scenario
def a_client_that_closes_what_the_server_is_closing(s: Stage) -> None:
    a = s.channel()
    a.answers_close = False
    a.call("queue.declare", queue=s.queue("nope"), passive=True)
    a.is_open = True
    a.call("channel.close", reply_code=200)
    a.send("channel.close-ok")
    a.connection.channel(1).call("basic.qos")


@scenario
def a_close_ok_nobody_waits_for(s: Stage) -> None:
    a = s.channel()
    a.send("channel.close-ok")
    a.connection.await_closed()


@scenario
def flow_on_is_answered(s: Stage) -> None:
    a = s.channel()
    a.call("channel.flow", active=True)


@scenario
def flow_off_is_not_implemented(s: Stage) -> None:
    s.channel().call("channel.flow", active=False)


@scenario
def a_flow_ok_nobody_asked_for(s: Stage) -> None:
    a = s.channel()
    a.send("channel.flow-ok", active=True)
    a.connection.await_closed()


@scenario
def an_error_on_one_channel_leaves_the_others_alone(s: Stage) -> None:
    a = s.channel()
    b = a.connection.channel()
    q = s.declared_queue(b)
    b.call("basic.consume", queue=q, consumer_tag="c")
    a.call("queue.declare", queue=s.queue("nope"), passive=True)
    b.publish("m1", to=q)
    b.deliveries(1)


@scenario
def an_error_of_the_connection_ends_every_channel(s: Stage) -> None:
    a = s.channel()
    b = a.connection.channel()
    other = s.channel()
    q = s.declared_queue(other, messages=1)
    b.call("basic.get", queue=q)
    a.call("channel.open")
    other.settle(q, ready=1)
    other.call("basic.get", queue=q)


@scenario
def closing_with_consumers_and_unacked_messages(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b, messages=3)
    a.call("basic.qos", prefetch_count=1)
    a.call("basic.consume", queue=q, consumer_tag="c")
    a.deliveries(1)
    a.call("channel.close", reply_code=200)
    b.settle(q, ready=3, consumers=0)
    s.drain(b, q)


@scenario
def access_request_is_answered(s: Stage) -> None:
    s.channel().call("access.request", realm="/data", exclusive=False, active=True, read=True, write=True)
