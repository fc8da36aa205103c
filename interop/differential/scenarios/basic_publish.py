"""Publishing: mandatory, properties byte for byte, bodies of every size, and what is refused."""

from __future__ import annotations

from typing import Any

from interop.differential import wire
from interop.differential.scenario import Stage, cases, scenario
from interop.differential.tables import Typed

_EVERY_PROPERTY: dict[str, Any] = {
    "content_type": "text/plain",
    "content_encoding": "utf-8",
    "headers": {"h": "v"},
    "delivery_mode": 2,
    "priority": 9,
    "correlation_id": "correlation",
    "reply_to": "reply",
    "expiration": "600000",
    "message_id": "id",
    "timestamp": 1_700_000_000,
    "message_type": "type",
    "user_id": "guest",
    "app_id": "app",
    "cluster_id": "cluster",
}

_EVERY_TYPE: dict[str, Any] = {
    "array": [1, "two", [True, None], {"k": 1.5}],
    "bool": True,
    "byte": Typed("b", -5),
    "bytes": b"\x00\xff",
    "decimal": Typed("D", (2, 314)),
    "double": 2.25,
    "empty": {},
    "empty_array": [],
    "empty_string": "",
    "float": Typed("f", 1.5),
    "int": 70000,
    "long": 2**40,
    "short": Typed("s", -300),
    "string": "text",
    "table": {"inner": {"deep": 1}},
    "timestamp": Typed("T", 1_700_000_000),
    "unsigned_byte": Typed("B", 255),
    "unsigned_int": Typed("i", 4_000_000_000),
    "unsigned_short": Typed("u", 60000),
    "void": None,
}


@cases(
    none={},
    every_one=_EVERY_PROPERTY,
    empty_strings={"content_type": "", "message_id": "", "reply_to": ""},
    empty_headers={"headers": {}},
    header_types={"headers": _EVERY_TYPE},
    transient={"delivery_mode": 1},
    persistent={"delivery_mode": 2},
    priority_255={"priority": 255},
    timestamp_0={"timestamp": 0},
    timestamp_large={"timestamp": 2**63},
    utf8={"message_type": "grüße", "headers": {"ключ": "значение 🐇"}},
    not_utf8_string={"headers": {"s": b"\xff\xfe", "t": Typed("S", b"\xff\xfe")}},
    unsorted_headers={"headers": {"b": 1, "a": 2, "c": 3}},
    long_long_tag={"headers": {"n": Typed("L", 5)}},
    negative={"headers": {"n": Typed("b", -1), "o": Typed("I", -1), "p": Typed("l", -1)}},
    longest_string={"message_id": "x" * 255},
    expiration_zero_padded={"expiration": "0600000"},
    expiration_with_plus={"expiration": "+600000"},
)
def properties_pass_through(s: Stage, properties: dict[str, Any]) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m", to=q, properties=properties)
    a.call("basic.get", queue=q, no_ack=True)


