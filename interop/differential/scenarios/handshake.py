"""From the first byte to connection.open-ok: headers, mechanisms, tuning, virtual hosts, and every refusal."""

from __future__ import annotations

from typing import Any

from interop.differential import wire
from interop.differential.channel import Channel
from interop.differential.client import CAPABILITIES, Connection
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import encode_table
from interop.differential.transcript import show_sent


def _started(s: Stage) -> Channel:
    """Return channel 0 of a socket on which connection.start has arrived."""
    connection = s.socket()
    connection.raw(wire.PROTOCOL_HEADER)
    connection.zero.expect_unseen("connection.start")
    return connection.zero


def _tuned(s: Stage) -> Channel:
    """Return channel 0 of a socket on which connection.tune has arrived."""
    zero = _started(s)
    _send_start_ok(zero, response="\0guest\0guest", unseen=True)
    zero.expect_unseen("connection.tune")
    return zero


def _send_start_ok(zero: Channel, *, unseen: bool = False, **fields: Any) -> None:
    properties = {"capabilities": CAPABILITIES}
    values = {"client_properties": properties, "mechanism": "PLAIN", "locale": "en_US"} | fields
    if not unseen:
        zero.note(show_sent("connection.start-ok", fields))
    zero.send_unseen("connection.start-ok", **values)


@scenario
def the_whole_handshake(s: Stage) -> None:
    connection = s.socket()
    zero = connection.zero
    connection.raw_seen(wire.PROTOCOL_HEADER)
    zero.expect("connection.start")
    _send_start_ok(zero, response="\0guest\0guest")
    zero.expect("connection.tune")
    zero.send("connection.tune-ok", channel_max=2047, frame_max=131072, heartbeat=60)
    zero.call("connection.open", virtual_host="/", capabilities="ignored", insist=True)
    connection.close()


@cases(
    v0_9=b"AMQP\x01\x01\x00\x09",
    v0_8=b"AMQP\x01\x01\x08\x00",
    v0_9_bare=b"AMQP\x00\x00\x09\x00",
    v0_9_2=b"AMQP\x00\x00\x09\x02",
    v0_10=b"AMQP\x01\x01\x00\x0a",
    v0_91_old=b"AMQP\x01\x01\x09\x01",
    v1_0=b"AMQP\x00\x01\x00\x00",
    tls_for_1_0=b"AMQP\x02\x01\x00\x00",
    v0_0_10=b"AMQP\x00\x00\x0a\x00",
    http=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    tls=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
    letters=b"XXXXXXXX",
    lower_case=b"amqp\x00\x00\x09\x01",
    zeros=b"\0" * 8,
)
def another_protocol_header(s: Stage, header: bytes) -> None:
    connection = s.socket()
    connection.raw_seen(header)
    if connection.zero.expect_unseen("connection.start") is not None:
        connection.transcript.add("A.0", "<", "connection.start")
    elif not connection.is_closed:
        connection.await_closed()


@scenario
def the_protocol_header_may_come_in_pieces(s: Stage) -> None:
    connection = s.socket()
    for position in range(8):
        connection.raw(wire.PROTOCOL_HEADER[position : position + 1])
    connection.zero.expect_unseen("connection.start")
    connection.transcript.add("A.0", "<", "connection.start")


@scenario
def everything_may_be_sent_before_the_answers(s: Stage) -> None:
    connection = s.socket()
    zero = connection.zero
    connection.raw(wire.PROTOCOL_HEADER)
    _send_start_ok(zero, response="\0guest\0guest")
    zero.send("connection.tune-ok", channel_max=2047, frame_max=131072)
    zero.send("connection.open", virtual_host="/")
    channel = connection.bare_channel()
    channel.send("channel.open")
    zero.expect_unseen("connection.start")
    zero.expect("connection.open-ok")
    channel.expect("channel.open-ok")


@cases(
    wrong_password="\0guest\0wrong",
    wrong_user="\0nobody\0guest",
    empty_password="\0guest\0",
    with_authorisation="someone\0guest\0guest",
    no_leading_nul="guest\0guest",
    one_part="\0guest",
    nothing="",
    four_parts="\0guest\0guest\0more",
    no_nul_at_all="guest",
)
def the_plain_response(s: Stage, response: str) -> None:
    zero = _started(s)
    _send_start_ok(zero, response=response)
    _see_tune_or_end(zero)


