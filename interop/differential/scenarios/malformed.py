"""Input that no client should send: broken frames, wrong order, tables and strings that end too early."""

from __future__ import annotations

import struct

from interop.differential import wire
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.wire import FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD

_QOS = wire.method_payload("basic.qos", prefetch_count=1)
_PUBLISH = wire.method_payload("basic.publish", routing_key="malformed")


@cases(
    zero=b"\x00",
    ff=b"\xff",
    next_frame=b"\x01",
)
def a_frame_that_ends_with(s: Stage, end: bytes) -> None:
    a = s.channel()
    a.connection.raw_seen(wire.frame(FRAME_METHOD, 1, _QOS)[:-1] + end)
    a.connection.await_closed()


@cases(short=b"\x01\x02\x03", sixteen=bytes(range(16)), seventeen=bytes(range(17)), long=b"x" * 300)
def a_bad_frame_end_shows_the_first_octets(s: Stage, payload: bytes) -> None:
    a = s.channel()
    a.connection.raw_seen(wire.frame(FRAME_METHOD, 1, payload)[:-1] + b"\x2a")
    a.connection.await_closed()


@cases(oob_method=4, oob_header=5, oob_body=6, trace=7, nine=9, zero=0, largest=255)
def a_frame_of_type(s: Stage, kind: int) -> None:
    a = s.channel()
    a.connection.frame(kind, 1, b"")
    a.connection.await_closed()


@cases(nothing=b"", bytes=b"\x01\x02\x03\x04", text=b"GET / HTTP/1.1\r\n\r\n")
def an_unknown_frame_with(s: Stage, payload: bytes) -> None:
    a = s.channel()
    a.connection.frame(9, 1, payload)
    a.connection.await_closed()


@scenario
def text_instead_of_a_frame(s: Stage) -> None:
    a = s.channel()
    a.connection.raw_seen(b"AMQP\x00\x00\x09\x01" * 3)
    a.connection.await_closed()


@scenario
def an_oversize_frame_is_refused_by_its_header_alone(s: Stage) -> None:
    a = s.channel()
    a.connection.raw_seen(struct.pack(">BHI", FRAME_METHOD, 1, 262_144))
    a.connection.await_closed()


@cases(fits=4096 - 8, tolerated=4096, one_more=4097, largest=2**32 - 1)
def a_frame_header_that_announces_bytes_with_frame_max_4096(s: Stage, size: int) -> None:
    a = s.connection(frame_max=4096).channel()
    q = s.declared_queue(a)
    a.send("basic.publish", routing_key=q)
    a.connection.frame(FRAME_HEADER, 1, wire.header_payload(8000, b"\0\0"))
    a.connection.raw_seen(struct.pack(">BHI", FRAME_BODY, 1, size))
    if size <= 4096:
        a.connection.raw(b"x" * size + wire.FRAME_END)
        a.connection.raw(wire.frame(FRAME_BODY, 1, b"y" * (8000 - size)))
        a.call("basic.get", queue=q, no_ack=True)
    else:
        a.connection.await_closed()


@cases(method=FRAME_METHOD, header=FRAME_HEADER, body=FRAME_BODY)
def an_empty_frame_of_type(s: Stage, kind: int) -> None:
    a = s.channel()
    a.connection.frame(kind, 1, b"")
    a.connection.await_closed()


@cases(
    one_byte=b"\x00",
    class_only=b"\x00\x3c",
    three_bytes=b"\x00\x3c\x00",
    unknown_class=b"\x00\x63\x00\x0a",
    unknown_method=b"\x00\x3c\x00\x63",
    unknown_with_data=b"\x00\x3c\x00\x63abc",
    dtx=b"\x00\x64\x00\x0a",
    stream_class=b"\x00\x50\x00\x0a",
)
def a_method_frame_with(s: Stage, payload: bytes) -> None:
    a = s.channel()
    a.connection.frame(FRAME_METHOD, 1, payload)
    a.connection.await_closed()


_DECLARE = b"\x00\x32\x00\x0a\x00\x00"


