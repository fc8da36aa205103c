"""The open connection: closing, secrets, heartbeats, and methods where they do not belong."""

from __future__ import annotations

from typing import Any

from interop.differential import wire
from interop.differential.scenario import Stage, cases, scenario


@scenario
def the_client_closes(s: Stage) -> None:
    connection = s.connection()
    connection.zero.call("connection.close", reply_code=200, reply_text="Goodbye", class_id=0, method_id=0)


@scenario
def the_client_closes_for_an_error(s: Stage) -> None:
    connection = s.connection()
    connection.zero.call("connection.close", reply_code=541, reply_text="my fault", class_id=60, method_id=40)


@scenario
def methods_after_close_are_ignored(s: Stage) -> None:
    a, other = s.channel(), s.channel()
    q = s.queue()
    zero = a.connection.zero
    zero.send("connection.close", reply_code=200)
    a.send("queue.declare", queue=q)
    a.connection.bare_channel(2).send("channel.open")
    zero.expect("connection.close-ok")
    other.call("queue.declare", queue=q, passive=True)


@scenario
def methods_after_the_servers_close_are_ignored(s: Stage) -> None:
    a, other = s.channel(), s.channel()
    q = s.queue()
    a.connection.answers_close = False
    a.send("channel.open")
    a.send("queue.declare", queue=q)
    a.connection.await_close_method()
    a.send("queue.declare", queue=q)
    a.connection.zero.send("connection.close-ok")
    a.connection.await_closed()
    other.call("queue.declare", queue=q, passive=True)


@scenario
def a_client_that_closes_what_the_server_is_closing(s: Stage) -> None:
    a = s.channel()
    a.connection.answers_close = False
    a.send("channel.open")
    a.connection.await_close_method()
    a.connection.zero.send("connection.close", reply_code=200)
    a.connection.zero.expect("connection.close-ok")
    a.connection.zero.send("connection.close-ok")
    a.connection.await_closed()


@scenario
def update_secret_is_answered(s: Stage) -> None:
    s.connection().zero.call("connection.update-secret", new_secret="guest", reason="rotation")


@scenario
def update_secret_with_a_wrong_secret(s: Stage) -> None:
    connection = s.connection()
    connection.zero.call("connection.update-secret", new_secret="not the password", reason="rotation")
    connection.channel().call("queue.declare", queue="", exclusive=True)


@cases(
    open=("connection.open", {"virtual_host": "/"}),
    start_ok=("connection.start-ok", {"mechanism": "PLAIN", "response": "\0guest\0guest"}),
    tune_ok=("connection.tune-ok", {"channel_max": 10, "frame_max": 131072}),
    secure_ok=("connection.secure-ok", {}),
    open_ok=("connection.open-ok", {}),
    start=("connection.start", {}),
    tune=("connection.tune", {}),
    blocked=("connection.blocked", {"reason": "x"}),
    unblocked=("connection.unblocked", {}),
    update_secret_ok=("connection.update-secret-ok", {}),
    close_ok=("connection.close-ok", {}),
    channel_open=("channel.open", {}),
    channel_close=("channel.close", {"reply_code": 200}),
    qos=("basic.qos", {}),
    queue_declare=("queue.declare", {"queue": "q"}),
    tx_select=("tx.select", {}),
    publish=("basic.publish", {"routing_key": "q"}),
)
def on_channel_0(s: Stage, what: tuple[str, dict[str, Any]]) -> None:
    connection = s.connection()
    connection.zero.send(what[0], **what[1])
    connection.await_closed()


@cases(
    open=("connection.open", {"virtual_host": "/"}),
    close=("connection.close", {"reply_code": 200}),
    close_ok=("connection.close-ok", {}),
    tune_ok=("connection.tune-ok", {"channel_max": 10}),
    update_secret=("connection.update-secret", {"new_secret": "x"}),
    blocked=("connection.blocked", {"reason": "x"}),
    start=("connection.start", {}),
)
def a_connection_method_on_channel_1(s: Stage, what: tuple[str, dict[str, Any]]) -> None:
    a = s.channel()
    a.send(what[0], **what[1])
    a.connection.await_closed()


@cases(
    channel_open_ok=("channel.open-ok", {}),
    exchange_declare_ok=("exchange.declare-ok", {}),
    queue_declare_ok=("queue.declare-ok", {"queue": "q"}),
    queue_purge_ok=("queue.purge-ok", {}),
    consume_ok=("basic.consume-ok", {"consumer_tag": "c"}),
    qos_ok=("basic.qos-ok", {}),
    recover_ok=("basic.recover-ok", {}),
    get_empty=("basic.get-empty", {}),
    select_ok=("confirm.select-ok", {}),
    tx_commit_ok=("tx.commit-ok", {}),
)
def a_servers_method_from_the_client(s: Stage, what: tuple[str, dict[str, Any]]) -> None:
    a = s.channel()
    a.send(what[0], **what[1])
    a.connection.await_closed()


@cases(
    deliver=("basic.deliver", {"consumer_tag": "c", "delivery_tag": 1}),
    get_ok=("basic.get-ok", {"delivery_tag": 1}),
    basic_return=("basic.return", {"reply_code": 312}),
)
def a_servers_method_with_content_from_the_client(s: Stage, what: tuple[str, dict[str, Any]]) -> None:
    a = s.channel()
    a.send(what[0], **what[1])
    a.connection.frame(wire.FRAME_HEADER, 1, wire.header_payload(2, b"\0\0"))
    a.connection.frame(wire.FRAME_BODY, 1, b"hi")
    a.connection.await_closed()


@scenario
def an_error_of_the_connection_drops_what_was_sent_after_it(s: Stage) -> None:
    a, other = s.channel(), s.channel()
    q = s.declared_queue(other)
    a.publish("before", to=q)
    a.send("channel.open")
    a.publish("after", to=q)
    a.connection.await_closed()
    other.settle(q, ready=1)
    s.drain(other, q)


@scenario
def the_server_sends_heartbeats(s: Stage) -> None:
    connection = s.connection(heartbeat=1)
    connection.shows_heartbeats = True
    deadline = s.pace.now_s() + 3
    while not connection.is_closed and len(connection.transcript.lines) < 2 and connection.read_one(deadline):
        pass
    connection.drop()


@scenario
def a_silent_client_is_cut_off_after_two_intervals(s: Stage) -> None:
    connection = s.connection(heartbeat=1)
    connection.await_closed()


@scenario
def traffic_counts_as_heartbeat(s: Stage) -> None:
    a = s.channel(heartbeat=1)
    for _ in range(8):
        s.pace.pass_s(0.4)
        a.barrier()
    a.call("basic.qos")


@scenario
def a_client_without_heartbeat_may_be_silent(s: Stage) -> None:
    a = s.channel(heartbeat=0)
    s.pace.pass_s(2.5)
    a.call("basic.qos")


@scenario
def a_heartbeat_frame_is_taken_at_any_time(s: Stage) -> None:
    a = s.channel()
    a.connection.frame(wire.FRAME_HEARTBEAT, 0, b"")
    a.call("basic.qos")


@scenario
def connections_do_not_see_each_others_errors(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b)
    b.call("basic.consume", queue=q, consumer_tag="c")
    a.call("channel.open")
    b.publish("m", to=q)
    b.deliveries(1)