def _see_tune_or_end(zero: Channel) -> None:
    """Write down connection.tune, or how the server says no."""
    if zero.expect_unseen("connection.tune") is not None:
        zero.connection.transcript.add(f"{zero.connection.label}.0", "<", "connection.tune")
    elif not zero.connection.is_closed:
        zero.connection.await_closed()


@cases(no_capabilities={}, without_capability={"capabilities": {"authentication_failure_close": False}})
def a_wrong_password_without_the_capability_to_be_told(s: Stage, properties: dict[str, Any]) -> None:
    zero = _started(s)
    _send_start_ok(zero, client_properties=properties, response="\0guest\0wrong")
    _see_tune_or_end(zero)


@cases(
    right={"LOGIN": "guest", "PASSWORD": "guest"},
    wrong={"LOGIN": "guest", "PASSWORD": "wrong"},
    no_password={"LOGIN": "guest"},
    nothing={},
    more={"x": 1, "PASSWORD": "guest", "LOGIN": "guest"},
    lower_case={"login": "guest", "password": "guest"},
)
def the_amqplain_response(s: Stage, fields: dict[str, Any]) -> None:
    zero = _started(s)
    _send_start_ok(zero, mechanism="AMQPLAIN", response=encode_table(fields)[4:])
    _see_tune_or_end(zero)


@scenario
def an_amqplain_response_that_is_no_table(s: Stage) -> None:
    zero = _started(s)
    _send_start_ok(zero, mechanism="AMQPLAIN", response=b"\x05LOGI")
    _see_tune_or_end(zero)


@cases(unknown="FOO", empty="", lower_case="plain", external="EXTERNAL", cram="RABBIT-CR-DEMO", anonymous="ANONYMOUS")
def the_mechanism(s: Stage, mechanism: str) -> None:
    zero = _started(s)
    _send_start_ok(zero, mechanism=mechanism, response="\0guest\0guest")
    _see_tune_or_end(zero)


@cases(german="de_DE", empty="", odd="\n")
def the_locale_is_not_looked_at(s: Stage, locale: str) -> None:
    zero = _started(s)
    _send_start_ok(zero, response="\0guest\0guest", locale=locale)
    _see_tune_or_end(zero)


@cases(
    empty={},
    capabilities_no_table={"capabilities": "yes"},
    capability_no_boolean={"capabilities": {"basic.nack": "yes", "consumer_cancel_notify": 1}},
    product_no_string={"product": 5, "version": None},
    nested={"a": {"b": {"c": [1, 2, {"d": None}]}}},
)
def the_client_properties(s: Stage, properties: dict[str, Any]) -> None:
    zero = _started(s)
    _send_start_ok(zero, client_properties=properties, response="\0guest\0guest")
    _see_tune_or_end(zero)


@cases(just_fits=4096, tolerated=4104, one_more=4105, far_too_large=20000)
def a_start_ok_frame_of_bytes(s: Stage, size: int) -> None:
    zero = _started(s)
    values: dict[str, Any] = {"mechanism": "PLAIN", "locale": "en_US", "response": "\0guest\0guest"}
    bare = len(wire.method_payload("connection.start-ok", client_properties={"pad": ""}, **values)) + 8
    values["client_properties"] = {"pad": "x" * (size - bare)}
    zero.connection.transcript.add("A.0", ">", f"connection.start-ok in a frame of {size} bytes")
    zero.send_unseen("connection.start-ok", **values)
    _see_tune_or_end(zero)


@cases(
    as_offered=(2047, 131072, 60),
    no_heartbeat=(2047, 131072, 0),
    long_heartbeat=(2047, 131072, 65535),
    smallest=(1, 4096, 1),
    frame_max_0=(2047, 0, 0),
    frame_max_4095=(2047, 4095, 0),
    frame_max_1=(2047, 1, 0),
    frame_max_larger=(2047, 131073, 0),
    channel_max_0=(0, 131072, 0),
    channel_max_larger=(2048, 131072, 0),
    both_wrong=(0, 1000, 0),
)
def tune_ok(s: Stage, values: tuple[int, int, int]) -> None:
    zero = _tuned(s)
    channel_max, frame_max, heartbeat = values
    zero.send("connection.tune-ok", channel_max=channel_max, frame_max=frame_max, heartbeat=heartbeat)
    zero.send("connection.open", virtual_host="/")
    if zero.expect_unseen("connection.open-ok") is not None:
        zero.connection.transcript.add("A.0", "<", "connection.open-ok")
    elif not zero.connection.is_closed:
        zero.connection.await_closed()