@cases(
    no_fields=b"\x00\x32\x00\x0a",
    half_a_short=b"\x00\x32\x00\x0a\x00",
    name_too_short=_DECLARE + b"\x05ab",
    no_bits=_DECLARE + b"\x02ab",
    no_table=_DECLARE + b"\x02ab\x00",
    half_a_table_size=_DECLARE + b"\x02ab\x00\x00\x00",
    table_too_short=_DECLARE + b"\x02ab\x00\x00\x00\x00\x09\x01k",
    table_too_long=_DECLARE + b"\x02ab\x00\x00\x00\x00\x00more",
    key_too_long=_DECLARE + b"\x02ab\x00\x00\x00\x00\x03\x09kk",
    no_type=_DECLARE + b"\x02ab\x00\x00\x00\x00\x02\x01k",
    unknown_type=_DECLARE + b"\x02ab\x00\x00\x00\x00\x03\x01k?",
    value_too_short=_DECLARE + b"\x02ab\x00\x00\x00\x00\x05\x01kI\x00\x00",
    string_too_short=_DECLARE + b"\x02ab\x00\x00\x00\x00\x08\x01kS\x00\x00\x00\x09a",
    array_too_short=_DECLARE + b"\x02ab\x00\x00\x00\x00\x08\x01kA\x00\x00\x00\x09I",
    nested_too_short=_DECLARE + b"\x02ab\x00\x00\x00\x00\x08\x01kF\x00\x00\x00\x09I",
    boolean_of_two=_DECLARE + b"\x02ab\x10\x00\x00\x00\x04\x01kt\x02",
)
def a_queue_declare_with(s: Stage, payload: bytes) -> None:
    a = s.channel()
    a.connection.frame(FRAME_METHOD, 1, payload)
    a.connection.await_closed() if payload[-1:] != b"\x02" else a.barrier()


@cases(
    queue_name=_DECLARE + b"\x02\xff\xfe\x02\x00\x00\x00\x00",
    consumer_tag=b"\x00\x3c\x00\x1e\x02\xff\xfe\x00",
    routing_key=b"\x00\x3c\x00\x28\x00\x00\x00\x02\xff\xfe\x00",
    exchange=b"\x00\x28\x00\x0a\x00\x00\x02\xc3\x28\x06direct\x00\x00\x00\x00\x00",
    overlong=b"\x00\x3c\x00\x1e\x02\xc0\x80\x00",
    surrogate=b"\x00\x3c\x00\x1e\x03\xed\xa0\x80\x00",
    table_key=_DECLARE + b"\x00\x04\x00\x00\x00\x05\x02\xff\xfet\x01",
)
def bad_utf8_in_the(s: Stage, payload: bytes) -> None:
    a = s.channel()
    a.connection.frame(FRAME_METHOD, 1, payload)
    if payload[3] == 0x28 and payload[1] == 0x3C:
        a.connection.frame(FRAME_HEADER, 1, wire.header_payload(0, b"\0\0"))
    a.barrier()
    a.call("basic.qos")


@cases(header=FRAME_HEADER, body=FRAME_BODY)
def content_without_a_method(s: Stage, kind: int) -> None:
    a = s.channel()
    a.connection.frame(kind, 1, wire.header_payload(0, b"\0\0"))
    a.connection.await_closed()


@cases(header=FRAME_HEADER, body=FRAME_BODY)
def content_on_channel_0(s: Stage, kind: int) -> None:
    connection = s.connection()
    connection.frame(kind, 0, wire.header_payload(0, b"\0\0"))
    connection.await_closed()


@cases(header=FRAME_HEADER, body=FRAME_BODY)
def content_on_a_channel_that_was_never_opened(s: Stage, kind: int) -> None:
    connection = s.connection()
    connection.frame(kind, 9, wire.header_payload(0, b"\0\0"))
    connection.await_closed()


@cases(method=(FRAME_METHOD, _QOS), body=(FRAME_BODY, b"abc"), publish=(FRAME_METHOD, _PUBLISH))
def instead_of_the_content_header(s: Stage, what: tuple[int, bytes]) -> None:
    a = s.channel()
    a.connection.frame(FRAME_METHOD, 1, _PUBLISH)
    a.connection.frame(what[0], 1, what[1])
    a.connection.await_closed()


@cases(method=(FRAME_METHOD, _QOS), header=(FRAME_HEADER, wire.header_payload(3, b"\0\0")))
def instead_of_the_body(s: Stage, what: tuple[int, bytes]) -> None:
    a = s.channel()
    a.connection.frame(FRAME_METHOD, 1, _PUBLISH)
    a.connection.frame(FRAME_HEADER, 1, wire.header_payload(3, b"\0\0"))
    a.connection.frame(what[0], 1, what[1])
    a.connection.await_closed()