@scenario
def a_header_key_given_twice(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    table = b"\x01kS\x00\x00\x00\x01a" + b"\x01kS\x00\x00\x00\x01b"
    a.publish("m", to=q, properties=b"\x20\x00" + len(table).to_bytes(4, "big") + table)
    a.call("basic.get", queue=q, no_ack=True)


@cases(zero=0, three=3, large=255)
def the_delivery_mode(s: Stage, mode: int) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m", to=q, properties={"delivery_mode": mode})
    a.call("basic.get", queue=q, no_ack=True)


@cases(
    letters="abc",
    unit="10ms",
    negative="-1",
    empty="",
    fraction="1.5",
    space=" 1",
    too_large="315360000001",
    huge="9" * 30,
    non_ascii="\u0661",
)
def the_expiration_is_refused(s: Stage, expiration: str) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m", to=q, properties={"expiration": expiration})
    a.call("basic.get", queue=q, no_ack=True)


@cases(own="guest", other="bob", empty="")
def the_user_id_must_be_ones_own(s: Stage, user: str) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m", to=q, properties={"user_id": user})
    a.call("basic.get", queue=q, no_ack=True)


@cases(
    cluster_id=b"\x00\x04\x07cluster",
    unused_flag=b"\x00\x02",
    continuation=b"\x00\x01\x00\x00",
    trailing_bytes=b"\x00\x00\xff\xff",
    truncated=b"\x80\x00\x05abc",
    no_flags=b"",
    half_flags=b"\x00",
    bad_table=b"\x20\x00\x00\x00\x00\x03\x01a?",
    truncated_table=b"\x20\x00\x00\x00\x00\xff\x01a",
)
def odd_property_bytes(s: Stage, raw: bytes) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m", to=q, properties=raw)
    a.call("basic.get", queue=q, no_ack=True)


@cases(empty=0, one=1, frame=131064, frame_and_one=131065, several=400_000)
def a_body_of_bytes(s: Stage, size: int) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish(bytes(number % 251 for number in range(size)), to=q)
    a.call("basic.get", queue=q, no_ack=True)


@cases(single_bytes=(20, 1), small=(1000, 100), uneven=(1000, 999))
def a_body_in_small_frames(s: Stage, sizes: tuple[int, int]) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish(b"x" * sizes[0], to=q, frame_size=sizes[1])
    a.call("basic.get", queue=q, no_ack=True)


@scenario
def empty_body_frames_in_between(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.send("basic.publish", routing_key=q)
    a.connection.frame(wire.FRAME_HEADER, 1, wire.header_payload(4, b"\0\0"))
    for part in (b"", b"ab", b"", b"cd"):
        a.connection.frame(wire.FRAME_BODY, 1, part)
    a.call("basic.get", queue=q, no_ack=True)


@scenario
def an_empty_body_frame_after_an_empty_body(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.send("basic.publish", routing_key=q)
    a.connection.frame(wire.FRAME_HEADER, 1, wire.header_payload(0, b"\0\0"))
    a.connection.frame(wire.FRAME_BODY, 1, b"")
    a.connection.await_closed()


@scenario
def a_large_body_is_cut_to_the_consumers_frame_size(s: Stage) -> None:
    a = s.channel()
    b = s.connection(frame_max=4096).channel()
    b.connection.shows_framing = True
    q = s.declared_queue(a)
    b.call("basic.consume", queue=q, consumer_tag="c", no_ack=True)
    a.publish(b"x" * 10_000, to=q, properties={"message_id": "large"})
    b.deliveries(1)


@scenario
def a_body_in_frames_of_the_smallest_size_reaches_a_larger_one(s: Stage) -> None:
    a = s.connection(frame_max=4096).channel()
    b = s.channel()
    q = s.declared_queue(a)
    a.publish(b"y" * 10_000, to=q)
    a.barrier()
    b.settle(q, ready=1)
    b.call("basic.get", queue=q, no_ack=True)


@scenario
def a_mandatory_message_comes_back_whole(s: Stage) -> None:
    a = s.channel()
    a.publish("back", to=s.queue("nope"), mandatory=True, properties=_EVERY_PROPERTY)
    a.publish(b"r" * 5000, to=s.queue("nope"), exchange="amq.direct", mandatory=True)
    a.publish("", to=s.queue("nope"), exchange="amq.fanout", mandatory=True)
    a.expect("basic.return", 3)


@scenario
def an_unroutable_message_is_dropped_quietly(s: Stage) -> None:
    a = s.channel()
    a.publish("gone", to=s.queue("nope"))
    a.barrier()


@scenario
def a_mandatory_message_that_is_routed_does_not_come_back(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("kept", to=q, mandatory=True)
    a.barrier()
    s.drain(a, q)


@scenario
def immediate_is_not_implemented(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.publish("m", to=q, immediate=True)
    a.connection.await_closed()


@scenario
def publishing_to_a_missing_exchange(s: Stage) -> None:
    a = s.channel()
    a.publish("m", exchange=s.exchange("nope"), to="k")
    a.expect("channel.close")


@scenario
def a_missing_exchange_is_told_only_after_the_body(s: Stage) -> None:
    a = s.channel()
    a.send("basic.publish", exchange=s.exchange("nope"), routing_key="k")
    a.connection.frame(wire.FRAME_HEADER, 1, wire.header_payload(3, b"\0\0"))
    other = a.connection.channel()
    other.barrier()
    a.connection.frame(wire.FRAME_BODY, 1, b"abc")
    a.expect("channel.close")


@scenario
def messages_published_after_an_error_are_dropped(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.answers_close = False
    a.publish("wrong", exchange=s.exchange("nope"))
    a.publish("too late", to=q)
    a.send("queue.declare", queue=q, passive=True)
    a.expect("channel.close")
    a.publish("later still", to=q)
    a.send("channel.close-ok")
    b = a.connection.channel()
    b.call("queue.declare", queue=q, passive=True)


@scenario
def the_exchange_name_is_shown_as_it_was_given(s: Stage) -> None:
    a = s.channel()
    a.publish("m", exchange=s.exchange("grüße nope"), to="k")
    a.expect("channel.close")


@scenario
def header_frame_with_a_weight(s: Stage) -> None:
    a = s.channel()
    q = s.declared_queue(a)
    a.send("basic.publish", routing_key=q)
    a.connection.frame(wire.FRAME_HEADER, 1, wire.header_payload(2, b"\0\0", weight=7))
    a.connection.frame(wire.FRAME_BODY, 1, b"ab")
    a.call("basic.get", queue=q, no_ack=True)


@scenario
def contents_of_two_channels_may_be_interleaved(s: Stage) -> None:
    a = s.channel()
    b = a.connection.channel()
    q, r = s.declared_queue(a), s.declared_queue(a, "r")
    a.send("basic.publish", routing_key=q)
    b.send("basic.publish", routing_key=r)
    a.connection.frame(wire.FRAME_HEADER, 1, wire.header_payload(4, b"\0\0"))
    b.connection.frame(wire.FRAME_HEADER, 2, wire.header_payload(2, b"\0\0"))
    a.connection.frame(wire.FRAME_BODY, 1, b"aa")
    b.connection.frame(wire.FRAME_BODY, 2, b"bb")
    a.connection.frame(wire.FRAME_BODY, 1, b"AA")
    s.drain(a, q)
    s.drain(b, r)