@cases(missing="foo", empty="", relative="%2f", odd="grüße 'quoted'")
def the_virtual_host(s: Stage, name: str) -> None:
    zero = _tuned(s)
    zero.send_unseen("connection.tune-ok", channel_max=2047, frame_max=131072)
    zero.call("connection.open", virtual_host=name)


@cases(
    open=("connection.open", {"virtual_host": "/"}),
    tune_ok=("connection.tune-ok", {"channel_max": 2047, "frame_max": 131072}),
    secure_ok=("connection.secure-ok", {"response": "x"}),
    close=("connection.close", {"reply_code": 200}),
    close_ok=("connection.close-ok", {}),
    channel_open=("channel.open", {}),
    start=("connection.start", {}),
)
def instead_of_start_ok(s: Stage, what: tuple[str, dict[str, Any]]) -> None:
    zero = _started(s)
    zero.send(what[0], **what[1])
    zero.connection.await_closed()


@cases(
    open=("connection.open", {"virtual_host": "/"}),
    start_ok=("connection.start-ok", {"mechanism": "PLAIN", "response": "\0guest\0guest"}),
    close=("connection.close", {"reply_code": 200}),
    update_secret=("connection.update-secret", {"new_secret": "x", "reason": "y"}),
)
def instead_of_tune_ok(s: Stage, what: tuple[str, dict[str, Any]]) -> None:
    zero = _tuned(s)
    zero.send(what[0], **what[1])
    zero.connection.await_closed()


@cases(
    tune_ok=("connection.tune-ok", {"channel_max": 2047, "frame_max": 131072}),
    close=("connection.close", {"reply_code": 200}),
    qos=("basic.qos", {}),
)
def instead_of_open(s: Stage, what: tuple[str, dict[str, Any]]) -> None:
    zero = _tuned(s)
    zero.send_unseen("connection.tune-ok", channel_max=2047, frame_max=131072)
    zero.send(what[0], **what[1])
    zero.connection.await_closed()


@scenario
def a_channel_before_connection_open(s: Stage) -> None:
    zero = _tuned(s)
    zero.send_unseen("connection.tune-ok", channel_max=2047, frame_max=131072)
    zero.connection.bare_channel().send("channel.open")
    zero.connection.await_closed()


@cases(heartbeat=wire.FRAME_HEARTBEAT, header=wire.FRAME_HEADER, body=wire.FRAME_BODY, unknown=9)
def a_frame_instead_of_start_ok_of_type(s: Stage, kind: int) -> None:
    zero = _started(s)
    zero.connection.frame(kind, 0, b"")
    if kind != wire.FRAME_HEARTBEAT:
        zero.connection.await_closed()
    else:
        _send_start_ok(zero, response="\0guest\0guest")
        _see_tune_or_end(zero)


@cases(
    truncated=wire.method_payload("connection.start-ok")[:-3],
    bad_table=b"\x00\x0a\x00\x0b\x00\x00\x00\x03\x01a?\x05PLAIN\x00\x00\x00\x00\x00",
    garbage=b"\xff" * 20,
    empty=b"",
    left_over=wire.method_payload("connection.start-ok", mechanism="PLAIN", response="\0guest\0guest") + b"more",
)
def a_malformed_start_ok(s: Stage, payload: bytes) -> None:
    zero = _started(s)
    zero.connection.frame(wire.FRAME_METHOD, 0, payload)
    _see_tune_or_end(zero)


@scenario
def a_bad_frame_end_in_start_ok(s: Stage) -> None:
    zero = _started(s)
    payload = wire.method_payload("connection.start-ok", mechanism="PLAIN", response="\0guest\0guest")
    zero.connection.raw_seen(wire.frame(wire.FRAME_METHOD, 0, payload)[:-1] + b"\x00")
    zero.connection.await_closed()


@scenario
def the_client_hangs_up_in_the_middle(s: Stage) -> None:
    """Whatever the broker makes of it, it still serves the next one."""
    for count in (0, 3, 8):
        connection: Connection = s.socket()
        connection.raw(wire.PROTOCOL_HEADER[:count])
        connection.drop()
    _started(s).connection.drop()
    _tuned(s).connection.drop()
    s.channel().call("basic.qos")