@scenario
def a_second_header_after_an_empty_body(s: Stage) -> None:
    a = s.channel()
    a.connection.frame(FRAME_METHOD, 1, _PUBLISH)
    a.connection.frame(FRAME_HEADER, 1, wire.header_payload(0, b"\0\0"))
    a.connection.frame(FRAME_HEADER, 1, wire.header_payload(0, b"\0\0"))
    a.connection.await_closed()


@cases(queue=50, connection=10, unknown=99, zero=0)
def a_content_header_of_class(s: Stage, class_id: int) -> None:
    a = s.channel()
    a.connection.frame(FRAME_METHOD, 1, _PUBLISH)
    a.connection.frame(FRAME_HEADER, 1, wire.header_payload(0, b"\0\0", class_id=class_id))
    a.connection.await_closed()


@cases(empty=b"", class_only=b"\x00\x3c", half_a_size=b"\x00\x3c\x00\x00\x00\x00\x00\x00")
def a_content_header_that_is_too_short(s: Stage, payload: bytes) -> None:
    a = s.channel()
    a.connection.frame(FRAME_METHOD, 1, _PUBLISH)
    a.connection.frame(FRAME_HEADER, 1, payload)
    a.connection.await_closed()


@cases(one_frame=(b"abcdef",), second_frame=(b"ab", b"cdef"))
def a_body_longer_than_its_header_says(s: Stage, parts: tuple[bytes, ...]) -> None:
    a = s.channel()
    a.connection.frame(FRAME_METHOD, 1, _PUBLISH)
    a.connection.frame(FRAME_HEADER, 1, wire.header_payload(3, b"\0\0"))
    for part in parts:
        a.connection.frame(FRAME_BODY, 1, part)
    a.send("basic.qos")
    a.connection.await_closed()


@cases(huge=2**63, negative=2**64 - 1, just_too_large=2**40)
def a_body_size_of(s: Stage, size: int) -> None:
    a = s.channel()
    a.connection.frame(FRAME_METHOD, 1, _PUBLISH)
    a.connection.frame(FRAME_HEADER, 1, wire.header_payload(size, b"\0\0"))
    a.connection.frame(FRAME_BODY, 1, b"abc")
    b = a.connection.channel(2)
    b.call("basic.qos")


@cases(channel_1=(1, b""), with_payload=(0, b"abc"), unopened_channel=(7, b""))
def a_heartbeat_frame_on(s: Stage, what: tuple[int, bytes]) -> None:
    a = s.channel()
    a.connection.frame(FRAME_HEARTBEAT, *what)
    a.call("basic.qos")


@scenario
def fields_left_over_in_a_method(s: Stage) -> None:
    a = s.channel()
    a.connection.frame(FRAME_METHOD, 1, _QOS + b"more")
    a.connection.await_closed()


@scenario
def reserved_fields_and_spare_bits_are_ignored(s: Stage) -> None:
    a = s.channel()
    q = s.queue()
    name = bytes([len(q)]) + q.encode()
    a.connection.frame(FRAME_METHOD, 1, b"\x00\x32\x00\x0a\xff\xff" + name + b"\xe0\x00\x00\x00\x00")
    a.expect("queue.declare-ok")
    a.call("queue.declare", queue=q, passive=True)


@scenario
def tables_nested_very_deeply(s: Stage) -> None:
    a = s.channel()
    value: object = 1
    for _ in range(100):
        value = {"k": value}
    a.connection.transcript.add("A.1", ">", "queue.declare with a table 100 deep")
    a.send_unseen("queue.declare", queue=s.queue(), arguments={"deep": value})
    a.expect("queue.declare-ok")


@scenario
def a_connection_cut_in_the_middle_of_a_frame(s: Stage) -> None:
    a, b = s.channel(), s.channel()
    q = s.declared_queue(b)
    a.send("basic.publish", routing_key=q)
    a.connection.frame(FRAME_HEADER, 1, wire.header_payload(10, b"\0\0"))
    a.connection.raw_seen(wire.frame(FRAME_BODY, 1, b"0123456789")[:9])
    a.connection.drop()
    b.call("queue.declare", queue=q, passive=True)
